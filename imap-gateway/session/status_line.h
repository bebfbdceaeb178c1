#pragma once

#include <cstdint>
#include <string>

#include "imap-gateway/session/gateway.h"
#include "imap-gateway/view/account_view.h"

namespace posthorn::imap_gateway {

// "* STATUS name (…)" with the asked items ([RFC9051 7.3.4]); for STATUS and LIST's RETURN (STATUS
// …).
void AppendStatusLine(std::string& out, const MailboxInfo& mailbox, uint32_t items,
                      const ImapConfig& config);

}  // namespace posthorn::imap_gateway
