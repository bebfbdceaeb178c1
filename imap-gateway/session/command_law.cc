#include "imap-gateway/session/command_law.h"

#include <array>

#include "imap-gateway/session/commands.h"
#include "lib/base/strings.h"
#include "lib/observe/metrics.h"

namespace posthorn::imap_gateway {
namespace {

constexpr uint8_t kAny = kNotAuthenticated | kAuthenticated | kSelected;
constexpr uint8_t kLoggedIn = kAuthenticated | kSelected;
constexpr uint8_t kNumbers = kUsesSequenceNumbers;

constexpr CommandLaw kLaws[] = {
    {"CAPABILITY", kAny, 0, OnCapability},
    {"NOOP", kAny, 0, OnNoop},
    {"LOGOUT", kAny, kNoUpdates, OnLogout},
    {"ID", kAny, 0, OnId},
    {"STARTTLS", kNotAuthenticated, 0, OnStartTls},
    {"LOGIN", kNotAuthenticated, 0, OnLogin},
    {"AUTHENTICATE", kNotAuthenticated, 0, OnAuthenticate},
    {"ENABLE", kLoggedIn, 0, OnEnable},
    {"NAMESPACE", kLoggedIn, 0, OnNamespace},
    {"SELECT", kLoggedIn, 0, OnSelect},
    {"EXAMINE", kLoggedIn, 0, OnSelect},
    {"CREATE", kLoggedIn, 0, OnCreate},
    {"DELETE", kLoggedIn, 0, OnDelete},
    {"RENAME", kLoggedIn, 0, OnRename},
    {"SUBSCRIBE", kLoggedIn, 0, OnSubscribe},
    {"UNSUBSCRIBE", kLoggedIn, 0, OnSubscribe},
    {"LIST", kLoggedIn, 0, OnList},
    {"LSUB", kLoggedIn, 0, OnLsub},
    {"STATUS", kLoggedIn, 0, OnStatus},
    {"APPEND", kLoggedIn, 0, OnAppend},
    {"IDLE", kLoggedIn, kNoUpdates, OnIdle},
    {"CHECK", kSelected, 0, OnNoop},
    {"CLOSE", kSelected, kNoUpdates, OnClose},
    {"UNSELECT", kSelected, kNoUpdates, OnUnselect},
    {"EXPUNGE", kSelected, kChangesMailbox, OnExpunge},
    {"UID EXPUNGE", kSelected, kChangesMailbox, OnExpunge},
    {"SEARCH", kSelected, kNumbers, OnSearch},
    {"UID SEARCH", kSelected, 0, OnSearch},
    {"FETCH", kSelected, kNumbers, OnFetch},
    {"UID FETCH", kSelected, 0, OnFetch},
    {"STORE", kSelected, kNumbers | kChangesMailbox, OnStore},
    {"UID STORE", kSelected, kChangesMailbox, OnStore},
    {"COPY", kSelected, 0, OnCopy},
    {"UID COPY", kSelected, 0, OnCopy},
    {"MOVE", kSelected, kChangesMailbox, OnCopy},
    {"UID MOVE", kSelected, kChangesMailbox, OnCopy},
};

constexpr size_t kOther = std::size(kLaws);
constexpr std::string_view kStatuses[] = {"ok", "no", "bad", "bye"};

// All made at once, in the order of kLaws, then "other".
struct CommandCounters {
  CommandCounters() {
    for (size_t i = 0; i <= kOther; ++i) {
      const std::string name = i == kOther ? "other" : base::Lower(kLaws[i].name);
      commands[i] = observe::NewCounter("posthorn_imap_commands_total", "Commands by name",
                                        {{"command", name}});
      for (size_t status = 0; status < std::size(kStatuses); ++status)
        completions[i][status] =
            observe::NewCounter("posthorn_imap_completions_total", "Commands by how they ended",
                                {{"command", name}, {"status", kStatuses[status]}});
    }
  }
  std::array<observe::Counter*, kOther + 1> commands;
  std::array<std::array<observe::Counter*, std::size(kStatuses)>, kOther + 1> completions;
};

const CommandCounters& Counters() {
  static const CommandCounters* const kCounters = new CommandCounters();
  return *kCounters;
}

size_t IndexOf(const CommandLaw* law) {
  return law == nullptr ? kOther : static_cast<size_t>(law - kLaws);
}

}  // namespace

const CommandLaw* FindLaw(std::string_view name) {
  for (const CommandLaw& law : kLaws)
    if (law.name == name) return &law;
  return nullptr;
}

void CountCommand(const CommandLaw* law, double by) { Counters().commands[IndexOf(law)]->Add(by); }

void CountCompletion(const CommandLaw* law, Completion::Kind kind) {
  const auto status = static_cast<size_t>(kind);
  if (status < std::size(kStatuses)) Counters().completions[IndexOf(law)][status]->Add();
}

}  // namespace posthorn::imap_gateway
