#pragma once

// What waits for one next hop, and how many connections it may have. No I/O.

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "delivery-queue/core/remote_delivery.h"
#include "delivery-queue/remote/route.h"
#include "delivery-queue/remote/timeouts.h"
#include "lib/net/loop.h"

namespace posthorn::delivery_queue {

// One message for the recipients that share the next hop: one transaction.
struct Letter {
  struct Addressee {
    int index = 0;
    std::shared_ptr<const std::function<void(int, RemoteOutcome)>> done;
  };
  std::shared_ptr<const queue::v1::StoredEntry> entry;
  std::vector<Addressee> addressees;
  bool again = false;        // was on a connection that turned out to be dead already
  bool shares_body = false;  // other letters carry the same message
  std::string traceparent;   // of the attempt; empty: its trace is not sampled

  void Answer(const RemoteOutcome& outcome) const {
    for (const Addressee& addressee : addressees) (*addressee.done)(addressee.index, outcome);
  }
};

class NextHop {
 public:
  using Time = std::chrono::steady_clock::time_point;

  NextHop(net::Loop& loop, std::string key, std::string domain)
      : key_(std::move(key)), domain_(std::move(domain)), arrived_(loop) {}

  const std::string& key() const { return key_; }
  const std::string& domain() const { return domain_; }

  // Recipients of a message that waits already join its letter, up to 100.
  void Add(const RemoteJob& job);
  void PutBack(Letter letter) { waiting_.push_front(std::move(letter)); }
  bool empty() const { return waiting_.empty(); }
  Letter Take();
  std::deque<Letter> TakeAll() { return std::exchange(waiting_, {}); }
  // How many more connections are worth opening.
  size_t Wanted() const;

  void OnGoodMessage();
  void OnLost();
  // Nobody could be reached; later failures of attempts begun before count once.
  void OnUnreachable(RemoteOutcome outcome, Time now);
  // Why it is left alone at `now`, or null.
  const RemoteOutcome* LeftAlone(Time now) const { return now < not_before_ ? &failure_ : nullptr; }
  // What was wrong may be mended.
  void Forgive() { not_before_ = {}; }
  bool Forgettable(Time now) const {
    return workers == 0 && waiting_.empty() && now >= not_before_;
  }
  double limit() const { return std::min(limit_, most); }

  net::Signal& arrived() { return arrived_; }

  // Set by whoever owns it.
  std::shared_ptr<const Route> route;
  double most = kMostConcurrency;  // as configured
  size_t workers = 0;              // connections, also those being opened
  size_t connected = 0;            // sessions that are ready
  size_t idle = 0;                 // of these, without a letter
  bool pump_posted = false;
  bool in_line = false;  // waits for a connection to end: one of all, or one to the same address

 private:
  const std::string key_, domain_;
  net::Signal arrived_;
  std::deque<Letter> waiting_;
  double limit_ = kFirstConcurrency;
  std::chrono::milliseconds back_off_{0};
  Time not_before_;
  RemoteOutcome failure_;
};

}  // namespace posthorn::delivery_queue
