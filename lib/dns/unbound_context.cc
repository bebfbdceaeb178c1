#include "lib/dns/unbound_context.h"

#include <unbound.h>
#include <unistd.h>

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <initializer_list>
#include <unordered_map>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/net/network.h"
#include "lib/observe/log.h"

namespace posthorn::dns {
namespace {

constexpr size_t kMaxWaiting = 20'000;  // questions under way
constexpr const char* kSystemAnchors[] = {"/var/lib/unbound/root.key", "/usr/share/dns/root.key"};

struct DeleteContext {
  void operator()(ub_ctx* context) const { ub_ctx_delete(context); }
};
using ContextPointer = std::unique_ptr<ub_ctx, DeleteContext>;

absl::Status Check(int result, std::string_view what, std::string_view detail) {
  if (result == UB_NOERROR) return absl::OkStatus();
  const absl::StatusCode code =
      result == UB_SYNTAX ? absl::StatusCode::kInvalidArgument : absl::StatusCode::kUnavailable;
  return base::Error(code, base::StrCat(what, " ", detail, ": ", ub_strerror(result)));
}

absl::Status SetOptions(ub_ctx* context) {
  struct Option {
    const char* name;
    const char* value;
  };
  // Our resolvers may be on this machine and serve zones that are nobody else's: the answers
  // libunbound would make up itself for test. and the private reverse zones are switched off. A
  // server that was down is tried again soon.
  for (const Option& option : std::initializer_list<Option>{{"do-not-query-localhost:", "no"},
                                                            {"unblock-lan-zones:", "yes"},
                                                            {"infra-keep-probing:", "yes"},
                                                            {"infra-host-ttl:", "60"}})
    RETURN_IF_ERROR(Check(ub_ctx_set_option(context, option.name, option.value), "resolver option",
                          option.name));
  return absl::OkStatus();
}

// Ends the time for options: libunbound fixes them here.
absl::Status RemoveZones(ub_ctx* context) {
  for (const char* zone : {"test.", "home.arpa."})
    RETURN_IF_ERROR(Check(ub_ctx_zone_remove(context, zone), "resolver zone", zone));
  return absl::OkStatus();
}

absl::Status SetServers(ub_ctx* context, const Options& options) {
  for (const std::string& server : options.servers) {
    const std::string_view address = std::string_view(server).substr(0, server.find('@'));
    if (!net::ParseAddress(address))
      return base::Invalid(base::StrCat("DNS server ", server, ": no numeric address"));
    RETURN_IF_ERROR(Check(ub_ctx_set_fwd(context, server.c_str()), "DNS server", server));
  }
  if (options.servers.empty() && ub_ctx_resolvconf(context, nullptr) != UB_NOERROR)
    observe::Warning("dns.no_resolv_conf");
  return absl::OkStatus();
}

absl::Status SetAnchor(ub_ctx* context, const Options& options) {
  std::string file = options.trust_anchor;
  if (!file.empty() && access(file.c_str(), R_OK) != 0)
    return base::Unavailable(base::StrCat("trust anchor ", file, " cannot be read"));
  if (file.empty() && options.servers.empty()) {
    for (const char* candidate : kSystemAnchors)
      if (file.empty() && access(candidate, R_OK) == 0) file = candidate;
    RETURN_IF_ERROR(Check(ub_ctx_set_option(context, "val-permissive-mode:", "yes"),
                          "resolver option", "permissive"));
  }
  if (file.empty())
    return Check(ub_ctx_set_option(context, "module-config:", "iterator"), "resolver option",
                 "modules");
  return Check(ub_ctx_add_ta_file(context, file.c_str()), "trust anchor", file);
}

absl::StatusOr<Answer> Convert(int error, const ub_result* result) {
  if (error != 0 || result == nullptr)
    return base::Unavailable(base::StrCat("resolver: ", ub_strerror(error)));
  if (result->bogus != 0)
    return base::DataLoss(
        base::StrCat("DNSSEC: ", result->why_bogus != nullptr ? result->why_bogus : "bogus"));
  constexpr int kNoError = 0, kNxDomain = 3;
  if (result->rcode != kNoError && result->rcode != kNxDomain)
    return base::Unavailable(base::StrCat("DNS answer code ", result->rcode));
  Answer answer;
  answer.secure = result->secure != 0;
  answer.ttl = static_cast<uint32_t>(result->ttl);
  const char* name = result->canonname != nullptr ? result->canonname : result->qname;
  answer.canonical_name = base::Lower(name != nullptr ? name : "");
  if (answer.canonical_name.ends_with('.')) answer.canonical_name.pop_back();
  answer.outcome = Outcome::kNoData;
  if (result->nxdomain != 0) answer.outcome = Outcome::kNxDomain;
  if (result->havedata != 0 && result->data != nullptr) {
    answer.outcome = Outcome::kFound;
    for (int i = 0; result->data[i] != nullptr; ++i)
      answer.records.emplace_back(result->data[i], static_cast<size_t>(result->len[i]));
  }
  return answer;
}

class Context : public UnboundContext, public std::enable_shared_from_this<Context> {
 public:
  Context(net::Loop& loop, ContextPointer context)
      : context_(std::move(context)), descriptor_(loop.context()) {}

  ~Context() override {
    std::error_code ignored;
    descriptor_.close(ignored);
    context_.reset();  // its callbacks do not run any more: the questions are dropped with waiting_
  }

  absl::Status Begin() {
    // A descriptor of our own: asio closes it, libunbound closes the other.
    const int fd = dup(ub_fd(context_.get()));
    if (fd < 0) return base::Unavailable("resolver: no descriptor");
    descriptor_.assign(fd);
    Watch();
    return absl::OkStatus();
  }

  absl::Status Ask(const std::string& name, Type type,
                   std::shared_ptr<Question> question) override {
    if (waiting_.size() >= kMaxWaiting)
      return base::Unavailable("too many DNS questions under way");
    auto entry = std::make_unique<Waiting>(Waiting{this, ++last_, std::move(question)});
    constexpr int kInternet = 1;
    const int result = ub_resolve_async(context_.get(), name.c_str(), static_cast<int>(type),
                                        kInternet, entry.get(), &Context::OnAnswer, nullptr);
    RETURN_IF_ERROR(Check(result, "question", name));
    waiting_.emplace(last_, std::move(entry));
    return absl::OkStatus();
  }

 private:
  // Lives until its answer came or the context is gone, whoever still wants the answer:
  // libunbound's thread may be at work on it.
  struct Waiting {
    Context* context;
    uint64_t number;
    std::shared_ptr<Question> question;
  };

  static void OnAnswer(void* data, int error, ub_result* result) {
    auto* waiting = static_cast<Waiting*>(data);
    Context& self = *waiting->context;
    const auto entry = self.waiting_.extract(waiting->number);
    Question& question = *waiting->question;
    question.answer = Convert(error, result);
    question.done = true;
    question.signal.NotifyAll();
    ub_resolve_free(result);
  }

  void Watch() {
    descriptor_.async_wait(asio::posix::stream_descriptor::wait_read,
                           [weak = weak_from_this()](const std::error_code& error) {
                             const std::shared_ptr<Context> self = weak.lock();
                             if (error || !self) return;
                             ub_process(self->context_.get());
                             self->Watch();
                           });
  }

  ContextPointer context_;
  asio::posix::stream_descriptor descriptor_;
  std::unordered_map<uint64_t, std::unique_ptr<Waiting>> waiting_;
  uint64_t last_ = 0;
};

}  // namespace

absl::StatusOr<std::shared_ptr<UnboundContext>> UnboundContext::Create(net::Loop& loop,
                                                                       const Options& options) {
  ContextPointer raw(ub_ctx_create());
  if (!raw) return base::Unavailable("resolver: no memory");
  RETURN_IF_ERROR(SetOptions(raw.get()));
  RETURN_IF_ERROR(SetServers(raw.get(), options));
  RETURN_IF_ERROR(SetAnchor(raw.get(), options));
  // The thread must be asked for before libunbound fixes the options.
  RETURN_IF_ERROR(Check(ub_ctx_async(raw.get(), 1), "resolver", "thread"));
  RETURN_IF_ERROR(RemoveZones(raw.get()));
  auto context = std::make_shared<Context>(loop, std::move(raw));
  RETURN_IF_ERROR(context->Begin());
  return std::shared_ptr<UnboundContext>(std::move(context));
}

}  // namespace posthorn::dns
