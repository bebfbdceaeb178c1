#include "pop3-gateway/session/metrics.h"

#include "lib/observe/metrics.h"

namespace posthorn::pop3_gateway {
namespace {

// In the order of Verb.
constexpr std::string_view kNames[] = {"user", "pass", "auth", "capa", "stls",
                                       "quit", "stat", "list", "retr", "dele",
                                       "noop", "rset", "top",  "uidl", "other"};
static_assert(std::size(kNames) == static_cast<size_t>(Verb::kUnknown) + 1);

observe::Counter* Replies(std::string_view command, std::string_view status) {
  return observe::NewCounter("posthorn_pop3_replies_total",
                             "Replies by what they answer and status",
                             {{"command", command}, {"status", status}});
}

}  // namespace

const Pop3Metrics& Pop3Metrics::Get() {
  static const Pop3Metrics* const kMetrics = new Pop3Metrics();
  return *kMetrics;
}

Pop3Metrics::Pop3Metrics()
    : retrieved(
          observe::NewCounter("posthorn_pop3_retrieved_total", "Messages sent for RETR and TOP")),
      removed(observe::NewCounter("posthorn_pop3_removed_total", "Messages removed at QUIT")) {
  for (size_t i = 0; i < kVerbs; ++i) {
    ok_[i] = Replies(kNames[i], "ok");
    err_[i] = Replies(kNames[i], "err");
  }
}

void Pop3Metrics::CountOk(Verb answers) const { ok_[static_cast<size_t>(answers)]->Add(); }
void Pop3Metrics::CountErr(Verb answers) const { err_[static_cast<size_t>(answers)]->Add(); }

}  // namespace posthorn::pop3_gateway
