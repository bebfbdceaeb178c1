#pragma once

// Simultaneous connections to one address, over all next hops: a thousand domains at one provider
// are one destination. No I/O. Invariant: hops stand in line at an address only while all its
// places are taken.

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

namespace posthorn::delivery_queue {

class NextHop;

// One connection that may exist, until it is destroyed.
struct Place {
  std::string address;
  std::shared_ptr<void> held;
};

class Places : public std::enable_shared_from_this<Places> {
 public:
  using HopPtr = std::shared_ptr<NextHop>;
  using Call = std::function<void(const HopPtr& hop, Place place)>;
  // `call` for a hop that stood in line and has something to send: it has this place now. Must only
  // arrange for its use; the place may not be given back before `call` returns.
  Places(size_t limit, Call call) : limit_(limit), call_(std::move(call)) {}

  // Nothing: `hop` stands in line there from now on, unless it stands in some line already.
  std::optional<Place> Enter(const std::string& address, const HopPtr& hop);
  void SetLimit(size_t limit);
  // Somebody stands in line.
  bool Crowded(const std::string& address) const;

 private:
  struct Site {
    size_t used = 0;
    std::deque<HopPtr> line;
  };
  Place Take(const std::string& address);
  void Leave(const std::string& address);
  void CallNext(const std::string& address);

  size_t limit_;
  Call call_;
  std::unordered_map<std::string, Site> sites_;
};

}  // namespace posthorn::delivery_queue
