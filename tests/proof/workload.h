#pragma once

// Clients of a machine: senders, IMAP clients (one for each account, one command at a time) and an
// operator. Everything they are told is a fact in the ledger. Seeded: the same seed does the same,
// as far as timing lets it.

#include <deque>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/proof/ledger.h"
#include "tests/proof/machine.h"

namespace posthorn::proof {

struct WorkloadOptions {
  int accounts = 4;
  int commands = 14;  // of each IMAP client, in each phase
  int messages = 7;   // of each sender, in each phase
  int senders = 4;
  uint64_t seed = 1;
};

class Workload {
 public:
  Workload(Ledger& ledger, WorkloadOptions options);
  ~Workload();
  // The domain, accounts, an alias for all of them, and each account's mailboxes. Once.
  absl::Status Prepare(Machine& machine);
  // All clients side by side, until they are done and the queue is at rest.
  absl::Status Phase(Machine& machine);
  // The machine has ended in order.
  void Ended();

 private:
  class ImapClient;
  net::Task<absl::Status> Prepared(Machine& machine);
  net::Task<absl::Status> Finished(Machine& machine);
  net::Task<absl::Status> Send(Machine& machine, int sender);
  net::Task<absl::Status> SendOne(Machine& machine, std::mt19937_64& random);
  net::Task<absl::Status> Operate(Machine& machine);
  net::Task<absl::Status> Collect(Machine& machine);
  net::Task<absl::StatusOr<common::v1::BlobId>> Put(Machine& machine, uint64_t number);
  net::Task<absl::Status> Abandon(Machine& machine);
  void Trace(Machine& machine, const std::string& message_id);
  net::Task<void> Count(net::Task<absl::Status> client);
  uint64_t NextNumber() { return ++last_number_; }

  Ledger& ledger_;
  const WorkloadOptions options_;
  std::vector<base::AccountId> accounts_;
  std::vector<std::unique_ptr<ImapClient>> clients_;
  std::map<uint64_t, uint64_t> numbers_;  // by blob key
  std::set<uint64_t> young_;              // put, and nothing refers to them yet
  std::vector<std::string> traced_;       // in this life, by message id
  uint64_t last_number_ = 0;
  int phase_ = 0;
  int running_ = 0;
  absl::Status failure_;
};

// The address of an account of the test, from 0.
std::string AddressOf(int account);

}  // namespace posthorn::proof
