#include "smtp-gateway/message/prefix.h"

#include <cmath>
#include <cstdio>

#include "lib/base/strings.h"

namespace posthorn::smtp_gateway {
namespace {

// A header line must not be broken, whatever a companion answered.
std::string OneLine(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = ' ';
  return out;
}

}  // namespace

std::string ScoreText(double score) {
  if (!std::isfinite(score) || std::fabs(score) > 99999) score = score > 0 ? 99999 : -99999;
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f", score);
  return text;
}

std::string VerdictHeaders(const common::v1::Verdict& verdict, std::string_view hostname) {
  std::string out;
  if (!verdict.authentication_results().empty())
    base::StrAppend(out, "Authentication-Results: ", hostname, ";\r\n ", OneLine(verdict.authentication_results()),
                    "\r\n");
  const bool marked = verdict.action() == common::v1::Verdict::MARK;
  if (marked) base::StrAppend(out, "X-Spam-Flag: YES\r\n");
  if (!verdict.tests().empty()) {
    base::StrAppend(out, "X-Spam-Status: ", marked ? "Yes" : "No", ", score=", ScoreText(verdict.score()), "\r\n tests=");
    bool first = true;
    for (const auto& test : verdict.tests()) {
      base::StrAppend(out, first ? "" : ",\r\n ", OneLine(test.name()), ":", ScoreText(test.score()));
      first = false;
    }
    base::StrAppend(out, "\r\n");
  }
  return out;
}

std::string Explain(const common::v1::Verdict& verdict) {
  std::string out;
  for (const auto& test : verdict.tests()) {
    if (!out.empty()) out.append("; ");
    base::StrAppend(out, test.name(), " ", ScoreText(test.score()));
    if (!test.reason().empty()) base::StrAppend(out, " (", test.reason(), ")");
  }
  return out;
}

}  // namespace posthorn::smtp_gateway
