// Eight sessions of two gateways on shared mailboxes do random things while the store takes its
// time, loses streams and delivers; every untagged response is held against what each client may
// believe. At the end all agree with the store. POSTHORN_MODEL_OPS: how many commands (default
// 5,000; by hand 100,000); POSTHORN_MODEL_SEED.

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <deque>
#include <random>

#include "imap-gateway/session/model_client.h"
#include "imap-gateway/testing/imap_fixture.h"
#include "lib/base/strings.h"

namespace posthorn::imap_gateway {
namespace {

constexpr int kSessions = 8;
constexpr size_t kHistory = 60;  // what a failure shows
constexpr uint64_t kRun = 5000;  // commands before everything is compared and begun anew
constexpr std::array<const char*, 3> kMailboxes = {"INBOX", "Archive", "Work"};
constexpr std::array<const char*, 5> kFlags = {"\\Seen", "\\Flagged", "\\Deleted", "\\Answered",
                                               "$Label"};
const char kMail[] = "From: a@example.org\r\nSubject: hello\r\n\r\nbody\r\n";

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

class Model {
 public:
  Model(uint64_t operations, uint32_t seed) : left_(operations), random_(seed) {
    f_.store.AddMailbox("Archive");
    f_.store.AddMailbox("Work");
    f_.store.rows_per_chunk = 2;
    f_.store.Jitter(seed);
    f_.config.max_errors = 1000000;
    f_.ApplyConfig();
    for (int i = 0; i < 10; ++i) f_.store.AddMessage("INBOX", kMail);
  }

  void Run() {
    testing::RunTask(f_.loop, All());
    Compare();
  }

 private:
  struct Client {
    int number;
    ModelClient model;
    bool done = false;
    bool expunge_allowed = true;
  };

  uint32_t Dice(uint32_t sides) { return static_cast<uint32_t>(random_() % sides); }

  net::Task<void> All() {
    for (int i = 0; i < kSessions; ++i) {
      clients_[i].number = i + 1;
      f_.loop.Spawn("model.client", Live(&clients_[i]));
    }
    while (!AllDone() && !failed_) {
      co_await net::Sleep(f_.loop, std::chrono::milliseconds(0));
      if (Dice(400) == 0) f_.store.AddMessage(kMailboxes[Dice(3)], kMail);
      KeepSmall(kMailboxes[Dice(3)]);
      if (Dice(8000) == 0) {
        f_.store.keeps_history = Dice(2) == 0;
        f_.store.BreakStreams();
      }
    }
    // What has been said must suffice: two NOOPs tell the rest.
    f_.store.Jitter(0);
    for (Client& client : clients_) co_await Do(&client, "NOOP", true);
    // For what the streams carry without being asked.
    co_await net::Sleep(f_.loop, std::chrono::milliseconds(50));
    for (Client& client : clients_) co_await Do(&client, "NOOP", true);
    for (Client& client : clients_) {
      if (client.model.mailbox().empty()) continue;
      CheckFlags(client);
      co_await Do(&client, "UID FETCH 1:* (UID FLAGS)", true);
    }
  }

  // Another client cleans up, so that a run's time stays in proportion to its length.
  void KeepSmall(const char* name) {
    FakeStore::Mailbox& box = f_.store.mailbox(name);
    if (box.messages.size() < 40) return;
    const auto victim =
        std::next(box.messages.begin(), Dice(static_cast<uint32_t>(box.messages.size())));
    f_.store.ExpungeNow(name, victim->first);
  }

  bool AllDone() const {
    for (const Client& client : clients_)
      if (!client.done) return false;
    return true;
  }

  net::Task<void> Live(Client* client) {
    co_await f_.NextLineTask(client->number);
    co_await Do(client, "LOGIN ann secret", true);
    while (left_ > 0 && !failed_) {
      --left_;
      if (client->model.mailbox().empty() || Dice(60) == 0) {
        co_await SelectOne(client);
      } else {
        co_await Step(client);
      }
    }
    client->done = true;
  }

  net::Task<void> SelectOne(Client* client) {
    const std::string mailbox = kMailboxes[Dice(3)];
    client->model.Select(mailbox);
    const std::string last =
        co_await Do(client, base::StrCat(Dice(5) == 0 ? "EXAMINE " : "SELECT ", mailbox), true);
    if (last.find(" OK ") == std::string::npos) Fail(base::StrCat("SELECT failed: ", last));
    if (Dice(2) == 0) co_await Do(client, "FETCH 1:* (UID FLAGS)", false);
  }

  net::Task<void> Step(Client* client) {
    const uint32_t count = client->model.count();
    const uint32_t n = count == 0 ? 1 : 1 + Dice(count);
    const std::string range =
        base::StrCat(n, ":", Dice(2) == 0 ? std::string("*") : base::StrCat(n));
    const char* other = kMailboxes[Dice(3)];
    switch (Dice(16)) {
      case 0:
      case 1:
        co_await Do(client, "NOOP", true);
        break;
      case 2:
        co_await Do(client, base::StrCat("FETCH ", range, " (UID FLAGS)"), false);
        break;
      case 3:
        co_await Do(client, "UID FETCH 1:* (FLAGS)", true);
        break;
      case 4:
      case 5:
      case 6:
        co_await StoreOne(client, n);
        break;
      case 7:
        co_await Do(client, "EXPUNGE", true);
        break;
      case 8:
        co_await Search(client);
        break;
      case 9:
        co_await Do(client, base::StrCat("COPY ", n, " ", other), true);
        break;
      case 10:
        if (Dice(3) == 0) co_await Do(client, base::StrCat("MOVE ", n, " ", other), true);
        break;
      case 11:
        co_await Do(client, base::StrCat("APPEND ", other, " ($Label) {4+}\r\na\r\n\r"), true);
        break;
      case 12:
        co_await Do(client, base::StrCat("APPEND ", other, " {4+}\r\na: b"), true);
        break;
      case 13:
        co_await Idle(client);
        break;
      case 14:
        co_await Do(client, base::StrCat("UID EXPUNGE ", n, ":", n + 3), true);
        break;
      default:
        co_await Do(client, base::StrCat("FETCH ", n, " (UID BODY.PEEK[TEXT]<0.0>)"), false);
        break;
    }
  }

  net::Task<void> StoreOne(Client* client, uint32_t n) {
    const char mode = "+-="[Dice(3)];
    const std::string flag = kFlags[Dice(kFlags.size())];
    const bool silent = Dice(2) == 0;
    const uint32_t uid = n <= client->model.count() ? client->model.uid(n) : 0;
    const bool by_uid = uid != 0 && Dice(3) == 0;
    const std::string last =
        co_await Do(client,
                    base::StrCat(by_uid ? "UID STORE " : "STORE ", by_uid ? uid : n, " ",
                                 mode == '=' ? std::string() : std::string(1, mode), "FLAGS",
                                 silent ? ".SILENT" : "", " (", flag, ")"),
                    by_uid, [=](Client& c) {
                      // The client assumes success when the OK comes; what it is told before that
                      // is older.
                      if (silent && uid != 0) c.model.Assume(uid, mode, flag);
                    });
  }

  net::Task<void> Search(Client* client) {
    const uint32_t count = client->model.count();
    const std::string text = co_await f_.DoTask(client->number, "SEARCH ALL");
    Note(base::StrCat("S", client->number, ": ", text));
    for (const std::string_view line : base::Split(text, '\n')) {
      Check(*client, line, false);
      if (!line.starts_with("* SEARCH")) continue;
      for (const std::string_view word : base::Split(line.substr(8), ' '))
        if (const auto number = base::ParseInt<uint32_t>(word); number && *number > count) {
          Fail(base::StrCat("found a number that was never told: ", line));
        }
    }
  }

  net::Task<void> Idle(Client* client) {
    f_.Connect(client->number).peer.Send("i IDLE\r\n");
    std::string line = co_await f_.NextLineTask(client->number);
    EXPECT_TRUE(line.starts_with("+ ")) << line;
    for (uint32_t turns = Dice(30); turns > 0; --turns)
      co_await net::Sleep(f_.loop, std::chrono::milliseconds(0));
    f_.Connect(client->number).peer.Send("DONE\r\n");
    do {
      line = co_await f_.NextLineTask(client->number);
      Note(base::StrCat("S", client->number, " (IDLE): ", line));
      Check(*client, line, true);
    } while (!line.starts_with("i ") && line[0] != '<');
    if (!line.starts_with("i OK")) Fail(base::StrCat("IDLE ended with ", line));
  }

  net::Task<std::string> Do(Client* client, std::string command, bool expunge_allowed,
                            std::function<void(Client&)> at_ok = nullptr) {
    Note(base::StrCat("C", client->number, ": ", command));
    const std::string answer = co_await f_.DoTask(client->number, command);
    Note(base::StrCat("S", client->number, ": ", answer));
    std::string last;
    const std::vector<std::string_view> lines = base::Split(answer, '\n');
    // The assumption of a silent STORE holds from when the server did it; what the server tells of
    // the same message in the same answer was decided later and wins.
    if (at_ok && answer.find(" OK ") != std::string::npos) at_ok(*client);
    for (const std::string_view line : lines) {
      if (line.empty()) continue;
      Check(*client, line, expunge_allowed);
      last = line;
    }
    if (last[0] == '<')
      Fail(base::StrCat("session ", client->number, " ended in ", command, ": ", answer));
    co_return last;
  }

  void Check(Client& client, std::string_view line, bool expunge_allowed) {
    if (const auto wrong = client.model.OnLine(line, expunge_allowed))
      Fail(base::StrCat("session ", client.number, ": ", *wrong, " in: ", line));
    const FakeStore::Mailbox* box =
        client.model.mailbox().empty() ? nullptr : &f_.store.mailbox(client.model.mailbox());
    if (box == nullptr || !line.ends_with("EXPUNGE")) return;
    for (const uint32_t uid : client.model.expunged())
      if (uid != 0 && box->messages.contains(uid))
        Fail(base::StrCat("uid ", uid, " was said to be gone"));
  }

  void Note(std::string text) {
    history_.push_back(std::move(text));
    if (history_.size() > kHistory) history_.pop_front();
  }

  // With the seed (in the trace) and what came before, so that it can be run again and read.
  void Fail(const std::string& why) {
    if (!failed_) {
      ADD_FAILURE() << why << " with " << left_ << " operations left; the last were:\n"
                    << base::Join(std::vector<std::string>(history_.begin(), history_.end()), "\n");
    }
    failed_ = true;
  }

  std::set<std::string> FlagsOf(const FakeStore::Mailbox& box,
                                const FakeStore::Message& message) const {
    std::string text;
    AppendFlags(text, static_cast<uint8_t>(message.flags), {message.keywords, 0},
                box.keyword_names);
    std::set<std::string> flags;
    for (const std::string_view flag : base::Split(text, ' '))
      if (!flag.empty()) flags.insert(std::string(flag));
    return flags;
  }

  // What the client believes of flags is true without asking again.
  void CheckFlags(const Client& client) {
    const FakeStore::Mailbox& box = f_.store.mailbox(client.model.mailbox());
    for (const auto& [uid, flags] : client.model.flags()) {
      const auto message = box.messages.find(uid);
      if (message == box.messages.end()) {
        Fail(base::StrCat("session ", client.number, " was not told that uid ", uid, " is gone"));
      } else {
        if (flags != FlagsOf(box, message->second)) {
          Fail(base::StrCat("session ", client.number, " believes in wrong flags of uid ", uid));
        }
      }
    }
  }

  void Compare() {
    for (const Client& client : clients_) {
      if (client.model.mailbox().empty()) continue;
      const FakeStore::Mailbox& box = f_.store.mailbox(client.model.mailbox());
      std::vector<uint32_t> uids;
      for (const auto& [uid, message] : box.messages) uids.push_back(uid);
      if (client.model.uids() != uids) {
        Fail(base::StrCat("session ", client.number, " has not the uids of ", box.name));
      }
    }
  }

  ImapFixture f_;
  uint64_t left_;
  std::mt19937 random_;
  std::array<Client, kSessions> clients_;
  bool failed_ = false;
  std::deque<std::string> history_;
};

// [RFC9051 7.5.1]
TEST(ImapModel, EveryClientIsToldTheTruthInTheRightOrder) {
  const uint64_t operations = FromEnvironment("POSTHORN_MODEL_OPS", 5000);
  auto seed = static_cast<uint32_t>(FromEnvironment("POSTHORN_MODEL_SEED", 1));
  for (uint64_t done = 0; done < operations && !HasFailure(); done += kRun) {
    SCOPED_TRACE(base::StrCat("POSTHORN_MODEL_SEED=", seed));
    Model(std::min(kRun, operations - done), seed++).Run();
  }
}

}  // namespace
}  // namespace posthorn::imap_gateway
