#include "store-service/service/migrate_service.h"

#include <deque>
#include <utility>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/file/file_system.h"
#include "lib/observe/log.h"
#include "store-service/service/roles.h"

namespace posthorn::store_service {
namespace {

namespace v1 = posthorn::store::v1;

constexpr std::chrono::milliseconds kRepeat{500};

std::string PhaseName(MoveProgress::Phase phase) {
  using Phase = MoveProgress::Phase;
  switch (phase) {
    case Phase::kCheck:
      return "check";
    case Phase::kCopy:
      return "copy";
    case Phase::kCatchUp:
      return "catch up";
    case Phase::kCompare:
      return "compare";
    case Phase::kStop:
      return "stop";
    case Phase::kDone:
      break;
  }
  return "done";
}

v1::MigrateReply ReplyOf(const MoveProgress& progress) {
  v1::MigrateReply reply;
  reply.set_phase(PhaseName(progress.phase));
  reply.set_table(progress.table);
  reply.set_done(progress.done);
  reply.set_total(progress.total);
  reply.set_line(progress.note);
  return reply;
}

v1::MigrateReply Verdict(const MoveResult& result) {
  v1::MigrateReply reply;
  reply.set_phase("done");
  reply.set_done(result.rows);
  reply.set_total(result.rows);
  reply.set_messages(result.messages);
  reply.set_copy_ms(static_cast<uint64_t>(result.copy_ms));
  reply.set_stop_ms(static_cast<uint64_t>(result.stop_ms));
  return reply;
}

}  // namespace

// Progress comes from its thread through the loop.
struct MigrateService::Moving {
  Moving(net::Loop& loop, std::string target) : url(std::move(target)), changed(loop) {}
  const std::string url;
  std::atomic<bool> stop{false};
  std::deque<v1::MigrateReply> replies;
  std::unique_ptr<Move> work;
  std::optional<absl::StatusOr<MoveResult>> result;
  net::Signal changed;
};

MigrateService::MigrateService(Parts parts)
    : parts_(std::move(parts)), pool_(parts_.loop, "migrate", 1, 1) {}

MigrateService::~MigrateService() {
  if (running_ != nullptr) running_->stop = true;
}

void MigrateService::Register(rpc::Server& server) {
  server.HandleStream(rpc::store::kStoreAdminMigrate, {kAdmin},
                      [this](rpc::ServerCall& call) { return Run(call); });
}

absl::StatusOr<MoveOptions> MigrateService::OptionsFor(const v1::MigrateRequest& request) const {
  if (parts_.mail == nullptr) {
    return base::Precondition("this installation lies in a database already (--database)");
  }
  if (!moved_.empty()) return base::Precondition(moved_);
  if (running_ != nullptr) return base::Precondition("it is being moved already");
  MoveOptions options;
  ASSIGN_OR_RETURN(options.target.target, mysql::ParseTarget(request.target()));
  options.target.password = request.password();
  if (!request.ca().empty()) {
    options.target.ca_file = base::StrCat(parts_.data, "/migrate-ca.pem");
    RETURN_IF_ERROR(file::ReplaceAtomically(file::Real(), options.target.ca_file, request.ca(),
                                            "store.migrate.ca"));
  }
  options.url = request.target();
  options.files = parts_.files;
  options.data = parts_.data;
  options.blobs = parts_.blobs;
  return options;
}

net::Task<absl::Status> MigrateService::Run(rpc::ServerCall& call) {
  v1::MigrateRequest request;
  CO_ASSIGN_OR_RETURN(const bool asked, co_await call.Read(request));
  if (!asked) co_return base::Invalid("no request");
  CO_ASSIGN_OR_RETURN(MoveOptions options, OptionsFor(request));
  auto moving = std::make_shared<Moving>(parts_.loop, options.url);
  running_ = moving;
  moving->work = std::make_unique<Move>(
      std::move(options), Move::Writers{*parts_.mail, *parts_.others},
      [&loop = parts_.loop, weak = std::weak_ptr<Moving>(moving)](const MoveProgress& progress) {
        loop.Post([weak, progress] {
          const std::shared_ptr<Moving> alive = weak.lock();
          if (alive == nullptr) return;
          alive->replies.push_back(ReplyOf(progress));
          alive->changed.NotifyAll();
        });
      },
      moving->stop);
  observe::Info("store.migrate.begun", {{"target", moving->url}});
  parts_.loop.Spawn("store.migrate", Drive(moving));
  call.OnCancel([moving] {
    observe::Info("store.migrate.abandoned", {{"target", moving->url}});
    moving->stop = true;
  });
  co_return co_await Report(call, moving);
}

// Holds the move alive while its thread runs, whatever becomes of the caller.
net::Task<void> MigrateService::Drive(std::shared_ptr<Moving> moving) {
  moving->result = co_await pool_.Run([moving] { return moving->work->Run(); });
  Ended(*moving);
  running_.reset();
  moving->changed.NotifyAll();
}

void MigrateService::Ended(const Moving& moving) {
  const absl::StatusOr<MoveResult>& result = *moving.result;
  (void)file::Real().Unlink(base::StrCat(parts_.data, "/migrate-ca.pem"));
  if (!result.ok() && result.status().code() != absl::StatusCode::kUnknown) {
    observe::Warning("store.migrate.failed", {{"reason", base::Message(result.status())}});
    return;
  }
  moved_ = result.ok() ? base::StrCat("this installation has moved to ", moving.url,
                                      ": start the store again with --database ", moving.url)
                       : std::string(base::Message(result.status()));
  parts_.mail->Close(base::Unavailable(moved_));
  parts_.others->Close(base::Unavailable(moved_));
  parts_.mail->SetWarning(moved_);
  observe::Warning("store.migrate.moved", {{"target", moving.url}});
}

net::Task<absl::Status> MigrateService::Report(rpc::ServerCall& call,
                                               std::shared_ptr<Moving> moving) {
  v1::MigrateReply reply;
  for (;;) {
    while (!moving->replies.empty()) {
      reply = std::move(moving->replies.front());
      moving->replies.pop_front();
      const absl::Status written = co_await call.Write(reply);
      if (!written.ok()) moving->stop = true;
      CO_RETURN_IF_ERROR(written);
    }
    if (moving->result) break;
    if (co_await moving->changed.WaitFor(kRepeat)) continue;
    // Said again: who passes it on notices that nobody listens any more.
    reply.clear_line();
    moving->replies.push_front(reply);
  }
  CO_RETURN_IF_ERROR(moving->result->status());
  co_return co_await call.Write(Verdict(**moving->result));
}

}  // namespace posthorn::store_service
