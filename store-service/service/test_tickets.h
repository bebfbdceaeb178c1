#pragma once

// Tickets for tests, made with a key of their own: good ones, and all kinds that must be refused.

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "lib/auth/hmac.h"
#include "lib/base/clock.h"
#include "lib/base/ids.h"
#include "lib/base/strings.h"
#include "posthorn/store/v1/directory.pb.h"

namespace posthorn::store_service {

namespace v1 = ::posthorn::store::v1;

inline constexpr base::AccountId kMallory = 1;
inline constexpr base::AccountId kBob = 2;
// 32 bytes, as only stores hold.
inline const std::string kTicketKey(32, 'k');

// As the store signs, with any expiry and any key.
inline std::string Sign(v1::Ticket ticket, const std::string& key = kTicketKey) {
  const std::string text = ticket.SerializeAsString();
  return base::StrCat(text, "\x7a\x20", auth::HmacSha256(key, text));
}

inline v1::Ticket Facts(base::AccountId account) {
  v1::Ticket ticket;
  ticket.set_account(account);
  ticket.set_address("bob@here.test");
  ticket.set_protocol("imap");
  ticket.set_expires(static_cast<uint64_t>(base::WallSeconds() + 3600));
  return ticket;
}

inline std::string Good(base::AccountId account) { return Sign(Facts(account)); }

struct BadTicket {
  std::string what;
  std::string ticket;
  absl::StatusCode code = absl::StatusCode::kUnauthenticated;
};

inline std::vector<BadTicket> BadTickets() {
  const std::string good = Good(kBob);
  const std::string mallory = Good(kMallory);
  std::vector<BadTicket> all = {{"none", ""},
                                {"nonsense", std::string(100, 'x')},
                                {"the account's number", "2"},
                                {"cut short", good.substr(0, good.size() - 1)},
                                {"the signature alone", good.substr(good.size() - 34)},
                                {"without its signature", good.substr(0, good.size() - 34)},
                                {"signed with another key", Sign(Facts(kBob), "another")}};
  std::string text = Facts(kBob).SerializeAsString();
  all.push_back({"Bob's number under Mallory's signature",
                 base::StrCat(text, mallory.substr(mallory.size() - 34))});
  for (const size_t at : {size_t{1}, good.size() / 2, good.size() - 1}) {
    std::string altered = good;
    altered[at] = static_cast<char>(altered[at] ^ 1);
    all.push_back({base::StrCat("altered at ", at), altered});
  }
  v1::Ticket expired = Facts(kBob);
  expired.set_expires(static_cast<uint64_t>(base::WallSeconds() - 2));
  all.push_back({"expired", Sign(expired)});
  v1::Ticket old = Facts(kBob);
  old.set_version(7);
  all.push_back({"of another password", Sign(old), absl::StatusCode::kPermissionDenied});
  all.push_back({"of no account", Good(5000), absl::StatusCode::kPermissionDenied});
  return all;
}

}  // namespace posthorn::store_service
