#pragma once

// posthorn.store.v1.Journals. Invariants:
//  1. A journal that was registered once counts until an operator unregisters it, also after a
//  restart, whether it is connected or not.
//  2. Every question to a journal ends: with its answer, or as kUnavailable after kPatience or at
//  disconnect.

#include <deque>
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
  // Reads the registry. Before the server starts.
  net::Task<absl::Status> Load();
  void Register(rpc::Server& server);

  net::Task<absl::StatusOr<std::vector<uint64_t>>> Held(std::vector<uint64_t> keys) override;
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
    net::Signal changed;
  };
  struct Journal {
    std::string description;
    std::shared_ptr<Attendant> attendant;
  };

  net::Task<absl::StatusOr<store::v1::RegisterJournalReply>> RegisterJournal(
      store::v1::RegisterJournalRequest request);
  net::Task<absl::StatusOr<store::v1::ListJournalsReply>> List();
  net::Task<absl::StatusOr<store::v1::UnregisterJournalReply>> Unregister(
      store::v1::UnregisterJournalRequest request);
  net::Task<absl::Status> Attend(rpc::ServerCall& call);
  net::Task<absl::Status> Serve(rpc::ServerCall& call, std::shared_ptr<Attendant> attendant);
  net::Task<absl::Status> Ask(rpc::ServerCall& call, Question& question);
  net::Task<Answer> AskOne(std::string id, std::vector<uint64_t> keys);

  net::Loop& loop_;
  Configuration& configuration_;
  std::map<std::string, Journal> journals_;
  uint64_t next_question_ = 1;
};

}  // namespace posthorn::store_service
