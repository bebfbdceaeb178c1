#include "lib/certs/certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>

#include "lib/base/strings.h"
#include "lib/certs/issue.h"

namespace posthorn::certs {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Identity Authority() { return *MakeAuthority("Test authority", Validity::Days(10)); }

TEST(Certificates, AnIssuedOneSaysWhatWasAskedFor) {
  const Identity authority = Authority();
  const auto made =
      Issue(authority, {"store-service.posthorn", "store-0.example", "192.0.2.1", "2001:db8::1"},
            Validity::Days(3));
  ASSERT_TRUE(made.ok()) << made.status();
  const auto read = ReadCertificates(made->certificate_pem);
  ASSERT_TRUE(read.ok()) << read.status();
  const Certificate& leaf = read->front();
  EXPECT_EQ(leaf.subject, "store-service.posthorn");
  EXPECT_THAT(leaf.dns_names, ElementsAre("store-service.posthorn", "store-0.example"));
  EXPECT_THAT(leaf.addresses, ElementsAre("192.0.2.1", "2001:db8::1"));
  EXPECT_FALSE(leaf.authority);
  EXPECT_NEAR(static_cast<double>(leaf.not_after),
              static_cast<double>(std::time(nullptr)) + 3 * 86400, 60);
  EXPECT_EQ(CheckKey(made->certificate_pem, made->key_pem), absl::OkStatus());
  EXPECT_EQ(CheckKey(made->certificate_pem, authority.key_pem).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(Certificates, NeverOutliveTheirAuthority) {
  const Identity authority = Authority();
  const auto made = Issue(authority, {"a.posthorn"}, Validity::Days(100));
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(ReadCertificates(made->certificate_pem)->front().not_after,
            ReadCertificates(authority.certificate_pem)->front().not_after);
}

TEST(Certificates, TheIssuerIsFoundInABundle) {
  const Identity old = Authority();
  const Identity young = Authority();
  const auto bundle = ReadCertificates(base::StrCat(young.certificate_pem, old.certificate_pem));
  ASSERT_TRUE(bundle.ok());
  ASSERT_EQ(bundle->size(), 2U);
  EXPECT_TRUE(bundle->front().authority);
  EXPECT_NE(bundle->front().subject, bundle->back().subject);
  const auto leaf =
      ReadCertificates(Issue(old, {"a.posthorn"}, Validity::Days(1))->certificate_pem);
  EXPECT_EQ(IssuerOf(leaf->front(), *bundle), &bundle->back());
  const auto stranger =
      ReadCertificates(Issue(Authority(), {"a.posthorn"}, Validity::Days(1))->certificate_pem);
  EXPECT_EQ(IssuerOf(stranger->front(), *bundle), nullptr);
}

TEST(Certificates, WhatIsNoNameIsRefused) {
  for (const char* name : {"", "two words", "a,DNS:b", "caf\xc3\xa9.example"}) {
    const auto made = Issue(Authority(), {"a.posthorn", name}, Validity::Days(1));
    EXPECT_EQ(made.status().code(), absl::StatusCode::kInvalidArgument) << name;
  }
}

TEST(Certificates, DamagedTextIsRefused) {
  const std::string good = Authority().certificate_pem;
  for (const std::string& text : {std::string(), std::string("nothing"),
                                  good.substr(0, good.size() / 2), good + good.substr(0, 100)}) {
    EXPECT_EQ(ReadCertificates(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_EQ(CheckKey(good, "nothing").code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace posthorn::certs
