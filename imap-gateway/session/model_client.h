#pragma once

// What a client may believe, kept from untagged responses alone: sequence number → uid, and the
// flags it was told. Every response is checked against it.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace posthorn::imap_gateway {

class ModelClient {
 public:
  // Begins a new mailbox: nothing is known.
  void Select(std::string mailbox);
  void Unselect() { mailbox_.clear(); }
  const std::string& mailbox() const { return mailbox_; }
  uint32_t count() const { return static_cast<uint32_t>(uids_.size()); }
  // 0: not told yet.
  uint32_t uid(uint32_t sequence) const { return uids_[sequence - 1]; }
  const std::map<uint32_t, std::set<std::string>>& flags() const { return flags_; }
  const std::vector<uint32_t>& uids() const { return uids_; }

  // Takes one line; an explanation when the protocol does not allow it. `expunge_allowed` by the
  // running command.
  std::optional<std::string> OnLine(std::string_view line, bool expunge_allowed);
  // What the client assumes after a silent STORE that was answered OK.
  void Assume(uint32_t uid, char mode, const std::string& flag);
  // Uids that were told to be gone.
  const std::set<uint32_t>& expunged() const { return expunged_; }

 private:
  std::optional<std::string> OnFetch(uint32_t sequence, std::string_view rest);

  std::string mailbox_;
  std::vector<uint32_t> uids_;
  std::map<uint32_t, std::set<std::string>> flags_;
  std::set<uint32_t> expunged_;
};

}  // namespace posthorn::imap_gateway
