#pragma once

// The methods of posthorn.store.v1; lib/rpc/methods_test.cc holds them against the descriptors.

#include "lib/rpc/method.h"
#include "posthorn/store/v1/blobs.pb.h"
#include "posthorn/store/v1/cluster.pb.h"
#include "posthorn/store/v1/directory.pb.h"
#include "posthorn/store/v1/mailboxes.pb.h"
#include "posthorn/store/v1/objects.pb.h"
#include "posthorn/store/v1/queue_journal.pb.h"
#include "posthorn/store/v1/sync.pb.h"

namespace posthorn::rpc::store {

namespace v1 = ::posthorn::store::v1;

inline constexpr Method<v1::PutRequest, v1::PutReply> kBlobsPut{"/posthorn.store.v1.Blobs/Put"};
inline constexpr Method<v1::ReadBlobRequest, v1::ReadBlobReply> kBlobsRead{
    "/posthorn.store.v1.Blobs/Read"};
inline constexpr Method<v1::RegisterJournalRequest, v1::RegisterJournalReply> kJournalsRegister{
    "/posthorn.store.v1.Journals/Register"};
inline constexpr Method<v1::JournalAnswer, v1::JournalQuestion> kJournalsAttend{
    "/posthorn.store.v1.Journals/Attend"};
inline constexpr Method<v1::ListJournalsRequest, v1::ListJournalsReply> kJournalsList{
    "/posthorn.store.v1.Journals/List"};
inline constexpr Method<v1::UnregisterJournalRequest, v1::UnregisterJournalReply>
    kJournalsUnregister{"/posthorn.store.v1.Journals/Unregister"};
inline constexpr Method<v1::WatchClusterRequest, v1::ClusterMap> kClusterWatch{
    "/posthorn.store.v1.Cluster/Watch"};
inline constexpr Method<v1::ResolveRequest, v1::ResolveReply> kDirectoryResolve{
    "/posthorn.store.v1.Directory/Resolve"};
inline constexpr Method<v1::AuthenticateRequest, v1::AuthenticateReply> kDirectoryAuthenticate{
    "/posthorn.store.v1.Directory/Authenticate"};
inline constexpr Method<v1::WatchDirectoryRequest, v1::DirectoryChange> kDirectoryWatch{
    "/posthorn.store.v1.Directory/Watch"};
inline constexpr Method<v1::IssueTicketRequest, v1::IssueTicketReply> kDirectoryIssueTicket{
    "/posthorn.store.v1.Directory/IssueTicket"};
inline constexpr Method<v1::DeliverRequest, v1::DeliverReply> kMailboxesDeliver{
    "/posthorn.store.v1.Mailboxes/Deliver"};
inline constexpr Method<v1::CreateMailboxRequest, v1::MailboxReply> kMailboxesCreateMailbox{
    "/posthorn.store.v1.Mailboxes/CreateMailbox"};
inline constexpr Method<v1::DeleteMailboxRequest, v1::MailboxReply> kMailboxesDeleteMailbox{
    "/posthorn.store.v1.Mailboxes/DeleteMailbox"};
inline constexpr Method<v1::RenameMailboxRequest, v1::MailboxReply> kMailboxesRenameMailbox{
    "/posthorn.store.v1.Mailboxes/RenameMailbox"};
inline constexpr Method<v1::SubscribeRequest, v1::MailboxReply> kMailboxesSubscribe{
    "/posthorn.store.v1.Mailboxes/Subscribe"};
inline constexpr Method<v1::AppendRequest, v1::AppendReply> kMailboxesAppend{
    "/posthorn.store.v1.Mailboxes/Append"};
inline constexpr Method<v1::StoreFlagsRequest, v1::StoreFlagsReply> kMailboxesStoreFlags{
    "/posthorn.store.v1.Mailboxes/StoreFlags"};
inline constexpr Method<v1::ExpungeRequest, v1::ExpungeReply> kMailboxesExpunge{
    "/posthorn.store.v1.Mailboxes/Expunge"};
inline constexpr Method<v1::CopyRequest, v1::CopyReply> kMailboxesCopy{
    "/posthorn.store.v1.Mailboxes/Copy"};
inline constexpr Method<v1::ReadMessagesRequest, v1::ReadMessagesReply> kMailboxesReadMessages{
    "/posthorn.store.v1.Mailboxes/ReadMessages"};
inline constexpr Method<v1::ReadDigestsRequest, v1::ReadDigestsReply> kMailboxesReadDigests{
    "/posthorn.store.v1.Mailboxes/ReadDigests"};
inline constexpr Method<v1::SearchTextRequest, v1::SearchTextReply> kMailboxesSearchText{
    "/posthorn.store.v1.Mailboxes/SearchText"};
inline constexpr Method<v1::LockMaildropRequest, v1::LockMaildropReply> kMailboxesLockMaildrop{
    "/posthorn.store.v1.Mailboxes/LockMaildrop"};
inline constexpr Method<v1::SyncRequest, v1::SyncReply> kSyncAttach{
    "/posthorn.store.v1.Sync/Attach"};
inline constexpr Method<v1::HeadRequest, v1::HeadReply> kObjectsHead{
    "/posthorn.store.v1.Objects/Head"};
inline constexpr Method<v1::ListObjectsRequest, v1::ListObjectsReply> kObjectsList{
    "/posthorn.store.v1.Objects/List"};
inline constexpr Method<v1::CommitRequest, v1::CommitReply> kObjectsCommit{
    "/posthorn.store.v1.Objects/Commit"};
inline constexpr Method<v1::HistoryRequest, v1::HistoryReply> kObjectsHistory{
    "/posthorn.store.v1.Objects/History"};
inline constexpr Method<v1::CheckAdministratorRequest, v1::CheckAdministratorReply>
    kObjectsCheckAdministrator{"/posthorn.store.v1.Objects/CheckAdministrator"};
inline constexpr Method<v1::RecordEventsRequest, v1::RecordEventsReply> kTraceRecord{
    "/posthorn.store.v1.Trace/Record"};
inline constexpr Method<v1::SearchEventsRequest, v1::SearchEventsReply> kTraceSearch{
    "/posthorn.store.v1.Trace/Search"};
inline constexpr Method<v1::OpenQueueJournalRequest, v1::OpenQueueJournalReply> kQueueJournalOpen{
    "/posthorn.store.v1.QueueJournal/Open"};
inline constexpr Method<v1::AppendQueueRecordsRequest, v1::AppendQueueRecordsReply>
    kQueueJournalAppend{"/posthorn.store.v1.QueueJournal/Append"};
inline constexpr Method<v1::LoadQueueRecordsRequest, v1::LoadQueueRecordsReply> kQueueJournalLoad{
    "/posthorn.store.v1.QueueJournal/Load"};
inline constexpr Method<v1::ReadQueueRecordRequest, v1::ReadQueueRecordReply> kQueueJournalRead{
    "/posthorn.store.v1.QueueJournal/Read"};
inline constexpr Method<v1::RenewQueueLeaseRequest, v1::RenewQueueLeaseReply> kQueueJournalRenew{
    "/posthorn.store.v1.QueueJournal/Renew"};
inline constexpr Method<v1::ClaimQueueJournalRequest, v1::ClaimQueueJournalReply>
    kQueueJournalClaim{"/posthorn.store.v1.QueueJournal/Claim"};
inline constexpr Method<v1::StoreStatusRequest, v1::StoreStatusReply> kStoreAdminStatus{
    "/posthorn.store.v1.StoreAdmin/Status"};
inline constexpr Method<v1::CheckRequest, v1::CheckReply> kStoreAdminCheck{
    "/posthorn.store.v1.StoreAdmin/Check"};
inline constexpr Method<v1::MigrateRequest, v1::MigrateReply> kStoreAdminMigrate{
    "/posthorn.store.v1.StoreAdmin/Migrate"};
inline constexpr Method<v1::MeetRequest, v1::MeetReply> kStoreAdminMeet{
    "/posthorn.store.v1.StoreAdmin/Meet"};

}  // namespace posthorn::rpc::store
