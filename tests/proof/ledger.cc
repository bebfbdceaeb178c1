#include "tests/proof/ledger.h"

#include <algorithm>

#include "lib/base/strings.h"

namespace posthorn::proof {

std::string BodyOf(uint64_t number) {
  std::string body = base::StrCat("Message-ID: <", number, "@proof.test>\r\nSubject: message ",
                                  number, "\r\n\r\n");
  const size_t size = number % 29 == 28 ? 270'000 + number : number * 131 % 3'000;
  while (body.size() < size) base::StrAppend(body, "line ", body.size(), " of ", number, "\r\n");
  return body;
}

uint64_t NumberOf(const std::string& body) {
  constexpr std::string_view kStart = "Message-ID: <";
  if (!body.starts_with(kStart)) return 0;
  const std::string_view rest = std::string_view(body).substr(kStart.size());
  return base::ParseInt<uint64_t>(rest.substr(0, rest.find('@'))).value_or(0);
}

std::string PrefixOf(uint64_t number) {
  return base::StrCat("Received: by proof.test; message ", number, "\r\n");
}

void Apply(const Effect& effect, Expected::Account& account) {
  account.mailboxes.insert(effect.created.begin(), effect.created.end());
  for (const auto& [place, message] : effect.set) account.placed[place] = message;
  for (const Place& place : effect.gone) account.placed.erase(place);
  for (const auto& [mailbox, modseq] : effect.reached) {
    base::ModSeq& known = account.reached[mailbox];
    known = std::max(known, modseq);
  }
}

namespace {

// Whatever was under way or on its way has arrived, or has not yet.
void Looked(const Effect& effect, Expected::Account& account) {
  const Mailboxes before = std::move(account.placed);
  account.placed.clear();
  account.under_way = nullptr;
  for (const auto& [place, message] : effect.set) {
    account.placed[place] = message;
    if (place.first != "INBOX" || before.contains(place)) continue;
    account.arrives.erase(message.number);
    account.may_arrive.erase(message.number);
  }
}

void Add(const Fact& fact, Expected& expected) {
  switch (fact.kind) {
    case Fact::Kind::kOffered:
      for (const base::AccountId id : fact.accounts)
        expected.accounts[id].may_arrive.insert(fact.number);
      if (fact.remote) expected.may_remote.insert(fact.number);
      return;
    case Fact::Kind::kAccepted:
      for (const base::AccountId id : fact.accounts) {
        // Seen before the sender was answered: its place is known.
        if (expected.accounts[id].may_arrive.erase(fact.number) > 0)
          expected.accounts[id].arrives.insert(fact.number);
      }
      if (fact.remote) expected.remote.insert(fact.number);
      return;
    case Fact::Kind::kBegun:
      expected.accounts[fact.accounts.at(0)].under_way = fact.effect;
      return;
    case Fact::Kind::kAnswered:
      expected.accounts[fact.accounts.at(0)].under_way = nullptr;
      Apply(*fact.effect, expected.accounts[fact.accounts.at(0)]);
      return;
    case Fact::Kind::kSeen: {
      Expected::Account& account = expected.accounts[fact.accounts.at(0)];
      Apply(*fact.effect, account);
      for (const auto& [place, message] : fact.effect->set) {
        account.arrives.erase(message.number);
        account.may_arrive.erase(message.number);
      }
      return;
    }
    case Fact::Kind::kLooked:
      Looked(*fact.effect, expected.accounts[fact.accounts.at(0)]);
      return;
    case Fact::Kind::kAccount:
      expected.addresses.insert(fact.name);
      return;
    case Fact::Kind::kTraced:
      expected.traced.insert(fact.name);
      return;
    case Fact::Kind::kJournal:
      expected.journal = fact.name;
      return;
  }
}

}  // namespace

Expected ExpectedAfter(const std::vector<Fact>& facts, const std::vector<std::string>& marks) {
  Expected expected;
  for (const std::string& mark : marks) {
    const auto index = base::ParseInt<size_t>(mark);
    if (index && *index < facts.size()) Add(facts[*index], expected);
  }
  return expected;
}

}  // namespace posthorn::proof
