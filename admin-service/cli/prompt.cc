#include "admin-service/cli/prompt.h"

#include <termios.h>
#include <unistd.h>

#include <iostream>

#include "lib/base/strings.h"

namespace posthorn::cli {

absl::StatusOr<std::string> AskPassword(const std::string& question) {
  std::string line;
  if (!isatty(STDIN_FILENO)) {
    if (!std::getline(std::cin, line) || line.empty()) {
      return base::Error(
          absl::StatusCode::kUnauthenticated,
          "no password: set POSTHORN_PASSWORD, or give --password-file or --token-file");
    }
    return line;
  }
  std::cerr << question << std::flush;
  termios before{};
  tcgetattr(STDIN_FILENO, &before);
  termios quiet = before;
  quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
  std::getline(std::cin, line);
  tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
  std::cerr << "\n";
  if (line.empty()) return base::Invalid("no password");
  return line;
}

}  // namespace posthorn::cli
