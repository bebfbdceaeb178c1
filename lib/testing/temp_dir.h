#pragma once

#include <string>
#include <string_view>

namespace posthorn::testing {

// A directory of its own, removed with all that is in it.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  const std::string& path() const { return path_; }
  // path()/name
  std::string File(std::string_view name) const;

 private:
  std::string path_;
};

}  // namespace posthorn::testing
