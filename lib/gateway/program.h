#pragma once

// What the programs of smtp-, imap- and pop3-gateway do alike: their main, and what the newest
// configuration says to their sessions. Everything on the service's loop.

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "lib/gateway/frontend.h"
#include "lib/gateway/networks.h"
#include "posthorn/config/v1/kinds.pb.h"

namespace posthorn::gateway {

// The newest configuration, as sessions ask for it. Outlived by the service.
class Present {
 public:
  explicit Present(process::Service& service);
  // Never null.
  std::shared_ptr<const config::v1::Settings> settings() const { return settings_; }
  NetworkRights RightsOf(std::string_view address) const { return networks_.Of(address); }

 private:
  std::shared_ptr<const config::v1::Settings> settings_ =
      std::make_shared<const config::v1::Settings>();
  Networks networks_;
};

// What one protocol adds. Outlives its sessions.
class Program {
 public:
  virtual ~Program() = default;
  // Which ports are ours, and what serves them. Asked once.
  virtual Frontend::Options Front() = 0;
};

// The answer to a client that is refused for its numbers: `line` with its CRLF.
net::Listener::Refuse RefuseWith(std::string line);

// main(): the service called `process`; in its setup `make` is called, then the ports are opened.
// The exit code.
int Main(int argc, char** argv, std::string_view process,
         std::function<std::unique_ptr<Program>(process::Service&)> make);

}  // namespace posthorn::gateway
