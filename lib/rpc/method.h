#pragma once

// A method of a contract, with its types. One constant for each rpc of proto/, in lib/rpc/methods/*.h.

#include <cstdint>
#include <string_view>

namespace posthorn::rpc {

template <class RequestT, class ReplyT>
struct Method {
  using Request = RequestT;
  using Reply = ReplyT;
  std::string_view path;  // "/posthorn.store.v1.Blobs/Put"
};

// FNV-1a, as in Frame.method.
constexpr uint32_t MethodHash(std::string_view path) {
  uint32_t hash = 2166136261U;
  for (const char c : path) hash = (hash ^ static_cast<uint8_t>(c)) * 16777619U;
  return hash;
}

}  // namespace posthorn::rpc
