#pragma once

// The wire form of posthorn.rpc.v1.Batch, written and read in place: a frame's body is serialized
// straight into the batch and parsed straight out of it. Pure; frame_test.cc holds it against
// protobuf's own code.

#include <google/protobuf/message_lite.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace posthorn::rpc {

// The bits of Frame.flags.
enum FrameFlags : uint32_t {
  kFirst = 1,
  kHalfClose = 2,
  kEnd = 4,
  kBody = 8,
  kCredit = 16,
};

// One Frame; the views point into the batch.
struct Frame {
  uint64_t call = 0;
  uint32_t flags = 0;
  uint32_t method = 0;
  uint32_t deadline_ms = 0;
  std::string_view trace;
  std::string_view ticket;
  std::string_view body;
  uint32_t status = 0;
  std::string_view error;
  uint32_t credit = 0;
};

// Appends `frame` to the batch; with `message` its serialized form is the body.
void AppendFrame(std::string& batch, const Frame& frame,
                 const google::protobuf::MessageLite* message = nullptr);

// Walks over the frames of a batch, in order. Unknown fields are skipped.
class FrameReader {
 public:
  explicit FrameReader(std::string_view batch) : rest_(batch) {}
  // False at the end of the batch, and at damage: then broken() is true.
  bool Next(Frame& frame);
  bool broken() const { return broken_; }

 private:
  std::string_view rest_;
  bool broken_ = false;
};

}  // namespace posthorn::rpc
