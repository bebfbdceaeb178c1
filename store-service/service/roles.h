#pragma once

// Who may call the store. A role is the name of a process.

#include <string>
#include <vector>

namespace posthorn::store_service {

inline const char* const kSmtp = "smtp-gateway";
inline const char* const kImap = "imap-gateway";
inline const char* const kPop3 = "pop3-gateway";
inline const char* const kQueue = "delivery-queue";
inline const char* const kSpam = "spam-service";
inline const char* const kAdmin = "admin-service";

using Roles = std::vector<std::string>;
inline Roles Everybody() { return {kSmtp, kImap, kPop3, kQueue, kSpam, kAdmin}; }
inline Roles Gateways() { return {kSmtp, kImap, kPop3}; }

}  // namespace posthorn::store_service
