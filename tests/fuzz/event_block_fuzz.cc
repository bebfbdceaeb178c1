// Blocks of the trace: any bytes, and sound ones that are damaged.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "posthorn/common/v1/common.pb.h"
#include "store-service/events/block.h"
#include "tests/fuzz/damage.h"

namespace {

using namespace posthorn::store_service;

void Read(std::string_view bytes) {
  const auto header = DecodeBlockHeader(bytes);
  if (!header || BlockSize(*header) > bytes.size()) return;
  const std::string_view bloom = bytes.substr(kBlockHeaderBytes, header->bloom_length);
  BloomMayHold(bloom, WordToken("word"));
  ForEachEvent(bytes.substr(kBlockHeaderBytes + header->bloom_length, header->payload_length),
               [](posthorn::common::v1::Event&&) {});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view raw(reinterpret_cast<const char*>(data), size);
  Read(raw);
  ForEachEvent(raw, [](posthorn::common::v1::Event&&) {});
  BloomMayHold(raw, AddressToken(raw));
  for (const std::string_view word : Words(raw)) {
    if (word.empty()) std::abort();
  }
  posthorn::fuzz::Input input(data, size);
  BlockBuilder builder;
  uint32_t added = 0;
  for (int events = input.Byte() % 8; events > 0; --events) {
    posthorn::common::v1::Event event;
    event.set_time_ms(input.Number());
    event.set_message_id(std::string(input.Bytes(16)));
    event.set_text("x");
    if (builder.Add(event)) ++added;
  }
  if (builder.empty()) return 0;
  std::string block = builder.Finish();
  const auto header = DecodeBlockHeader(block);
  if (!header || header->count != added || BlockSize(*header) != block.size()) std::abort();
  posthorn::fuzz::Damage(input, block);
  Read(block);
  return 0;
}
