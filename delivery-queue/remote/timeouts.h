#pragma once

// How long the SMTP client waits, and what it allows itself.

#include <chrono>
#include <cstddef>

namespace posthorn::delivery_queue {

// How long it waits for one reply, or for one block to be taken [RFC5321 4.5.3.2].
struct Patience {
  using Time = std::chrono::milliseconds;
  Time connect = std::chrono::seconds(30);
  Time tls = std::chrono::minutes(2);
  Time greeting = std::chrono::minutes(5);    // [4.5.3.2.1]
  Time command = std::chrono::minutes(5);     // [4.5.3.2.2, .3]
  Time data = std::chrono::minutes(2);        // [4.5.3.2.4]
  Time block = std::chrono::minutes(3);       // [4.5.3.2.5]
  Time final_dot = std::chrono::minutes(10);  // [4.5.3.2.6]
  Time quit = std::chrono::seconds(5);
  // A peer that cuts us off while we write may have said why.
  Time last_words = std::chrono::seconds(1);
  Time idle = std::chrono::seconds(5);  // between two messages
};
inline constexpr std::chrono::milliseconds kFirstBackOff = std::chrono::seconds(1);
inline constexpr std::chrono::milliseconds kLongestBackOff = std::chrono::minutes(5);

inline constexpr size_t kMaxReplyLine = 4096;  // [4.5.3.1.5] says 512; some write more
inline constexpr size_t kMaxReply = 65536;     // all its lines
inline constexpr size_t kWriteBlock = 65536;
inline constexpr size_t kMaxRecipientsPerMail = 100;
inline constexpr size_t kMaxMessagesPerConnection = 100;
inline constexpr size_t kMaxConnections = 1000;  // to all hosts
inline constexpr double kFirstConcurrency = 5;   // connections to one next hop
inline constexpr double kMostConcurrency = 20;   // unless configured otherwise
inline constexpr size_t kMaxHostsTried = 10;

}  // namespace posthorn::delivery_queue
