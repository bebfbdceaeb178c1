#include "store-service/service/journals_service.h"

#include <algorithm>

#include "lib/base/clock.h"
#include "lib/base/ids.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "store-service/service/roles.h"

namespace posthorn::store_service {
namespace {

namespace v1 = posthorn::store::v1;

constexpr size_t kIdBytes = 16;
constexpr size_t kKeysInAQuestion = 50000;
constexpr std::chrono::milliseconds kPatience{30000};
constexpr std::chrono::milliseconds kLookAround{1000};

absl::Status ReadJournals(sql::Connection& db,
                          std::vector<std::pair<std::string, std::string>>& out) {
  sql::Cursor row = db.Query("SELECT id,description FROM journal");
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, row.Next());
    if (!more) return absl::OkStatus();
    out.emplace_back(row.Text(0), row.Text(1));
  }
}

}  // namespace

void JournalsService::Register(rpc::Server& server) {
  server.Handle(rpc::store::kJournalsRegister, {kQueue},
                std::function([this](const rpc::CallContext&, v1::RegisterJournalRequest request) {
                  return RegisterJournal(std::move(request));
                }));
  server.HandleStream(rpc::store::kJournalsAttend, {kQueue},
                      [this](rpc::ServerCall& call) { return Attend(call); });
  server.Handle(
      rpc::store::kJournalsList, {kAdmin},
      std::function([this](const rpc::CallContext&, v1::ListJournalsRequest) { return List(); }));
  server.Handle(
      rpc::store::kJournalsUnregister, {kAdmin},
      std::function([this](const rpc::CallContext&, v1::UnregisterJournalRequest request) {
        return Unregister(std::move(request));
      }));
}

net::Task<absl::Status> JournalsService::Load() {
  auto rows = std::make_shared<std::vector<std::pair<std::string, std::string>>>();
  CO_RETURN_IF_ERROR(co_await configuration_.Write(
      [rows](sql::Connection& db) { return ReadJournals(db, *rows); }));
  for (const auto& [id, description] : *rows) journals_[id].description = description;
  // One that another replica unregistered. A connected one stays until it has gone.
  std::erase_if(journals_, [&](const auto& known) {
    return known.second.attendant == nullptr && known.second.registering == 0 &&
           std::none_of(rows->begin(), rows->end(),
                        [&](const auto& row) { return row.first == known.first; });
  });
  co_return absl::OkStatus();
}

net::Task<absl::Status> JournalsService::Prepare() {
  if (!attended_()) co_return base::Unavailable(base::kNotOwner);
  if (!configuration_.shared()) co_return absl::OkStatus();
  co_return co_await Load();
}

net::Task<absl::StatusOr<v1::RegisterJournalReply>> JournalsService::RegisterJournal(
    v1::RegisterJournalRequest request) {
  if (request.journal_id().size() != kIdBytes) co_return base::Invalid("a journal id has 16 bytes");
  const auto known = journals_.find(request.journal_id());
  // Another replica may have unregistered it since.
  if (configuration_.shared() || known == journals_.end() ||
      known->second.description != request.description()) {
    // Counted from before it is durable: only more is kept by that.
    Journal& journal = journals_[request.journal_id()];
    journal.description = request.description();
    ++journal.registering;
    const absl::Status written = co_await configuration_.Write(
        [id = request.journal_id(), description = request.description()](sql::Connection& db) {
          return db.Run("REPLACE INTO journal(id,description,registered) VALUES(?1,?2,?3)",
                        sql::Bytes(id), description, base::WallSeconds());
        });
    --journals_[request.journal_id()].registering;
    CO_RETURN_IF_ERROR(written);
    observe::Info("store.journal", {{"id", base::Hex(request.journal_id())},
                                    {"description", request.description()}});
  }
  co_return v1::RegisterJournalReply();
}

net::Task<absl::StatusOr<v1::ListJournalsReply>> JournalsService::List() {
  CO_RETURN_IF_ERROR(co_await Prepare());
  v1::ListJournalsReply reply;
  for (const auto& [id, journal] : journals_) {
    v1::ListJournalsReply::Journal& line = *reply.add_journals();
    line.set_journal_id(id);
    line.set_description(journal.description);
    line.set_connected(journal.attendant != nullptr);
  }
  co_return reply;
}

net::Task<absl::StatusOr<v1::UnregisterJournalReply>> JournalsService::Unregister(
    v1::UnregisterJournalRequest request) {
  CO_RETURN_IF_ERROR(co_await Prepare());
  const std::string& id = request.journal_id();
  const auto journal = journals_.find(id);
  if (journal == journals_.end()) co_return base::NotFound("no such journal");
  if (journal->second.attendant != nullptr) {
    co_return base::Precondition("the journal is connected: its queue is running");
  }
  v1::UnregisterJournalReply reply;
  reply.set_description(journal->second.description);
  // Counted until it is durable that it does not.
  CO_RETURN_IF_ERROR(co_await configuration_.Write([id](sql::Connection& db) {
    return db.Run("DELETE FROM journal WHERE id=?1", sql::Bytes(id));
  }));
  observe::Warning("store.journal.unregistered",
                   {{"id", base::Hex(id)}, {"description", reply.description()}});
  const auto gone = journals_.find(id);
  if (gone != journals_.end() && gone->second.attendant == nullptr) journals_.erase(gone);
  co_return reply;
}

net::Task<absl::Status> JournalsService::Attend(rpc::ServerCall& call) {
  v1::JournalAnswer hello;
  CO_ASSIGN_OR_RETURN(const bool there, co_await call.Read(hello));
  CO_RETURN_IF_ERROR(co_await Prepare());
  const auto journal = journals_.find(hello.journal_id());
  if (!there || journal == journals_.end())
    co_return base::Precondition("this journal is not registered");
  auto attendant = std::make_shared<Attendant>(loop_);
  if (journal->second.attendant != nullptr) {
    journal->second.attendant->replaced = true;
    journal->second.attendant->changed.NotifyAll();
  }
  journal->second.attendant = attendant;
  const absl::Status status = co_await Serve(call, attendant);
  for (Question& question : attendant->waiting)
    question.promise.Set(base::Unavailable("the journal went away"));
  const auto mine = journals_.find(hello.journal_id());
  if (mine != journals_.end() && mine->second.attendant == attendant)
    mine->second.attendant.reset();
  co_return status;
}

net::Task<absl::Status> JournalsService::Serve(rpc::ServerCall& call,
                                               std::shared_ptr<Attendant> attendant) {
  call.OnCancel([attendant] { attendant->changed.NotifyAll(); });
  while (!call.cancelled()) {
    // The lane has gone to another replica: there it is asked from now on.
    if (!attended_()) co_return base::Unavailable(base::kNotOwner);
    if (attendant->replaced) co_return base::Aborted("this journal attends a second time");
    if (attendant->waiting.empty()) {
      (void)co_await attendant->changed.WaitFor(kLookAround);
      continue;
    }
    CO_RETURN_IF_ERROR(co_await Ask(call, *attendant));
    attendant->waiting.pop_front();
  }
  co_return absl::OkStatus();
}

// The first question that waits.
net::Task<absl::Status> JournalsService::Ask(rpc::ServerCall& call, Attendant& attendant) {
  Question& question = attendant.waiting.front();
  v1::JournalQuestion message;
  message.set_question(question.number);
  for (const uint64_t key : question.keys) message.add_keys(key);
  CO_RETURN_IF_ERROR(co_await call.Write(message));
  v1::JournalAnswer answer;
  do {
    CO_ASSIGN_OR_RETURN(const bool more, co_await call.Read(answer));
    if (!more) co_return base::Unavailable("the journal ended the call");
  } while (answer.question() != question.number);
  attendant.oldest_unfinished = answer.oldest_unfinished();
  question.promise.Set(std::vector<uint64_t>(answer.held().begin(), answer.held().end()));
  co_return absl::OkStatus();
}

net::Task<JournalsService::Answer> JournalsService::AskOne(std::string id,
                                                           std::vector<uint64_t> keys) {
  const auto journal = journals_.find(id);
  const std::string name = journal == journals_.end() ? "" : journal->second.description;
  if (journal == journals_.end() || journal->second.attendant == nullptr) {
    co_return base::Unavailable(base::StrCat("the journal ", name, " is not connected"));
  }
  net::Promise<Answer> promise(loop_);
  const std::shared_ptr<Attendant> attendant = journal->second.attendant;
  attendant->waiting.push_back({next_question_++, std::move(keys), promise});
  attendant->changed.NotifyAll();
  const auto timer = loop_.After(kPatience, [promise, name]() mutable {
    promise.Set(base::Unavailable(base::StrCat("the journal ", name, " does not answer")));
  });
  co_return co_await promise.Get();
}

net::Task<JournalsService::Answer> JournalsService::Held(std::vector<uint64_t> keys) {
  CO_RETURN_IF_ERROR(co_await Prepare());
  std::vector<std::string> ids;
  for (const auto& [id, journal] : journals_) ids.push_back(id);
  std::vector<uint64_t> held;
  for (const std::string& id : ids) {
    for (size_t at = 0; at < keys.size(); at += kKeysInAQuestion) {
      const auto first = keys.begin() + static_cast<ptrdiff_t>(at);
      const auto last =
          keys.begin() + static_cast<ptrdiff_t>(std::min(keys.size(), at + kKeysInAQuestion));
      CO_ASSIGN_OR_RETURN(const std::vector<uint64_t> some,
                          co_await AskOne(id, std::vector<uint64_t>(first, last)));
      held.insert(held.end(), some.begin(), some.end());
    }
  }
  std::sort(held.begin(), held.end());
  held.erase(std::unique(held.begin(), held.end()), held.end());
  co_return held;
}

net::Task<absl::StatusOr<int64_t>> JournalsService::OldestUnfinishedMs() {
  CO_RETURN_IF_ERROR(co_await Load());
  if (journals_.empty()) co_return INT64_MAX;
  if (!attended_()) co_return base::Unavailable(base::kNotOwner);
  std::vector<std::string> ids;
  for (const auto& [id, journal] : journals_) ids.push_back(id);
  int64_t oldest = INT64_MAX;
  for (const std::string& id : ids) {
    CO_RETURN_IF_ERROR((co_await AskOne(id, {})).status());
    const auto journal = journals_.find(id);
    if (journal == journals_.end()) continue;
    const auto message =
        journal->second.attendant == nullptr
            ? std::nullopt
            : base::MessageId::FromBytes(journal->second.attendant->oldest_unfinished);
    if (!message) {
      co_return base::Unavailable(
          base::StrCat("the journal ", journal->second.description, " does not say what is left"));
    }
    oldest = std::min(oldest, message->millis());
  }
  co_return oldest;
}

std::map<std::string, bool> JournalsService::All() const {
  std::map<std::string, bool> all;
  for (const auto& [id, journal] : journals_) all[id] = journal.attendant != nullptr;
  return all;
}

std::vector<std::string> JournalsService::Silent() const {
  std::vector<std::string> silent;
  if (!attended_()) return silent;
  for (const auto& [id, journal] : journals_) {
    if (journal.attendant == nullptr) silent.push_back(journal.description);
  }
  return silent;
}

}  // namespace posthorn::store_service
