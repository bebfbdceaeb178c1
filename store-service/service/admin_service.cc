#include "store-service/service/admin_service.h"

#include <map>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "store-service/service/recount.h"
#include "store-service/service/roles.h"
#include "store-service/service/store_check.h"

namespace posthorn::store_service {
namespace {

namespace v1 = posthorn::store::v1;

constexpr size_t kMostDamageLines = 20;
constexpr uint32_t kPage = 10000;

v1::CheckReply Line(std::string text) {
  v1::CheckReply reply;
  reply.set_line(std::move(text));
  return reply;
}

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

AdminService::AdminService(const Parts& parts) : parts_(parts), pool_(parts.loop, "check", 1, 1) {}

AdminService::~AdminService() {
  if (running_ != nullptr) running_->stop = true;
}

void AdminService::Register(rpc::Server& server) {
  server.Handle(
      rpc::store::kStoreAdminStatus, {kAdmin},
      std::function([this](const rpc::CallContext&, v1::StoreStatusRequest) { return Status(); }));
  server.HandleStream(rpc::store::kStoreAdminCheck, {kAdmin},
                      [this](rpc::ServerCall& call) { return RunCheck(call); });
}

net::Task<absl::StatusOr<v1::StoreStatusReply>> AdminService::Status() {
  v1::StoreStatusReply reply;
  const Model& model = parts_.configuration.model();
  const BlobStats blobs = parts_.blobs.Stats();
  const EventStats events = parts_.events.Stats();
  reply.set_accounts(model.accounts());
  CO_ASSIGN_OR_RETURN(const Usage usage,
                      co_await parts_.lanes.readers().Run(
                          [database = &parts_.database] { return TotalUsage(*database); }));
  reply.set_messages(usage.messages);
  reply.set_bytes(usage.bytes);
  reply.set_segments(blobs.segments);
  reply.set_segment_bytes(blobs.bytes);
  reply.add_lines(base::StrCat("revision ", parts_.configuration.head(), ", ", model.domains(),
                               " domains, ", model.accounts(), " accounts"));
  reply.add_lines(base::StrCat(blobs.segments, " segments, ", blobs.bytes, " bytes; since start ",
                               blobs.appends, " messages in ", blobs.commits, " commits"));
  reply.add_lines(base::StrCat("trace: ", events.recorded, " events since start, ", events.dropped,
                               " dropped"));
  AddProblems(reply);
  AddReplicas(reply);
  auto warnings = co_await parts_.lanes.readers().Run(
      [database = &parts_.database]() -> absl::StatusOr<std::vector<std::string>> {
        return database->Warnings();
      });
  if (!warnings.ok()) warnings = {std::string(base::Message(warnings.status()))};
  for (const std::string& warning : *warnings)
    reply.add_problems(base::StrCat("database: ", warning));
  co_return reply;
}

// Who is there, who owns how much, and what is wrong with that.
void AdminService::AddReplicas(v1::StoreStatusReply& reply) const {
  if (parts_.replicas == nullptr || parts_.replicas->rows().lanes.empty()) return;
  const ClusterRows& rows = parts_.replicas->rows();
  std::map<std::string, int> lanes;
  int ownerless = 0;
  for (const LaneRow& lane : rows.lanes) {
    if (lane.owner.empty() || !parts_.replicas->IsAlive(lane.owner)) ++ownerless;
    ++lanes[lane.owner];
  }
  for (const ReplicaRow& replica : rows.replicas) {
    const bool alive = parts_.replicas->IsAlive(replica.name);
    const bool draining = replica.state == ReplicaRow::State::kDraining;
    reply.add_lines(base::StrCat("replica ", replica.name, " at ", replica.address, ", version ",
                                 replica.version, ": ", lanes[replica.name], " lanes",
                                 draining ? ", draining" : "", alive ? "" : ", silent"));
    if (alive) continue;
    reply.add_problems(base::StrCat("the store ", replica.name, " at ", replica.address,
                                    " has said nothing for ",
                                    (rows.now_ms - replica.seen_ms) / 1000, " s"));
  }
  if (ownerless > 0) {
    reply.add_problems(base::StrCat(ownerless, " of ", rows.lanes.size(),
                                    " lanes have no store: their accounts' mail waits"));
  }
}

void AdminService::AddProblems(v1::StoreStatusReply& reply) const {
  for (const std::string& journal : parts_.journals.Silent()) {
    reply.add_problems(
        base::StrCat("the journal ", journal, " is not connected: no bytes are freed"));
  }
  size_t told = 0;
  for (const BlobDamage& damage : parts_.blobs.Damage()) {
    if (++told > kMostDamageLines) break;
    reply.add_problems(base::StrCat("damage in segment ", damage.segment, ": ", damage.what));
  }
  const BlobStats blobs = parts_.blobs.Stats();
  if (blobs.failed_commits != 0) {
    reply.add_problems(
        base::StrCat(blobs.failed_commits, " commits of message bytes failed since start"));
  }
  const EventStats events = parts_.events.Stats();
  if (events.failed_writes != 0) {
    reply.add_problems(
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
