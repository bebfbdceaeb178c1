#include "store-service/mailbox/text_search.h"

#include <gtest/gtest.h>

namespace posthorn::store_service {
namespace {

constexpr char kMessage[] =
    "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= aus\r\n K=?x\r\nX-Empty:\r\n"
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    "--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
    "Content-Transfer-Encoding: quoted-printable\r\n\r\nM=FCnchen ist sch=\r\n=F6n\r\n"
    "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inside\r\n\r\nhidden gem\r\n"
    "--b\r\nContent-Type: image/png\r\n\r\nsecretbytes\r\n--b--\r\n";

struct Case {
  const char* name;
  v1::SearchTextRequest::Where where;
  const char* field;
  const char* needle;
  bool matches;
};
void PrintTo(const Case& c, std::ostream* os) { *os << c.name; }

class TextSearch : public testing::TestWithParam<Case> {};

// [RFC9051 6.4.4]
TEST_P(TextSearch, FindsDecodedTextWithoutRegardToCase) {
  v1::SearchTextRequest request;
  request.set_where(GetParam().where);
  request.set_field(GetParam().field);
  request.set_needle(GetParam().needle);
  EXPECT_EQ(TextQuery(request).Matches(kMessage), GetParam().matches);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, TextSearch,
    testing::Values(Case{"charset", v1::SearchTextRequest::BODY, "", "MÜNCHEN", true},
                    Case{"soft line break", v1::SearchTextRequest::BODY, "", "schön", true},
                    Case{"header is not body", v1::SearchTextRequest::BODY, "", "grüße", false},
                    Case{"sharp s folds", v1::SearchTextRequest::TEXT, "", "GRÜSSE", true},
                    Case{"inner header", v1::SearchTextRequest::BODY, "", "Inside", true},
                    Case{"inner body", v1::SearchTextRequest::TEXT, "", "GEM", true},
                    Case{"no text part", v1::SearchTextRequest::TEXT, "", "secretbytes", false},
                    Case{"field", v1::SearchTextRequest::HEADER, "subject", "grüße", true},
                    Case{"other field", v1::SearchTextRequest::HEADER, "From", "grüße", false},
                    Case{"field exists", v1::SearchTextRequest::HEADER, "x-empty", "", true},
                    Case{"field does not", v1::SearchTextRequest::HEADER, "x-none", "", false},
                    Case{"absent", v1::SearchTextRequest::TEXT, "", "nowhere", false}));

}  // namespace
}  // namespace posthorn::store_service
