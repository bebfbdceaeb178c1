#include "lib/rpc/frame.h"

#include <gtest/gtest.h>

#include "posthorn/rpc/v1/stream.pb.h"

namespace posthorn::rpc {
namespace {

namespace v1 = ::posthorn::rpc::v1;

v1::Frame FullFrame() {
  v1::Frame frame;
  frame.set_call(uint64_t{1} << 63);
  frame.set_flags(31);
  frame.set_method(0xDEADBEEF);
  frame.set_deadline_ms(4000000000);
  frame.set_trace(std::string(25, '\x80'));
  frame.set_ticket("ticket");
  frame.set_body(std::string(300, 'b'));
  frame.set_status(14);
  frame.set_error("away");
  frame.set_credit(8);
  return frame;
}

void ExpectSame(const Frame& frame, const v1::Frame& expected) {
  EXPECT_EQ(frame.call, expected.call());
  EXPECT_EQ(frame.flags, expected.flags());
  EXPECT_EQ(frame.method, expected.method());
  EXPECT_EQ(frame.deadline_ms, expected.deadline_ms());
  EXPECT_EQ(frame.trace, expected.trace());
  EXPECT_EQ(frame.ticket, expected.ticket());
  EXPECT_EQ(frame.body, expected.body());
  EXPECT_EQ(frame.status, expected.status());
  EXPECT_EQ(frame.error, expected.error());
  EXPECT_EQ(frame.credit, expected.credit());
}

TEST(Frame, ReadsWhatProtobufWrote) {
  v1::Batch batch;
  *batch.add_frames() = FullFrame();
  batch.add_frames();
  batch.add_frames()->set_call(5);
  const std::string bytes = batch.SerializeAsString();
  FrameReader reader(bytes);
  Frame frame;
  for (const v1::Frame& expected : batch.frames()) {
    ASSERT_TRUE(reader.Next(frame));
    ExpectSame(frame, expected);
  }
  EXPECT_FALSE(reader.Next(frame));
  EXPECT_FALSE(reader.broken());
}

TEST(Frame, ProtobufReadsWhatItWrote) {
  const v1::Frame full = FullFrame();
  v1::Batch batch;
  *batch.add_frames() = full;
  const std::string written = batch.SerializeAsString();
  Frame frame;
  ASSERT_TRUE(FrameReader(written).Next(frame));
  std::string bytes;
  AppendFrame(bytes, frame);
  // A message as the body: the bytes of `full` itself.
  Frame carrier;
  carrier.call = 7;
  carrier.flags = kBody;
  AppendFrame(bytes, carrier, &full);
  v1::Batch read;
  ASSERT_TRUE(read.ParseFromString(bytes));
  ASSERT_EQ(read.frames_size(), 2);
  EXPECT_EQ(read.frames(0).SerializeAsString(), full.SerializeAsString());
  EXPECT_EQ(read.frames(1).body(), full.SerializeAsString());
}

TEST(Frame, SkipsFieldsItDoesNotKnow) {
  // Field 15 as a varint inside the frame, field 9 with bytes beside it.
  const std::string bytes("\x4A\x02hi\x0A\x04\x78\x01\x08\x05", 10);
  FrameReader reader(bytes);
  Frame frame;
  ASSERT_TRUE(reader.Next(frame));
  EXPECT_EQ(frame.call, 5U);
  EXPECT_FALSE(reader.Next(frame));
  EXPECT_FALSE(reader.broken());
}

TEST(Frame, EveryCutOfABatchIsAPrefixOrDamage) {
  v1::Batch batch;
  *batch.add_frames() = FullFrame();
  *batch.add_frames() = FullFrame();
  const std::string bytes = batch.SerializeAsString();
  for (size_t cut = 0; cut < bytes.size(); ++cut) {
    FrameReader reader(std::string_view(bytes).substr(0, cut));
    Frame frame;
    size_t frames = 0;
    while (reader.Next(frame)) ++frames;
    EXPECT_LE(frames, 1U) << cut;
    EXPECT_EQ(reader.broken(), cut != 0 && cut != bytes.size() / 2) << cut;
  }
}

TEST(Frame, GarbageEndsWithoutReadingBeyondIt) {
  uint64_t seed = 1;
  for (int round = 0; round < 20000; ++round) {
    std::string bytes(static_cast<size_t>(round % 40), '\0');
    for (char& c : bytes) {
      seed = seed * 6364136223846793005U + 1442695040888963407U;
      c = static_cast<char>(seed >> 56);
    }
    FrameReader reader(bytes);
    Frame frame;
    int frames = 0;
    while (reader.Next(frame)) ASSERT_LE(++frames, 40);
  }
}

}  // namespace
}  // namespace posthorn::rpc
