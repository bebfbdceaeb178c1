#pragma once

// From a next hop to a session that is ready for MAIL: look-up, connections, EHLO, TLS, AUTH.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "delivery-queue/core/remote_delivery.h"
#include "delivery-queue/remote/client_tls.h"
#include "delivery-queue/remote/mail_hosts.h"
#include "delivery-queue/remote/places.h"
#include "delivery-queue/remote/remote_metrics.h"
#include "delivery-queue/remote/route.h"
#include "delivery-queue/remote/smtp_client.h"

namespace posthorn::delivery_queue {

struct Session {
  SmtpClient client;
  std::string host;
  Place place;
  Destination destination = Destination::kMailExchanger;
};
// The address to try has connections enough: the next hop stands in line for one.
struct Busy {};
// Ready, or what its letters get: the failure of the host tried last.
using Opened = std::variant<std::unique_ptr<Session>, RemoteOutcome, Busy>;

struct OpenRequest {
  Seeker seeker;
  std::string domain;                  // used when there is no route
  std::shared_ptr<const Route> route;  // null: mail exchangers of `domain`
  ClientTls tls;
  Patience patience;
  // Before connecting to an address; nothing: Busy.
  std::function<std::optional<Place>(const std::string& address)> enter;
};
// Tries host after host [RFC5321 5.1].
net::Task<Opened> OpenSession(OpenRequest request);

}  // namespace posthorn::delivery_queue
