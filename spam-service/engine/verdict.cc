#include "spam-service/engine/verdict.h"

#include "lib/base/strings.h"

namespace posthorn::spam_service {
namespace {

constexpr size_t kMaxReplyText = 300;  // of a reply line [RFC5321 4.5.3.1.5]

// A reply line is printable ASCII, whatever a stranger's record says.
std::string OneLine(std::string_view text) {
  std::string out(text.substr(0, kMaxReplyText));
  for (char& c : out)
    if (c < ' ' || c > '~') c = '?';
  return out;
}

std::string ReplyText(const std::vector<Finding>& findings) {
  std::string text = "Rejected as spam";
  for (const Finding& finding : findings)
    if (finding.score > 0 && !finding.public_text.empty())
      base::StrAppend(text, "; ", finding.public_text);
  return OneLine(text);
}

}  // namespace

std::string_view ActionName(Verdict::Action action) {
  switch (action) {
    case Verdict::Action::kAccept:
      return "accept";
    case Verdict::Action::kMark:
      return "mark";
    case Verdict::Action::kReject:
      return "reject";
  }
  return "accept";
}

Verdict Judge(std::vector<Finding> findings, const Thresholds& thresholds,
              std::string authentication_results) {
  Verdict verdict;
  verdict.findings = std::move(findings);
  verdict.authentication_results = std::move(authentication_results);
  for (const Finding& finding : verdict.findings) {
    verdict.score += finding.score;
    verdict.incomplete = verdict.incomplete || finding.skipped;
    if (finding.authentication_result.empty()) continue;
    base::StrAppend(verdict.authentication_results,
                    verdict.authentication_results.empty() ? "" : "; ",
                    finding.authentication_result);
  }
  if (thresholds.reject > 0 && verdict.score >= thresholds.reject) {
    verdict.action = Verdict::Action::kReject;
    verdict.reply_text = ReplyText(verdict.findings);
  } else if (verdict.score >= thresholds.mark) {
    verdict.action = Verdict::Action::kMark;
  }
  return verdict;
}

}  // namespace posthorn::spam_service
