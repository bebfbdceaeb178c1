#pragma once

// A MailStore on a real database with blobs, digests, accounts and tickets from memory, behind real
// RPC.

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "lib/base/strings.h"
#include "lib/net/loop.h"
#include "lib/rpc/client.h"
#include "lib/rpc/methods/store.h"
#include "lib/rpc/server.h"
#include "lib/testing/run_task.h"
#include "lib/testing/temp_dir.h"
#include "store-service/database/sqlite/sqlite_database.h"
#include "store-service/lane/lane_fixture.h"
#include "store-service/mailbox/mail_store.h"

namespace posthorn::store_service {

namespace v1 = ::posthorn::store::v1;

// Blob n has the body given to Put; its digest is "digest n".
class MemoryBlobs final : public BlobStore, public DigestSource {
 public:
  common::v1::BlobId Put(std::string body) {
    const uint64_t key = ++last_;
    common::v1::BlobId id;
    id.set_key(key);
    id.set_size(body.size());
    bodies_[key] = std::move(body);
    return id;
  }
  void Forget(uint64_t key) { bodies_.erase(key); }

  void Append(std::string, std::string, AppendDone) override { std::abort(); }
  absl::StatusOr<std::unique_ptr<Upload>> BeginUpload() override {
    return base::Unavailable("not here");
  }
  absl::StatusOr<std::string> Read(const BlobRef& ref, uint64_t offset, uint64_t length) override {
    ++reads;
    const auto found = bodies_.find(ref.key);
    if (found == bodies_.end()) return base::NotFound("no blob");
    return found->second.substr(offset, length == 0 ? std::string::npos : length);
  }
  class Reader final : public BlobReader {
   public:
    explicit Reader(std::string rest) : rest_(std::move(rest)) {}
    absl::StatusOr<std::string> Next(size_t most) override {
      std::string chunk = rest_.substr(0, most);
      rest_.erase(0, chunk.size());
      return chunk;
    }

   private:
    std::string rest_;
  };
  absl::StatusOr<std::unique_ptr<BlobReader>> OpenReader(const BlobRef& ref) override {
    const auto found = bodies_.find(ref.key);
    if (found == bodies_.end()) return base::NotFound("no blob");
    return std::unique_ptr<BlobReader>(std::make_unique<Reader>(found->second));
  }
  absl::StatusOr<std::string> ReadAux(const BlobRef&) override { return std::string(); }
  absl::StatusOr<std::vector<uint64_t>> Destroy(const std::vector<uint64_t>& keys) override {
    for (const uint64_t key : keys) {
      bodies_.erase(key);
      destroyed_.insert(key);
    }
    return keys;
  }
  absl::Status ForEach(const std::function<bool(const BlobRecord&)>& visit,
                       const std::function<void(uint64_t)>&) override {
    for (const auto& [key, body] : bodies_) {
      if (!visit({{key, body.size()}, absl::OkStatus()})) break;
    }
    return absl::OkStatus();
  }
  std::vector<BlobDamage> Damage() override { return {}; }
  BlobStats Stats() override { return {}; }
  BlobPlace Place() override { return {}; }

  std::shared_ptr<const std::string> Recent(uint64_t key) const override {
    if (!bodies_.contains(key)) return nullptr;
    return std::make_shared<const std::string>(base::StrCat("digest ", key));
  }
  net::Task<absl::StatusOr<std::shared_ptr<const std::string>>> Get(uint64_t key,
                                                                    uint64_t) override {
    if (auto digest = Recent(key)) co_return digest;
    co_return base::NotFound("no blob");
  }
  std::atomic<int> reads = 0;
  const std::set<uint64_t>& destroyed() const { return destroyed_; }

 private:
  uint64_t last_ = 0;
  std::map<uint64_t, std::string> bodies_;
  std::set<uint64_t> destroyed_;
};

// Every account up to 1,000 exists; a ticket is the account's number, unless there is a signer.
class TestAccounts final : public Accounts, public TicketVerifier {
 public:
  AccountFacts Facts(AccountId account) const override {
    AccountFacts facts;
    facts.state = account > 1000 ? AccountState::kUnknown : AccountState::kActive;
    facts.quota = quota;
    return facts;
  }
  absl::StatusOr<TicketFacts> Verify(std::string_view ticket) const override {
    if (signer != nullptr) return signer->Verify(ticket);
    const auto account = base::ParseInt<uint64_t>(ticket);
    if (!account) return absl::UnauthenticatedError("no ticket");
    if (*account == 666) return base::Denied("disabled");
    TicketFacts facts;
    facts.account = *account;
    return facts;
  }
  uint64_t quota = 0;
  const TicketVerifier* signer = nullptr;
};

class MailStoreFixture : public ::testing::Test {
 protected:
  MailStoreFixture() { StartStore(); }
  ~MailStoreFixture() override { StopStore(); }

  void StartStore() {
    auto database = OpenSqliteDatabase({.path = dir_.path() + "/mail.db"});
    EXPECT_TRUE(database.ok()) << database.status();
    database_ = std::make_unique<FaultyDatabase>(*std::move(database));
    store_ = std::make_unique<MailStore>(
        MailStore::Parts{loop_, *database_, blobs_, blobs_, accounts_, accounts_},
        MailStore::Options{});
    rpc::Server::Options options;
    for (const char* role : {"imap-gateway", "delivery-queue", "pop3-gateway"}) {
      options.addresses.push_back({base::StrCat("unix:", dir_.path(), "/", role), role});
    }
    server_ = rpc::Server::Create(loop_, options);
    store_->Register(*server_);
    EXPECT_TRUE(server_->Start().ok());
    const absl::Status started = testing::RunTask(loop_, store_->Start());
    EXPECT_TRUE(started.ok()) << started;
    gateway_ = rpc::Client::Create(loop_, {options.addresses[0].listen});
    queue_ = rpc::Client::Create(loop_, {options.addresses[1].listen});
  }
  void StopStore() {
    gateway_.reset();
    queue_.reset();
    server_->Stop(std::chrono::milliseconds(0));
    testing::RunTask(loop_, store_->Stop());
    server_.reset();
    store_.reset();
    database_.reset();
  }
  void Restart() {
    StopStore();
    StartStore();
  }

  template <class Q, class R>
  absl::StatusOr<R> Call(rpc::Method<Q, R> method, Q request, AccountId account = 1) {
    rpc::Client& client = method.path == rpc::store::kMailboxesDeliver.path ? *queue_ : *gateway_;
    return testing::RunTask(
        loop_, client.Call(method, {.ticket = base::StrCat(account)}, std::move(request)));
  }
  v1::Delivery Delivery(AccountId account, const std::string& body) {
    v1::Delivery delivery;
    delivery.set_message_id(std::string(base::MessageId::New().bytes()));
    delivery.set_account(account);
    *delivery.mutable_blob() = blobs_.Put(body);
    delivery.set_shared_prefix("Received: x\r\n");
    delivery.set_own_prefix("Return-Path: <>\r\n");
    return delivery;
  }
  v1::DeliveryResult DeliverOne(const v1::Delivery& delivery) {
    v1::DeliverRequest request;
    *request.add_deliveries() = delivery;
    const auto reply = Call(rpc::store::kMailboxesDeliver, request);
    EXPECT_TRUE(reply.ok()) << reply.status();
    return reply.ok() ? reply->results(0) : v1::DeliveryResult();
  }

  testing::TempDir dir_;
  net::Loop loop_;
  MemoryBlobs blobs_;
  TestAccounts accounts_;
  std::unique_ptr<FaultyDatabase> database_;
  std::unique_ptr<MailStore> store_;
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<rpc::Client> gateway_;
  std::unique_ptr<rpc::Client> queue_;
};

}  // namespace posthorn::store_service
