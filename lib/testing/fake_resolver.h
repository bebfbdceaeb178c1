#pragma once

// A Resolver whose answers are written in the test. Names are compared without case; what was not
// added does not exist (kNxDomain), or has no data when the name has records of another type.

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/dns/resolver.h"

namespace posthorn::testing {

class FakeResolver : public dns::Resolver {
 public:
  void AddAddress(std::string_view name, std::string_view address);  // A or AAAA
  void AddMx(std::string_view name, uint16_t preference, std::string_view host);
  void AddTxt(std::string_view name, std::string_view text);
  void AddPtr(std::string_view address, std::string_view host);
  void Add(std::string_view name, dns::Type type, std::string data);
  // From now on questions for it end so.
  void Fail(std::string_view name, dns::Type type, absl::Status status);
  // As above, for every name and type.
  void FailAll(absl::Status status) { failure_ = std::move(status); }
  void SetSecure(std::string_view name, dns::Type type);

  net::Task<absl::StatusOr<dns::Answer>> Query(std::string name, dns::Type type,
                                               std::chrono::milliseconds timeout) override;
  // "TXT example.test", in the order asked.
  const std::vector<std::string>& asked() const { return asked_; }
  void ForgetAsked() { asked_.clear(); }

 private:
  using Key = std::pair<std::string, dns::Type>;
  absl::StatusOr<dns::Answer> Find(const std::string& name, dns::Type type) const;

  std::map<Key, absl::StatusOr<dns::Answer>> answers_;
  absl::Status failure_;
  std::vector<std::string> asked_;
};

}  // namespace posthorn::testing
