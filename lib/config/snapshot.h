#pragma once

// An immutable set of configuration objects at one revision (architecture.md, idea 2). No hot path
// asks for configuration over the network: it reads this.

#include <google/protobuf/message.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace posthorn::admin::v1 {
class WatchReply;
}

namespace posthorn::config {

class Snapshot {
 public:
  // An empty one: every singleton has its defaults.
  Snapshot();
  uint64_t revision() const { return revision_; }
  // The singleton of kind T (default values where admin sent none).
  template <class T>
  const T& Get() const {
    return static_cast<const T&>(Singleton(T::descriptor()->full_name()));
  }
  // All objects of kind T, by name. Built at the swap: cheap.
  template <class T>
  const std::vector<std::shared_ptr<const google::protobuf::Message>>& All() const {
    return Objects(T::descriptor()->full_name());
  }
  // The object of kind T called `name`, or null.
  template <class T>
  const T* Find(std::string_view name) const {
    return static_cast<const T*>(FindObject(T::descriptor()->full_name(), name));
  }
  // A new snapshot with `reply` applied; kInvalidArgument on unknown kinds is not an error: they
  // are skipped.
  std::shared_ptr<const Snapshot> With(const admin::v1::WatchReply& reply) const;
  // The file form for restarts without admin: one WatchReply with full = true.
  std::string Serialize() const;
  static absl::StatusOr<std::shared_ptr<const Snapshot>> Parse(std::string_view bytes);

 private:
  const google::protobuf::Message& Singleton(std::string_view kind) const;
  const std::vector<std::shared_ptr<const google::protobuf::Message>>& Objects(
      std::string_view kind) const;
  const google::protobuf::Message* FindObject(std::string_view kind, std::string_view name) const;

  uint64_t revision_ = 0;
  struct Kind {
    std::map<std::string, std::shared_ptr<const google::protobuf::Message>, std::less<>> by_name;
    std::vector<std::shared_ptr<const google::protobuf::Message>> all;
  };
  std::map<std::string, Kind, std::less<>> kinds_;
};

}  // namespace posthorn::config
