#pragma once

// Resolver on libunbound: cache, DNSSEC validation, questions in the background. One for each
// process.

#include <memory>
#include <string>
#include <vector>

#include "lib/dns/resolver.h"

namespace posthorn::dns {

struct Options {
  // Name servers that resolve for us: "address" or "address@port". Empty: those of
  // /etc/resolv.conf; when that names none, the resolver asks the root servers itself.
  std::vector<std::string> servers;
  // File with trust anchors (DS or DNSKEY records): what fails validation is kDataLoss. Empty with
  // `servers`: nothing is validated. Empty without: the system's anchor, and what fails validation
  // is merely not `secure`, so that a network whose resolver mangles DNSSEC still gets its mail.
  std::string trust_anchor;
  bool operator==(const Options&) const = default;
};

// Invariants: 1. all calls on the loop's thread. 2. A question begun before Configure ends with the
// servers it began with. 3. Never blocks, except that a replaced or destroyed context waits for its
// thread (microseconds).
class UnboundResolver : public Resolver {
 public:
  // kInvalidArgument for a server that is not a numeric address, kUnavailable when a file cannot be
  // read.
  static absl::StatusOr<std::unique_ptr<UnboundResolver>> Create(net::Loop& loop, Options options);
  // Replaces servers and cache; nothing happens when the options are the present ones. On error the
  // present ones stay.
  virtual absl::Status Configure(Options options) = 0;
};

}  // namespace posthorn::dns
