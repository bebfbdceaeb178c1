#pragma once

// What a POP3 session asks of the store. An interface, so that sessions run in tests against a fake.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/login/login.h"
#include "lib/net/task.h"

namespace posthorn::pop3_gateway {

// A locked maildrop [RFC1939 4]: the messages it held when it was opened. The lock ends with the object.
class Maildrop {
 public:
  struct Message {
    uint32_t uid = 0;
    uint64_t size = 0;
  };
  virtual ~Maildrop() = default;
  const std::vector<Message>& messages() const { return messages_; }
  uint32_t uid_validity() const { return uid_validity_; }

  // Hands a message's bytes to `take` in chunks, in order; `take` returns false when it has enough. kNotFound: gone.
  using Take = std::function<net::Task<bool>(std::string_view chunk)>;
  virtual net::Task<absl::Status> Read(uint32_t uid, Take take) = 0;
  // Removes these messages, and no others, whatever happened to the lock.
  virtual net::Task<absl::Status> Remove(std::vector<uint32_t> uids) = 0;

 protected:
  std::vector<Message> messages_;
  uint32_t uid_validity_ = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual net::Task<login::Verdict> Login(login::Attempt attempt) = 0;
  virtual std::unique_ptr<login::Gate::Guard> OnEnd(uint64_t account, std::function<void()> end) = 0;
  // kAlreadyExists: somebody else has the lock.
  virtual net::Task<absl::StatusOr<std::unique_ptr<Maildrop>>> Open(std::string ticket) = 0;
};

}  // namespace posthorn::pop3_gateway
