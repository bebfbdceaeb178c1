#include "imap-gateway/session/session.h"

#include <algorithm>
#include <utility>

#include "imap-gateway/session/command_law.h"
#include "imap-gateway/view/account_view.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/net/tls_context.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"

namespace posthorn::imap_gateway {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds kHandshakeLimit{30000};
constexpr milliseconds kByeLimit{5000};
constexpr size_t kMaxLineBeforeLogin = 8 << 10;
// Long sets of uids are one line; the connection buffers no more than 64 KiB.
constexpr size_t kMaxLine = 60 << 10;
constexpr size_t kMaxCommand = 64 << 10;
// A refused literal that the client sends anyway is read and dropped up to this size.
constexpr uint64_t kMaxDrained = 16 << 20;
// Answers gather up to this size while further commands wait in the input.
constexpr size_t kMaxGathered = 32 << 10;

}  // namespace

Session::Session(Gateway& gateway, std::shared_ptr<const Port> port,
                 std::unique_ptr<net::Connection> connection)
    : gateway_(gateway),
      port_(std::move(port)),
      connection_(std::move(connection)),
      started_(Clock::now()),
      count_(gateway_.metrics.sessions, connection_->tls() != nullptr
                                            ? gateway::SessionCount::Transport::kEncrypted
                                            : gateway::SessionCount::Transport::kClear) {}

Session::~Session() = default;

net::Task<void> Session::Serve(Gateway& gateway, std::shared_ptr<const Port> port,
                               std::unique_ptr<net::Connection> connection) {
  std::shared_ptr<Session> session(new Session(gateway, std::move(port), std::move(connection)));
  session->drain_ = gateway.drain.OnBegin(
      [raw = session.get()] { raw->RequestBye("Server is shutting down, please connect again"); });
  if (co_await session->Greet()) co_await session->Run();
  session->EndIdle();
  session->connection_->Close();
  observe::Info("imap.session.end",
                {{"peer", session->connection_->peer().address},
                 {"login", session->identity_ ? session->identity_->address : ""},
                 {"client", session->client_},
                 {"commands", session->commands_},
                 {"bytes_in", session->connection_->bytes_read()},
                 {"bytes_out", session->connection_->bytes_written()}});
}

net::Task<bool> Session::Greet() {
  if (port_->mode == Port::Tls::kImplicit && connection_->tls() == nullptr) {
    if (!port_->tls || !(co_await connection_->StartTls(port_->tls, kHandshakeLimit)).ok())
      co_return false;
    count_.Encrypted();
  }
  if (gateway_.drain.draining()) {
    Bye("Server is shutting down");
    (void)co_await connection_->Flush(kByeLimit);
    co_return false;
  }
  Untagged(base::StrCat("OK [CAPABILITY ", Capabilities(), "] ", config().hostname,
                        " Posthorn IMAP ready"));
  co_return true;
}

// The loop. This coroutine and the connection's wait are all that an idle session has on the heap.
net::Task<void> Session::Run() {
  bool more = true;
  while (more) {
    if (!connection_->HasLine() || connection_->pending() > kMaxGathered)
      if (!(co_await connection_->Flush(config().dialogue_timeout)).ok()) co_return;
    if (!bye_.empty()) break;
    if (idling_ && std::exchange(news_, false)) {
      more = (co_await SendUpdates(Expunges::kAllowed)).ok();
      continue;
    }
    waiting_ = true;
    const absl::StatusOr<std::string_view> line =
        co_await connection_->ReadLine(identity_ ? kMaxLine : kMaxLineBeforeLogin, ReadLimit());
    waiting_ = false;
    if (!bye_.empty()) break;
    if (line.status().code() == absl::StatusCode::kCancelled) continue;
    if (!line.ok()) {
      more = co_await OnReadError(line.status());
    } else if (idling_) {
      more = co_await OnIdleLine(*line);
    } else {
      more = co_await OnLine(*line);
    }
  }
  if (!bye_.empty()) Bye(bye_);
  (void)co_await connection_->Flush(kByeLimit);
}

milliseconds Session::ReadLimit() const {
  if (identity_) return gateway_.config->idle_timeout;
  const auto spent = std::chrono::duration_cast<milliseconds>(Clock::now() - started_);
  return std::max(config().login_timeout - spent, milliseconds(1));
}

net::Task<bool> Session::OnReadError(absl::Status status) {
  if (status.code() == absl::StatusCode::kResourceExhausted) {
    CountError();
    Untagged("BAD [LIMIT] Line too long");
    co_return errors_ <= config().max_errors;
  }
  // [RFC9051 5.4] autologout
  if (status.code() == absl::StatusCode::kDeadlineExceeded)
    RequestBye(identity_ ? "Idle for too long" : "Login took too long");
  co_return false;
}

net::Task<bool> Session::OnLine(std::string_view line) {
  CommandFramer framer(identity_ ? kMaxCommand : kMaxLineBeforeLogin);
  CommandFramer::Step step = framer.AddLine(line);
  while (step == CommandFramer::Step::kLiteral) {
    if (framer.mark().synchronizing) {
      connection_->Append("+ Ready\r\n");
      if (!(co_await connection_->Flush(config().dialogue_timeout)).ok()) co_return false;
    }
    const auto bytes =
        co_await connection_->ReadExactly(framer.mark().size, config().dialogue_timeout);
    if (!bytes.ok()) co_return co_await OnReadError(bytes.status());
    framer.AddLiteral(*bytes);
    const auto next = co_await connection_->ReadLine(kMaxLine, config().dialogue_timeout);
    if (!next.ok()) co_return co_await OnReadError(next.status());
    step = framer.AddLine(*next);
  }
  if (step == CommandFramer::Step::kTooLarge)
    co_return co_await OnOversizedLiteral(framer.mark(), std::string(framer.text()));
  co_return co_await Execute(framer.text(), step == CommandFramer::Step::kMessage);
}

// [RFC9051 4.3, RFC7888 4] a synchronizing literal is never sent after a refusal; another one comes
// anyway.
net::Task<bool> Session::OnOversizedLiteral(LiteralMark mark, std::string text) {
  CountError();
  const absl::StatusOr<CommandHead> head = ParseHead(text);
  if (!mark.synchronizing) {
    if (mark.size > kMaxDrained || !identity_) {
      RequestBye("[LIMIT] Literal too large");
      co_return false;
    }
    for (uint64_t left = mark.size; left > 0;) {
      if (connection_->buffered().empty() &&
          !(co_await connection_->Fill(config().dialogue_timeout)).ok())
        co_return false;
      const size_t part = std::min<uint64_t>(left, connection_->buffered().size());
      connection_->Consume(part);
      left -= part;
    }
    const auto rest = co_await connection_->ReadLine(kMaxLine, config().dialogue_timeout);
    if (!rest.ok()) co_return co_await OnReadError(rest.status());
  }
  connection_->Append(
      base::StrCat(head.ok() ? head->tag : "*", " BAD [LIMIT] Literal too large\r\n"));
  co_return errors_ <= config().max_errors;
}

net::Task<bool> Session::Execute(std::string_view text, bool message_follows) {
  ++commands_;
  const absl::StatusOr<CommandHead> head = ParseHead(text);
  // A literal may hold line breaks; the line before it may not.
  const std::string_view first_line = text.substr(0, text.find("{"));
  if (!head.ok() ||
      first_line.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) {
    CountError();
    CountCommand(nullptr);
    Untagged("BAD Expected a tag and a command");
    if (message_follows) RequestBye("Out of step with the client");
    co_return errors_ <= config().max_errors;
  }
  tag_ = head->tag;
  const CommandLaw* law = FindLaw(head->name);
  CountCommand(law);
  if (law == nullptr) co_return co_await Finish(Completion::Bad("Unknown command"), law);
  if (std::optional<Completion> no = Forbidden(*law)) {
    // The message of a refused APPEND is not asked for; sent anyway it would be read as commands.
    if (message_follows && FindLiteralMark(text) && !FindLiteralMark(text)->synchronizing)
      no = Completion::Bye("Not possible now");
    co_return co_await Finish(*std::move(no), law);
  }
  const Clock::time_point begin = Clock::now();
  Completion completion = co_await law->handler(
      *this, Input{law->name, head->arguments, law->name.starts_with("UID ")});
  gateway_.metrics.seconds->Observe(std::chrono::duration<double>(Clock::now() - begin).count());
  co_return co_await Finish(std::move(completion), law);
}

std::optional<Completion> Session::Forbidden(const CommandLaw& law) const {
  const uint8_t state = !identity_ ? kNotAuthenticated : selected_ ? kSelected : kAuthenticated;
  if ((law.states & state) == 0) {
    if (state == kNotAuthenticated) return Completion::Bad("Please log in first");
    if (law.states == kNotAuthenticated) return Completion::Bad("Already logged in");
    return Completion::Bad("Please select a mailbox first");
  }
  if ((law.flags & kChangesMailbox) != 0 && selected_->read_only)
    return Completion::No("[CANNOT] Mailbox was opened read-only");
  if (selected_ && selected_->cursor.view().gone())
    return Completion::Bye(std::string(ClosingReason()));
  return {};
}

std::string_view Session::ClosingReason() const {
  switch (selected_->cursor.view().state()) {
    case MailboxView::State::kDenied:
      return "[UNAVAILABLE] Please log in again";
    case MailboxView::State::kChanged:
      return "Mailbox was made anew";
    default:
      return "Mailbox was deleted";
  }
}

net::Task<bool> Session::Finish(Completion completion, const CommandLaw* law) {
  using Kind = Completion::Kind;
  CountCompletion(law, completion.kind);
  if (completion.kind == Kind::kGone) co_return false;
  if (completion.kind == Kind::kBye) {
    RequestBye(std::move(completion.text));
    co_return false;
  }
  if (law != nullptr && (law->flags & kNoUpdates) == 0 && selected_ &&
      completion.kind != Kind::kNone) {
    const bool numbers = (law->flags & kUsesSequenceNumbers) != 0;
    if (!(co_await SendUpdates(numbers ? Expunges::kForbidden : Expunges::kAllowed)).ok())
      co_return false;
  }
  static constexpr std::string_view kWords[] = {" OK ", " NO ", " BAD "};
  if (completion.kind == Kind::kBad) CountError();
  if (completion.kind == Kind::kOk && identity_) errors_ = 0;
  if (completion.kind != Kind::kNone)
    connection_->Append(
        base::StrCat(tag_, kWords[static_cast<size_t>(completion.kind)], completion.text, "\r\n"));
  if (errors_ > config().max_errors) {
    RequestBye("Too many errors");
    co_return false;
  }
  co_return bye_.empty();
}

void Session::CountError() {
  ++errors_;
  gateway_.metrics.bad_commands->Add();
  if (errors_ > config().max_errors) RequestBye("Too many errors");
}

void Session::Untagged(std::string_view line) {
  connection_->Append(base::StrCat("* ", line, "\r\n"));
}

void Session::Bye(std::string_view text) {
  gateway_.metrics.byes->Add();
  Untagged(base::StrCat("BYE ", text));
}

void Session::RequestBye(std::string text) {
  if (!bye_.empty()) return;
  bye_ = std::move(text);
  if (waiting_) connection_->Interrupt();
}

net::Task<absl::Status> Session::Send(std::string& buffer) {
  connection_->Append(buffer);
  buffer.clear();
  if (connection_->pending() < kMaxGathered) co_return absl::OkStatus();
  co_return co_await connection_->Flush(config().dialogue_timeout);
}

net::Task<absl::Status> Session::FlushNow() {
  co_return co_await connection_->Flush(config().dialogue_timeout);
}

net::Task<absl::StatusOr<std::string>> Session::ReadDialogueLine() {
  CO_RETURN_IF_ERROR(co_await connection_->Flush(config().dialogue_timeout));
  const auto line = co_await connection_->ReadLine(kMaxLineBeforeLogin, config().dialogue_timeout);
  if (!line.ok()) co_return line.status();
  co_return std::string(*line);
}

}  // namespace posthorn::imap_gateway
