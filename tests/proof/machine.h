#pragma once

// One machine: the store's and the queue's real parts, wired as their programs wire them, over one
// FileSystem and real RPC, with a loop of its own. A life begins with Start and ends, in order,
// with the destructor; what power losses leave of a life is another machine's beginning.

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "lib/base/ids.h"
#include "lib/file/file_system.h"
#include "lib/net/loop.h"
#include "lib/rpc/client.h"
#include "lib/rpc/methods/store.h"
#include "posthorn/queue/v1/queue.pb.h"

namespace posthorn::store_service {
class BlobStore;
class Configuration;
class Database;
class EventStore;
}  // namespace posthorn::store_service
namespace posthorn::delivery_queue {
class MailQueue;
}

namespace posthorn::proof {

class Machine {
 public:
  struct Options {
    std::string root;  // exists; the store's files come to root/store, the queue's to root/queue
    file::FileSystem* files = &file::Real();
    // Databases are opened through the VFSs of this name + "-mail" and "-directory".
    std::string vfs;
  };
  // Registers the two VFSs for `files`; once for each name.
  static absl::Status RegisterVfs(file::FileSystem& files, const std::string& vfs);
  static void UnregisterVfs(const std::string& vfs);

  static absl::StatusOr<std::unique_ptr<Machine>> Start(Options options);
  ~Machine();

  net::Loop& loop();
  // As smtp-gateway and imap-gateway do.
  net::Task<absl::StatusOr<common::v1::BlobId>> Put(std::string body);
  net::Task<absl::Status> Accept(queue::v1::Entry entry);
  template <class Q, class R>
  net::Task<absl::StatusOr<R>> Call(rpc::Method<Q, R> method, base::AccountId account, Q request) {
    return gateway().Call(method, {.ticket = TicketFor(account)}, std::move(request));
  }
  // One change of the directory: domains, accounts and aliases by their names.
  net::Task<absl::Status> Commit(std::string kind, std::string name, std::string data);
  // 0: no such account.
  base::AccountId AccountOf(const std::string& address);
  // The next time the store's collector runs, all that it waits for has passed: rows without a
  // reader, suspects, condemned bytes. kUnavailable: the journal does not attend.
  net::Task<absl::Status> CollectGarbage(int64_t now_ms);
  // Until only entries are left that wait for another attempt at a remote host.
  net::Task<absl::Status> Drain();

  store_service::Database& database();
  store_service::BlobStore& blobs();
  delivery_queue::MailQueue& queue();
  store_service::EventStore& events();
  std::string journal_id();
  // Those the store knew when it started.
  const std::set<std::string>& journals_found();

 private:
  struct Parts;
  explicit Machine(std::unique_ptr<Parts> parts);
  rpc::Client& gateway();
  std::string TicketFor(base::AccountId account);
  std::unique_ptr<Parts> parts_;
};

}  // namespace posthorn::proof
