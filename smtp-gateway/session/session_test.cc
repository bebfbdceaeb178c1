// Commands and replies up to DATA.

#include "smtp-gateway/session/session_fixture.h"

namespace posthorn::smtp_gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

INSTANTIATE_TEST_SUITE_P(Chunks, SmtpSessionTest, ::testing::Values(1, 7, 0),
                         [](const auto& info) { return base::StrCat("Of", info.param); });

TEST_P(SmtpSessionTest, TheEnvelopeIsJudgedOnceForASenderAndOnlyOfPublicClients) {
  const std::string rcpt = "RCPT TO:<alice@here.test>\r\n";
  client_ = "198.51.100.7";
  Talk(base::StrCat(kMail, rcpt, "RSET\r\nMAIL FROM:<x@far.test>\r\n", rcpt));
  EXPECT_EQ(backend_.envelope_checks, 1);
  client_ = "10.0.0.7";
  Talk(kMail);
  EXPECT_EQ(backend_.envelope_checks, 1);
}

TEST_P(SmtpSessionTest, CommandsOutOfOrderAreRefused) {
  EXPECT_THAT(Codes("MAIL FROM:<x@far.test>\r\nEHLO c\r\n"), ElementsAre("220", "503", "250"));
  EXPECT_THAT(Codes("EHLO c\r\nRCPT TO:<alice@here.test>\r\nDATA\r\n"),
              ElementsAre("220", "250", "503", "503"));
  EXPECT_THAT(Codes("EHLO c\r\nMAIL FROM:<a@far.test>\r\nMAIL FROM:<b@far.test>\r\nRSET\r\nMAIL "
                    "FROM:<b@far.test>\r\n"),
              ElementsAre("220", "250", "250", "503", "250", "250"));
  EXPECT_THAT(Codes("EHLO c\r\nMAIL FROM:<a@far.test>\r\nDATA\r\n"),
              ElementsAre("220", "250", "250", "554"));
}

TEST_P(SmtpSessionTest, NeverAnOpenRelay) {
  EXPECT_THAT(Codes("EHLO c\r\nMAIL FROM:<x@far.test>\r\nRCPT TO:<y@far.test>\r\n"),
              ElementsAre("220", "250", "250", "550"));
  EXPECT_THAT(Codes("EHLO c\r\nMAIL FROM:<alice@here.test>\r\nRCPT TO:<y@far.test>\r\n"),
              ElementsAre("220", "250", "250", "550"));
  EXPECT_THAT(Codes("EHLO c\r\nMAIL FROM:<x@far.test>\r\nRCPT TO:<@here.test:y@far.test>\r\n"),
              ElementsAre("220", "250", "250", "550"));
  rights_.may_relay = true;
  EXPECT_THAT(Codes("EHLO c\r\nMAIL FROM:<x@far.test>\r\nRCPT TO:<y@far.test>\r\n"),
              ElementsAre("220", "250", "250", "250"));
}

TEST_P(SmtpSessionTest, UnknownAndFullAreRefusedAtRcpt) {
  const std::string answer = Talk(
      "EHLO c\r\nMAIL FROM:<x@far.test>\r\nRCPT TO:<nobody@here.test>\r\nRCPT "
      "TO:<full@here.test>\r\n");
  EXPECT_THAT(answer, HasSubstr("550 5.1.1 "));
  EXPECT_THAT(answer, HasSubstr("452 4.2.2 "));
  settings_->set_quota_full_is_permanent(true);
  EXPECT_THAT(Talk("EHLO c\r\nMAIL FROM:<x@far.test> SIZE=200000\r\nRCPT TO:<alice@here.test>\r\n"),
              HasSubstr("552 5.2.2 "));
  backend_.directory_down = true;
  EXPECT_THAT(Talk(kMail), HasSubstr("451 4.3.0 "));
}

TEST_P(SmtpSessionTest, PostmasterAloneIsAcceptedFromEverybody) {  // [RFC5321 4.5.1]
  EXPECT_THAT(Codes("EHLO c\r\nMAIL FROM:<x@far.test>\r\nRCPT TO:<PostMaster>\r\n"),
              ElementsAre("220", "250", "250", "250"));
}

TEST_P(SmtpSessionTest, SizeIsCheckedAtMail) {
  EXPECT_THAT(Talk("EHLO c\r\nMAIL FROM:<x@far.test> SIZE=99999999999\r\n"),
              HasSubstr("552 5.3.4 "));
  EXPECT_THAT(Talk("EHLO c\r\n"),
              HasSubstr(base::StrCat("250-SIZE ", settings_->max_message_size(), "\r\n")));
}

// [RFC6409 4.3]
TEST_P(SmtpSessionTest, SubmissionDemandsALoginAndItsOwnSender) {
  port_->config.set_protocol(config::v1::SUBMISSION);
  rights_.plaintext_login = true;
  EXPECT_THAT(Talk("EHLO c\r\nMAIL FROM:<alice@here.test>\r\n"), HasSubstr("530 5.7.0 "));
  const std::string login = base::StrCat(
      "EHLO c\r\nAUTH PLAIN ", base::Base64(std::string("\0alice@here.test\0secret", 23)), "\r\n");
  const std::string answer =
      Talk(login +
           "MAIL FROM:<bob@here.test>\r\nMAIL FROM:<Sales@here.test>\r\nRCPT TO:<y@far.test>\r\n");
  EXPECT_THAT(answer, HasSubstr("235 2.7.0 "));
  EXPECT_THAT(answer, HasSubstr("553 5.7.1 "));
  EXPECT_THAT(answer, HasSubstr("250 2.1.5 "));
}

// [RFC4954 4]
TEST_P(SmtpSessionTest, PasswordsInClearTextNeedPermission) {
  port_->config.set_protocol(config::v1::SUBMISSION);
  EXPECT_THAT(Talk("EHLO c\r\n"), Not(HasSubstr("AUTH")));
  EXPECT_THAT(Talk("EHLO c\r\nAUTH PLAIN AGEAYg==\r\n"), HasSubstr("538 5.7.11 "));
  EXPECT_THAT(Talk("EHLO c\r\nSTARTTLS\r\n", "EHLO c\r\n"), HasSubstr("AUTH PLAIN LOGIN"));
}

TEST_P(SmtpSessionTest, LoginMechanismsAndTheirMistakes) {
  port_->config.set_protocol(config::v1::SUBMISSION);
  rights_.plaintext_login = true;
  EXPECT_THAT(Codes("EHLO c\r\nAUTH LOGIN YWxpY2VAaGVyZS50ZXN0\r\n"),
              ElementsAre("220", "250", "334", "501"));
  EXPECT_THAT(Codes("EHLO c\r\nAUTH CRAM-MD5\r\nAUTH PLAIN !!!\r\n"),
              ElementsAre("220", "250", "504", "501"));
  EXPECT_THAT(Talk(base::StrCat("EHLO c\r\nAUTH PLAIN ",
                                base::Base64(std::string("\0alice@here.test\0wrong", 22)), "\r\n")),
              HasSubstr("535 5.7.8 "));
}

// [RFC3207 4.2] what was pipelined in clear text behind STARTTLS is not obeyed.
TEST_P(SmtpSessionTest, NothingInjectedBeforeTlsIsObeyed) {
  const std::string answer = Talk("EHLO c\r\nSTARTTLS\r\n", "MAIL FROM:<x@far.test>\r\n");
  EXPECT_THAT(answer, HasSubstr("220 2.0.0 Ready"));
  EXPECT_THAT(answer, HasSubstr("503 5.5.1 Say hello first"));
}

TEST_P(SmtpSessionTest, PortsThatDemandTlsSaySo) {
  port_->config.set_tls(config::v1::STARTTLS_REQUIRED);
  EXPECT_THAT(Codes("EHLO c\r\nNOOP\r\nMAIL FROM:<x@far.test>\r\n"),
              ElementsAre("220", "250", "250", "530"));
}

TEST_P(SmtpSessionTest, NoiseIsAnsweredBrieflyAndEnds) {
  EXPECT_THAT(Talk("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
              HasSubstr("554 5.5.1 This is SMTP, not HTTP"));
  std::string noise;
  for (int i = 0; i < 100; ++i) noise += "\x01\x02 garbage\r\n";
  EXPECT_THAT(Codes(noise), SizeIs(::testing::Le(5U)));
  const std::string answer = Talk(base::StrCat(
      "EHLO c\r\n", std::string(GetParam() == 1 ? 100000 : 1000000, 'A'), "\r\nNOOP\r\n"));
  EXPECT_THAT(answer, HasSubstr("500 5.5.6 Line too long"));
  EXPECT_THAT(answer, HasSubstr("250 2.0.0 OK"));
}

TEST_P(SmtpSessionTest, TooManyErrorsEndTheSession) {
  std::string input = "EHLO c\r\n";
  for (int i = 0; i < 50; ++i) input += "RCPT TO:<x>\r\n";
  EXPECT_THAT(Talk(input), HasSubstr("421 4.7.0 Too many errors"));
}

TEST_P(SmtpSessionTest, AStopIsSaidBetweenCommands) {
  drain_.Begin();
  EXPECT_THAT(Talk("EHLO c\r\nNOOP\r\n"), HasSubstr("421 4.3.2 "));
}

}  // namespace
}  // namespace posthorn::smtp_gateway
