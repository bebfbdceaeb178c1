#include "delivery-queue/remote/remote_metrics.h"

#include <algorithm>
#include <array>

#include "lib/observe/metrics.h"

namespace posthorn::delivery_queue {
namespace {

using observe::Counter;
using observe::NewCounter;

constexpr std::string_view kDestinations[] = {"mx", "route"};
constexpr std::string_view kTls[] = {"no", "yes"};
constexpr std::string_view kClasses[] = {"none", "2xx", "3xx", "4xx", "5xx"};
constexpr std::string_view kOutcomes[] = {"sent", "deferred", "failed"};  // as RemoteOutcome::Kind
constexpr std::string_view kReached[] = {"ready", "unreachable", "lost", "dns", "tls", "refused"};

// By the status that the opener gives [RFC3463 3.5, 3.8].
size_t ReachedBy(const RemoteOutcome* failure) {
  if (failure == nullptr) return 0;
  const std::string_view status = failure->status;
  if (status == "4.4.1") return 1;
  if (status == "4.4.2") return 2;
  if (status == "4.4.3" || status == "4.4.4" || status.substr(1) == ".1.2" ||
      status.substr(1) == ".1.10")
    return 3;
  if (status == "4.7.4" || status == "4.7.5") return 4;
  return 5;
}

}  // namespace

struct RemoteMetrics::Counters {
  using Replies = std::array<Counter*, std::size(kClasses)>;
  std::array<std::array<Replies, 2>, 2> replies;  // by destination, encryption
  std::array<std::array<Counter*, std::size(kReached)>, 2> connections;
  std::array<Counter*, std::size(kOutcomes)> recipients;

  Counters() {
    for (size_t d = 0; d < 2; ++d) {
      for (size_t tls = 0; tls < 2; ++tls)
        for (size_t c = 0; c < std::size(kClasses); ++c)
          replies[d][tls][c] = NewCounter(
              "posthorn_queue_remote_replies_total",
              "Other hosts' last word on one recipient each, by class, way and encryption",
              {{"class", kClasses[c]}, {"destination", kDestinations[d]}, {"tls", kTls[tls]}});
      for (size_t r = 0; r < std::size(kReached); ++r)
        connections[d][r] =
            NewCounter("posthorn_queue_remote_connections_total",
                       "Attempts to reach a next hop, by what came of them",
                       {{"destination", kDestinations[d]}, {"outcome", kReached[r]}});
    }
    for (size_t o = 0; o < std::size(kOutcomes); ++o)
      recipients[o] = NewCounter("posthorn_queue_remote_recipients_total",
                                 "Attempts for one recipient each", {{"outcome", kOutcomes[o]}});
  }
};

const RemoteMetrics& RemoteMetrics::Get() {
  static const RemoteMetrics* const kMetrics = new RemoteMetrics();
  return *kMetrics;
}

RemoteMetrics::RemoteMetrics() : counters_(new Counters()) {}

void RemoteMetrics::CountConnection(Destination destination, const RemoteOutcome* failure) const {
  counters_->connections[static_cast<size_t>(destination)][ReachedBy(failure)]->Add();
}

void RemoteMetrics::CountReply(Destination destination, Encryption encryption,
                               const mail::Reply& reply) const {
  const auto index =
      reply.code == 0 ? 0 : static_cast<size_t>(std::clamp(reply.code / 100, 2, 5) - 1);
  counters_->replies[static_cast<size_t>(destination)][static_cast<size_t>(encryption)][index]
      ->Add();
}

void RemoteMetrics::CountRecipient(RemoteOutcome::Kind kind) const {
  counters_->recipients[static_cast<size_t>(kind)]->Add();
}

}  // namespace posthorn::delivery_queue
