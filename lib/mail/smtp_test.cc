#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/strings.h"
#include "lib/mail/smtp_command.h"
#include "lib/mail/smtp_reply.h"

namespace posthorn::mail {
namespace {

template <class T>
T Get(std::string_view line, Strictness strictness = Strictness::kStrict,
      Utf8 utf8 = Utf8::kRefuse) {
  SmtpCommand command = ParseSmtpCommand(line, {strictness, utf8});
  EXPECT_TRUE(std::holds_alternative<T>(command)) << line << ": alternative " << command.index();
  T* found = std::get_if<T>(&command);
  return found == nullptr ? T() : *found;
}

std::string ReplyTo(std::string_view line, Strictness strictness = Strictness::kStrict) {
  const SmtpCommand command = ParseSmtpCommand(line, {strictness, Utf8::kRefuse});
  const BadCommand* bad = std::get_if<BadCommand>(&command);
  return bad == nullptr ? "none" : Serialize(bad->reply).substr(0, 9);
}

TEST(SmtpCommand, KnowsTheVerbsWithoutCase) {
  EXPECT_EQ(Get<Ehlo>("ehlo client.example").domain, "client.example");
  EXPECT_EQ(Get<Helo>("HELO [192.0.2.1]").domain, "[192.0.2.1]");
  EXPECT_EQ(Get<Lhlo>("LHLO a").domain, "a");
  Get<DataCommand>("dAtA");
  Get<Rset>("RSET");
  Get<Quit>("QUIT");
  Get<Noop>("NOOP whatever");
  Get<StartTls>("STARTTLS");
  EXPECT_EQ(Get<Vrfy>("VRFY joe").argument, "joe");
  EXPECT_EQ(Get<Expn>("EXPN list").argument, "list");
  EXPECT_EQ(Get<Etrn>("ETRN example.org").argument, "example.org");
  EXPECT_EQ(Get<Help>("HELP").argument, "");
  EXPECT_EQ(Get<UnknownCommand>("FOO bar").verb, "FOO");
  EXPECT_EQ(Get<UnknownCommand>("").verb, "");
  EXPECT_EQ(Get<Bdat>("BDAT 1000 LAST").size, 1000u);
  EXPECT_TRUE(Get<Bdat>("BDAT 0 last").last);
  EXPECT_EQ(Get<Auth>("AUTH plain AGpvZQBwdw==").initial, std::string("\0joe\0pw", 7));
  EXPECT_EQ(Get<Auth>("AUTH EXTERNAL =").initial, "");
  EXPECT_EQ(Get<Auth>("auth login").mechanism, "LOGIN");
}

// [RFC1870, RFC6152, RFC6531, RFC3461, RFC4954]
TEST(SmtpCommand, ReadsMailParameters) {
  const MailFrom mail = Get<MailFrom>(
      "MAIL FROM:<joe@example.org> SIZE=12345 BODY=8bitmime RET=HDRS ENVID=QQ+2B314 AUTH=<> X-A=b");
  EXPECT_EQ(mail.reverse_path.Address(), "joe@example.org");
  EXPECT_EQ(mail.size, 12345u);
  EXPECT_EQ(mail.body, BodyType::k8BitMime);
  EXPECT_EQ(mail.ret, DsnReturn::kHeaders);
  EXPECT_EQ(mail.envid, "QQ+314");
  EXPECT_EQ(mail.auth, "<>");
  ASSERT_EQ(mail.unknown.size(), 1u);
  EXPECT_EQ(mail.unknown[0].keyword, "X-A");
  EXPECT_EQ(Get<MailFrom>("MAIL FROM:<>").reverse_path.IsNull(), true);
  EXPECT_TRUE(Get<MailFrom>("MAIL FROM:<j\xC3\xB6@example.org> SMTPUTF8").smtputf8);
  EXPECT_EQ(Get<MailFrom>("MAIL FROM:<> SIZE=99999999999999999999").size, UINT64_MAX);
}

TEST(SmtpCommand, ReadsRcptParameters) {
  const RcptTo rcpt =
      Get<RcptTo>("RCPT TO:<joe@x.test> NOTIFY=SUCCESS,delay ORCPT=rfc822;Joe+2Bx@y.test");
  EXPECT_TRUE(rcpt.notify_success && rcpt.notify_delay && !rcpt.notify_never);
  EXPECT_EQ(rcpt.orcpt, "rfc822;Joe+x@y.test");
  EXPECT_EQ(Get<RcptTo>("RCPT TO:<postmaster>").forward_path.domain, "");
  Get<RcptTo>("RCPT TO:<j\xC3\xB6@x.test>", Strictness::kStrict, Utf8::kAllow);
}

TEST(SmtpCommand, SaysWhichReplySuits) {
  EXPECT_EQ(ReplyTo("EHLO"), "501 5.5.4");
  EXPECT_EQ(ReplyTo("EHLO a b"), "501 5.5.4");
  EXPECT_EQ(ReplyTo("DATA x"), "501 5.5.4");
  EXPECT_EQ(ReplyTo("MAIL"), "501 5.5.4");
  EXPECT_EQ(ReplyTo("MAIL FROM:joe@example.org"), "501 5.1.7");
  EXPECT_EQ(ReplyTo("MAIL FROM: <joe@example.org>"), "501 5.1.7");
  EXPECT_EQ(ReplyTo("MAIL FROM:<joe@example.org>x"), "501 5.5.4");
  EXPECT_EQ(ReplyTo("MAIL FROM:<j\xC3\xB6@example.org>"), "553 5.6.7");
  EXPECT_EQ(ReplyTo("MAIL FROM:<> SIZE=x"), "501 5.5.4");
  EXPECT_EQ(ReplyTo("MAIL FROM:<> SIZE=1 SIZE=2"), "501 5.5.4");
  EXPECT_EQ(ReplyTo("MAIL FROM:<> BODY=9BIT"), "501 5.5.4");
  EXPECT_EQ(ReplyTo("MAIL FROM:<> ENVID=a+0D+0Ab"), "501 5.5.4");
  EXPECT_EQ(ReplyTo("RCPT TO:<>"), "501 5.1.3");
  EXPECT_EQ(ReplyTo("RCPT TO:<a@b> NOTIFY=NEVER,DELAY"), "501 5.5.4");
  EXPECT_EQ(ReplyTo("BDAT x"), "501 5.5.4");
  EXPECT_EQ(ReplyTo("AUTH PLAIN !!"), "501 5.5.2");
  EXPECT_EQ(ReplyTo("VRFY"), "501 5.5.4");
}

// What widespread clients write; each is refused when strict.
TEST(SmtpCommand, LenientTakesClientsHabits) {
  for (const char* line : {"MAIL FROM: <joe@x.test>", "MAIL FROM:joe@x.test",
                           "MAIL  FROM:<joe@x.test>", "MAIL FROM: joe@x.test SIZE=1"}) {
    EXPECT_EQ(ReplyTo(line),
              std::string_view(line) == "MAIL  FROM:<joe@x.test>" ? "501 5.5.4" : "501 5.1.7");
    EXPECT_EQ(Get<MailFrom>(line, Strictness::kLenient).reverse_path.Address(), "joe@x.test");
  }
  EXPECT_EQ(Get<Ehlo>("EHLO my_pc", Strictness::kLenient).domain, "my_pc");
  EXPECT_EQ(Get<RcptTo>("RCPT TO: <a@b> ", Strictness::kLenient).forward_path.local, "a");
}

TEST(SmtpReply, WritesOneOrMoreLines) {
  EXPECT_EQ(Serialize(Reply(250, {2, 1, 0}, "Ok")), "250 2.1.0 Ok\r\n");
  Reply reply(250, "host");
  reply.lines.push_back("SIZE 1000");
  EXPECT_EQ(Serialize(reply), "250-host\r\n250 SIZE 1000\r\n");
  EXPECT_EQ(Serialize(Reply(550, "a\r\n250 b")), "550 a  250 b\r\n");
  EXPECT_EQ(Serialize(Reply(250, std::string(2000, 'x'))).size(), 512u);
}

TEST(SmtpReply, ReadsAServersLines) {
  ReplyBuilder builder;
  EXPECT_EQ(builder.Add("450-4.2.1 Try"), ReplyBuilder::State::kMore);
  EXPECT_EQ(builder.Add("450 4.2.1 later"), ReplyBuilder::State::kDone);
  EXPECT_EQ(builder.reply().Text(), "Try later");
  EXPECT_EQ(builder.reply().enhanced, (EnhancedCode{4, 2, 1}));
  EXPECT_EQ(ReplyBuilder().Add("what"), ReplyBuilder::State::kBroken);
  EXPECT_EQ(ReplyBuilder().Add("250"), ReplyBuilder::State::kDone);
  EXPECT_EQ(ReplyBuilder().Add("150 x"), ReplyBuilder::State::kBroken);
  ReplyBuilder mixed;
  EXPECT_EQ(mixed.Add("250-a"), ReplyBuilder::State::kMore);
  EXPECT_EQ(mixed.Add("550 b"), ReplyBuilder::State::kBroken);
}

TEST(Xtext, GoesThereAndBack) {
  EXPECT_EQ(EncodeXtext("a+b=c d"), "a+2Bb+3Dc+20d");
  EXPECT_EQ(DecodeXtext("a+2Bb+3Dc+20d"), "a+b=c d");
  for (const char* bad : {"+", "+2", "+2b", "a b", "a=b", "+0A"})
    EXPECT_EQ(DecodeXtext(bad), std::nullopt) << bad;
}

}  // namespace
}  // namespace posthorn::mail
