#pragma once

// The program of a gateway whose sessions share one `Surroundings` {backend, drain, settings,
// rights, hostname} and are made of it, a connection and a port.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/config/snapshot.h"
#include "lib/gateway/program.h"
#include "lib/process/service.h"

namespace posthorn::gateway {

template <class Session, class Surroundings, class Backend>
class SessionProgram final : public Program {
 public:
  // `refusal`: what a client is told that is refused for its numbers, with its CRLF.
  SessionProgram(process::Service& service, std::unique_ptr<Backend> backend,
                 std::vector<config::v1::Protocol> protocols, std::string refusal)
      : protocols_(std::move(protocols)),
        refusal_(std::move(refusal)),
        present_(service),
        backend_(std::move(backend)),
        around_{*backend_,
                service.drain(),
                [this] { return present_.settings(); },
                [this](std::string_view address) { return present_.RightsOf(address); },
                {}} {
    service.OnConfig(
        [this](const config::Snapshot& snapshot) { around_.hostname = Hostname(snapshot); });
  }

  Frontend::Options Front() override {
    return {
        .protocols = protocols_,
        .serve =
            [this](std::unique_ptr<net::Connection> connection, std::shared_ptr<const Port> port) {
              return Session::Serve(
                  std::make_shared<Session>(around_, std::move(connection), std::move(port)));
            },
        .refuse = RefuseWith(refusal_)};
  }

 private:
  const std::vector<config::v1::Protocol> protocols_;
  const std::string refusal_;
  Present present_;
  std::unique_ptr<Backend> backend_;
  Surroundings around_;
};

}  // namespace posthorn::gateway
