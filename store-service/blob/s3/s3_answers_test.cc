#include "store-service/blob/s3/s3_answers.h"

#include <gtest/gtest.h>

#include "store-service/blob/s3/object_codec.h"
#include "store-service/blob/s3/object_names.h"

namespace posthorn::store_service {
namespace {

struct Case {
  bool complete;
  long http;
  const char* text;
  absl::StatusCode code;
  bool again;
  bool refused;
};

TEST(S3Answers, EachIsMappedToWhatTheStoreDoesAboutIt) {
  using enum absl::StatusCode;
  const Case cases[] = {
      {true, 200, "", kOk, false, false},
      {true, 204, "", kOk, false, false},
      {false, 200, "half", kUnavailable, true, false},
      {false, 0, "", kUnavailable, true, false},
      {false, 100, "", kUnavailable, true, false},
      {true, 404, "<Error><Code>NoSuchKey</Code></Error>", kNotFound, false, false},
      {true, 404, "", kNotFound, false, false},
      {true, 404, "<Error><Code>NoSuchBucket</Code></Error>", kUnavailable, false, true},
      {true, 404, "<html><h1>Not Found</h1></html>", kUnavailable, false, true},
      {true, 404, "default backend - 404", kUnavailable, false, true},
      {true, 403, "<Error><Code>SignatureDoesNotMatch</Code></Error>", kUnavailable, false, true},
      {true, 403, "<Error><Code>QuotaExceeded</Code></Error>", kResourceExhausted, false, false},
      {true, 507, "", kResourceExhausted, false, false},
      {true, 413, "", kResourceExhausted, false, false},
      {true, 500, "", kUnavailable, true, false},
      {true, 503, "<Error><Code>SlowDown</Code></Error>", kUnavailable, true, false},
      {true, 429, "", kUnavailable, true, false},
      {true, 400, "<Error><Code>RequestTimeout</Code></Error>", kUnavailable, true, false},
      {true, 400, "<Error><Code>InvalidRequest</Code></Error>", kUnavailable, false, true},
      {true, 301, "", kUnavailable, false, true},
  };
  for (const Case& c : cases) {
    const S3Outcome outcome = JudgeAnswer(c.complete, c.http, c.text);
    EXPECT_EQ(outcome.status.code(), c.code) << c.http << c.text;
    EXPECT_EQ(outcome.again, c.again) << c.http << c.text;
    EXPECT_EQ(outcome.refused, c.refused) << c.http << c.text;
  }
}

TEST(S3Answers, ListingIsReadWithEscapesAndWhatIsNoneIsRefused) {
  const auto listing = ParseListing(
      "<?xml version=\"1.0\"?><ListBucketResult "
      "xmlns=\"http://s3\"><Name>mail</Name><IsTruncated>true</IsTruncated>"
      "<Contents><Key>p/o/a&amp;b</Key><LastModified>2026-11-21T10:00:01.000Z</LastModified>"
      "<Size>12</Size></Contents><Contents><Key>elsewhere</Key></Contents></ListBucketResult>",
      "p/");
  ASSERT_TRUE(listing.ok());
  ASSERT_EQ(listing->objects.size(), 1U);
  EXPECT_TRUE(listing->more);
  EXPECT_EQ(listing->objects[0].name, "o/a&b");
  EXPECT_EQ(listing->objects[0].size, 12U);
  EXPECT_EQ(listing->objects[0].modified_ms, 1795255201000);
  EXPECT_EQ(ParseListing("<html>a portal</html>", "").status().code(),
            absl::StatusCode::kUnavailable);
}

TEST(S3Target, IsReadFromFlagsAndBadOnesSayWhatIsWrong) {
  const S3Target target =
      ParseS3Target("s3://mail/a/b/", "", "eu-central-1", "KEY\nSECRET\n").value();
  EXPECT_EQ(target.endpoint, "https://s3.eu-central-1.amazonaws.com");
  EXPECT_EQ(target.bucket, "mail");
  EXPECT_EQ(target.prefix, "a/b/");
  EXPECT_EQ(target.access_key, "KEY");
  EXPECT_EQ(target.secret_key, "SECRET");
  for (const char* url : {"mail", "s3://", "s3://a b", "s3://mail/x y"}) {
    EXPECT_FALSE(ParseS3Target(url, "", "", "K\nS\n").ok()) << url;
  }
  EXPECT_FALSE(ParseS3Target("s3://mail", "ftp://x", "", "K\nS\n").ok());
  EXPECT_FALSE(ParseS3Target("s3://mail", "", "", "only one line").ok());
}

TEST(ObjectNames, ComeBackFromTheirText) {
  const UnitName object{.segment = 12, .first = 34, .last = 34};
  EXPECT_EQ(NameOf(object), "o/00000012/000034");
  const UnitName pack{.segment = 12, .first = 3, .last = 99, .generation = 2, .word = "ab"};
  EXPECT_EQ(NameOf(pack), "p/00000012/000003-000099-2-ab");
  EXPECT_EQ(NameOf(*ParseUnitName(NameOf(object))), NameOf(object));
  EXPECT_EQ(NameOf(*ParseUnitName(NameOf(pack))), NameOf(pack));
  for (const char* name : {"", "o/1", "o/x/1", "p/1/2", "p/1/2-3-0-a", "s/00000001", "q/1/2"}) {
    EXPECT_FALSE(ParseUnitName(name)) << name;
  }
  const uint64_t key = ObjectKey(12, 34, 888);
  EXPECT_EQ(SegmentOf(key), 12U);
  EXPECT_EQ(IndexOf(key), 34U);
  EXPECT_EQ(PlaceOf(key), 888U);
}

TEST(ObjectCodec, MapOfAMergedObjectIsReadFromAnyBeginningThatIsLongEnough) {
  std::vector<MovedRecord> records;
  for (uint64_t i = 0; i < 50; ++i) {
    RecordHeader header;
    header.length = header.original_length = 8;
    records.push_back({.original = i * 100, .header = header, .bytes = std::string(8, 'x')});
  }
  const SegmentHead head{.number = 7, .generation = 1, .salt = 99};
  const std::string whole = EncodePack(head, {"o/1/1", "o/1/2"}, records);
  uint64_t length = 100;
  PackStart start;
  for (int step = 0; step < 4; ++step) {
    start = DecodePackStart(whole.substr(0, length), 7, whole.size()).value();
    if (start.needed == 0) break;
    EXPECT_GT(start.needed, length);
    length = start.needed;
  }
  EXPECT_EQ(start.needed, 0U);
  ASSERT_EQ(start.map.places.size(), 50U);
  EXPECT_EQ(start.map.places[3].first, 300U);
  EXPECT_TRUE(
      DecodeHeader(whole.substr(start.map.places[3].second), 99, start.map.places[3].second));
  EXPECT_EQ(start.map.sources, (std::vector<std::string>{"o/1/1", "o/1/2"}));
  EXPECT_FALSE(DecodePackStart(whole, 8, whole.size()).ok());
  std::string damaged = whole;
  damaged[200] ^= 1;
  EXPECT_FALSE(DecodePackStart(damaged, 7, whole.size()).ok());
}

}  // namespace
}  // namespace posthorn::store_service
