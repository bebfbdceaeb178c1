#include "imap-gateway/session/model_client.h"

#include "lib/base/strings.h"

namespace posthorn::imap_gateway {
namespace {

std::string_view Between(std::string_view text, std::string_view open, std::string_view close) {
  const size_t from = text.find(open);
  if (from == std::string_view::npos) return {};
  const size_t end = text.find(close, from + open.size());
  return text.substr(from + open.size(), end - from - open.size());
}

}  // namespace

void ModelClient::Select(std::string mailbox) {
  mailbox_ = std::move(mailbox);
  uids_.clear();
  flags_.clear();
  expunged_.clear();
}

std::optional<std::string> ModelClient::OnLine(std::string_view line, bool expunge_allowed) {
  if (!line.starts_with("* ")) return {};
  const std::vector<std::string_view> words = base::Split(line, ' ');
  const std::optional<uint32_t> number = base::ParseInt<uint32_t>(words[1]);
  if (!number || words.size() < 3) return {};
  if (words[2] == "EXISTS") {
    if (*number < count()) return "EXISTS went down without EXPUNGE";
    uids_.resize(*number);
  } else if (words[2] == "EXPUNGE") {
    if (!expunge_allowed) return "EXPUNGE in a command that forbids it";
    if (*number < 1 || *number > count()) return "EXPUNGE of a number that is not there";
    const uint32_t uid = uids_[*number - 1];
    expunged_.insert(uid);
    flags_.erase(uid);
    uids_.erase(uids_.begin() + (*number - 1));
  } else if (words[2] == "FETCH") {
    if (*number < 1 || *number > count()) return "FETCH of a number that is not there";
    return OnFetch(*number, line);
  }
  return {};
}

std::optional<std::string> ModelClient::OnFetch(uint32_t sequence, std::string_view rest) {
  const std::string_view after = rest.substr(std::min(rest.size(), rest.find("UID ") + 4));
  const size_t end = after.find_first_not_of("0123456789");
  const std::optional<uint32_t> uid = base::ParseInt<uint32_t>(after.substr(0, end));
  if (rest.find("UID ") == std::string_view::npos || !uid) return "FETCH without UID";
  uint32_t& known = uids_[sequence - 1];
  if (known != 0 && known != *uid)
    return base::StrCat("number ", sequence, " is uid ", known, ", not ", *uid);
  known = *uid;
  for (uint32_t below = 0; below < sequence - 1; ++below)
    if (uids_[below] != 0 && uids_[below] >= *uid) return "uids do not ascend";
  for (uint32_t above = sequence; above < count(); ++above)
    if (uids_[above] != 0 && uids_[above] <= *uid) return "uids do not ascend";
  if (rest.find("FLAGS (") == std::string_view::npos) return {};
  std::set<std::string>& flags = flags_[*uid];
  flags.clear();
  for (const std::string_view flag : base::Split(Between(rest, "FLAGS (", ")"), ' '))
    if (!flag.empty()) flags.insert(std::string(flag));
  return {};
}

void ModelClient::Assume(uint32_t uid, char mode, const std::string& flag) {
  const auto known = flags_.find(uid);
  if (known == flags_.end()) return;
  if (mode == '-') {
    known->second.erase(flag);
    return;
  }
  if (mode == '=') known->second.clear();
  known->second.insert(flag);
}

}  // namespace posthorn::imap_gateway
