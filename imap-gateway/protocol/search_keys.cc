#include "imap-gateway/protocol/search_keys.h"

#include <array>

#include "imap-gateway/protocol/dates.h"
#include "imap-gateway/protocol/flags.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::imap_gateway {
namespace {

constexpr int kMaxDepth = 30;
constexpr int kMaxKeys = 1000;
using Kind = SearchKey::Kind;

struct FlagWord {
  std::string_view word;
  Kind kind;
  uint8_t bits;
};
constexpr std::array<FlagWord, 14> kFlagWords = {{{"ALL", Kind::kAnd, 0},
                                                  {"ANSWERED", Kind::kAllFlags, kAnswered},
                                                  {"DELETED", Kind::kAllFlags, kDeleted},
                                                  {"DRAFT", Kind::kAllFlags, kDraft},
                                                  {"FLAGGED", Kind::kAllFlags, kFlagged},
                                                  {"SEEN", Kind::kAllFlags, kSeen},
                                                  {"UNANSWERED", Kind::kNoneOfFlags, kAnswered},
                                                  {"UNDELETED", Kind::kNoneOfFlags, kDeleted},
                                                  {"UNDRAFT", Kind::kNoneOfFlags, kDraft},
                                                  {"UNFLAGGED", Kind::kNoneOfFlags, kFlagged},
                                                  {"UNSEEN", Kind::kNoneOfFlags, kSeen},
                                                  {"NEW", Kind::kNever, 0},
                                                  {"RECENT", Kind::kNever, 0},
                                                  {"OLD", Kind::kAnd, 0}}};
struct ArgumentWord {
  std::string_view word;
  Kind kind;
};
constexpr std::array<ArgumentWord, 9> kDateWords = {{{"BEFORE", Kind::kBefore},
                                                     {"ON", Kind::kOn},
                                                     {"SINCE", Kind::kSince},
                                                     {"SENTBEFORE", Kind::kSentBefore},
                                                     {"SENTON", Kind::kSentOn},
                                                     {"SENTSINCE", Kind::kSentSince},
                                                     {"SAVEDBEFORE", Kind::kSavedBefore},
                                                     {"SAVEDON", Kind::kSavedOn},
                                                     {"SAVEDSINCE", Kind::kSavedSince}}};
constexpr std::array<ArgumentWord, 4> kNumberWords = {{{"LARGER", Kind::kLarger},
                                                       {"SMALLER", Kind::kSmaller},
                                                       {"YOUNGER", Kind::kYounger},
                                                       {"OLDER", Kind::kOlder}}};
constexpr std::array<std::string_view, 5> kFieldWords = {"BCC", "CC", "FROM", "SUBJECT", "TO"};

class Parser {
 public:
  Parser(Scanner& scan, SearchArguments& out) : scan_(scan), out_(out) {}

  absl::StatusOr<SearchKey> Key(int depth) {
    if (depth > kMaxDepth || ++keys_ > kMaxKeys) return base::Invalid("search too complex");
    if (scan_.Eat('(')) return List(depth);
    const char c = scan_.Peek();
    if ((c >= '0' && c <= '9') || c == '*') return Set(Kind::kSequence);
    ASSIGN_OR_RETURN(const std::string_view word, scan_.Atom());
    for (const FlagWord& flag : kFlagWords) {
      if (!base::EqualsIgnoreCase(word, flag.word)) continue;
      SearchKey key;
      key.kind = flag.kind;
      key.number = flag.bits;
      return key;
    }
    return Argument(word, depth);
  }

 private:
  absl::StatusOr<SearchKey> List(int depth) {
    SearchKey all;
    do {
      ASSIGN_OR_RETURN(SearchKey key, Key(depth + 1));
      all.children.push_back(std::move(key));
    } while (scan_.Eat(' '));
    RETURN_IF_ERROR(scan_.Expect(')'));
    return all;
  }

  absl::StatusOr<SearchKey> Set(Kind kind) {
    SearchKey key;
    key.kind = kind;
    ASSIGN_OR_RETURN(const std::string_view text, scan_.SetText());
    ASSIGN_OR_RETURN(key.set, SequenceSet::Parse(text));
    return key;
  }

  // A key with something behind it.
  absl::StatusOr<SearchKey> Argument(std::string_view word, int depth) {
    const auto is = [word](std::string_view name) { return base::EqualsIgnoreCase(word, name); };
    RETURN_IF_ERROR(scan_.Space());
    if (is("NOT")) return Not(depth);
    if (is("OR")) return Or(depth);
    if (is("UID")) return Set(Kind::kUid);
    if (is("KEYWORD") || is("UNKEYWORD")) return Keyword(is("KEYWORD"));
    if (is("MODSEQ")) return ModSeq();
    if (is("HEADER")) return Header();
    if (is("BODY")) return Text(Kind::kBody, {});
    if (is("TEXT")) return Text(Kind::kText, {});
    for (const std::string_view field : kFieldWords)
      if (is(field)) return Text(Kind::kHeader, field);
    for (const ArgumentWord& date : kDateWords)
      if (is(date.word)) return Date(date.kind);
    for (const ArgumentWord& number : kNumberWords)
      if (is(number.word)) return Number(number.kind);
    return base::Invalid(base::StrCat("unknown search key ", word));
  }

  absl::StatusOr<SearchKey> Not(int depth) {
    SearchKey key;
    key.kind = Kind::kNot;
    ASSIGN_OR_RETURN(SearchKey child, Key(depth + 1));
    key.children.push_back(std::move(child));
    return key;
  }

  absl::StatusOr<SearchKey> Or(int depth) {
    SearchKey key;
    key.kind = Kind::kOr;
    ASSIGN_OR_RETURN(SearchKey left, Key(depth + 1));
    RETURN_IF_ERROR(scan_.Space());
    ASSIGN_OR_RETURN(SearchKey right, Key(depth + 1));
    key.children.push_back(std::move(left));
    key.children.push_back(std::move(right));
    return key;
  }

  absl::StatusOr<SearchKey> Keyword(bool has) {
    SearchKey key;
    key.kind = Kind::kKeyword;
    ASSIGN_OR_RETURN(key.text, scan_.Flag());
    if (has) return key;
    SearchKey no;
    no.kind = Kind::kNot;
    no.children.push_back(std::move(key));
    return no;
  }

  // "MODSEQ" [SP entry-name SP entry-type-req] SP mod-sequence-valzer; we have one modseq for all
  // flags.
  absl::StatusOr<SearchKey> ModSeq() {
    out_.has_modseq = true;
    if (scan_.Peek() == '"') {
      RETURN_IF_ERROR(scan_.Astring().status());
      RETURN_IF_ERROR(scan_.Space());
      ASSIGN_OR_RETURN(const std::string_view type, scan_.Atom());
      if (!base::EqualsIgnoreCase(type, "all") && !base::EqualsIgnoreCase(type, "priv") &&
          !base::EqualsIgnoreCase(type, "shared"))
        return scan_.Fail("all, priv or shared");
      RETURN_IF_ERROR(scan_.Space());
    }
    return Number(Kind::kModSeq);
  }

  absl::StatusOr<SearchKey> Header() {
    ASSIGN_OR_RETURN(const std::string field, scan_.Astring());
    RETURN_IF_ERROR(scan_.Space());
    return Text(Kind::kHeader, field);
  }

  absl::StatusOr<SearchKey> Text(Kind kind, std::string_view field) {
    SearchKey key;
    key.kind = kind;
    key.field = field;
    ASSIGN_OR_RETURN(key.text, scan_.Astring());
    return key;
  }

  absl::StatusOr<SearchKey> Date(Kind kind) {
    SearchKey key;
    key.kind = kind;
    ASSIGN_OR_RETURN(const std::string text, scan_.Astring());
    ASSIGN_OR_RETURN(key.number, ParseDay(text));
    return key;
  }

  absl::StatusOr<SearchKey> Number(Kind kind) {
    SearchKey key;
    key.kind = kind;
    ASSIGN_OR_RETURN(const uint64_t number, scan_.Number64());
    key.number = static_cast<int64_t>(number);
    return key;
  }

  Scanner& scan_;
  SearchArguments& out_;
  int keys_ = 0;
};

// [RFC9051 6.4.4] "RETURN" SP "(" [search-return-opt *(SP search-return-opt)] ")"
absl::Status ParseReturn(Scanner& scan, SearchReturn& options) {
  options.any = true;
  RETURN_IF_ERROR(scan.Space());
  RETURN_IF_ERROR(scan.Expect('('));
  if (scan.Eat(')')) {
    options.all = true;
    return scan.Space();
  }
  do {
    if (scan.EatWord("MIN")) {
      options.min = true;
    } else if (scan.EatWord("MAX")) {
      options.max = true;
    } else if (scan.EatWord("ALL")) {
      options.all = true;
    } else if (scan.EatWord("COUNT")) {
      options.count = true;
    } else {
      return scan.Fail("MIN, MAX, ALL or COUNT");
    }
  } while (scan.Eat(' '));
  RETURN_IF_ERROR(scan.Expect(')'));
  return scan.Space();
}

}  // namespace

absl::StatusOr<SearchArguments> ParseSearch(Scanner& scan) {
  SearchArguments arguments;
  if (scan.EatWord("RETURN")) RETURN_IF_ERROR(ParseReturn(scan, arguments.options));
  if (scan.EatWord("CHARSET")) {
    RETURN_IF_ERROR(scan.Space());
    ASSIGN_OR_RETURN(const std::string charset, scan.Astring());
    RETURN_IF_ERROR(scan.Space());
    if (!base::EqualsIgnoreCase(charset, "UTF-8") && !base::EqualsIgnoreCase(charset, "US-ASCII"))
      return base::Error(absl::StatusCode::kUnimplemented, "charset");
  }
  Parser parser(scan, arguments);
  do {
    ASSIGN_OR_RETURN(SearchKey key, parser.Key(0));
    arguments.key.children.push_back(std::move(key));
  } while (scan.Eat(' ') && !scan.AtEnd());
  RETURN_IF_ERROR(scan.End());
  return arguments;
}

}  // namespace posthorn::imap_gateway
