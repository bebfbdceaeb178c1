#pragma once

// Keeps the newest configuration: watches admin-service, reconnects with backoff, and keeps a copy
// on disk for a restart while admin is away. Belongs to its loop.

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "lib/config/snapshot.h"
#include "lib/net/loop.h"
#include "lib/rpc/client.h"

namespace posthorn::process {

// The file: one line "posthorn-config 1 CRC32C", then Snapshot::Serialize(). Written beside and
// renamed.
absl::Status SaveSnapshot(const std::string& path, const config::Snapshot& snapshot);
// kNotFound: no file. kDataLoss: torn or of another form.
absl::StatusOr<std::shared_ptr<const config::Snapshot>> LoadSnapshot(const std::string& path);

class ConfigWatch {
 public:
  struct Options {
    std::string process;
    std::string instance;
    std::string health;
    std::string version;
    std::string file;  // empty: nothing is kept
    // Admin says a word every two seconds: one that missed three is frozen, or the way to it is
    // cut, which the connection itself notices only after half a minute.
    std::chrono::milliseconds silence{6000};
    // One that is alive says its first word at once, or after two seconds that there is nothing to
    // say.
    std::chrono::milliseconds first_word{3500};
  };
  ConfigWatch(net::Loop& loop, rpc::Client& admin, Options options);
  ~ConfigWatch();

  void Start();
  // Until admin answered; false when `limit` passed first.
  net::Task<bool> WaitForAdmin(std::chrono::milliseconds limit);
  // Uses the file; false when there is none that can be read.
  bool UseSaved();
  // Null before the first one.
  std::shared_ptr<const config::Snapshot> current() const;
  void OnChange(std::function<void(const config::Snapshot&)> changed);

 private:
  struct State;
  static net::Task<void> Watch(std::shared_ptr<State> state);
  static net::Task<absl::Status> WatchOnce(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace posthorn::process
