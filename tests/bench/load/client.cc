#include "tests/bench/load/client.h"

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::load {
namespace {
constexpr size_t kMaxLine = 1U << 16;
}

net::Task<absl::StatusOr<std::unique_ptr<Dialogue>>> Dialogue::Open(net::Loop& loop,
                                                                    std::string host,
                                                                    uint16_t port) {
  auto connection = co_await net::Connect(loop, host, port, "", kPatience);
  if (!connection.ok()) co_return connection.status();
  co_return std::make_unique<Dialogue>(*std::move(connection));
}

net::Task<absl::StatusOr<std::string>> Dialogue::Line() {
  absl::StatusOr<std::string_view> line = co_await connection_->ReadLine(kMaxLine, kPatience);
  if (!line.ok()) co_return line.status();
  co_return std::string(*line);
}

net::Task<absl::StatusOr<std::vector<std::string>>> Dialogue::UntilTagged(std::string tag) {
  CO_RETURN_IF_ERROR(co_await Flush());
  std::vector<std::string> lines;
  for (;;) {
    CO_ASSIGN_OR_RETURN(std::string line, co_await Line());
    const bool last = line.starts_with(tag + " ");
    lines.push_back(std::move(line));
    if (!last) continue;
    if (!lines.back().starts_with(tag + " OK")) co_return base::Internal(lines.back());
    co_return lines;
  }
}

net::Task<absl::Status> Dialogue::Expect(std::string expected) {
  for (;;) {
    CO_ASSIGN_OR_RETURN(const std::string line, co_await Line());
    if (!line.starts_with(expected)) co_return base::Internal(line);
    if (line.size() < 4 || line[3] == ' ') co_return absl::OkStatus();
  }
}

net::Task<absl::StatusOr<Dialogue::Swallowed>> Dialogue::Swallow(std::string tag) {
  CO_RETURN_IF_ERROR(co_await Flush());
  Swallowed swallowed;
  const std::string end = base::StrCat("\r\n", tag, " ");
  std::string tail = "\r\n";  // the end of what came before, in case the tagged line is cut by it
  for (;;) {
    CO_RETURN_IF_ERROR(co_await connection_->Fill(kPatience));
    const std::string_view chunk = connection_->buffered();
    swallowed.bytes += chunk.size();
    for (const char c : chunk) swallowed.lines += c == '\n' ? 1 : 0;
    tail.append(chunk.substr(chunk.size() - std::min<size_t>(chunk.size(), 300)));
    connection_->Consume(chunk.size());
    if (tail.size() > 600) tail.erase(0, tail.size() - 600);
    const size_t at = tail.rfind(end);
    if (at != std::string::npos && tail.ends_with("\r\n")) {
      swallowed.ok = tail.compare(at + end.size(), 2, "OK") == 0;
      co_return swallowed;
    }
  }
}

std::string MakeMessage(size_t size, uint64_t number, std::string_view from, std::string_view to) {
  std::string message =
      base::StrCat("From: <", from, ">\r\nTo: <", to, ">\r\nSubject: bench ", number,
                   "\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <bench.", number,
                   "@load.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n");
  const std::string_view line =
      "The quick brown fox jumps over the lazy dog and goes on for a while.\r\n";
  while (message.size() + line.size() <= size) message.append(line);
  return message;
}

net::Task<absl::Status> SmtpHello(Dialogue& smtp) {
  CO_RETURN_IF_ERROR(co_await smtp.Expect("220"));
  smtp.Say("EHLO load.test\r\n");
  CO_RETURN_IF_ERROR(co_await smtp.Flush());
  co_return co_await smtp.Expect("250");
}

net::Task<absl::Status> SmtpSend(Dialogue& smtp, std::string from, std::string to,
                                 std::string message) {
  smtp.Say(base::StrCat("MAIL FROM:<", from, ">\r\nRCPT TO:<", to, ">\r\nDATA\r\n"));
  CO_RETURN_IF_ERROR(co_await smtp.Flush());
  CO_RETURN_IF_ERROR(co_await smtp.Expect("250"));
  CO_RETURN_IF_ERROR(co_await smtp.Expect("250"));
  CO_RETURN_IF_ERROR(co_await smtp.Expect("354"));
  smtp.Say(message);
  smtp.Say(".\r\n");
  CO_RETURN_IF_ERROR(co_await smtp.Flush());
  co_return co_await smtp.Expect("250");
}

net::Task<absl::StatusOr<std::unique_ptr<Dialogue>>> ImapLogin(net::Loop& loop, std::string host,
                                                               uint16_t port, std::string user,
                                                               std::string password) {
  CO_ASSIGN_OR_RETURN(std::unique_ptr<Dialogue> imap, co_await Dialogue::Open(loop, host, port));
  CO_ASSIGN_OR_RETURN(const std::string greeting, co_await imap->Line());
  if (!greeting.starts_with("* OK")) co_return base::Internal(greeting);
  imap->Say(base::StrCat("l LOGIN ", user, " ", password, "\r\n"));
  auto answer = co_await imap->UntilTagged("l");
  if (!answer.ok()) co_return answer.status();
  co_return std::move(imap);
}

net::Task<absl::StatusOr<uint64_t>> ImapCount(Dialogue& imap, std::string mailbox) {
  imap.Say(base::StrCat("c STATUS ", mailbox, " (MESSAGES)\r\n"));
  CO_ASSIGN_OR_RETURN(const std::vector<std::string> lines, co_await imap.UntilTagged("c"));
  for (const std::string& line : lines) {
    const size_t at = line.find("MESSAGES ");
    if (at == std::string::npos) continue;
    const std::string digits =
        line.substr(at + 9, line.find_first_not_of("0123456789", at + 9) - at - 9);
    co_return base::ParseInt<uint64_t>(digits).value_or(0);
  }
  co_return base::Internal("no STATUS reply");
}

}  // namespace posthorn::load
