#pragma once

// One IMAP connection. Invariants:
//  1. Everything a session reads of a mailbox comes from its view; handlers never decide when to
//  tell of changes:
//     the loop does, after the command, as its law row allows.
//  2. An untagged EXPUNGE goes out only inside a command whose law row allows it, or in IDLE.
//  3. One coroutine does everything; news in IDLE and BYE interrupt its wait.
//  4. While it waits it holds no buffer: one shallow coroutine, no parsed command, no selected
//  state unless selected.

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "imap-gateway/protocol/arguments.h"
#include "imap-gateway/session/completion.h"
#include "imap-gateway/session/gateway.h"
#include "imap-gateway/view/cursor.h"
#include "lib/net/connection.h"
#include "lib/net/task.h"

namespace posthorn::imap_gateway {

class AccountView;
struct CommandLaw;

// What only exists while a mailbox is selected.
struct Selected {
  explicit Selected(std::shared_ptr<MailboxView> view) : cursor(std::move(view)) {}
  Cursor cursor;
  std::string name;
  bool read_only = false;
  size_t keywords_told = 0;
};

enum class Expunges { kForbidden, kAllowed };

class Session : public ViewListener, public std::enable_shared_from_this<Session> {
 public:
  // Serves the connection to its end. `gateway` outlives it.
  static net::Task<void> Serve(Gateway& gateway, std::shared_ptr<const Port> port,
                               std::unique_ptr<net::Connection> connection);
  ~Session() override;

  // ---- for the handlers ----
  Gateway& gateway() { return gateway_; }
  const ImapConfig& config() const { return *gateway_.config; }
  const Port& port() const { return *port_; }
  net::Connection& connection() { return *connection_; }
  const login::Identity* identity() const { return identity_.get(); }
  const std::string& ticket() const { return identity_->ticket; }
  Selected* selected() { return selected_.get(); }
  void Select(std::unique_ptr<Selected> selected) { selected_ = std::move(selected); }
  const std::string& tag() const { return tag_; }
  bool condstore() const { return condstore_; }
  void EnableCondstore() { condstore_ = true; }
  void set_client(std::string name) { client_ = std::move(name); }
  // [RFC9051 6.2.3] May a password come over this connection as it is?
  bool MayLogIn() const;
  std::string Capabilities() const;
  void LogIn(std::shared_ptr<const login::Identity> identity);
  // STARTTLS went well.
  void NoteEncrypted() { count_.Encrypted(); }
  // Begins IDLE: the next line ends it.
  void StartIdle();

  // Appends to the output and writes when much is waiting: kUnavailable when the client is gone or
  // does not read.
  net::Task<absl::Status> Send(std::string& buffer);
  net::Task<absl::Status> FlushNow();
  // "* …" lines of small answers.
  void Untagged(std::string_view line);
  // The next line of a dialogue inside a command (AUTHENTICATE), or a status.
  net::Task<absl::StatusOr<std::string>> ReadDialogueLine();

  // The account's mailbox table, up to date with all that was committed before the call.
  net::Task<absl::StatusOr<std::shared_ptr<AccountView>>> FreshAccount();
  // The same without asking the store when it is here already.
  net::Task<absl::StatusOr<std::shared_ptr<AccountView>>> Account();
  // Waits until this session would see its own write.
  net::Task<absl::Status> WaitForOwn(uint64_t mailbox, uint64_t modseq);
  net::Task<absl::Status> WaitForAccount(uint64_t modseq);

  // Tells what happened in the selected mailbox.
  net::Task<absl::Status> SendUpdates(Expunges expunges);
  // "12 FETCH (UID 4 FLAGS (…) MODSEQ (…))" of a row.
  void AppendFlagsUpdate(std::string& out, uint32_t uid);
  // New keywords are announced before a FLAGS that has them.
  void AppendNewKeywords(std::string& out);

  // Ends the session with "* BYE text" as soon as the running command is done.
  void RequestBye(std::string text);
  // True once that was asked for: long commands end early.
  bool leaving() const { return !bye_.empty(); }

  // ViewListener
  void OnViewChanged() override;

 private:
  Session(Gateway& gateway, std::shared_ptr<const Port> port,
          std::unique_ptr<net::Connection> connection);

  net::Task<void> Run();
  net::Task<bool> Greet();
  net::Task<bool> OnLine(std::string_view line);
  net::Task<bool> OnReadError(absl::Status status);
  net::Task<bool> OnIdleLine(std::string_view line);
  net::Task<bool> OnOversizedLiteral(LiteralMark mark, std::string text);
  net::Task<absl::StatusOr<CommandFramer::Step>> ReadCommand(CommandFramer& framer,
                                                             std::string first);
  net::Task<bool> Execute(std::string_view text, bool message_follows);
  net::Task<bool> Finish(Completion completion, const CommandLaw* law);
  std::optional<Completion> Forbidden(const CommandLaw& law) const;
  std::string_view ClosingReason() const;
  void CountError();
  void Bye(std::string_view text);
  void EndIdle();
  std::chrono::milliseconds ReadLimit() const;

  Gateway& gateway_;
  std::shared_ptr<const Port> port_;
  std::unique_ptr<net::Connection> connection_;
  std::shared_ptr<const login::Identity> identity_;
  std::unique_ptr<Selected> selected_;
  std::shared_ptr<AccountView> account_;
  std::unique_ptr<login::Gate::Guard> guard_;
  std::unique_ptr<net::Drain::Handle> drain_;
  std::string tag_;
  std::string idle_tag_;
  std::string bye_;
  std::string client_;
  std::chrono::steady_clock::time_point started_;
  gateway::SessionCount count_;
  uint32_t errors_ = 0;
  uint32_t commands_ = 0;
  bool condstore_ = false;
  bool idling_ = false;
  bool waiting_ = false;  // for a command line
  bool wake_scheduled_ = false;
  bool news_ = false;  // the view changed while idling
};

// The arguments of a handler: views into the command's text, valid while the command runs.
struct Input {
  std::string_view name;  // "UID FETCH"
  std::string_view arguments;
  bool by_uid = false;  // the UID form
};

}  // namespace posthorn::imap_gateway
