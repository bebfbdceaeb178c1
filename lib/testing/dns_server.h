#pragma once

// An authoritative DNS server (nsd) on a free port of 127.0.0.1 for the tests of one zone, and
// signing of zones.

#include <sys/types.h>

#include <memory>
#include <string>
#include <string_view>

#include "lib/testing/temp_dir.h"

namespace posthorn::testing {

class DnsServer {
 public:
  // Serves `records` (lines of a zone file; SOA and NS are added) as zone `name` ("example.test").
  // Returns when it answers; null, with the reason on standard error, when nsd is missing or does
  // not start.
  static std::unique_ptr<DnsServer> Start(std::string_view name, std::string_view records);
  // The zone is signed with a fresh key; trust_anchor() is its DS record. With `forged` not empty,
  // these lines replace the signed records of the same owner and type without a new signature:
  // "www.example.test. A 192.0.2.66".
  static std::unique_ptr<DnsServer> StartSigned(std::string_view name, std::string_view records,
                                                std::string_view forged_from = {},
                                                std::string_view forged_to = {});
  ~DnsServer();
  DnsServer(const DnsServer&) = delete;
  // "127.0.0.1@5353"
  std::string address() const;
  int port() const { return port_; }
  // File with the DS record, of a signed zone.
  const std::string& trust_anchor() const { return trust_anchor_; }
  // Ends the server; the port stays silent or refuses from then on.
  void Stop();

 private:
  DnsServer() = default;
  bool Serve(std::string_view name, const std::string& zone_file);

  TempDir directory_;
  pid_t pid_ = -1;
  int port_ = 0;
  std::string trust_anchor_;
};

// A bound UDP port that never answers.
class SilentDnsServer {
 public:
  SilentDnsServer();
  ~SilentDnsServer();
  SilentDnsServer(const SilentDnsServer&) = delete;
  std::string address() const;

 private:
  int fd_;
  int port_ = 0;
};

}  // namespace posthorn::testing
