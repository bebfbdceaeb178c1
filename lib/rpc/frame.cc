#include "lib/rpc/frame.h"

#include <bit>
#include <cstring>

namespace posthorn::rpc {
namespace {

static_assert(std::endian::native == std::endian::little, "fixed32 is copied as it lies in memory");

// Protobuf's wire types.
enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kLength = 2, kFixed32 = 5 };

// Field numbers of posthorn.rpc.v1.Frame.
enum Field : uint32_t {
  kFieldCall = 1,
  kFieldFlags = 2,
  kFieldMethod = 3,
  kFieldDeadline = 4,
  kFieldTrace = 5,
  kFieldTicket = 6,
  kFieldBody = 7,
  kFieldStatus = 8,
  kFieldError = 9,
  kFieldCredit = 10,
};
constexpr char kBatchFrames = 1 << 3 | kLength;

// All fields are below 16: a tag is one byte.
constexpr char TagOf(Field field, WireType type) { return static_cast<char>(field << 3 | type); }

char* PutVarint(char* to, uint64_t value) {
  while (value >= 0x80) {
    *to++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *to++ = static_cast<char>(value);
  return to;
}
size_t VarintSize(uint64_t value) { return (std::bit_width(value | 1) + 6) / 7; }

char* PutNumber(char* to, Field field, uint64_t value) {
  if (value == 0) return to;
  *to++ = TagOf(field, kVarint);
  return PutVarint(to, value);
}
char* PutBytes(char* to, Field field, std::string_view bytes) {
  if (bytes.empty()) return to;
  *to++ = TagOf(field, kLength);
  to = PutVarint(to, bytes.size());
  std::memcpy(to, bytes.data(), bytes.size());
  return to + bytes.size();
}
size_t NumberSize(uint64_t value) { return value == 0 ? 0 : 1 + VarintSize(value); }
size_t BytesSize(size_t size) { return size == 0 ? 0 : 1 + VarintSize(size) + size; }

// Cursor over one frame or batch; false from any Take: damaged.
struct Cursor {
  const char* at;
  const char* end;

  bool TakeVarint(uint64_t& value) {
    value = 0;
    for (int shift = 0; shift < 70 && at < end; shift += 7) {
      const auto byte = static_cast<uint8_t>(*at++);
      value |= static_cast<uint64_t>(byte & 0x7F) << (shift & 63);
      if (byte < 0x80) return true;
    }
    return false;
  }
  bool TakeBytes(std::string_view& bytes) {
    uint64_t size = 0;
    if (!TakeVarint(size) || size > static_cast<uint64_t>(end - at)) return false;
    bytes = {at, static_cast<size_t>(size)};
    at += size;
    return true;
  }
  bool TakeFixed32(uint32_t& value) {
    if (end - at < 4) return false;
    std::memcpy(&value, at, 4);
    at += 4;
    return true;
  }
  bool Skip(uint32_t type) {
    uint64_t number = 0;
    std::string_view bytes;
    uint32_t fixed = 0;
    switch (type) {
      case kVarint:
        return TakeVarint(number);
      case kFixed64:
        return TakeFixed32(fixed) && TakeFixed32(fixed);
      case kLength:
        return TakeBytes(bytes);
      case kFixed32:
        return TakeFixed32(fixed);
      default:
        return false;
    }
  }
};

bool TakeNumber(Cursor& cursor, uint32_t& into) {
  uint64_t number = 0;
  if (!cursor.TakeVarint(number)) return false;
  into = static_cast<uint32_t>(number);
  return true;
}

bool TakeField(Cursor& cursor, uint64_t tag, Frame& frame) {
  switch (tag) {
    case kFieldCall << 3 | kVarint:
      return cursor.TakeVarint(frame.call);
    case kFieldFlags << 3 | kVarint:
      return TakeNumber(cursor, frame.flags);
    case kFieldMethod << 3 | kFixed32:
      return cursor.TakeFixed32(frame.method);
    case kFieldDeadline << 3 | kVarint:
      return TakeNumber(cursor, frame.deadline_ms);
    case kFieldTrace << 3 | kLength:
      return cursor.TakeBytes(frame.trace);
    case kFieldTicket << 3 | kLength:
      return cursor.TakeBytes(frame.ticket);
    case kFieldBody << 3 | kLength:
      return cursor.TakeBytes(frame.body);
    case kFieldStatus << 3 | kVarint:
      return TakeNumber(cursor, frame.status);
    case kFieldError << 3 | kLength:
      return cursor.TakeBytes(frame.error);
    case kFieldCredit << 3 | kVarint:
      return TakeNumber(cursor, frame.credit);
    default:
      return tag >> 3 != 0 && cursor.Skip(tag & 7);
  }
}

}  // namespace

void AppendFrame(std::string& batch, const Frame& frame,
                 const google::protobuf::MessageLite* message) {
  const size_t body = message != nullptr ? message->ByteSizeLong() : frame.body.size();
  const size_t size = NumberSize(frame.call) + NumberSize(frame.flags) +
                      (frame.method != 0 ? 5 : 0) + NumberSize(frame.deadline_ms) +
                      BytesSize(frame.trace.size()) + BytesSize(frame.ticket.size()) +
                      BytesSize(body) + NumberSize(frame.status) + BytesSize(frame.error.size()) +
                      NumberSize(frame.credit);
  const size_t before = batch.size();
  batch.resize(before + 1 + VarintSize(size) + size);
  char* to = batch.data() + before;
  *to++ = kBatchFrames;
  to = PutVarint(to, size);
  to = PutNumber(to, kFieldCall, frame.call);
  to = PutNumber(to, kFieldFlags, frame.flags);
  if (frame.method != 0) {
    *to++ = TagOf(kFieldMethod, kFixed32);
    std::memcpy(to, &frame.method, 4);
    to += 4;
  }
  to = PutNumber(to, kFieldDeadline, frame.deadline_ms);
  to = PutBytes(to, kFieldTrace, frame.trace);
  to = PutBytes(to, kFieldTicket, frame.ticket);
  if (message == nullptr) {
    to = PutBytes(to, kFieldBody, frame.body);
  } else if (body != 0) {
    *to++ = TagOf(kFieldBody, kLength);
    to = PutVarint(to, body);
    to = reinterpret_cast<char*>(
        message->SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(to)));
  }
  to = PutNumber(to, kFieldStatus, frame.status);
  to = PutBytes(to, kFieldError, frame.error);
  PutNumber(to, kFieldCredit, frame.credit);
}

bool FrameReader::Next(Frame& frame) {
  frame = Frame();
  if (rest_.empty() || broken_) return false;
  Cursor batch{rest_.data(), rest_.data() + rest_.size()};
  uint64_t tag = 0;
  std::string_view bytes;
  while (batch.at < batch.end) {
    if (!batch.TakeVarint(tag)) return !(broken_ = true);
    if (tag == static_cast<uint64_t>(kBatchFrames)) {
      if (!batch.TakeBytes(bytes)) return !(broken_ = true);
      Cursor inside{bytes.data(), bytes.data() + bytes.size()};
      while (inside.at < inside.end) {
        if (!inside.TakeVarint(tag) || !TakeField(inside, tag, frame)) return !(broken_ = true);
      }
      rest_ = {batch.at, static_cast<size_t>(batch.end - batch.at)};
      return true;
    }
    if (tag >> 3 == 0 || !batch.Skip(tag & 7)) return !(broken_ = true);
  }
  rest_ = {};
  return false;
}

}  // namespace posthorn::rpc
