#pragma once

// What was promised to whom, in plain maps: the truth that machines are compared with.

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/ids.h"
#include "lib/file/recorder.h"

namespace posthorn::proof {

struct Message {
  uint64_t number = 0;
  uint32_t flags = 0;  // system flags, and kKeyword
  friend bool operator==(const Message&, const Message&) = default;
};
inline constexpr uint32_t kKeyword = 1U << 16;
inline constexpr char kKeywordName[] = "$proof";

using Place = std::pair<std::string, base::Uid>;  // mailbox name, uid
using Mailboxes = std::map<Place, Message>;

// What one operation of an IMAP client changes. Its uids are known only once it is answered.
struct Effect {
  std::vector<std::string> created;
  std::vector<std::pair<Place, Message>> set;  // added, or flags changed
  std::vector<Place> gone;
  std::map<std::string, base::ModSeq> reached;
};

struct Fact {
  enum class Kind {
    kOffered,   // a message is on its way: it may arrive
    kAccepted,  // 250: it arrives once at each of `accounts`, and waits for the remote host
    kBegun,     // a client sent a command
    kAnswered,  // OK
    kSeen,      // a client saw what was delivered
    kAccount,   // `name` was added to the directory
    kLooked,    // after a restart a client saw all of an account: so it is from now on
    kJournal,   // the store's collector was told of the journal `name`
    kTraced,    // the event of message `name` was recorded in a life that ended in order
  };
  Kind kind = Kind::kOffered;
  uint64_t number = 0;
  std::vector<base::AccountId> accounts;
  bool remote = false;
  std::shared_ptr<const Effect> effect;
  std::string name;
};

// The bytes of message `number`; every 29th is large enough to be uploaded.
std::string BodyOf(uint64_t number);
// The number of a message with such bytes; 0: it is none of ours.
uint64_t NumberOf(const std::string& body);
// What the gateway put above it.
std::string PrefixOf(uint64_t number);

// Facts in the order they became true, each marked in a recording.
class Ledger {
 public:
  explicit Ledger(file::Recorder& recorder, std::vector<Fact> facts = {})
      : recorder_(recorder), facts_(std::move(facts)) {}
  void Say(Fact fact) {
    facts_.push_back(std::move(fact));
    recorder_.Mark(std::to_string(facts_.size() - 1));
  }
  const std::vector<Fact>& facts() const { return facts_; }

 private:
  file::Recorder& recorder_;
  std::vector<Fact> facts_;
};

// What must be there, and what may be.
struct Expected {
  struct Account {
    std::set<std::string> mailboxes;
    Mailboxes placed;
    std::set<uint64_t> arrives;  // in INBOX under a uid nobody knows yet
    std::set<uint64_t> may_arrive;
    std::map<std::string, base::ModSeq> reached;
    std::shared_ptr<const Effect> under_way;
  };
  std::map<base::AccountId, Account> accounts;
  std::set<uint64_t> remote;  // waits in the queue
  std::set<uint64_t> may_remote;
  std::set<std::string> addresses;
  std::string journal;  // empty: nobody was told of it
  std::set<std::string> traced;
};
void Apply(const Effect& effect, Expected::Account& account);
// From the marks of a recording's prefix.
Expected ExpectedAfter(const std::vector<Fact>& facts, const std::vector<std::string>& marks);

}  // namespace posthorn::proof
