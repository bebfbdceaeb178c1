// Any bytes as an SPF record: no crash; what parses has macros that expand to a name of bounded
// length.

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "spam-service/spf/macro.h"
#include "spam-service/spf/record.h"

using posthorn::spam_service::ExpandDomain;
using posthorn::spam_service::IsDomainSpec;
using posthorn::spam_service::MacroValues;
using posthorn::spam_service::SpfMechanism;

namespace {

void Demand(bool condition) {
  if (!condition) std::abort();
}

void DemandBounded(std::string_view spec) {
  MacroValues values;
  values.sender = "strong-bad@email.example.com";
  values.local = "strong-bad";
  values.origin = values.domain = "email.example.com";
  values.client = *posthorn::net::ParseAddress("2001:db8::cb01");
  values.helo = "mta.example";
  Demand(IsDomainSpec(spec));
  Demand(ExpandDomain(spec, values).size() <= 253);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)posthorn::spam_service::ExpandText(text, MacroValues());
  const auto record = posthorn::spam_service::ParseSpfRecord(text);
  if (!record.ok()) return 0;
  Demand(posthorn::spam_service::IsSpfRecord(text));
  for (const SpfMechanism& mechanism : record->mechanisms) {
    Demand(mechanism.prefix4 >= 0 && mechanism.prefix4 <= 32);
    Demand(mechanism.prefix6 >= 0 && mechanism.prefix6 <= 128);
    if (!mechanism.domain.empty()) DemandBounded(mechanism.domain);
  }
  if (record->redirect) DemandBounded(*record->redirect);
  if (record->explanation) DemandBounded(*record->explanation);
  return 0;
}
