#pragma once

// One IMAP client of a workload: sends a command, waits for its answer, and knows from then on what
// its mailboxes hold.

#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "tests/proof/workload.h"

namespace posthorn::proof {

class Workload::ImapClient {
 public:
  ImapClient(Workload& all, base::AccountId account)
      : all_(all), account_(account), random_(all.options_.seed * 1000 + account) {}
  net::Task<absl::Status> MakeMailboxes(Machine& machine);
  net::Task<absl::Status> Run(Machine& machine, int commands);

 private:
  net::Task<absl::Status> OneCommand(Machine& machine);
  net::Task<absl::Status> Append(Machine& machine);
  net::Task<absl::Status> StoreFlags(Machine& machine, Place place);
  net::Task<absl::Status> Copy(Machine& machine, Place place, std::string target, bool move);
  net::Task<absl::Status> Expunge(Machine& machine, Place place);
  absl::Status Look(Machine& machine);
  template <class Q, class R>
  net::Task<absl::StatusOr<R>> Ask(Machine& machine, rpc::Method<Q, R> method, Q request,
                                   std::shared_ptr<Effect> effect);
  void Answered(const std::shared_ptr<Effect>& effect);
  void Reached(Effect& effect,
               const google::protobuf::RepeatedPtrField<store::v1::Reached>& reached);
  std::optional<Place> Pick(std::string_view mailbox = {});
  uint32_t RandomFlags() { return random_() % 2 == 0 ? uint32_t(random_() % 8) : kKeyword; }

  Workload& all_;
  const base::AccountId account_;
  std::mt19937_64 random_;
  std::map<std::string, base::MailboxId> mailboxes_;
  Mailboxes known_;
  base::Uid inbox_seen_ = 0;
};

}  // namespace posthorn::proof
