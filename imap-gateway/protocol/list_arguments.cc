// LIST in its plain and extended forms ([RFC5258], [RFC5819]), LSUB and STATUS.

#include <array>

#include "imap-gateway/protocol/arguments.h"
#include "imap-gateway/protocol/mailbox_name.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::imap_gateway {
namespace {

constexpr size_t kMaxPatterns = 50;

struct NamedItem {
  std::string_view name;
  uint32_t item;
};
constexpr std::array<NamedItem, 9> kItems = {{{"MESSAGES", kStatusMessages},
                                              {"RECENT", kStatusRecent},
                                              {"UIDNEXT", kStatusUidNext},
                                              {"UIDVALIDITY", kStatusUidValidity},
                                              {"UNSEEN", kStatusUnseen},
                                              {"DELETED", kStatusDeleted},
                                              {"SIZE", kStatusSize},
                                              {"HIGHESTMODSEQ", kStatusHighestModSeq},
                                              {"APPENDLIMIT", kStatusAppendLimit}}};

// "(" status-att *(SP status-att) ")"
absl::StatusOr<uint32_t> StatusItems(Scanner& scan) {
  uint32_t items = 0;
  RETURN_IF_ERROR(scan.Expect('('));
  do {
    ASSIGN_OR_RETURN(const std::string_view word, scan.Atom());
    uint32_t found = 0;
    for (const NamedItem& item : kItems)
      if (base::EqualsIgnoreCase(word, item.name)) found = item.item;
    if (found == 0) return scan.Fail("a status item");
    items |= found;
  } while (scan.Eat(' '));
  RETURN_IF_ERROR(scan.Expect(')'));
  return items;
}

// "(" [list-select-opt *(SP list-select-opt)] ")"
absl::Status SelectionOptions(Scanner& scan, ListArguments& arguments) {
  arguments.extended = true;
  while (!scan.Eat(')')) {
    if (scan.EatWord("SUBSCRIBED")) {
      arguments.select_subscribed = true;
    } else if (scan.EatWord("SPECIAL-USE")) {
      arguments.select_special_use = true;
    } else if (scan.EatWord("RECURSIVEMATCH")) {
      arguments.recursive_match = true;
    } else if (!scan.EatWord("REMOTE")) {
      return scan.Fail("a selection option");
    }
    scan.Eat(' ');
  }
  // [RFC5258 3] RECURSIVEMATCH needs something to match recursively.
  if (arguments.recursive_match && !arguments.select_subscribed)
    return base::Invalid("RECURSIVEMATCH needs SUBSCRIBED");
  return absl::OkStatus();
}

absl::Status ReturnOptions(Scanner& scan, ListArguments& arguments) {
  arguments.extended = true;
  RETURN_IF_ERROR(scan.Space());
  RETURN_IF_ERROR(scan.Expect('('));
  while (!scan.Eat(')')) {
    if (scan.EatWord("SUBSCRIBED")) {
      arguments.return_subscribed = true;
    } else if (scan.EatWord("CHILDREN")) {
      arguments.return_children = true;
    } else if (scan.EatWord("SPECIAL-USE")) {
      arguments.return_special_use = true;
    } else if (scan.EatWord("STATUS")) {
      RETURN_IF_ERROR(scan.Space());
      ASSIGN_OR_RETURN(arguments.status_items, StatusItems(scan));
    } else {
      return scan.Fail("a return option");
    }
    scan.Eat(' ');
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Pattern(Scanner& scan) {
  ASSIGN_OR_RETURN(const std::string wire, scan.ListMailbox());
  std::optional<std::string> pattern = DecodeModifiedUtf7(wire);
  if (!pattern || pattern->size() > kMaxNameBytes) return scan.Fail("a mailbox pattern");
  return *std::move(pattern);
}

absl::Status Patterns(Scanner& scan, ListArguments& arguments) {
  if (!scan.Eat('(')) {
    ASSIGN_OR_RETURN(std::string pattern, Pattern(scan));
    arguments.patterns.push_back(std::move(pattern));
    return absl::OkStatus();
  }
  arguments.extended = true;
  do {
    if (arguments.patterns.size() == kMaxPatterns) return base::Invalid("too many patterns");
    ASSIGN_OR_RETURN(std::string pattern, Pattern(scan));
    arguments.patterns.push_back(std::move(pattern));
  } while (scan.Eat(' '));
  return scan.Expect(')');
}

absl::Status Reference(Scanner& scan, ListArguments& arguments) {
  ASSIGN_OR_RETURN(const std::string wire, scan.Astring());
  std::optional<std::string> reference = DecodeModifiedUtf7(wire);
  if (!reference || reference->size() > kMaxNameBytes) return scan.Fail("a reference name");
  arguments.reference = *std::move(reference);
  return scan.Space();
}

}  // namespace

absl::StatusOr<ListArguments> ParseList(std::string_view text) {
  Scanner scan(text);
  ListArguments arguments;
  if (scan.Eat('(')) {
    RETURN_IF_ERROR(SelectionOptions(scan, arguments));
    RETURN_IF_ERROR(scan.Space());
  }
  RETURN_IF_ERROR(Reference(scan, arguments));
  RETURN_IF_ERROR(Patterns(scan, arguments));
  if (scan.Eat(' ') && !scan.AtEnd()) {
    if (!scan.EatWord("RETURN")) return scan.Fail("RETURN");
    RETURN_IF_ERROR(ReturnOptions(scan, arguments));
  }
  RETURN_IF_ERROR(scan.End());
  return arguments;
}

absl::StatusOr<ListArguments> ParseLsub(std::string_view text) {
  Scanner scan(text);
  ListArguments arguments;
  RETURN_IF_ERROR(Reference(scan, arguments));
  ASSIGN_OR_RETURN(std::string pattern, Pattern(scan));
  arguments.patterns.push_back(std::move(pattern));
  RETURN_IF_ERROR(scan.End());
  return arguments;
}

absl::StatusOr<StatusArguments> ParseStatus(std::string_view text) {
  Scanner scan(text);
  StatusArguments arguments;
  ASSIGN_OR_RETURN(const std::string wire, scan.Astring());
  ASSIGN_OR_RETURN(arguments.mailbox, ParseMailboxName(wire));
  RETURN_IF_ERROR(scan.Space());
  ASSIGN_OR_RETURN(arguments.items, StatusItems(scan));
  RETURN_IF_ERROR(scan.End());
  return arguments;
}

}  // namespace posthorn::imap_gateway
