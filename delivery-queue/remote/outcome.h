#pragma once

// Replies and failures as outcomes of an attempt. Pure.

#include <string>
#include <string_view>

#include "delivery-queue/core/remote_delivery.h"
#include "lib/mail/smtp_reply.h"

namespace posthorn::delivery_queue {

// "550 5.1.1 No such user"
std::string ReplyText(const mail::Reply& reply);
// 2xx sent, 5xx failed, everything else deferred. Without an enhanced code its class alone:
// "5.0.0".
RemoteOutcome FromReply(const mail::Reply& reply, std::string_view host);
RemoteOutcome Deferred(std::string_view status, std::string_view text, std::string_view host = {});
RemoteOutcome Failed(std::string_view status, std::string_view text, std::string_view host = {});

}  // namespace posthorn::delivery_queue
