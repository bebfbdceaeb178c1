// The transaction and update states [RFC1939 5, 6].

#include "lib/base/strings.h"
#include "lib/mail/dot_codec.h"
#include "lib/observe/log.h"
#include "pop3-gateway/session/metrics.h"
#include "pop3-gateway/session/session.h"

namespace posthorn::pop3_gateway {
namespace {

constexpr std::chrono::milliseconds kWrite{60000};
constexpr size_t kFlushAt = 64U << 10;

// Cuts a message behind its header and so many lines of its body [RFC1939 7, TOP].
class TopCutter {
 public:
  explicit TopCutter(std::optional<uint32_t> lines) : lines_(lines) {}

  // The part of `chunk` that is wanted; done() afterwards when nothing more is.
  std::string_view Cut(std::string_view chunk) {
    if (!lines_) return chunk;
    for (size_t i = 0; i < chunk.size(); ++i) {
      if (in_body_ && taken_ == *lines_) {
        done_ = true;
        return chunk.substr(0, i);
      }
      if (chunk[i] != '\n') {
        if (chunk[i] != '\r') line_empty_ = false;
        continue;
      }
      if (in_body_) {
        ++taken_;
      } else if (line_empty_) {
        in_body_ = true;
      }
      line_empty_ = true;
    }
    return chunk;
  }
  bool done() const { return done_; }

 private:
  const std::optional<uint32_t> lines_;
  uint32_t taken_ = 0;
  bool in_body_ = false;
  bool line_empty_ = true;
  bool done_ = false;
};

struct Copy {
  net::Connection& to;
  TopCutter cutter;
  mail::DotEncoder encoder;
  std::string coded;
  bool started = false;
  absl::Status status;
};

net::Task<bool> CopyChunk(Copy* copy, std::string_view chunk) {
  if (!copy->started) copy->to.Append("+OK Message follows\r\n");
  copy->started = true;
  copy->coded.clear();
  copy->encoder.Encode(copy->cutter.Cut(chunk), copy->coded);
  copy->to.Append(copy->coded);
  if (copy->to.pending() >= kFlushAt) copy->status = co_await copy->to.Flush(kWrite);
  co_return copy->status.ok() && !copy->cutter.done();
}

}  // namespace

net::Task<void> Pop3Session::ObeyTransaction(Command command) {
  switch (command.verb) {
    case Verb::kStat: co_return OnStat();
    case Verb::kList: co_return OnList(command);
    case Verb::kUidl: co_return OnUidl(command);
    case Verb::kDele: co_return OnDele(*command.message);
    case Verb::kRetr: co_return co_await OnRetr(*command.message, std::nullopt);
    case Verb::kTop: co_return co_await OnRetr(*command.message, command.lines);
    case Verb::kNoop: co_return Ok("");
    case Verb::kRset:
      deleted_.assign(deleted_.size(), false);
      co_return Ok("");
    default: Err("", "Not allowed after login");
  }
}

const Maildrop::Message* Pop3Session::Find(uint32_t number) {
  if (number == 0 || number > maildrop_->messages().size() || deleted_[number - 1]) {
    Err("", "No such message");
    return nullptr;
  }
  return &maildrop_->messages()[number - 1];
}

// UIDVALIDITY belongs to it: a mailbox that was made anew must not hide new mail behind old UIDLs.
std::string Pop3Session::UidOf(const Maildrop::Message& message) const {
  return base::StrCat(maildrop_->uid_validity(), ".", message.uid);
}

void Pop3Session::OnStat() {
  uint64_t count = 0;
  uint64_t bytes = 0;
  for (size_t i = 0; i < deleted_.size(); ++i) {
    if (deleted_[i]) continue;
    ++count;
    bytes += maildrop_->messages()[i].size;
  }
  Ok(base::StrCat(count, " ", bytes));
}

void Pop3Session::OnList(const Command& command) {
  if (command.message) {
    if (const Maildrop::Message* message = Find(*command.message))
      Ok(base::StrCat(*command.message, " ", message->size));
    return;
  }
  Ok("Sizes follow");
  std::string list;
  for (size_t i = 0; i < deleted_.size(); ++i)
    if (!deleted_[i]) base::StrAppend(list, i + 1, " ", maildrop_->messages()[i].size, "\r\n");
  connection_->Append(list + ".\r\n");
}

void Pop3Session::OnUidl(const Command& command) {
  if (command.message) {
    if (const Maildrop::Message* message = Find(*command.message))
      Ok(base::StrCat(*command.message, " ", UidOf(*message)));
    return;
  }
  Ok("Unique ids follow");
  std::string list;
  for (size_t i = 0; i < deleted_.size(); ++i)
    if (!deleted_[i]) base::StrAppend(list, i + 1, " ", UidOf(maildrop_->messages()[i]), "\r\n");
  connection_->Append(list + ".\r\n");
}

void Pop3Session::OnDele(uint32_t number) {
  if (Find(number) == nullptr) return;
  deleted_[number - 1] = true;
  Ok("Marked");
}

net::Task<void> Pop3Session::OnRetr(uint32_t number, std::optional<uint32_t> lines) {
  const Maildrop::Message* message = Find(number);
  if (message == nullptr) co_return;
  Copy copy{*connection_, TopCutter(lines), {}, {}, false, {}};
  Copy* target = &copy;
  const absl::Status read = co_await maildrop_->Read(
      message->uid, [target](std::string_view chunk) { return CopyChunk(target, chunk); });
  if (!copy.status.ok()) {
    close_ = true;
    co_return;
  }
  if (read.ok()) {
    std::string end;
    copy.encoder.Finish(end);
    connection_->Append(end);
    ++retrieved_;
    Pop3Metrics::Get().CountOk(answering_);
    Pop3Metrics::Get().retrieved->Add();
    co_return;
  }
  observe::Warning("pop3.read", {{"session", id_.ToString()}, {"status", read.ToString()}});
  // Half a message cannot be taken back: the client must see the connection break, not a short message.
  close_ = copy.started;
  if (copy.started) {
    connection_->Close();
  } else {
    Err(absl::IsNotFound(read) ? "" : "SYS/TEMP", absl::IsNotFound(read) ? "The message is gone" : "Cannot read the message now");
  }
}

net::Task<void> Pop3Session::OnQuit() {
  close_ = true;
  std::vector<uint32_t> uids;
  for (size_t i = 0; i < deleted_.size(); ++i)
    if (deleted_[i]) uids.push_back(maildrop_->messages()[i].uid);
  if (!uids.empty()) {
    const size_t count = uids.size();
    const absl::Status removed = co_await maildrop_->Remove(std::move(uids));
    if (!removed.ok()) {
      observe::Warning("pop3.remove", {{"session", id_.ToString()}, {"status", removed.ToString()}});
      co_return Err("SYS/TEMP", "Some messages could not be removed");
    }
    Pop3Metrics::Get().removed->Add(static_cast<double>(count));
  }
  Ok("Bye");
}

}  // namespace posthorn::pop3_gateway
