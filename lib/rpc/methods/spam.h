#pragma once

// The methods of posthorn.spam.v1; lib/rpc/methods_test.cc holds them against the descriptors.

#include "lib/rpc/method.h"
#include "posthorn/spam/v1/spam.pb.h"

namespace posthorn::rpc::spam {

namespace v1 = ::posthorn::spam::v1;

inline constexpr Method<v1::CheckEnvelopeRequest, v1::CheckEnvelopeReply> kSpamCheckEnvelope{
    "/posthorn.spam.v1.Spam/CheckEnvelope"};
inline constexpr Method<v1::CheckMessageRequest, v1::CheckMessageReply> kSpamCheckMessage{
    "/posthorn.spam.v1.Spam/CheckMessage"};

}  // namespace posthorn::rpc::spam
