#pragma once

#include <string_view>

namespace posthorn::process {

// Tells the service manager that started us ("READY=1", "STOPPING=1"; sd_notify(3)). Nothing
// happens when nobody asked for it by NOTIFY_SOCKET. Does not block.
void NotifyManager(std::string_view state);

}  // namespace posthorn::process
