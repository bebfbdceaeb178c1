#include "imap-gateway/protocol/arguments.h"

#include <array>

#include "imap-gateway/protocol/mailbox_name.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::imap_gateway {
namespace {

constexpr size_t kMaxTag = 100;

absl::StatusOr<std::string> Mailbox(Scanner& scan) {
  ASSIGN_OR_RETURN(const std::string wire, scan.Astring());
  return ParseMailboxName(wire);
}

absl::StatusOr<SequenceSet> Set(Scanner& scan) {
  ASSIGN_OR_RETURN(const std::string_view text, scan.SetText());
  return SequenceSet::Parse(text);
}

bool IsTagChar(char c) { return c != '+' && IsAstringChar(c); }

// [RFC6154 2] what may be given with CREATE.
constexpr std::array<std::string_view, 8> kSpecialUses = {
    "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash", "\\All", "\\Important"};

// SP mailbox, and nothing behind it: where RENAME, COPY and MOVE put things.
absl::StatusOr<std::string> TargetAtTheEnd(Scanner& scan) {
  RETURN_IF_ERROR(scan.Space());
  ASSIGN_OR_RETURN(std::string mailbox, Mailbox(scan));
  RETURN_IF_ERROR(scan.End());
  return mailbox;
}

}  // namespace

absl::StatusOr<CommandHead> ParseHead(std::string_view text) {
  CommandHead head;
  size_t at = 0;
  while (at < text.size() && at <= kMaxTag && IsTagChar(text[at])) ++at;
  if (at == 0 || at > kMaxTag || at == text.size() || text[at] != ' ')
    return base::Invalid("expected a tag");
  head.tag = text.substr(0, at);
  Scanner scan(text.substr(at + 1));
  const absl::StatusOr<std::string_view> name = scan.Atom();
  if (!name.ok() || name->size() > 20) {
    head.name = "";
    return head;
  }
  head.name = base::Upper(*name);
  if (head.name == "UID" && scan.Eat(' ')) {
    const absl::StatusOr<std::string_view> sub = scan.Atom();
    head.name = sub.ok() && sub->size() <= 20 ? base::StrCat("UID ", base::Upper(*sub)) : "";
  }
  scan.Eat(' ');
  head.arguments = scan.rest();
  return head;
}

absl::StatusOr<LoginArguments> ParseLogin(std::string_view text) {
  Scanner scan(text);
  LoginArguments arguments;
  ASSIGN_OR_RETURN(arguments.name, scan.Astring());
  RETURN_IF_ERROR(scan.Space());
  ASSIGN_OR_RETURN(arguments.password, scan.Astring());
  RETURN_IF_ERROR(scan.End());
  return arguments;
}

absl::StatusOr<AuthenticateArguments> ParseAuthenticate(std::string_view text) {
  Scanner scan(text);
  AuthenticateArguments arguments;
  ASSIGN_OR_RETURN(const std::string_view mechanism, scan.Atom());
  arguments.mechanism = base::Upper(mechanism);
  if (scan.Eat(' ') && !scan.AtEnd()) {
    arguments.initial_response = std::string(base::Trim(scan.rest()));
  }
  return arguments;
}

absl::StatusOr<std::string> ParseMailbox(std::string_view text) {
  Scanner scan(text);
  ASSIGN_OR_RETURN(std::string name, Mailbox(scan));
  RETURN_IF_ERROR(scan.End());
  return name;
}

absl::StatusOr<SelectArguments> ParseSelect(std::string_view text) {
  Scanner scan(text);
  SelectArguments arguments;
  ASSIGN_OR_RETURN(arguments.mailbox, Mailbox(scan));
  if (scan.Eat(' ') && !scan.AtEnd()) {
    RETURN_IF_ERROR(scan.Expect('('));
    if (!scan.EatWord("CONDSTORE")) return scan.Fail("CONDSTORE");
    arguments.condstore = true;
    RETURN_IF_ERROR(scan.Expect(')'));
  }
  RETURN_IF_ERROR(scan.End());
  return arguments;
}

absl::StatusOr<CreateArguments> ParseCreate(std::string_view text) {
  Scanner scan(text);
  CreateArguments arguments;
  ASSIGN_OR_RETURN(arguments.mailbox, Mailbox(scan));
  if (scan.Eat(' ') && !scan.AtEnd()) {
    RETURN_IF_ERROR(scan.Expect('('));
    if (!scan.EatWord("USE")) return scan.Fail("USE");
    RETURN_IF_ERROR(scan.Space());
    RETURN_IF_ERROR(scan.Expect('('));
    while (!scan.Eat(')')) {
      ASSIGN_OR_RETURN(const std::string use, scan.Flag());
      if (!arguments.special_use.empty())
        return base::Error(absl::StatusCode::kUnimplemented, "special use");
      for (const std::string_view known : kSpecialUses)
        if (base::EqualsIgnoreCase(use, known)) arguments.special_use = known;
      if (arguments.special_use.empty())
        return base::Error(absl::StatusCode::kUnimplemented, "special use");
      scan.Eat(' ');
    }
    RETURN_IF_ERROR(scan.Expect(')'));
  }
  RETURN_IF_ERROR(scan.End());
  return arguments;
}

absl::StatusOr<RenameArguments> ParseRename(std::string_view text) {
  Scanner scan(text);
  RenameArguments arguments;
  ASSIGN_OR_RETURN(arguments.from, Mailbox(scan));
  ASSIGN_OR_RETURN(arguments.to, TargetAtTheEnd(scan));
  return arguments;
}

absl::StatusOr<AppendArguments> ParseAppend(std::string_view text) {
  const std::optional<LiteralMark> mark = FindLiteralMark(text);
  if (!mark) return base::Invalid("expected a message literal");
  Scanner scan(text.substr(0, text.rfind('{')));
  AppendArguments arguments;
  arguments.literal = *mark;
  ASSIGN_OR_RETURN(arguments.mailbox, Mailbox(scan));
  RETURN_IF_ERROR(scan.Space());
  if (scan.Peek() == '(') {
    ASSIGN_OR_RETURN(arguments.flags, ParseFlagList(scan, Parentheses::kRequired));
    RETURN_IF_ERROR(scan.Space());
  }
  if (scan.Peek() == '"') {
    ASSIGN_OR_RETURN(const std::string date, scan.String());
    ASSIGN_OR_RETURN(arguments.date, ParseDateTime(date));
    RETURN_IF_ERROR(scan.Space());
  }
  RETURN_IF_ERROR(scan.End());
  return arguments;
}

absl::StatusOr<FetchArguments> ParseFetch(std::string_view text) {
  Scanner scan(text);
  FetchArguments arguments;
  ASSIGN_OR_RETURN(arguments.set, Set(scan));
  RETURN_IF_ERROR(scan.Space());
  ASSIGN_OR_RETURN(arguments.items, ParseFetchItems(scan));
  // [RFC4466 2.4] fetch-modifiers
  if (scan.Eat(' ') && !scan.AtEnd()) {
    RETURN_IF_ERROR(scan.Expect('('));
    if (!scan.EatWord("CHANGEDSINCE")) return scan.Fail("CHANGEDSINCE");
    RETURN_IF_ERROR(scan.Space());
    ASSIGN_OR_RETURN(arguments.changed_since, scan.Number64());
    RETURN_IF_ERROR(scan.Expect(')'));
  }
  RETURN_IF_ERROR(scan.End());
  return arguments;
}

absl::StatusOr<StoreArguments> ParseStore(std::string_view text) {
  Scanner scan(text);
  StoreArguments arguments;
  ASSIGN_OR_RETURN(arguments.set, Set(scan));
  RETURN_IF_ERROR(scan.Space());
  if (scan.Eat('(')) {
    if (!scan.EatWord("UNCHANGEDSINCE")) return scan.Fail("UNCHANGEDSINCE");
    RETURN_IF_ERROR(scan.Space());
    ASSIGN_OR_RETURN(arguments.unchanged_since, scan.Number64());
    RETURN_IF_ERROR(scan.Expect(')'));
    RETURN_IF_ERROR(scan.Space());
  }
  using Mode = StoreArguments::Mode;
  if (scan.Eat('+')) {
    arguments.mode = Mode::kAdd;
  } else if (scan.Eat('-')) {
    arguments.mode = Mode::kRemove;
  }
  if (scan.EatWord("FLAGS.SILENT")) {
    arguments.silent = true;
  } else if (!scan.EatWord("FLAGS")) {
    return scan.Fail("FLAGS");
  }
  RETURN_IF_ERROR(scan.Space());
  ASSIGN_OR_RETURN(arguments.flags, ParseFlagList(scan, Parentheses::kOptional));
  RETURN_IF_ERROR(scan.End());
  return arguments;
}

absl::StatusOr<CopyArguments> ParseCopy(std::string_view text) {
  Scanner scan(text);
  CopyArguments arguments;
  ASSIGN_OR_RETURN(arguments.set, Set(scan));
  ASSIGN_OR_RETURN(arguments.mailbox, TargetAtTheEnd(scan));
  return arguments;
}

absl::StatusOr<SequenceSet> ParseUidExpunge(std::string_view text) {
  Scanner scan(text);
  ASSIGN_OR_RETURN(SequenceSet set, Set(scan));
  RETURN_IF_ERROR(scan.End());
  return set;
}

absl::StatusOr<std::vector<std::string>> ParseEnable(std::string_view text) {
  Scanner scan(text);
  std::vector<std::string> names;
  do {
    ASSIGN_OR_RETURN(const std::string_view name, scan.Atom());
    names.push_back(base::Upper(name));
  } while (scan.Eat(' ') && !scan.AtEnd());
  RETURN_IF_ERROR(scan.End());
  return names;
}

absl::StatusOr<std::string> ParseId(std::string_view text) {
  Scanner scan(text);
  std::string name;
  if (!scan.EatWord("NIL")) {
    RETURN_IF_ERROR(scan.Expect('('));
    for (int i = 0; !scan.Eat(')'); ++i) {
      if (i > 60) return base::Invalid("too many fields");
      if (i > 0) RETURN_IF_ERROR(scan.Space());
      ASSIGN_OR_RETURN(const std::string field, scan.String());
      RETURN_IF_ERROR(scan.Space());
      ASSIGN_OR_RETURN(const auto value, scan.Nstring());
      const bool wanted =
          base::EqualsIgnoreCase(field, "name") || base::EqualsIgnoreCase(field, "version");
      if (wanted && value)
        base::StrAppend(name, name.empty() ? "" : " ", std::string_view(*value).substr(0, 100));
    }
  }
  RETURN_IF_ERROR(scan.End());
  return name.substr(0, 200);
}

absl::Status ParseNothing(std::string_view text) { return Scanner(text).End(); }

}  // namespace posthorn::imap_gateway
