#include "admin-service/service/status_words.h"

#include <algorithm>
#include <map>
#include <set>

#include "lib/base/strings.h"

namespace posthorn::admin_service {
namespace {

using admin::v1::ProcessReport;
using admin::v1::ProcessStatus;
using admin::v1::StatusReply;

constexpr int64_t kDay = 86400;
// A message that waits longer than this is worth an operator's look.
constexpr uint64_t kOldEntrySeconds = 4 * 3600;
constexpr size_t kMostNames = 3;

std::string Seconds(uint64_t millis) { return base::StrCat(millis / 1000, " s"); }

// "expires in 9 days", "has expired"; empty: not soon.
std::string Expiry(int64_t seconds_left) {
  if (seconds_left <= 0) return "has expired";
  if (seconds_left > kCertificateDays * kDay) return {};
  if (seconds_left < 2 * kDay) return base::StrCat("expires in ", seconds_left / 3600, " hours");
  return base::StrCat("expires in ", seconds_left / kDay, " days");
}

// The stores know it of each other, and say it with what it means for the lanes.
bool StoresSaySo(const ProcessStatus& process, const StatusReply& reply) {
  if (process.process() != "store-service") return false;
  return std::ranges::any_of(reply.store().replicas(), [&](const auto& replica) {
    return replica.name() == process.name() && !replica.alive();
  });
}

void AddSentences(const ProcessStatus& process, const ProcessReport& report,
                  const ConfigurationHead& head, StatusReply& reply) {
  const std::string who = WhoIs(process);
  if (!process.alive()) {
    if (!StoresSaySo(process, reply)) {
      const std::string at =
          process.address().empty() ? "" : base::StrCat(" (", process.address(), ")");
      reply.add_problems(
          base::StrCat(who, at, " has said nothing for ", Seconds(process.silent_ms())));
    }
    return;  // what it said before says nothing about now
  }
  if (!process.ready() && !process.draining() && !process.starting())
    reply.add_problems(base::StrCat(who, " is not ready: ", process.detail()));
  if (process.config_revision() < head.revision && head.age_ms > kNewRevisionMs &&
      !process.starting()) {
    reply.add_problems(base::StrCat(who, " uses configuration revision ", process.config_revision(),
                                    ", the newest is ", head.revision));
  }
  for (const std::string& problem : report.problems())
    reply.add_problems(base::StrCat(who, ": ", problem));
  for (const ProcessReport::Lag& lag : report.lags()) {
    if (lag.behind_ms() > kLagMs)
      reply.add_problems(
          base::StrCat(who, ": its ", lag.of(), " is ", Seconds(lag.behind_ms()), " behind"));
  }
  if (!report.has_certificate_seconds()) return;
  if (const std::string expiry = Expiry(report.certificate_seconds()); !expiry.empty())
    reply.add_problems(base::StrCat(who, ": the certificate it shows other processes ", expiry));
}

}  // namespace

std::string WhoIs(const ProcessStatus& process) {
  return process.name().empty() ? process.process()
                                : base::StrCat(process.process(), " ", process.name());
}

void AddHeard(const std::vector<Reports::Heard>& heard, const ConfigurationHead& head,
              StatusReply& reply) {
  for (const auto& [report, silent_ms, after_crash] : heard) {
    ProcessStatus& out = *reply.add_processes();
    out.set_process(report.process());
    out.set_name(report.name());
    out.set_address(report.address());
    out.set_version(report.version());
    out.set_config_revision(report.config_revision());
    out.set_silent_ms(static_cast<uint64_t>(silent_ms));
    out.set_alive(silent_ms <= kSilentMs);
    out.set_ready(out.alive() && report.missing().empty());
    out.set_draining(report.draining());
    out.set_starting(out.alive() && !report.draining() && !after_crash &&
                     report.has_starting_ms() && report.starting_ms() <= kStartingMs);
    out.set_detail(report.missing());
    if (report.has_certificate_seconds())
      out.set_certificate_seconds(report.certificate_seconds() - silent_ms / 1000);
    *out.mutable_lags() = report.lags();
    AddSentences(out, report, head, reply);
  }
}

void AddMissing(const std::vector<std::string>& expected, int64_t listening_ms,
                StatusReply& reply) {
  for (const std::string& process : expected) {
    if (std::ranges::any_of(reply.processes(),
                            [&](const ProcessStatus& known) { return known.process() == process; }))
      continue;
    ProcessStatus& out = *reply.add_processes();
    out.set_process(process);
    out.set_detail("not heard of");
    out.set_starting(listening_ms <= kSilentMs);
    if (out.starting()) continue;
    reply.add_problems(
        base::StrCat("no ", process, " is running, or it cannot reach admin-service"));
  }
}

void AddVersions(StatusReply& reply) {
  std::map<std::string, std::vector<std::string>> versions;
  for (const ProcessStatus& process : reply.processes()) {
    if (!process.version().empty() && process.alive())
      versions[process.version()].push_back(WhoIs(process));
  }
  if (versions.size() < 2) return;
  std::vector<std::string> parts;
  for (const auto& [version, names] : versions) {
    const bool few = names.size() <= kMostNames;
    parts.push_back(base::StrCat(
        version, " (", few ? base::Join(names, ", ") : base::StrCat(names.size(), " processes"),
        ")"));
  }
  reply.add_problems(base::StrCat("an upgrade is not finished: ", base::Join(parts, " and "),
                                  " run side by side"));
}

void AddStore(absl::StatusOr<store::v1::StoreStatusReply> store, StatusReply& reply) {
  if (!store.ok()) {
    reply.add_problems(base::StrCat("no store-service answers: ", base::Message(store.status())));
    return;
  }
  reply.set_accounts(store->accounts());
  reply.set_messages(store->messages());
  reply.set_store_bytes(store->bytes());
  for (const std::string& problem : store->problems()) reply.add_problems(problem);
  *reply.mutable_store() = *std::move(store);
}

void AddQueue(absl::StatusOr<queue::v1::QueueStatusReply> queue, std::string_view target,
              StatusReply& reply) {
  if (!queue.ok()) {
    if (std::ranges::any_of(reply.processes(), [](const ProcessStatus& process) {
          return process.process() == "delivery-queue" && process.starting();
        }))
      return;
    const bool local = target.starts_with("unix:");
    reply.add_problems(base::StrCat("the delivery-queue", local ? "" : " at ", local ? "" : target,
                                    " does not answer: ", base::Message(queue.status())));
    return;
  }
  for (const std::string& problem : queue->problems())
    reply.add_problems(base::StrCat("queue ", queue->replica(), ": ", problem));
  *reply.add_queues() = *std::move(queue);
}

void AddQueueTotals(StatusReply& reply) {
  uint64_t held = 0;
  std::set<std::string> names;
  for (const queue::v1::QueueStatusReply& queue : reply.queues()) {
    reply.set_queue_entries(reply.queue_entries() + queue.entries());
    reply.set_queue_oldest_seconds(std::max(reply.queue_oldest_seconds(), queue.oldest_seconds()));
    held += queue.held();
    names.insert(queue.replica());
    if (queue.oldest_seconds() <= kOldEntrySeconds) continue;
    reply.add_problems(base::StrCat("queue ", queue.replica(), ": the oldest message waits for ",
                                    queue.oldest_seconds() / 3600, " hours"));
  }
  if (held > 0) reply.add_problems(base::StrCat("queue: ", held, " messages are held"));
  for (const auto& journal : reply.store().queue_journals()) {
    if (journal.entries() == 0 || journal.lease_left_ms() > 0 || names.contains(journal.owner()))
      continue;
    reply.add_problems(base::StrCat("queue ", journal.owner(), " is gone, and its ",
                                    journal.entries(),
                                    " messages wait until another queue takes them over"));
  }
}

void AddCertificate(std::string_view name, int64_t seconds_left, StatusReply& reply) {
  admin::v1::CertificateStatus& certificate = *reply.add_certificates();
  certificate.set_name(std::string(name));
  certificate.set_seconds_left(seconds_left);
  if (const std::string expiry = Expiry(seconds_left); !expiry.empty())
    reply.add_problems(base::StrCat("the certificate \"", name, "\" that clients see ", expiry));
}

}  // namespace posthorn::admin_service
