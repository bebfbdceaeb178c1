// Any line is a command or an error; an accepted path is written and read back the same.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "lib/mail/smtp_command.h"
#include "lib/mail/smtp_reply.h"

namespace {

using namespace posthorn::mail;

void CheckPath(const Path& path) {
  if (path.IsNull() || path.domain.empty()) return;
  const auto again = ParseMailbox(path.Address(), Utf8::kAllow);
  if (!again.ok() || !(*again == path)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  for (const Strictness strictness : {Strictness::kStrict, Strictness::kLenient}) {
    for (const Utf8 utf8 : {Utf8::kRefuse, Utf8::kAllow}) {
      const SmtpCommand command = ParseSmtpCommand(line, {strictness, utf8});
      if (const auto* mail = std::get_if<MailFrom>(&command)) CheckPath(mail->reverse_path);
      if (const auto* rcpt = std::get_if<RcptTo>(&command)) CheckPath(rcpt->forward_path);
      if (const auto* bad = std::get_if<BadCommand>(&command))
        if (Serialize(bad->reply).find("\r\n") + 2 != Serialize(bad->reply).size()) std::abort();
    }
  }
  ReplyBuilder().Add(line);
  return 0;
}
