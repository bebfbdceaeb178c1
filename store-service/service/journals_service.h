#pragma once

// posthorn.store.v1.Journals. Invariants:
//  1. A journal that was registered once counts until an operator unregisters it, also after a
//  restart, whether it is connected or not.
//  2. Every question to a journal ends: with its answer, or as kUnavailable after kPatience or at
//  disconnect.
//  3. Of several replicas one, the owner of lane 0, is attended, asks and answers for operators;
//  the registry is read from the database each time, since a journal may register with any of them.

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "lib/net/loop.h"
#include "lib/rpc/methods/store.h"
#include "lib/rpc/server.h"
#include "store-service/objects/configuration.h"
#include "store-service/service/journal_registry.h"

namespace posthorn::store_service {

class JournalsService final : public JournalRegistry {
 public:
  JournalsService(net::Loop& loop, Configuration& configuration)
      : loop_(loop), configuration_(configuration) {}
  // True while this is the replica that journals attend. Without it: always.
  void SetAttended(std::function<bool()> attended) { attended_ = std::move(attended); }
  // Reads the registry. Before the server starts.
  net::Task<absl::Status> Load();
  void Register(rpc::Server& server);

  net::Task<absl::StatusOr<std::vector<uint64_t>>> Held(std::vector<uint64_t> keys) override;
  net::Task<absl::StatusOr<int64_t>> OldestUnfinishedMs() override;
  // Nothing where no journal attends.
  std::vector<std::string> Silent() const override;
  // All that were registered, by their ids; whether each is connected.
  std::map<std::string, bool> All() const;

 private:
  using Answer = absl::StatusOr<std::vector<uint64_t>>;
  struct Question {
    uint64_t number;
    std::vector<uint64_t> keys;
    net::Promise<Answer> promise;
  };
  // A connected journal.
  struct Attendant {
    explicit Attendant(net::Loop& loop) : changed(loop) {}
    std::deque<Question> waiting;
    bool replaced = false;
    std::string oldest_unfinished;  // as of its last answer
    net::Signal changed;
  };
  struct Journal {
    std::string description;
    std::shared_ptr<Attendant> attendant;
    int registering = 0;  // calls that write it now
  };

  net::Task<absl::StatusOr<store::v1::RegisterJournalReply>> RegisterJournal(
      store::v1::RegisterJournalRequest request);
  net::Task<absl::StatusOr<store::v1::ListJournalsReply>> List();
  net::Task<absl::StatusOr<store::v1::UnregisterJournalReply>> Unregister(
      store::v1::UnregisterJournalRequest request);
  net::Task<absl::Status> Attend(rpc::ServerCall& call);
  net::Task<absl::Status> Serve(rpc::ServerCall& call, std::shared_ptr<Attendant> attendant);
  net::Task<absl::Status> Ask(rpc::ServerCall& call, Attendant& attendant);
  net::Task<Answer> AskOne(std::string id, std::vector<uint64_t> keys);

  // kUnavailable (base::kNotOwner) when another replica is attended; else the registry is as in the
  // database.
  net::Task<absl::Status> Prepare();

  net::Loop& loop_;
  Configuration& configuration_;
  std::function<bool()> attended_ = [] { return true; };
  std::map<std::string, Journal> journals_;
  uint64_t next_question_ = 1;
};

}  // namespace posthorn::store_service
