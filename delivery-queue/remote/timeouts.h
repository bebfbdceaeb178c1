#pragma once

// How long the SMTP client waits [RFC5321 4.5.3.2], and what it allows itself.

#include <chrono>
#include <cstddef>

namespace posthorn::delivery_queue {

inline constexpr std::chrono::milliseconds kConnectLimit = std::chrono::seconds(30);
inline constexpr std::chrono::milliseconds kTlsLimit = std::chrono::minutes(2);
inline constexpr std::chrono::milliseconds kGreetingLimit = std::chrono::minutes(5);  // [4.5.3.2.1]
inline constexpr std::chrono::milliseconds kCommandLimit =
    std::chrono::minutes(5);                                                      // [4.5.3.2.2, .3]
inline constexpr std::chrono::milliseconds kDataLimit = std::chrono::minutes(2);  // [4.5.3.2.4]
inline constexpr std::chrono::milliseconds kBlockLimit = std::chrono::minutes(3);  // [4.5.3.2.5]
inline constexpr std::chrono::milliseconds kFinalDotLimit =
    std::chrono::minutes(10);  // [4.5.3.2.6]
inline constexpr std::chrono::milliseconds kQuitLimit = std::chrono::seconds(5);
// A peer that cuts us off while we write may have said why.
inline constexpr std::chrono::milliseconds kLastWordsLimit = std::chrono::seconds(1);

inline constexpr std::chrono::milliseconds kIdleLimit =
    std::chrono::seconds(5);  // between two messages
inline constexpr std::chrono::milliseconds kFirstBackOff = std::chrono::seconds(1);
inline constexpr std::chrono::milliseconds kLongestBackOff = std::chrono::minutes(5);

inline constexpr size_t kMaxReplyLine = 4096;  // [4.5.3.1.5] says 512; some write more
inline constexpr size_t kWriteBlock = 65536;
inline constexpr size_t kMaxRecipientsPerMail = 100;
inline constexpr size_t kMaxMessagesPerConnection = 100;
inline constexpr size_t kMaxConnections = 1000;  // to all hosts
inline constexpr double kFirstConcurrency = 5;   // connections to one next hop
inline constexpr double kMostConcurrency = 20;
inline constexpr size_t kMaxHostsTried = 10;

}  // namespace posthorn::delivery_queue
