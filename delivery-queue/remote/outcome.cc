#include "delivery-queue/remote/outcome.h"

#include "lib/base/strings.h"
#include "lib/mail/utf8.h"

namespace posthorn::delivery_queue {
namespace {

constexpr size_t kMaxText = 500;  // kept for each recipient, in journal and trace

}  // namespace

std::string ReplyText(const mail::Reply& reply) {
  std::string text = std::to_string(reply.code);
  if (reply.enhanced.status != 0)
    base::StrAppend(text, " ", mail::FormatEnhancedCode(reply.enhanced));
  if (const std::string words = reply.Text(); !words.empty()) base::StrAppend(text, " ", words);
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 32 || c == 127) c = ' ';
  if (text.size() > kMaxText) text.resize(kMaxText);
  // It ends in protobuf strings, which must be UTF-8; peers may send anything.
  std::string valid;
  mail::AppendAsUtf8(text, valid);
  return valid;
}

RemoteOutcome FromReply(const mail::Reply& reply, std::string_view host) {
  RemoteOutcome outcome;
  outcome.reply = ReplyText(reply);
  outcome.host = std::string(host);
  outcome.replied = true;
  const int kind = reply.code / 100;
  outcome.kind = kind == 2   ? RemoteOutcome::Kind::kSent
                 : kind == 5 ? RemoteOutcome::Kind::kFailed
                             : RemoteOutcome::Kind::kDeferred;
  const int shown = kind == 2 || kind == 5 ? kind : 4;
  outcome.status = reply.enhanced.status == shown ? mail::FormatEnhancedCode(reply.enhanced)
                                                  : base::StrCat(shown, ".0.0");
  return outcome;
}

RemoteOutcome Deferred(std::string_view status, std::string_view text, std::string_view host) {
  return {RemoteOutcome::Kind::kDeferred, std::string(text), std::string(status), std::string(host),
          false};
}

RemoteOutcome Failed(std::string_view status, std::string_view text, std::string_view host) {
  return {RemoteOutcome::Kind::kFailed, std::string(text), std::string(status), std::string(host),
          false};
}

}  // namespace posthorn::delivery_queue
