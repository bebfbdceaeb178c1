#pragma once

// The methods of posthorn.admin.v1; lib/rpc/methods_test.cc holds them against the descriptors.

#include "lib/rpc/method.h"
#include "posthorn/admin/v1/admin.pb.h"

namespace posthorn::rpc::admin {

namespace v1 = ::posthorn::admin::v1;

inline constexpr Method<v1::GetRequest, v1::ConfigObject> kConfigGet{
    "/posthorn.admin.v1.Config/Get"};
inline constexpr Method<v1::ListRequest, v1::ListReply> kConfigList{
    "/posthorn.admin.v1.Config/List"};
inline constexpr Method<v1::PutRequest, v1::ChangeReply> kConfigPut{
    "/posthorn.admin.v1.Config/Put"};
inline constexpr Method<v1::DeleteRequest, v1::ChangeReply> kConfigDelete{
    "/posthorn.admin.v1.Config/Delete"};
inline constexpr Method<v1::ApplyRequest, v1::ChangeReply> kConfigApply{
    "/posthorn.admin.v1.Config/Apply"};
inline constexpr Method<v1::DiffRequest, v1::ChangeReply> kConfigDiff{
    "/posthorn.admin.v1.Config/Diff"};
inline constexpr Method<v1::RollbackRequest, v1::ChangeReply> kConfigRollback{
    "/posthorn.admin.v1.Config/Rollback"};
inline constexpr Method<v1::HistoryRequest, v1::HistoryReply> kConfigHistory{
    "/posthorn.admin.v1.Config/History"};
inline constexpr Method<v1::SchemaRequest, v1::SchemaReply> kConfigSchema{
    "/posthorn.admin.v1.Config/Schema"};
inline constexpr Method<v1::WatchRequest, v1::WatchReply> kConfigWatch{
    "/posthorn.admin.v1.Config/Watch"};
inline constexpr Method<v1::ProcessReport, v1::ReportReply> kConfigReport{
    "/posthorn.admin.v1.Config/Report"};
inline constexpr Method<v1::LoginRequest, v1::LoginReply> kOperationsLogin{
    "/posthorn.admin.v1.Operations/Login"};
inline constexpr Method<v1::StatusRequest, v1::StatusReply> kOperationsStatus{
    "/posthorn.admin.v1.Operations/Status"};
inline constexpr Method<v1::TraceRequest, v1::TraceReply> kOperationsTrace{
    "/posthorn.admin.v1.Operations/Trace"};
inline constexpr Method<v1::QueueListRequest, v1::QueueListReply> kOperationsQueueList{
    "/posthorn.admin.v1.Operations/QueueList"};
inline constexpr Method<v1::QueueActRequest, v1::QueueActReply> kOperationsQueueAct{
    "/posthorn.admin.v1.Operations/QueueAct"};
inline constexpr Method<v1::JournalsRequest, v1::JournalsReply> kOperationsJournals{
    "/posthorn.admin.v1.Operations/Journals"};
inline constexpr Method<v1::ForgetJournalRequest, v1::ForgetJournalReply> kOperationsForgetJournal{
    "/posthorn.admin.v1.Operations/ForgetJournal"};
inline constexpr Method<v1::StoreCheckRequest, v1::StoreCheckReply> kOperationsStoreCheck{
    "/posthorn.admin.v1.Operations/StoreCheck"};
inline constexpr Method<v1::StoreMigrateRequest, v1::StoreMigrateReply> kOperationsStoreMigrate{
    "/posthorn.admin.v1.Operations/StoreMigrate"};
inline constexpr Method<v1::SetPasswordRequest, v1::SetPasswordReply> kOperationsSetPassword{
    "/posthorn.admin.v1.Operations/SetPassword"};

}  // namespace posthorn::rpc::admin
