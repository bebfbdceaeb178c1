#pragma once

// The handlers, by file. Each starts where its law row is satisfied: parse, call, tell, complete.

#include "imap-gateway/session/session.h"

namespace posthorn::imap_gateway {

// any_state.cc
net::Task<Completion> OnCapability(Session& session, Input input);
net::Task<Completion> OnNoop(Session& session, Input input);  // CHECK too
net::Task<Completion> OnLogout(Session& session, Input input);
net::Task<Completion> OnId(Session& session, Input input);
// authenticate.cc
net::Task<Completion> OnStartTls(Session& session, Input input);
net::Task<Completion> OnLogin(Session& session, Input input);
net::Task<Completion> OnAuthenticate(Session& session, Input input);
// mailboxes.cc
net::Task<Completion> OnCreate(Session& session, Input input);
net::Task<Completion> OnDelete(Session& session, Input input);
net::Task<Completion> OnRename(Session& session, Input input);
net::Task<Completion> OnSubscribe(Session& session, Input input);  // UNSUBSCRIBE too
net::Task<Completion> OnEnable(Session& session, Input input);
net::Task<Completion> OnNamespace(Session& session, Input input);
// list.cc
net::Task<Completion> OnList(Session& session, Input input);
net::Task<Completion> OnLsub(Session& session, Input input);
// status.cc
net::Task<Completion> OnStatus(Session& session, Input input);
// select.cc
net::Task<Completion> OnSelect(Session& session, Input input);  // EXAMINE too
net::Task<Completion> OnClose(Session& session, Input input);
net::Task<Completion> OnUnselect(Session& session, Input input);
// append.cc
net::Task<Completion> OnAppend(Session& session, Input input);
// idle.cc
net::Task<Completion> OnIdle(Session& session, Input input);
// fetch.cc
net::Task<Completion> OnFetch(Session& session, Input input);
// store_flags.cc
net::Task<Completion> OnStore(Session& session, Input input);
// copy.cc
net::Task<Completion> OnCopy(Session& session, Input input);  // MOVE too
// expunge.cc
net::Task<Completion> OnExpunge(Session& session, Input input);
// search.cc
net::Task<Completion> OnSearch(Session& session, Input input);

// Shared by commands on messages: the uids a set names among those the session was told of.
// Sequence numbers beyond the end are kOutOfRange (BAD); uids that are not there are left out.
absl::StatusOr<NumberSet> NamedUids(Session& session, const SequenceSet& set, bool by_uid);

}  // namespace posthorn::imap_gateway
