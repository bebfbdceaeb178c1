#pragma once

// A ub_ctx with its thread, and the questions that wait for it. For the .cc files of lib/dns only.

#include <memory>

#include "lib/dns/unbound_resolver.h"
#include "lib/net/loop.h"

namespace posthorn::dns {

// What a coroutine waits for.
struct Question {
  explicit Question(net::Loop& loop) : signal(loop) {}
  net::Signal signal;
  bool done = false;
  absl::StatusOr<Answer> answer = Answer();
};

class UnboundContext {
 public:
  static absl::StatusOr<std::shared_ptr<UnboundContext>> Create(net::Loop& loop,
                                                                const Options& options);
  virtual ~UnboundContext() = default;
  // `name` as QuestionName made it. `question` is filled in and notified later, never inside Ask.
  virtual absl::Status Ask(const std::string& name, Type type,
                           std::shared_ptr<Question> question) = 0;
};

}  // namespace posthorn::dns
