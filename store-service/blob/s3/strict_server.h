#pragma once

// tests/s3/strict_server.py as a process of its own. Tests only.

#include <memory>
#include <string>

#include "store-service/blob/s3/s3_client.h"

namespace posthorn::store_service {

class StrictServer {
 public:
  explicit StrictServer(std::string root);  // an existing folder; dies with what was put there
  ~StrictServer();
  StrictServer(const StrictServer&) = delete;
  StrictServer& operator=(const StrictServer&) = delete;

  S3Target target() const;
  // The next `count` requests of `method` meet `kind` (see strict_server.py).
  void Fault(const std::string& kind, int count, const std::string& method, double seconds = 0);
  void Clear() { Say("clear"); }
  void Kill();     // as a power loss of its machine
  void Restart();  // on the same port, with what was there

 private:
  void Start(int port);
  void Say(const std::string& line);
  std::string ReadLine();
  const std::string root_;
  int pid_ = 0;
  int in_ = -1;
  int out_ = -1;
  int port_ = 0;
};

}  // namespace posthorn::store_service
