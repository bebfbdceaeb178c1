#pragma once

// One FETCH under way. Rows are found anew after every wait: the view moves, sequence numbers of
// the session do not.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "imap-gateway/session/session.h"
#include "lib/rpc/client.h"

namespace posthorn::imap_gateway {

struct FetchJob {
  Session& session;
  FetchItems items;
  NumberSet uids;
  std::optional<uint64_t> changed_since;
  // Messages that were asked for and could not be given.
  bool expunged = false;
  bool damaged = false;
  bool oversized = false;  // a header too long to be gathered
  NumberSet unseen;        // delivered by a section without PEEK and not \Seen yet

  const MailboxView& view() const { return session.selected()->cursor.view(); }
  Cursor& cursor() { return session.selected()->cursor; }
  // The uids that are there and pass CHANGEDSINCE.
  NumberSet Present();
};

// Streams the answers. Statuses: kCancelled when the client is gone, kDataLoss when the connection
// must end because a literal could not be finished, else the store's.
net::Task<absl::Status> FetchFromView(
    FetchJob& job);  // FLAGS, UID, INTERNALDATE, RFC822.SIZE, MODSEQ, SAVEDATE
net::Task<absl::Status> FetchFromDigests(FetchJob& job);  // ENVELOPE, BODY, BODYSTRUCTURE
net::Task<absl::Status> FetchBodies(FetchJob& job);       // any BODY[…]

// "* n FETCH (" and the attributes that the view knows; nothing when the row is gone.
bool AppendRowStart(FetchJob& job, uint32_t uid, std::string& out);
void AppendAttributes(const MailboxView& view, size_t row, uint32_t attributes, std::string& out);

// Digests in uid order, as the store streams them.
class DigestStream {
 public:
  DigestStream(Session& session, const NumberSet& uids);
  ~DigestStream();
  // False at the end.
  net::Task<absl::StatusOr<bool>> Next();
  uint32_t uid() const;
  const std::string& digest() const;
  uint32_t prefix_size() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// ENVELOPE, BODY and BODYSTRUCTURE as far as asked for, each with a blank in front; false when the
// digest cannot be read.
bool AppendDigestItems(const FetchItems& items, std::string_view digest, std::string& out);

}  // namespace posthorn::imap_gateway
