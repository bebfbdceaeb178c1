// check_host against a small world of records.

#include "spam-service/spf/check.h"

#include <gtest/gtest.h>

#include "lib/base/strings.h"
#include "lib/net/loop.h"
#include "lib/testing/fake_resolver.h"
#include "lib/testing/run_task.h"

namespace posthorn::spam_service {
namespace {

using enum SpfResult;

struct Record {
  std::string_view name;
  std::string_view text;
};
constexpr Record kRecords[] = {
    {"plain.example", "v=spf1 ip4:192.0.2.0/28 ip6:2001:db8:1::/48 -all"},
    {"soft.example", "v=spf1 ~all"},
    {"neutral.example", "v=spf1 ?all"},
    {"silent.example", "v=spf1 ip4:192.0.2.1"},
    {"other.example", "some text"},
    {"twice.example", "v=spf1 -all"},
    {"twice.example", "v=spf1 +all"},
    {"mixed.example", "v=spf1 -all"},
    {"mixed.example", "v=spf2 unrelated"},
    {"broken.example", "v=spf1 ip4:192.0.2.1 nonsense -all"},
    {"a.example", "v=spf1 a -all"},
    {"net.example", "v=spf1 a:a.example/24//64 -all"},
    {"mx.example", "v=spf1 mx -all"},
    {"mxnet.example", "v=spf1 mx:mx.example/28 -all"},
    {"manymx.example", "v=spf1 mx -all"},
    {"ptr.example", "v=spf1 ptr -all"},
    {"ptrof.example", "v=spf1 ptr:ptr.example -all"},
    {"exists.example", "v=spf1 exists:%{ir}.%{l}.list.example -all"},
    {"name.example", "v=spf1 exists:%{p}.named.example -all"},
    {"include.example", "v=spf1 include:plain.example ~all"},
    {"includefail.example", "v=spf1 include:mixed.example ?all"},
    {"includenone.example", "v=spf1 include:other.example -all"},
    {"includebroken.example", "v=spf1 include:broken.example -all"},
    {"includetemp.example", "v=spf1 include:down.example -all"},
    {"redirect.example", "v=spf1 redirect=plain.example"},
    {"redirectnone.example", "v=spf1 redirect=nowhere.example"},
    {"redirectall.example", "v=spf1 ?all redirect=plain.example"},
    {"loop.example", "v=spf1 include:loop.example -all"},
    {"ring.example", "v=spf1 redirect=ring.example"},
    {"ten.example",
     "v=spf1 a:a.example a:a.example a:a.example a:a.example a:a.example a:a.example a:a.example "
     "a:a.example a:a.example a:a.example ?all"},
    {"eleven.example", "v=spf1 include:ten.example -all"},
    {"twovoid.example", "v=spf1 a:v1.example a:v2.example -all"},
    {"threevoid.example", "v=spf1 a:v1.example mx:v2.example exists:v3.example -all"},
    {"unaskable.example", "v=spf1 a:%{l}..example ?all"},
    {"tempa.example", "v=spf1 a:down.example -all"},
    {"helo.example", "v=spf1 ip4:192.0.2.7 -all"},
};

struct Case {
  std::string_view sender;
  std::string_view client;
  SpfResult result;
  friend void PrintTo(const Case& c, std::ostream* out) {
    *out << c.sender << " from " << c.client;
  }
};

class SpfCheck : public ::testing::TestWithParam<Case> {
 protected:
  SpfCheck() {
    for (const Record& record : kRecords) resolver_.AddTxt(record.name, record.text);
    resolver_.AddAddress("a.example", "192.0.2.10");
    resolver_.AddAddress("a.example", "2001:db8:2::10");
    resolver_.AddMx("mx.example", 10, "host1.example");
    resolver_.AddMx("mx.example", 20, "host2.example");
    resolver_.AddAddress("host1.example", "192.0.2.20");
    resolver_.AddAddress("host2.example", "192.0.2.21");
    for (int i = 0; i < 11; ++i) {
      const std::string host = base::StrCat("mx", i, ".manymx.example");
      resolver_.AddMx("manymx.example", 10, host);
      resolver_.AddAddress(host, "198.51.100.1");
    }
    resolver_.AddPtr("192.0.2.30", "mail.ptr.example");
    resolver_.AddAddress("mail.ptr.example", "192.0.2.30");
    resolver_.AddAddress("mail.ptr.example.named.example", "127.0.0.2");
    resolver_.AddPtr("192.0.2.31", "liar.ptr.example");
    resolver_.AddAddress("liar.ptr.example", "192.0.2.99");
    resolver_.AddAddress("40.2.0.192.bob.list.example", "127.0.0.2");
    resolver_.Fail("down.example", dns::Type::kTxt, base::Unavailable("DNS answer code 2"));
    resolver_.Fail("down.example", dns::Type::kA, base::Unavailable("DNS answer code 2"));
  }
  SpfAnswer Check(std::string_view sender, std::string_view client,
                  std::string_view helo = "mta.example") {
    SpfQuestion question{*net::ParseAddress(client), std::string(helo), std::string(sender),
                         "mx.receiver.example"};
    return testing::RunTask(
        loop_,
        CheckSpf(resolver_, question, std::chrono::steady_clock::now() + std::chrono::seconds(10)));
  }
  net::Loop loop_;
  testing::FakeResolver resolver_;
};

TEST_P(SpfCheck, GivesTheResultOfTheRecord) {
  const SpfAnswer answer = Check(GetParam().sender, GetParam().client);
  EXPECT_EQ(SpfResultName(answer.result), SpfResultName(GetParam().result)) << answer.reason;
}
INSTANTIATE_TEST_SUITE_P(
    Spf, SpfCheck,
    ::testing::Values(Case{"bob@plain.example", "192.0.2.15", kPass},
                      Case{"bob@plain.example", "192.0.2.16", kFail},
                      Case{"bob@plain.example", "::ffff:192.0.2.1", kPass},
                      Case{"bob@plain.example", "2001:db8:1::9", kPass},
                      Case{"bob@plain.example", "2001:db8:2::9", kFail},
                      Case{"bob@PLAIN.example", "192.0.2.15", kPass},
                      Case{"bob@soft.example", "192.0.2.1", kSoftFail},
                      Case{"bob@neutral.example", "192.0.2.1", kNeutral},
                      Case{"bob@silent.example", "192.0.2.2", kNeutral},  // [RFC7208 4.7]
                      Case{"bob@other.example", "192.0.2.1", kNone},
                      Case{"bob@nowhere.example", "192.0.2.1", kNone},
                      Case{"bob@localhost", "192.0.2.1", kNone},
                      Case{"bob@[192.0.2.1]", "192.0.2.1", kNone},
                      Case{"bob@a..example", "192.0.2.1", kNone},  // [RFC7208 4.3]
                      Case{"bob@twice.example", "192.0.2.1", kPermError},
                      Case{"bob@mixed.example", "192.0.2.1", kFail},
                      Case{"bob@broken.example", "192.0.2.1",
                           kPermError},  // [RFC7208 4.6] also behind what matches
                      Case{"bob@down.example", "192.0.2.1", kTempError}));
INSTANTIATE_TEST_SUITE_P(Mechanisms, SpfCheck,
                         ::testing::Values(Case{"bob@a.example", "192.0.2.10", kPass},
                                           Case{"bob@a.example", "192.0.2.11", kFail},
                                           Case{"bob@a.example", "2001:db8:2::10", kPass},
                                           Case{"bob@net.example", "192.0.2.200", kPass},
                                           Case{"bob@net.example", "192.0.3.10", kFail},
                                           Case{"bob@net.example", "2001:db8:2::ffff", kPass},
                                           Case{"bob@mx.example", "192.0.2.21", kPass},
                                           Case{"bob@mx.example", "192.0.2.22", kFail},
                                           Case{"bob@mxnet.example", "192.0.2.22", kPass},
                                           Case{"bob@manymx.example", "192.0.2.1", kPermError},
                                           Case{"bob@ptr.example", "192.0.2.30", kPass},
                                           Case{"bob@ptr.example", "192.0.2.31", kFail},
                                           Case{"bob@ptrof.example", "192.0.2.30", kPass},
                                           Case{"bob@ptrof.example", "192.0.2.32", kFail},
                                           Case{"bob@exists.example", "192.0.2.40", kPass},
                                           Case{"eve@exists.example", "192.0.2.40", kFail},
                                           Case{"bob@name.example", "192.0.2.30", kPass},
                                           Case{"bob@name.example", "192.0.2.31", kFail},
                                           Case{"bob@tempa.example", "192.0.2.1", kTempError},
                                           Case{"bob@unaskable.example", "192.0.2.1", kNeutral}));
INSTANTIATE_TEST_SUITE_P(
    OtherRecords, SpfCheck,
    ::testing::Values(Case{"bob@include.example", "192.0.2.1", kPass},
                      Case{"bob@include.example", "198.51.100.1", kSoftFail},
                      Case{"bob@includefail.example", "192.0.2.1", kNeutral},  // [RFC7208 5.2]
                      Case{"bob@includenone.example", "192.0.2.1", kPermError},
                      Case{"bob@includebroken.example", "192.0.2.1", kPermError},
                      Case{"bob@includetemp.example", "192.0.2.1", kTempError},
                      Case{"bob@redirect.example", "192.0.2.1", kPass},
                      Case{"bob@redirect.example", "198.51.100.1", kFail},
                      Case{"bob@redirectnone.example", "192.0.2.1", kPermError},  // [RFC7208 6.1]
                      Case{"bob@redirectall.example", "192.0.2.1", kNeutral}));
INSTANTIATE_TEST_SUITE_P(  // [RFC7208 4.6.4]
    Limits, SpfCheck,
    ::testing::Values(Case{"bob@loop.example", "192.0.2.1", kPermError},
                      Case{"bob@ring.example", "192.0.2.1", kPermError},
                      Case{"bob@ten.example", "198.51.100.1", kNeutral},
                      Case{"bob@eleven.example", "198.51.100.1", kPermError},
                      Case{"bob@twovoid.example", "192.0.2.1", kFail},
                      Case{"bob@threevoid.example", "192.0.2.1", kPermError}));

TEST_F(SpfCheck, NullSenderStandsForPostmasterAtHelo) {  // [RFC7208 2.4]
  EXPECT_EQ(Check("", "192.0.2.7", "helo.example").result, kPass);
  EXPECT_EQ(Check("", "192.0.2.8", "helo.example").result, kFail);
  EXPECT_EQ(Check("", "192.0.2.8", "helo.example").domain, "helo.example");
  EXPECT_EQ(Check("", "192.0.2.8", "[192.0.2.8]").result, kNone);
  EXPECT_EQ(Check("", "192.0.2.8", "").result, kNone);
}

TEST_F(SpfCheck, ExplanationIsExpanded) {  // [RFC7208 6.2]
  resolver_.AddTxt("strict.example", "v=spf1 exp=why.%{d} -all");
  resolver_.AddTxt("why.strict.example", "%{c} may not send for %{s}, says %{r}");
  EXPECT_EQ(Check("bob@strict.example", "192.0.2.1").explanation,
            "192.0.2.1 may not send for bob@strict.example, says mx.receiver.example");
}

TEST_F(SpfCheck, OnlyTheDecidingRecordExplains) {
  resolver_.AddTxt("inner.example", "v=spf1 exp=why.inner.example -all");
  resolver_.AddTxt("why.inner.example", "inner");
  resolver_.AddTxt("outer.example", "v=spf1 include:inner.example -all exp=why.outer.example");
  resolver_.AddTxt("why.outer.example", "outer");
  resolver_.AddTxt("to.example", "v=spf1 redirect=inner.example exp=why.outer.example");
  EXPECT_EQ(Check("bob@outer.example", "192.0.2.1").explanation, "outer");
  EXPECT_EQ(Check("bob@to.example", "192.0.2.1").explanation, "inner");
}

TEST_F(SpfCheck, ExplanationThatFailsIsLeftOut) {
  for (const std::string_view text : {"bad %{q}", "na\xc3\xafve", "line\r\nbreak"}) {
    testing::FakeResolver resolver;
    resolver_ = std::move(resolver);
    resolver_.AddTxt("strict.example", "v=spf1 exp=why.%{d} -all");
    resolver_.AddTxt("why.strict.example", text);
    const SpfAnswer answer = Check("bob@strict.example", "192.0.2.1");
    EXPECT_EQ(answer.result, kFail);
    EXPECT_EQ(answer.explanation, "") << text;
  }
}

TEST_F(SpfCheck, TimeoutIsTemporaryAndSaidSo) {
  resolver_.FailAll(dns::TimeoutError());
  const SpfAnswer answer = Check("bob@plain.example", "192.0.2.1");
  EXPECT_EQ(answer.result, kTempError);
  EXPECT_TRUE(answer.timed_out);
}

TEST_F(SpfCheck, WorkIsBoundedByTheLookupLimit) {
  (void)Check("bob@loop.example", "192.0.2.1");
  EXPECT_EQ(resolver_.asked().size(), static_cast<size_t>(kSpfMaxLookups) + 1);
}

}  // namespace
}  // namespace posthorn::spam_service
