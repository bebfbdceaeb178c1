#pragma once

#include "admin-service/up/layout.h"

namespace posthorn::up {

// `posthorn up`: returns the exit code. Call before any thread was started.
int Up(Options options);
// `posthorn down`: 0 when it has ended (or did not run).
int Down(const std::string& dir);

}  // namespace posthorn::up
