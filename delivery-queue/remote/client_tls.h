#pragma once

#include <memory>

namespace posthorn::net {
class TlsContext;
}

namespace posthorn::delivery_queue {

// What is believed of other hosts' certificates.
struct ClientTls {
  std::shared_ptr<const net::TlsContext> any;       // every certificate
  std::shared_ptr<const net::TlsContext> verified;  // those that are valid for the host's name
};

}  // namespace posthorn::delivery_queue
