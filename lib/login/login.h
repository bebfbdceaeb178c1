#pragma once

// Logins of smtp-, imap- and pop3-gateway: asks the store, remembers successful passwords for
// minutes, and ends sessions whose account was disabled or got another password (deep-structures
// 9). Invariants:
//  1. A remembered login counts only while the directory's Watch stream is alive: heartbeat younger
//  than 5 s.
//  2. Passwords are never kept: the key is HMAC-SHA256 of name and password with a key of this
//  process.
//  3. An invalidation that arrives while a login is under way keeps that login out of the cache.
// Everything belongs to one net::Loop.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/net/task.h"

namespace posthorn::net {
class Loop;
}
namespace posthorn::rpc {
class Client;
}

namespace posthorn::login {

// Who logged in. Shared by all sessions of one cached login.
struct Identity {
  std::string ticket;  // goes with every call for this account (rpc::CallOptions.ticket)
  uint64_t account = 0;
  std::string address;
  std::vector<std::string> may_send_as;
  uint64_t version = 0;
};

enum class Outcome {
  kSuccess,
  kFailure,    // wrong name or password; the tarpit's delay has passed already
  kRefused,    // right password, but disabled or the protocol is not allowed
  kTemporary,  // overloaded, or the directory is away
  kBad,        // malformed
};

struct Verdict {
  Outcome outcome = Outcome::kTemporary;
  std::shared_ptr<const Identity> identity;  // with kSuccess only
};

struct Attempt {
  std::string name;
  std::string password;
  std::string peer;  // the client's address
  bool tls = false;
  std::string channel_binding;
};

class Gate {
 public:
  struct Options {
    std::string protocol;  // "smtp", "imap", "pop3"
    std::chrono::milliseconds cache_time{300000};
    std::chrono::milliseconds tarpit{1000};
    size_t max_cached = 50000;
  };
  // Starts watching the directory at once. `store` and `loop` outlive it.
  static std::unique_ptr<Gate> Create(net::Loop& loop, rpc::Client& store, Options options);
  virtual ~Gate() = default;

  // Name and password, however they came (LOGIN, PLAIN, USER and PASS …).
  virtual net::Task<Verdict> Check(Attempt attempt) = 0;
  // From the newest configuration (settings.login_cache, settings.tarpit).
  virtual void SetTimes(std::chrono::milliseconds cache_time, std::chrono::milliseconds tarpit) = 0;

  // `end` runs once when this account's sessions must end; not after the handle is gone.
  class Guard {
   public:
    virtual ~Guard() = default;
  };
  virtual std::unique_ptr<Guard> OnEnd(uint64_t account, std::function<void()> end) = 0;

  // True while cached answers may be used.
  virtual bool watching() const = 0;
};

// [RFC4616 2] message = [authzid] NUL authcid NUL passwd. Nothing when malformed, when a part is
// empty, or when authzid asks for somebody else than authcid.
struct Plain {
  std::string name;
  std::string password;
};
std::optional<Plain> ParsePlain(std::string_view message);

}  // namespace posthorn::login
