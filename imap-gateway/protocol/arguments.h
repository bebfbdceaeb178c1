#pragma once

// The typed arguments of commands, each with the function that parses what stands behind the
// command's name. Every parser demands the end of the command. kInvalidArgument says what was
// expected.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "imap-gateway/protocol/command_framer.h"
#include "imap-gateway/protocol/dates.h"
#include "imap-gateway/protocol/fetch_items.h"
#include "imap-gateway/protocol/flags.h"
#include "imap-gateway/protocol/number_set.h"

namespace posthorn::imap_gateway {

struct CommandHead {
  std::string tag;
  std::string name;            // upper case; "UID FETCH" for UID's subcommands
  std::string_view arguments;  // behind the name and one space; a view into the text
};
// tag SP command; the tag is empty when not even that could be read.
absl::StatusOr<CommandHead> ParseHead(std::string_view text);

struct LoginArguments {
  std::string name;
  std::string password;
};
absl::StatusOr<LoginArguments> ParseLogin(std::string_view text);

struct AuthenticateArguments {
  std::string mechanism;                        // upper case
  std::optional<std::string> initial_response;  // still base64; "=" is empty ([RFC4959])
};
absl::StatusOr<AuthenticateArguments> ParseAuthenticate(std::string_view text);

// One mailbox name in the store's form.
absl::StatusOr<std::string> ParseMailbox(std::string_view text);

struct SelectArguments {
  std::string mailbox;
  bool condstore = false;
};
absl::StatusOr<SelectArguments> ParseSelect(std::string_view text);

struct CreateArguments {
  std::string mailbox;
  std::string special_use;  // "\Sent", or empty ([RFC6154 3])
};
// kUnimplemented: more than one special use, or one nobody defined ([USEATTR]).
absl::StatusOr<CreateArguments> ParseCreate(std::string_view text);

struct RenameArguments {
  std::string from;
  std::string to;
};
absl::StatusOr<RenameArguments> ParseRename(std::string_view text);

enum StatusItem : uint32_t {
  kStatusMessages = 1,
  kStatusRecent = 2,
  kStatusUidNext = 4,
  kStatusUidValidity = 8,
  kStatusUnseen = 16,
  kStatusDeleted = 32,
  kStatusSize = 64,
  kStatusHighestModSeq = 128,
  kStatusAppendLimit = 256,
};
struct StatusArguments {
  std::string mailbox;
  uint32_t items = 0;
};
absl::StatusOr<StatusArguments> ParseStatus(std::string_view text);

struct ListArguments {
  std::string reference;              // UTF-8
  std::vector<std::string> patterns;  // UTF-8
  bool select_subscribed = false;
  bool select_special_use = false;
  bool recursive_match = false;
  bool return_subscribed = false;
  bool return_children = false;
  bool return_special_use = false;
  uint32_t status_items = 0;
  bool extended = false;
};
absl::StatusOr<ListArguments> ParseList(std::string_view text);
// LSUB's plain form.
absl::StatusOr<ListArguments> ParseLsub(std::string_view text);

struct AppendArguments {
  std::string mailbox;
  FlagList flags;
  std::optional<DateTime> date;
  LiteralMark literal;
};
// `text` ends with the message's literal mark.
absl::StatusOr<AppendArguments> ParseAppend(std::string_view text);

struct FetchArguments {
  SequenceSet set;
  FetchItems items;
  std::optional<uint64_t> changed_since;
};
absl::StatusOr<FetchArguments> ParseFetch(std::string_view text);

struct StoreArguments {
  enum class Mode { kReplace, kAdd, kRemove };
  SequenceSet set;
  Mode mode = Mode::kReplace;
  bool silent = false;
  FlagList flags;
  std::optional<uint64_t> unchanged_since;
};
absl::StatusOr<StoreArguments> ParseStore(std::string_view text);

struct CopyArguments {
  SequenceSet set;
  std::string mailbox;
};
absl::StatusOr<CopyArguments> ParseCopy(std::string_view text);

absl::StatusOr<SequenceSet> ParseUidExpunge(std::string_view text);
absl::StatusOr<std::vector<std::string>> ParseEnable(std::string_view text);
// [RFC2971]; the client's name and version for the log, at most 200 bytes.
absl::StatusOr<std::string> ParseId(std::string_view text);
absl::Status ParseNothing(std::string_view text);

}  // namespace posthorn::imap_gateway
