#pragma once

// Small SMTP and IMAP clients for the load generator: just enough dialogue, little cost of their
// own.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/net/connection.h"
#include "lib/net/loop.h"
#include "lib/net/task.h"

namespace posthorn::load {

inline constexpr std::chrono::milliseconds kPatience{120000};

// One line-based dialogue.
class Dialogue {
 public:
  static net::Task<absl::StatusOr<std::unique_ptr<Dialogue>>> Open(net::Loop& loop,
                                                                   std::string host, uint16_t port);
  explicit Dialogue(std::unique_ptr<net::Connection> connection)
      : connection_(std::move(connection)) {}
  void Say(std::string_view text) { connection_->Append(text); }
  net::Task<absl::Status> Flush() { return connection_->Flush(kPatience); }
  net::Task<absl::StatusOr<std::string>> Line();
  // Lines up to one that begins with `tag` and a blank; all of them.
  net::Task<absl::StatusOr<std::vector<std::string>>> UntilTagged(std::string tag);
  // An SMTP reply: its code; kInternal with the text when it does not begin with `expected`.
  net::Task<absl::Status> Expect(std::string expected);
  // Throws away input until the line that begins with `tag`; counts bytes and lines. For FETCH of
  // large mailboxes.
  struct Swallowed {
    uint64_t lines = 0;
    uint64_t bytes = 0;
    bool ok = false;
  };
  net::Task<absl::StatusOr<Swallowed>> Swallow(std::string tag);
  net::Connection& connection() { return *connection_; }

 private:
  std::unique_ptr<net::Connection> connection_;
};

// A message of `size` bytes with its own subject and Message-ID.
std::string MakeMessage(size_t size, uint64_t number, std::string_view from, std::string_view to);
// EHLO once; then transactions, each with MAIL, RCPT and DATA as one pipelined group.
net::Task<absl::Status> SmtpHello(Dialogue& smtp);
net::Task<absl::Status> SmtpSend(Dialogue& smtp, std::string from, std::string to,
                                 std::string message);
net::Task<absl::StatusOr<std::unique_ptr<Dialogue>>> ImapLogin(net::Loop& loop, std::string host,
                                                               uint16_t port, std::string user,
                                                               std::string password);
// MESSAGES of a STATUS, over an open dialogue.
net::Task<absl::StatusOr<uint64_t>> ImapCount(Dialogue& imap, std::string mailbox);

}  // namespace posthorn::load
