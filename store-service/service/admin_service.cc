#include "store-service/service/admin_service.h"

#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "posthorn/admin/v1/admin.pb.h"
#include "store-service/service/recount.h"
#include "store-service/service/roles.h"
#include "store-service/service/status_reply.h"
#include "store-service/service/store_check.h"

namespace posthorn::store_service {
namespace {

namespace v1 = posthorn::store::v1;

constexpr size_t kMostDamageLines = 20;
constexpr uint32_t kPage = 10000;
// Behind one that may wait long for a dead host or a volume that hangs.
constexpr size_t kMostLooks = 8;

v1::CheckReply Line(std::string text) {
  v1::CheckReply reply;
  reply.set_line(std::move(text));
  return reply;
}

// What takes a look that may block.
struct Looked {
  BlobPlace blobs;
  DatabaseServer server;
  std::vector<std::string> warnings;
};

// Of all accounts, whoever owns them.
absl::StatusOr<Usage> TotalUsage(Database& database) {
  ASSIGN_OR_RETURN(std::unique_ptr<ReadSnapshot> snapshot, database.OpenSnapshot());
  Usage total;
  for (AccountId after = 0;;) {
    ASSIGN_OR_RETURN(const std::vector<AccountRow> rows, snapshot->Accounts(after, kPage));
    if (rows.empty()) return total;
    for (const AccountRow& row : rows) {
      total.bytes += row.used_bytes;
      total.messages += row.used_count;
    }
    after = rows.back().account;
  }
}

}  // namespace

// One run: lines come from its thread through the loop.
struct AdminService::Check {
  explicit Check(net::Loop& loop) : changed(loop) {}
  std::atomic<bool> stop{false};
  std::deque<v1::CheckReply> lines;
  std::unique_ptr<StoreCheck> work;
  std::optional<absl::Status> result;
  net::Signal changed;
};

AdminService::AdminService(const Parts& parts)
    : parts_(parts),
      pool_(parts.loop, "check", 1, 1),
      looks_(parts.loop, "status", 1, kMostLooks) {}

AdminService::~AdminService() {
  if (running_ != nullptr) running_->stop = true;
}

void AdminService::Register(rpc::Server& server) {
  server.Handle(
      rpc::store::kStoreAdminStatus, {kAdmin},
      std::function([this](const rpc::CallContext&, v1::StoreStatusRequest) { return Status(); }));
  server.Handle(rpc::store::kStoreAdminMeet, {kAdmin},
                std::function([this](const rpc::CallContext&, v1::MeetRequest request) {
                  return Meet(std::move(request));
                }));
  server.HandleStream(rpc::store::kStoreAdminCheck, {kAdmin},
                      [this](rpc::ServerCall& call) { return RunCheck(call); });
}

net::Task<absl::StatusOr<v1::StoreStatusReply>> AdminService::Status() {
  v1::StoreStatusReply reply;
  const Model& model = parts_.configuration.model();
  const BlobStats blobs = parts_.blobs.Stats();
  reply.set_accounts(model.accounts());
  CO_ASSIGN_OR_RETURN(const Usage usage, co_await looks_.Run([database = &parts_.database] {
    return TotalUsage(*database);
  }));
  reply.set_messages(usage.messages);
  reply.set_bytes(usage.bytes);
  reply.set_segments(blobs.segments);
  reply.set_segment_bytes(blobs.bytes);
  reply.set_revision(parts_.configuration.head());
  for (const std::string& journal : parts_.journals.Silent()) {
    reply.add_problems(
        base::StrCat("the journal ", journal, " is not connected: no bytes are freed"));
  }
  AddReplicas(reply);
  const auto looked = co_await looks_.Run(
      [database = &parts_.database, blobs = &parts_.blobs]() -> absl::StatusOr<Looked> {
        return Looked{blobs->Place(), database->Server(), database->Warnings()};
      });
  CO_RETURN_IF_ERROR(looked.status());
  DescribeBlobs(looked->blobs, reply);
  DescribeDatabase(looked->server, reply);
  for (const std::string& warning : looked->warnings)
    reply.add_problems(base::StrCat("database: ", warning));
  if (!parts_.queue_journals) co_return reply;
  const auto journals = co_await parts_.queue_journals();
  CO_RETURN_IF_ERROR(journals.status());
  for (const auto& journal : *journals) *reply.add_queue_journals() = journal;
  co_return reply;
}

// Of a single store there are no rows: it has all lanes.
void AdminService::AddReplicas(v1::StoreStatusReply& reply) const {
  if (parts_.replicas == nullptr) return;
  const ClusterRows& rows = parts_.replicas->rows();
  DescribeReplicas(
      rows, [this](const std::string& name) { return parts_.replicas->IsAlive(name); }, reply);
  if (!rows.lanes.empty()) return;
  uint32_t owned = 0;
  for (uint32_t lane = 0; lane < base::kLanes; ++lane) owned += parts_.lanes.owned(lane) ? 1 : 0;
  reply.set_lanes(base::kLanes);
  for (auto& replica : *reply.mutable_replicas()) replica.set_lanes(owned);
}

net::Task<absl::StatusOr<v1::MeetReply>> AdminService::Meet(v1::MeetRequest request) {
  if (!parts_.lanes.held(0)) co_return base::Unavailable(base::kNotOwner);
  co_return meeting_.Take(std::move(request), base::MonotonicMicros() / 1000);
}

void AdminService::Describe(admin::v1::ProcessReport& report) const {
  if (parts_.configuration.shared()) {
    admin::v1::ProcessReport::Lag& lag = *report.add_lags();
    lag.set_of("directory");
    lag.set_behind_ms(static_cast<uint64_t>(parts_.configuration.behind_ms()));
  }
  size_t told = 0;
  for (const BlobDamage& damage : parts_.blobs.Damage()) {
    if (++told > kMostDamageLines) break;
    report.add_problems(base::StrCat("damage in segment ", damage.segment, ": ", damage.what));
  }
  const BlobStats blobs = parts_.blobs.Stats();
  if (blobs.failed_commits != 0) {
    report.add_problems(
        base::StrCat(blobs.failed_commits, " commits of message bytes failed since start"));
  }
  const EventStats events = parts_.events.Stats();
  if (events.failed_writes != 0) {
    report.add_problems(
        base::StrCat(events.failed_writes, " writes of the trace failed since start"));
  }
}

net::Task<absl::Status> AdminService::RunCheck(rpc::ServerCall& call) {
  v1::CheckRequest request;
  CO_ASSIGN_OR_RETURN(const bool asked, co_await call.Read(request));
  if (!asked) co_return base::Invalid("no request");
  if (running_ != nullptr) co_return base::Precondition("a check is running already");
  auto check = std::make_shared<Check>(parts_.loop);
  running_ = check;
  check->work = std::make_unique<StoreCheck>(
      parts_.database, parts_.blobs,
      [&loop = parts_.loop, weak = std::weak_ptr<Check>(check)](CheckSay what, std::string text) {
        loop.Post([weak, what, text = std::move(text)] {
          const std::shared_ptr<Check> alive = weak.lock();
          if (alive == nullptr) return;
          alive->lines.push_back(Line(text));
          alive->lines.back().set_problem(what == CheckSay::kProblem);
          alive->changed.NotifyAll();
        });
      },
      check->stop);
  parts_.loop.Spawn("store.check", Drive(check));
  call.OnCancel([check] { check->stop = true; });
  CO_RETURN_IF_ERROR(co_await Report(call, check));
  co_return co_await Finish(call, check, request.repair());
}

// Holds the check alive while its thread runs, whatever becomes of the caller.
net::Task<void> AdminService::Drive(std::shared_ptr<Check> check) {
  check->result = co_await pool_.Run([check] { return check->work->Run(); });
  running_.reset();
  check->changed.NotifyAll();
}

net::Task<absl::Status> AdminService::Report(rpc::ServerCall& call, std::shared_ptr<Check> check) {
  for (;;) {
    while (!check->lines.empty()) {
      const v1::CheckReply line = std::move(check->lines.front());
      check->lines.pop_front();
      const absl::Status written = co_await call.Write(line);
      if (!written.ok()) check->stop = true;
      CO_RETURN_IF_ERROR(written);
    }
    if (check->result) co_return *check->result;
    co_await check->changed.Wait();
  }
}

net::Task<absl::Status> AdminService::Finish(rpc::ServerCall& call, std::shared_ptr<Check> check,
                                             bool repair) {
  CheckFindings findings = check->work->findings();
  for (const std::string& journal : parts_.journals.Silent()) {
    v1::CheckReply line = Line(base::StrCat("the journal ", journal, " is not connected"));
    line.set_problem(true);
    ++findings.problems;
    CO_RETURN_IF_ERROR(co_await call.Write(line));
  }
  const uint64_t repaired = repair ? co_await Repair(call, findings.miscounted) : 0;
  v1::CheckReply last = Line(base::StrCat(
      findings.messages, " messages in mailboxes, ", findings.blobs, " stored, ",
      findings.unreferenced, " without a mailbox, ", findings.problems, " problems, ",
      findings.unreadable, " messages that cannot be read, ", repaired, " accounts recounted"));
  last.set_last(true);
  last.set_messages(findings.messages);
  last.set_blobs(findings.blobs);
  last.set_problems(findings.problems);
  co_return co_await call.Write(last);
}

net::Task<uint64_t> AdminService::Repair(rpc::ServerCall& call,
                                         std::vector<base::AccountId> accounts) {
  uint64_t repaired = 0;
  for (const base::AccountId account : accounts) {
    const absl::Status status = co_await RecountAccount(parts_.lanes, account);
    v1::CheckReply line =
        Line(status.ok() ? base::StrCat("account ", account, ": recounted")
                         : base::StrCat("account ", account, ": ", base::Message(status)));
    line.set_repaired(status.ok());
    line.set_problem(!status.ok());
    repaired += status.ok();
    if (!(co_await call.Write(line)).ok()) break;
  }
  co_return repaired;
}

}  // namespace posthorn::store_service
