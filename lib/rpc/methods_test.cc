#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "lib/rpc/methods/admin.h"
#include "lib/rpc/methods/grpc.h"
#include "lib/rpc/methods/queue.h"
#include "lib/rpc/methods/spam.h"
#include "lib/rpc/methods/store.h"

namespace posthorn::rpc {
namespace {

// All constants, seen by path.
class Methods {
 public:
  template <class Q, class R>
  void Add(const Method<Q, R>& method) {
    const std::string path(method.path);
    EXPECT_TRUE(paths_.insert(path).second) << path << " twice";
    EXPECT_TRUE(hashes_.insert(MethodHash(path)).second) << path << ": hash collision";
    const size_t slash = path.rfind('/');
    const auto* const service =
        google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(
            path.substr(1, slash - 1));
    ASSERT_NE(service, nullptr) << path;
    const auto* const found = service->FindMethodByName(path.substr(slash + 1));
    ASSERT_NE(found, nullptr) << path;
    EXPECT_EQ(found->input_type(), Q::descriptor()) << path;
    EXPECT_EQ(found->output_type(), R::descriptor()) << path;
    files_.insert(service->file());
  }
  // Every method of the files that the constants come from has one.
  void ExpectComplete() const {
    for (const auto* const file : files_) {
      for (int s = 0; s < file->service_count(); ++s) {
        for (int m = 0; m < file->service(s)->method_count(); ++m) {
          const auto* const method = file->service(s)->method(m);
          EXPECT_TRUE(paths_.contains("/" + file->service(s)->full_name() + "/" + method->name()))
              << method->full_name() << " has no constant";
        }
      }
    }
  }

 private:
  std::set<std::string> paths_;
  std::set<uint32_t> hashes_;
  std::set<const google::protobuf::FileDescriptor*> files_;
};

TEST(Methods, MatchTheContractsBothWays) {
  Methods all;
  all.Add(admin::kConfigGet);
  all.Add(admin::kConfigList);
  all.Add(admin::kConfigPut);
  all.Add(admin::kConfigDelete);
  all.Add(admin::kConfigApply);
  all.Add(admin::kConfigDiff);
  all.Add(admin::kConfigRollback);
  all.Add(admin::kConfigHistory);
  all.Add(admin::kConfigSchema);
  all.Add(admin::kConfigWatch);
  all.Add(admin::kConfigReport);
  all.Add(admin::kOperationsLogin);
  all.Add(admin::kOperationsStatus);
  all.Add(admin::kOperationsTrace);
  all.Add(admin::kOperationsQueueList);
  all.Add(admin::kOperationsQueueAct);
  all.Add(admin::kOperationsStoreCheck);
  all.Add(admin::kOperationsStoreMigrate);
  all.Add(admin::kOperationsJournals);
  all.Add(admin::kOperationsForgetJournal);
  all.Add(admin::kOperationsSetPassword);
  all.Add(queue::kQueueEnqueue);
  all.Add(queue::kQueueList);
  all.Add(queue::kQueueAct);
  all.Add(queue::kQueueStatus);
  all.Add(spam::kSpamCheckEnvelope);
  all.Add(spam::kSpamCheckMessage);
  all.Add(store::kBlobsPut);
  all.Add(store::kBlobsRead);
  all.Add(store::kJournalsRegister);
  all.Add(store::kJournalsAttend);
  all.Add(store::kJournalsList);
  all.Add(store::kJournalsUnregister);
  all.Add(store::kClusterWatch);
  all.Add(store::kDirectoryResolve);
  all.Add(store::kDirectoryAuthenticate);
  all.Add(store::kDirectoryWatch);
  all.Add(store::kDirectoryIssueTicket);
  all.Add(store::kMailboxesDeliver);
  all.Add(store::kMailboxesCreateMailbox);
  all.Add(store::kMailboxesDeleteMailbox);
  all.Add(store::kMailboxesRenameMailbox);
  all.Add(store::kMailboxesSubscribe);
  all.Add(store::kMailboxesAppend);
  all.Add(store::kMailboxesStoreFlags);
  all.Add(store::kMailboxesExpunge);
  all.Add(store::kMailboxesCopy);
  all.Add(store::kMailboxesReadMessages);
  all.Add(store::kMailboxesReadDigests);
  all.Add(store::kMailboxesSearchText);
  all.Add(store::kMailboxesLockMaildrop);
  all.Add(store::kSyncAttach);
  all.Add(store::kObjectsHead);
  all.Add(store::kObjectsList);
  all.Add(store::kObjectsCommit);
  all.Add(store::kObjectsHistory);
  all.Add(store::kObjectsCheckAdministrator);
  all.Add(store::kTraceRecord);
  all.Add(store::kTraceSearch);
  all.Add(store::kQueueJournalOpen);
  all.Add(store::kQueueJournalAppend);
  all.Add(store::kQueueJournalLoad);
  all.Add(store::kQueueJournalRead);
  all.Add(store::kQueueJournalRenew);
  all.Add(store::kQueueJournalClaim);
  all.Add(store::kStoreAdminStatus);
  all.Add(store::kStoreAdminCheck);
  all.Add(store::kStoreAdminMigrate);
  all.Add(store::kStoreAdminMeet);
  all.Add(grpc_public::kHealthCheck);
  all.Add(grpc_public::kHealthWatch);
  all.Add(grpc_public::kReflectionInfo);
  all.ExpectComplete();
}

}  // namespace
}  // namespace posthorn::rpc
