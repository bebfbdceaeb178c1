#include <gtest/gtest.h>

#include "imap-gateway/protocol/arguments.h"
#include "imap-gateway/protocol/mailbox_name.h"
#include "imap-gateway/protocol/response.h"
#include "imap-gateway/protocol/search_keys.h"

namespace posthorn::imap_gateway {
namespace {

using std::string_literals::operator""s;

// [RFC9051 9] sequence-set
TEST(SequenceSet, ResolvesStarsAndReversedRanges) {
  const struct {
    const char* text;
    uint32_t largest;
    const char* resolved;
  } kCases[] = {{"1", 9, "1"},     {"1:3,2:5", 9, "1:5"},
                {"*", 9, "9"},     {"5:2", 9, "2:5"},
                {"7:*", 9, "7:9"}, {"12:*", 9, "9:12"},
                {"*:1", 9, "1:9"}, {"3,1,2", 9, "1:3"},
                {"1:*", 0, ""},    {"4294967295", 9, "4294967295"}};
  for (const auto& c : kCases) {
    const auto set = SequenceSet::Parse(c.text);
    ASSERT_TRUE(set.ok()) << c.text;
    EXPECT_EQ(set->Resolve(c.largest).ToString(), c.resolved) << c.text;
  }
  for (const char* bad : {"", "0", "1:", ":1", "1,", "a", "4294967296", "1:2:3", "$"})
    EXPECT_FALSE(SequenceSet::Parse(bad).ok()) << bad;
}

TEST(NumberSet, FindsNumbersInRanges) {
  const NumberSet set({{5, 7}, {1, 2}, {8, 8}});
  EXPECT_EQ(set.ToString(), "1:2,5:8");
  EXPECT_EQ(set.Count(), 6U);
  EXPECT_TRUE(set.Contains(8));
  EXPECT_FALSE(set.Contains(3));
  EXPECT_FALSE(set.Contains(9));
}

// [RFC3501 5.1.3]
TEST(MailboxName, TranslatesModifiedUtf7BothWays) {
  const struct {
    const char* wire;
    const char* utf8;
  } kCases[] = {{"INBOX", "INBOX"},
                {"&-", "&"},
                {"Caf&AOk-", "Caf\xc3\xa9"},
                {"~peter/mail/&U,BTFw-/&ZeVnLIqe-",
                 "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
                {"&2D3eAA-", "\xf0\x9f\x98\x80"}};
  for (const auto& c : kCases) {
    EXPECT_EQ(DecodeModifiedUtf7(c.wire).value_or("?"), c.utf8);
    EXPECT_EQ(EncodeModifiedUtf7(c.utf8), c.wire);
  }
  for (const char* bad : {"&", "&AOk", "&A-", "&2D0-", "&!!-", "\xff"})
    EXPECT_FALSE(DecodeModifiedUtf7(bad)) << bad;
}

TEST(MailboxName, IsNormalizedAndBounded) {
  EXPECT_EQ(*ParseMailboxName("inbox"), "INBOX");
  EXPECT_EQ(*ParseMailboxName("Inbox/sub"), "INBOX/sub");
  EXPECT_EQ(*ParseMailboxName("a/b/"), "a/b");
  for (const std::string& bad : {"/a"s, "a//b"s, ""s, "a\x01"s, std::string(1001, 'x')})
    EXPECT_FALSE(ParseMailboxName(bad).ok());
}

// [RFC9051 6.3.9]
TEST(ListPattern, MatchesWildcards) {
  EXPECT_TRUE(ListMatches("*", "a/b"));
  EXPECT_FALSE(ListMatches("%", "a/b"));
  EXPECT_TRUE(ListMatches("%/%", "a/b"));
  EXPECT_TRUE(ListMatches("a*b%c", "axxbyc"));
  EXPECT_FALSE(ListMatches("a%c", "a/c"));
  EXPECT_TRUE(ListMatches("*%", "a/b/c"));
  EXPECT_TRUE(ListMatches("inbox", "INBOX"));
  EXPECT_TRUE(ListMatches("inbox/%", "INBOX/x"));
  EXPECT_FALSE(ListMatches("", "a"));
  // Bounded time for the worst pattern.
  std::string pattern;
  for (int i = 0; i < 400; ++i) pattern += "*a%";
  EXPECT_FALSE(ListMatches(pattern + "b", std::string(900, 'a')));
}

TEST(Dates, AreReadAndWritten) {
  for (const char* text : {"17-Jul-1996 02:44:25 -0700", " 1-Feb-2020 10:11:12 +0130",
                           "29-Feb-2000 23:59:59 +0000", "31-Dec-1969 23:59:59 +0000"}) {
    const auto when = ParseDateTime(text);
    ASSERT_TRUE(when.ok()) << text;
    std::string out;
    AppendDateTime(out, *when);
    EXPECT_EQ(out, text);
  }
  EXPECT_EQ(*ParseDay("2-Jan-1970"), 1);
  EXPECT_EQ(LocalDay({0, -60}), -1);
  for (const char* bad : {"30-Feb-2020", "1-Foo-2020", "0-Jan-2020", "1-Jan-20", ""})
    EXPECT_FALSE(ParseDay(bad).ok());
}

TEST(CommandFramer, PutsLinesAndLiteralsTogether) {
  using Step = CommandFramer::Step;
  CommandFramer framer(100);
  EXPECT_EQ(framer.AddLine("a LOGIN {3}"), Step::kLiteral);
  EXPECT_EQ(framer.mark().size, 3U);
  EXPECT_TRUE(framer.mark().synchronizing);
  framer.AddLiteral("a b");
  EXPECT_EQ(framer.AddLine(" {2+}"), Step::kLiteral);
  EXPECT_FALSE(framer.mark().synchronizing);
  framer.AddLiteral("pw");
  EXPECT_EQ(framer.AddLine(""), Step::kComplete);
  const auto head = ParseHead(framer.text());
  ASSERT_TRUE(head.ok());
  const auto login = ParseLogin(head->arguments);
  ASSERT_TRUE(login.ok());
  EXPECT_EQ(login->name, "a b");
  EXPECT_EQ(login->password, "pw");
}

TEST(CommandFramer, KnowsMessagesAndLimits) {
  using Step = CommandFramer::Step;
  EXPECT_EQ(CommandFramer(100).AddLine("a APPEND INBOX (\\Seen) {99999999}"), Step::kMessage);
  CommandFramer literal_name(100);
  EXPECT_EQ(literal_name.AddLine("a append {5}"), Step::kLiteral);
  literal_name.AddLiteral("INBOX");
  EXPECT_EQ(literal_name.AddLine(" {77+}"), Step::kMessage);
  EXPECT_EQ(CommandFramer(100).AddLine("a LOGIN {101}"), Step::kTooLarge);
  EXPECT_EQ(CommandFramer(100).AddLine("a NOOP {x}"), Step::kComplete);
}

// [RFC9051 6.4.5]
TEST(FetchItems, AreParsedAndLabelled) {
  const auto parse = [](std::string_view text) {
    Scanner scan(text);
    return ParseFetchItems(scan);
  };
  EXPECT_EQ(parse("ALL")->attributes,
            kFetchFlags | kFetchInternalDate | kFetchSize | kFetchEnvelope);
  EXPECT_EQ(parse("(UID BODY BODYSTRUCTURE)")->attributes,
            kFetchUid | kFetchBody | kFetchBodyStructure);
  const auto items =
      parse("(BODY[1.2.HEADER.FIELDS (from \"x y\")]<7.9> RFC822.HEADER body.peek[mime])");
  EXPECT_FALSE(items.ok());
  const auto good = parse("(BODY[1.2.HEADER.FIELDS (from)]<7.9> body.peek[1.mime] RFC822 BODY[])");
  ASSERT_TRUE(good.ok());
  ASSERT_EQ(good->sections.size(), 4U);
  EXPECT_EQ(good->sections[0].label, "BODY[1.2.HEADER.FIELDS (FROM)]<7>");
  EXPECT_EQ(good->sections[0].length, 9U);
  EXPECT_TRUE(good->sections[1].peek);
  EXPECT_EQ(good->sections[1].label, "BODY[1.MIME]");
  EXPECT_EQ(good->sections[2].label, "RFC822");
  EXPECT_FALSE(good->sections[3].peek);
  for (const char* bad :
       {"", "()", "(ALL)", "FOO", "BODY[0]", "BODY[1.]", "BODY[]<1>", "BODY[]<1.0>", "(UID"})
    EXPECT_FALSE(parse(bad).ok()) << bad;
}

// [RFC9051 6.4.4]
TEST(SearchKeys, AreParsedWithinLimits) {
  const auto parse = [](std::string_view text) {
    Scanner scan(text);
    return ParseSearch(scan);
  };
  for (const char* good :
       {"ALL", "1:* UNSEEN", "OR SEEN (FLAGGED NOT DELETED)", "HEADER Subject \"\"", "UID 5,7:*",
        "SINCE 1-Jan-2020 LARGER 5", "KEYWORD $Work", "MODSEQ \"/flags/\\\\draft\" all 62",
        "RETURN () TEXT x", "RETURN (MIN COUNT) CHARSET UTF-8 BODY {3}\r\nabc", "YOUNGER 60"})
    EXPECT_TRUE(parse(good).ok()) << good;
  for (const char* bad :
       {"", "FOO", "OR SEEN", "NOT", "HEADER x", "SINCE yesterday", "(SEEN", "RETURN (FOO) ALL"})
    EXPECT_FALSE(parse(bad).ok()) << bad;
  EXPECT_EQ(parse("CHARSET KOI8-R ALL").status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_FALSE(parse(std::string(10000, '(')).ok());
  std::string nots;
  for (int i = 0; i < 10000; ++i) nots += "NOT ";
  EXPECT_FALSE(parse(nots + "ALL").ok());
}

TEST(Arguments, OfStoreAppendAndList) {
  const auto store = ParseStore("1:3 (UNCHANGEDSINCE 12) +FLAGS.SILENT (\\Seen $A \\Recent)");
  ASSERT_TRUE(store.ok());
  EXPECT_EQ(store->mode, StoreArguments::Mode::kAdd);
  EXPECT_TRUE(store->silent);
  EXPECT_EQ(store->unchanged_since, 12U);
  EXPECT_EQ(store->flags.system, kSeen);
  EXPECT_EQ(store->flags.keywords, std::vector<std::string>{"$A"});
  EXPECT_TRUE(ParseStore("1 FLAGS \\Seen \\Draft").ok());
  EXPECT_FALSE(ParseStore("1 FLAGS (\\Nope)").ok());
  const auto append = ParseAppend("\"A b\" (\\Seen) \"17-Jul-1996 02:44:25 -0700\" {12+}");
  ASSERT_TRUE(append.ok());
  EXPECT_EQ(append->mailbox, "A b");
  EXPECT_EQ(append->literal.size, 12U);
  const auto list = ParseList(
      "(SUBSCRIBED RECURSIVEMATCH) \"\" (a* \"b%\") RETURN (CHILDREN STATUS (MESSAGES UIDNEXT))");
  ASSERT_TRUE(list.ok());
  EXPECT_EQ(list->patterns.size(), 2U);
  EXPECT_EQ(list->status_items, kStatusMessages | kStatusUidNext);
  EXPECT_FALSE(ParseList("(RECURSIVEMATCH) \"\" *").ok());
}

TEST(Scanner, NeverReadsBeyondALiteral) {
  EXPECT_FALSE(Scanner("{5}\r\nabc").String().ok());
  EXPECT_FALSE(Scanner("{99999999999999999999}\r\nabc").String().ok());
  EXPECT_FALSE(Scanner("\"abc").String().ok());
  EXPECT_FALSE(Scanner("\"abc\\").String().ok());
  EXPECT_EQ(*Scanner("\"a\\\"b\"").String(), "a\"b");
  EXPECT_FALSE(Scanner(std::string_view("{1}\r\n\0", 6)).String().ok());
}

TEST(Response, QuotesOrSendsLiterals) {
  std::string out;
  AppendString(out, "a\"b\\");
  EXPECT_EQ(out, "\"a\\\"b\\\\\"");
  out.clear();
  AppendString(out, "a\r\nb");
  EXPECT_EQ(out, "{4}\r\na\r\nb");
  out.clear();
  AppendMailbox(out, "Sent Mail");
  EXPECT_EQ(out, "\"Sent Mail\"");
  EXPECT_EQ(SafeText("a\r\nb"), "a??b");
}

}  // namespace
}  // namespace posthorn::imap_gateway
