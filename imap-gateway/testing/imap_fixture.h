#pragma once

// Sessions over a fake store, driven by transcripts:
//   C1: a1 SELECT INBOX        client 1 sends a line
//   S1: * 3 EXISTS             the next line client 1 receives; "*" at the end or inside matches
//   anything S1: ...                    skips lines until the next expectation matches
// Clients are connected and greeted when first named; "L1:" logs client 1 in.

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "imap-gateway/session/session.h"
#include "imap-gateway/testing/fake_store.h"
#include "imap-gateway/view/sync_client.h"
#include "lib/testing/run_task.h"
#include "lib/testing/script_transport.h"

namespace posthorn::imap_gateway {

// Knows ann with the password "secret".
class FakeGate : public login::Gate {
 public:
  net::Task<login::Verdict> Check(login::Attempt attempt) override;
  void SetTimes(std::chrono::milliseconds, std::chrono::milliseconds) override {}
  std::unique_ptr<Guard> OnEnd(uint64_t account, std::function<void()> end) override;
  bool watching() const override { return true; }
  void EndAll();

  login::Outcome outcome = login::Outcome::kSuccess;  // for the right password
  uint64_t checks = 0;

 private:
  friend struct FakeGuard;
  std::map<uint64_t, std::function<void()>> ends_;
  uint64_t last_ = 0;
};

struct TestClient {
  explicit TestClient(net::Loop& loop, size_t chunk) : peer(loop, chunk) {}
  testing::ScriptPeer peer;
  std::string unread;
  bool ended = false;
};

class ImapFixture {
 public:
  // `chunk`: what clients send arrives so many bytes at a time; 0: all at once.
  explicit ImapFixture(size_t chunk = 0);
  ~ImapFixture();

  TestClient& Connect(int number);
  void LogIn(int number);
  // Sends "tag command" with a tag of its own and returns everything up to and with the tagged
  // line.
  std::string Do(int number, std::string_view command);
  net::Task<std::string> DoTask(int number, std::string command);
  // Runs a transcript; the first line that differs fails the test.
  void Chat(std::string_view transcript);
  // The next whole line of a client without its CRLF; "<closed>" at the end, "<nothing>" after two
  // seconds.
  std::string NextLine(int number);
  net::Task<std::string> NextLineTask(int number);
  // Lets everything that is ready happen.
  void Settle();

  net::Loop loop;
  FakeStore store{loop};
  FakeGate gate;
  std::shared_ptr<SyncClient> sync;
  net::Drain drain{loop};
  std::unique_ptr<Gateway> gateway;
  // A second gateway process, as it were; serves clients 5 and above.
  std::shared_ptr<SyncClient> other_sync;
  std::unique_ptr<Gateway> other_gateway;
  std::shared_ptr<Port> port = std::make_shared<Port>();
  ImapConfig config;
  void ApplyConfig() {
    gateway->config = other_gateway->config = std::make_shared<ImapConfig>(config);
  }

 private:
  net::Task<void> ServeTask(TestClient* client, Gateway* serving);
  size_t chunk_;
  std::map<int, std::unique_ptr<TestClient>> clients_;
  uint64_t last_tag_ = 0;
};

// "*" matches any run of characters.
bool LineMatches(std::string_view pattern, std::string_view line);

}  // namespace posthorn::imap_gateway
