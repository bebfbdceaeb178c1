#pragma once

// What all sessions of the process share. One net::Loop.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "imap-gateway/backend/store_fwd.h"
#include "lib/gateway/session_count.h"
#include "lib/login/login.h"
#include "lib/net/listener.h"
#include "lib/net/loop.h"

namespace posthorn::net {
class TlsContext;
}
namespace posthorn::observe {
class Counter;
class Gauge;
class Histogram;
}  // namespace posthorn::observe

namespace posthorn::imap_gateway {

class SyncClient;

// Settings that sessions look at; swapped as a whole, a command keeps the one it began with.
struct ImapConfig {
  enum class PlaintextLogin { kNever, kTrusted, kAlways };
  std::string hostname = "localhost";
  uint64_t max_message_size = 50ULL << 20;  // bytes
  uint32_t max_errors = 10;
  std::chrono::milliseconds idle_timeout{std::chrono::minutes(30)};
  std::chrono::milliseconds login_timeout{60000};  // from connect to login
  // For literals and continuations inside a command, and for a client to take what it asked for.
  std::chrono::milliseconds dialogue_timeout{60000};
  // While a command is long at work, its client hears so often.
  std::chrono::milliseconds progress_every{10000};
  PlaintextLogin plaintext_login = PlaintextLogin::kTrusted;
  // True for client addresses whose passwords are accepted without TLS (kTrusted).
  std::function<bool(std::string_view address)> trusts;
};

// What a session knows of the listener it came through. With kImplicit the handshake may be done
// already.
struct Port {
  enum class Tls { kNone, kStartTls, kStartTlsRequired, kImplicit };
  std::string name;
  Tls mode = Tls::kNone;
  std::shared_ptr<const net::TlsContext> tls;
};

struct ImapMetrics {
  ImapMetrics();
  gateway::SessionMetrics sessions{"imap"};
  observe::Gauge* idling;
  observe::Counter* bad_commands;
  observe::Counter* fetched;  // messages in FETCH responses
  observe::Counter* appended;
  observe::Counter* byes;
  observe::Histogram* seconds;  // from a whole command to its completion
};

struct Gateway {
  net::Loop& loop;
  net::Drain& drain;
  Store& store;
  SyncClient& sync;
  login::Gate& gate;
  std::shared_ptr<const ImapConfig> config = std::make_shared<ImapConfig>();
  ImapMetrics metrics{};
};

}  // namespace posthorn::imap_gateway
