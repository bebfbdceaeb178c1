#include "lib/testing/temp_dir.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "lib/base/strings.h"

namespace posthorn::testing {

TempDir::TempDir() {
  path_ = (std::filesystem::temp_directory_path() / "posthorn-test-XXXXXX").string();
  if (mkdtemp(path_.data()) == nullptr) {
    std::perror("mkdtemp");
    std::abort();
  }
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempDir::File(std::string_view name) const { return base::StrCat(path_, "/", name); }

}  // namespace posthorn::testing
