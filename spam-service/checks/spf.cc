#include "spam-service/checks/spf.h"

#include <algorithm>

#include "lib/base/strings.h"

namespace posthorn::spam_service {
namespace {

// [RFC8601 2.2] what may stand in a pvalue without quotes; anything else is put between them.
std::string PropertyValue(std::string_view text) {
  const auto plain = [](char c) {
    return c > ' ' && c < 0x7f &&
           std::string_view("()<>,;:\\\"/[]?=").find(c) == std::string_view::npos;
  };
  if (!text.empty() && std::ranges::all_of(text, plain)) return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(static_cast<unsigned char>(c) < ' ' || c == 0x7f ? '?' : c);
  }
  out.push_back('"');
  return out;
}

class SpfTest : public EnvelopeTest {
 public:
  explicit SpfTest(dns::Resolver& resolver) : resolver_(resolver) {}
  std::string_view name() const override { return "spf"; }
  std::string_view kind() const override { return "spf"; }
  bool AppliesTo(const Envelope& envelope) const override {
    return envelope.remote && !envelope.trusted;
  }

  net::Task<std::optional<Finding>> Run(std::shared_ptr<const Envelope> envelope,
                                        Deadline deadline) override {
    SpfQuestion question{*envelope->address, envelope->helo, envelope->sender, envelope->hostname};
    const SpfAnswer answer = co_await CheckSpf(resolver_, std::move(question), deadline);
    Finding finding;
    finding.name = "spf";
    finding.score = SpfScore(answer.result);
    finding.reason = base::StrCat(SpfResultName(answer.result), ": ", answer.reason);
    finding.skipped = answer.result == SpfResult::kTempError;
    finding.authentication_result = SpfAuthenticationResult(answer.result, *envelope);
    if (answer.result == SpfResult::kFail) {
      finding.public_text =
          base::StrCat("SPF: ", answer.domain, " does not permit ", envelope->client);
      // [RFC7208 8.4] a stranger's words are marked as such.
      if (!answer.explanation.empty())
        base::StrAppend(finding.public_text, "; ", answer.domain,
                        " explains: ", answer.explanation);
    }
    co_return finding;
  }

 private:
  dns::Resolver& resolver_;
};

}  // namespace

double SpfScore(SpfResult result) {
  switch (result) {
    case SpfResult::kFail:
      return 5;
    case SpfResult::kSoftFail:
      return 2;
    case SpfResult::kPermError:
      return 1;
    case SpfResult::kNone:
    case SpfResult::kNeutral:
    case SpfResult::kPass:
    case SpfResult::kTempError:
      return 0;
  }
  return 0;
}

std::string SpfAuthenticationResult(SpfResult result, const Envelope& envelope) {
  const bool null_sender = envelope.sender.empty();
  return base::StrCat("spf=", SpfResultName(result),
                      null_sender ? " smtp.helo=" : " smtp.mailfrom=",
                      PropertyValue(null_sender ? envelope.helo : envelope.sender));
}

std::shared_ptr<EnvelopeTest> NewSpfTest(dns::Resolver& resolver) {
  return std::make_shared<SpfTest>(resolver);
}

}  // namespace posthorn::spam_service
