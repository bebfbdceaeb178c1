#pragma once

// Transcripts of whole sessions over a store in memory, with the client's bytes in chunks of 1, 7
// and all.

#include <gtest/gtest.h>

#include "imap-gateway/testing/imap_fixture.h"

namespace posthorn::imap_gateway {

inline constexpr char kMail[] = "From: a@example.org\r\nSubject: hello\r\n\r\nbody\r\n";

// The parameter is the chunk, for ImapFixture. session_test.cc names the sizes.
class ImapChat : public ::testing::TestWithParam<size_t> {};

}  // namespace posthorn::imap_gateway
