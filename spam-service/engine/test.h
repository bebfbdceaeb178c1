#pragma once

// What a test of the engine is. To add one: a class of its own in checks/, and one line in
// service/test_set.cc.

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lib/net/network.h"
#include "lib/net/task.h"

namespace posthorn::spam_service {

using Deadline = std::chrono::steady_clock::time_point;

struct Envelope {
  std::string client;                   // as the gateway sent it
  std::optional<net::Address> address;  // the same, parsed
  std::string helo;
  std::string sender;    // empty: the null sender
  bool trusted = false;  // logged in, or a network we trust: authentication tests do not apply
  bool remote = false;   // the address is public: neither loopback nor private
  std::string hostname;  // ours
};

// What one test said.
struct Finding {
  std::string name;  // "spf", "dnsbl.zen.example.org", "gtube"
  double score = 0;
  std::string reason;  // for the operator
  // For the peer, when this test is why a message is refused; empty: nothing is said of it.
  std::string public_text = {};
  // [RFC8601] one resinfo without the leading semicolon; empty: none.
  std::string authentication_result = {};
  // The test could not be made; `reason` says why.
  bool skipped = false;
  bool operator==(const Finding&) const = default;
};

// Needs only the envelope. One object for all messages; lives until its last Run has ended.
class EnvelopeTest {
 public:
  virtual ~EnvelopeTest() = default;
  virtual std::string_view name() const = 0;
  // For metrics: a closed set.
  virtual std::string_view kind() const = 0;
  // False: the test says nothing about this envelope. Cheap; asks nobody.
  virtual bool AppliesTo(const Envelope& envelope) const = 0;
  // Nothing when there is nothing to report. Runs beside the other tests, ends by `deadline`: what
  // comes later is lost.
  virtual net::Task<std::optional<Finding>> Run(std::shared_ptr<const Envelope> envelope,
                                                Deadline deadline) = 0;
};

// One message under test.
class MessageScan {
 public:
  virtual ~MessageScan() = default;
  // The next bytes; pieces of any size. Must not keep views.
  virtual void Feed(std::string_view chunk) = 0;
  // After the last byte. Runs beside the other scans.
  virtual net::Task<std::optional<Finding>> Finish(Deadline deadline) = 0;
};

// Needs the message's bytes, as they arrive.
class MessageTest {
 public:
  virtual ~MessageTest() = default;
  virtual std::string_view name() const = 0;
  virtual std::string_view kind() const = 0;
  // Whether Finish waits for others: such scans run at the same time, the rest one after the other
  // in place.
  virtual bool Waits() const = 0;
  // Null: the test does not apply.
  virtual std::unique_ptr<MessageScan> Begin(std::shared_ptr<const Envelope> envelope) = 0;
};

}  // namespace posthorn::spam_service
