#include "lib/mail/smtp_parameters.h"

#include "lib/base/strings.h"
#include "lib/mail/utf8.h"

namespace posthorn::mail {
namespace {

constexpr size_t kMaxParameters = 50;

Reply BadParameter(std::string_view text) { return Reply(501, {5, 5, 4}, text); }

bool IsKeyword(std::string_view keyword) {
  if (keyword.empty() || keyword.front() == '-') return false;
  for (const char c : keyword) {
    const char lower = base::ToLower(c);
    if (!((lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-')) return false;
  }
  return true;
}

// esmtp-value = 1*(%d33-60 / %d62-126), and UTF-8 [RFC6531 3.3]
bool IsValue(std::string_view value) {
  for (const char c : value)
    if (static_cast<unsigned char>(c) <= 32 || c == '=' || c == 127) return false;
  return !value.empty() && IsUtf8(value);
}

// False on what is no parameter list.
bool Split(std::string_view text, std::vector<SmtpParameter>& out) {
  for (const std::string_view word : base::Split(text, ' ')) {
    if (word.empty()) continue;
    const size_t equals = word.find('=');
    SmtpParameter parameter{base::Upper(word.substr(0, equals)), {}};
    if (!IsKeyword(parameter.keyword) || out.size() >= kMaxParameters) return false;
    if (equals != std::string_view::npos) {
      const std::string_view value = word.substr(equals + 1);
      if (!IsValue(value)) return false;
      parameter.value = std::string(value);
    }
    for (const SmtpParameter& other : out)
      if (other.keyword == parameter.keyword) return false;
    out.push_back(std::move(parameter));
  }
  return true;
}

bool ReadSize(const std::string& value, MailFrom& mail) {
  // size-value = 1*20DIGIT: what does not fit 64 bits is certainly too big [RFC1870 4].
  if (value.empty() || value.size() > 20) return false;
  for (const char c : value)
    if (c < '0' || c > '9') return false;
  mail.size = base::ParseInt<uint64_t>(value).value_or(UINT64_MAX);
  return true;
}

bool ReadBody(std::string_view value, MailFrom& mail) {
  if (base::EqualsIgnoreCase(value, "7BIT")) {
    mail.body = BodyType::k7Bit;
  } else if (base::EqualsIgnoreCase(value, "8BITMIME")) {
    mail.body = BodyType::k8BitMime;
  } else if (base::EqualsIgnoreCase(value, "BINARYMIME")) {
    mail.body = BodyType::kBinaryMime;
  } else {
    return false;
  }
  return true;
}

bool ReadRet(std::string_view value, MailFrom& mail) {
  if (base::EqualsIgnoreCase(value, "FULL")) {
    mail.ret = DsnReturn::kFull;
  } else if (base::EqualsIgnoreCase(value, "HDRS")) {
    mail.ret = DsnReturn::kHeaders;
  } else {
    return false;
  }
  return true;
}

// notify-esmtp-value = "NEVER" / 1#notify-list-element [RFC3461 4.1]
bool ReadNotify(std::string_view value, RcptTo& rcpt) {
  size_t count = 0;
  for (const std::string_view word : base::Split(value, ',')) {
    ++count;
    if (base::EqualsIgnoreCase(word, "NEVER")) {
      rcpt.notify_never = true;
    } else if (base::EqualsIgnoreCase(word, "SUCCESS")) {
      rcpt.notify_success = true;
    } else if (base::EqualsIgnoreCase(word, "FAILURE")) {
      rcpt.notify_failure = true;
    } else if (base::EqualsIgnoreCase(word, "DELAY")) {
      rcpt.notify_delay = true;
    } else {
      return false;
    }
  }
  return !rcpt.notify_never || count == 1;
}

// original-recipient-address = addr-type ";" xtext [RFC3461 4.2]
bool ReadOrcpt(std::string_view value, RcptTo& rcpt) {
  const size_t semicolon = value.find(';');
  if (semicolon == 0 || semicolon == std::string_view::npos || value.size() > 500) return false;
  // [RFC6533 3] lets utf-8 addresses stand as they are.
  const std::string_view text = value.substr(semicolon + 1);
  const std::optional<std::string> decoded = IsAscii(text) ? DecodeXtext(text) : std::string(text);
  if (!decoded) return false;
  rcpt.orcpt = base::StrCat(value.substr(0, semicolon + 1), *decoded);
  return true;
}

bool ReadXtext(std::string_view value, std::optional<std::string>& out) {
  out = DecodeXtext(value);
  return out.has_value();
}

}  // namespace

namespace internal {

std::optional<Reply> ReadMailParameters(std::string_view text, MailFrom& mail) {
  std::vector<SmtpParameter> parameters;
  if (!Split(text, parameters)) return BadParameter("Syntax error in MAIL parameters");
  for (SmtpParameter& parameter : parameters) {
    const std::string value = parameter.value.value_or("");
    bool good = true;
    if (parameter.keyword == "SIZE") {
      good = ReadSize(value, mail);
    } else if (parameter.keyword == "BODY") {
      good = ReadBody(value, mail);
    } else if (parameter.keyword == "SMTPUTF8") {
      good = !parameter.value;
      mail.smtputf8 = true;
    } else if (parameter.keyword == "AUTH") {
      good = parameter.value && ReadXtext(value, mail.auth);
    } else if (parameter.keyword == "RET") {
      good = ReadRet(value, mail);
    } else if (parameter.keyword == "ENVID") {
      good = parameter.value && value.size() <= 100 && ReadXtext(value, mail.envid);
    } else {
      mail.unknown.push_back(std::move(parameter));
      continue;
    }
    if (!good) return BadParameter(base::StrCat("Bad value of ", parameter.keyword));
  }
  return {};
}

std::optional<Reply> ReadRcptParameters(std::string_view text, RcptTo& rcpt) {
  std::vector<SmtpParameter> parameters;
  if (!Split(text, parameters)) return BadParameter("Syntax error in RCPT parameters");
  for (SmtpParameter& parameter : parameters) {
    const std::string value = parameter.value.value_or("");
    bool good = true;
    if (parameter.keyword == "NOTIFY") {
      good = ReadNotify(value, rcpt);
    } else if (parameter.keyword == "ORCPT") {
      good = ReadOrcpt(value, rcpt);
    } else {
      rcpt.unknown.push_back(std::move(parameter));
      continue;
    }
    if (!good) return BadParameter(base::StrCat("Bad value of ", parameter.keyword));
  }
  return {};
}

}  // namespace internal
}  // namespace posthorn::mail
