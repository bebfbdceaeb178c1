#include "lib/dns/unbound_resolver.h"

#include <algorithm>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/dns/records.h"
#include "lib/dns/unbound_context.h"
#include "lib/net/loop.h"

namespace posthorn::dns {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::string_view kTimeout = "no DNS answer in time";

class UnboundResolverImpl : public UnboundResolver {
 public:
  UnboundResolverImpl(net::Loop& loop, Options options, std::shared_ptr<UnboundContext> context)
      : loop_(loop), options_(std::move(options)), context_(std::move(context)) {}

  net::Task<absl::StatusOr<Answer>> Query(std::string name, Type type,
                                          milliseconds timeout) override {
    CO_ASSIGN_OR_RETURN(const std::string asked, QuestionName(name));
    const Clock::time_point deadline = Clock::now() + timeout;
    // Kept until the answer is here, so that a Configure meanwhile does not take it away.
    const std::shared_ptr<UnboundContext> context = context_;
    const auto question = std::make_shared<Question>(loop_);
    CO_RETURN_IF_ERROR(context->Ask(asked, type, question));
    while (!question->done) {
      const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
      if (left <= milliseconds(0)) co_return TimeoutError();
      co_await question->signal.WaitFor(left);
    }
    co_return std::move(question->answer);
  }

  absl::Status Configure(Options options) override {
    if (options == options_) return absl::OkStatus();
    ASSIGN_OR_RETURN(context_, UnboundContext::Create(loop_, options));
    options_ = std::move(options);
    return absl::OkStatus();
  }

 private:
  net::Loop& loop_;
  Options options_;
  std::shared_ptr<UnboundContext> context_;
};

}  // namespace

absl::Status TimeoutError() { return base::Unavailable(kTimeout); }

bool IsTimeout(const absl::Status& status) {
  return absl::IsUnavailable(status) && base::Message(status) == kTimeout;
}

absl::StatusOr<std::unique_ptr<UnboundResolver>> UnboundResolver::Create(net::Loop& loop,
                                                                         Options options) {
  ASSIGN_OR_RETURN(std::shared_ptr<UnboundContext> context, UnboundContext::Create(loop, options));
  return std::make_unique<UnboundResolverImpl>(loop, std::move(options), std::move(context));
}

}  // namespace posthorn::dns
