#include "spam-service/spf/check.h"

#include <algorithm>

#include "lib/base/clock.h"
#include "lib/base/strings.h"
#include "spam-service/spf/evaluation.h"

namespace posthorn::spam_service {
namespace {

// Domain of "local@domain"; the local part may hold "@" in quotes.
std::string_view DomainOf(std::string_view address) {
  const size_t at = address.rfind('@');
  return at == std::string_view::npos ? address : address.substr(at + 1);
}

}  // namespace

net::Task<SpfAnswer> CheckSpf(dns::Resolver& resolver, SpfQuestion question,
                              std::chrono::steady_clock::time_point deadline) {
  MacroValues values;
  // [RFC7208 2.4, 4.3] the null sender stands for postmaster at HELO; so does a missing local part.
  values.sender =
      question.sender.empty() ? base::StrCat("postmaster@", question.helo) : question.sender;
  if (values.sender.find('@') == std::string::npos || values.sender.front() == '@')
    values.sender = base::StrCat("postmaster@", DomainOf(values.sender));
  values.origin = DomainOf(values.sender);
  values.local = values.sender.substr(0, values.sender.size() - values.origin.size() - 1);
  values.client = question.client;
  values.helo = std::move(question.helo);
  values.receiver = std::move(question.receiver);
  values.now = base::WallSeconds();
  SpfEvaluation evaluation(resolver, std::move(values), deadline);
  co_return co_await evaluation.Run();
}

}  // namespace posthorn::spam_service
