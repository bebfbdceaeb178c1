#pragma once

// Several statements sent as one message and answered by one: most of what a small transaction
// costs is messages. Only for connections that were opened with Options::Scripts::kYes.

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "store-service/database/mysql/connection.h"

namespace posthorn::mysql {

class Script {
 public:
  explicit Script(Connection& connection) : connection_(&connection) {}

  // One statement without rows. `changed`, which lives until Run() has returned, grows by the rows
  // it changed or, an UPDATE, found. What was gathered is sent when it has become large, so a
  // statement must not be read back before Run().
  absl::Status Add(std::string_view statement, int64_t* changed = nullptr);
  // `value` becomes what `expression` yields: "(SELECT count(*) FROM t)".
  absl::Status AddValue(std::string_view expression, int64_t* value);
  // Sends the rest. The statements after one that failed were not run.
  absl::Status Run();
  // SQL that tells, after a failure too, what the wanted number `index` (in order, from 0) was.
  static std::string Recall(int index);

 private:
  Connection* connection_;
  std::string text_;
  int statements_ = 0;
  size_t told_ = 0;  // numbers that have come back
  struct Wanted {
    int64_t* target;
    bool adds;
  };
  std::vector<Wanted> wanted_;
};

}  // namespace posthorn::mysql
