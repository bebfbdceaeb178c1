#pragma once

// What the tests of delivery to other hosts share: a sink, DNS and bodies in memory.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "delivery-queue/remote/smtp_delivery.h"
#include "delivery-queue/remote/smtp_sink.h"
#include "lib/base/ids.h"
#include "lib/net/tls_context.h"
#include "lib/testing/fake_resolver.h"
#include "lib/testing/run_task.h"
#include "posthorn/queue/v1/journal.pb.h"

namespace posthorn::delivery_queue {

// Bodies in memory, handed out in small chunks.
class FakeBodies : public Bodies {
 public:
  std::unique_ptr<BodyStream> Open(uint64_t, uint64_t) override {
    ++opened;
    return std::make_unique<Stream>(*this);
  }
  int opened = 0;
  std::string body = "Subject: hello\r\n\r\n.dot\r\nbody\r\n";
  absl::Status failure;  // after `good` chunks
  size_t good = 0;

 private:
  class Stream : public BodyStream {
   public:
    explicit Stream(FakeBodies& bodies) : bodies_(bodies) {}
    net::Task<absl::StatusOr<std::string>> Next() override {
      if (!bodies_.failure.ok() && chunks_++ >= bodies_.good) co_return bodies_.failure;
      std::string chunk = bodies_.body.substr(std::min(at_, bodies_.body.size()), 7);
      at_ += chunk.size();
      co_return chunk;
    }

   private:
    FakeBodies& bodies_;
    size_t at_ = 0;
    size_t chunks_ = 0;
  };
};

class RemoteTest : public ::testing::Test {
 protected:
  RemoteTest() : sink_(loop_) {
    UseTls({net::TlsContext::Client(net::TlsContext::Verify::kNone, "").value(), nullptr});
    settings_.hostname = "us.test";
    settings_.port = sink_.port();
    delivery_->Configure(settings_);
    resolver_.AddMx("far.test", 10, "mx.far.test");
    resolver_.AddAddress("mx.far.test", "127.0.0.1");
  }

  void UseTls(ClientTls tls) {
    delivery_ = std::make_unique<SmtpDelivery>(loop_, resolver_, bodies_, std::move(tls));
    delivery_->Configure(settings_);
  }
  std::shared_ptr<queue::v1::StoredEntry> Message(const std::vector<std::string>& recipients) {
    auto stored = std::make_shared<queue::v1::StoredEntry>();
    auto* entry = stored->mutable_entry();
    entry->set_message_id(std::string(base::MessageId::New().bytes()));
    entry->set_sender("jo@us.test");
    entry->set_prefix("Received: by us\r\n");
    entry->mutable_blob()->set_key(1);
    entry->mutable_blob()->set_size(bodies_.body.size());
    for (const std::string& recipient : recipients) entry->add_recipients()->set_address(recipient);
    return stored;
  }
  // All recipients, by their domains.
  void Submit(const std::shared_ptr<queue::v1::StoredEntry>& entry) {
    std::map<std::string, std::vector<int>> domains;
    for (int i = 0; i < entry->entry().recipients_size(); ++i) {
      const std::string& address = entry->entry().recipients(i).address();
      domains[address.substr(address.find('@') + 1)].push_back(i);
      ++submitted_;
    }
    for (const auto& [domain, indexes] : domains) {
      delivery_->Submit({entry, indexes, domain, [this, entry](int index, RemoteOutcome outcome) {
                           outcomes_[entry->entry().recipients(index).address()] =
                               std::move(outcome);
                           ++answered_;
                         }});
    }
  }
  void Run() {
    testing::RunTask(loop_, [](net::Loop& loop, int& submitted, int& answered) -> net::Task<void> {
      while (answered < submitted) co_await net::Sleep(loop, std::chrono::milliseconds(1));
    }(loop_, submitted_, answered_));
    EXPECT_EQ(answered_, submitted_);
  }
  RemoteOutcome Send(const std::string& recipient) {
    Submit(Message({recipient}));
    Run();
    return outcomes_[recipient];
  }

  net::Loop loop_;
  testing::FakeResolver resolver_;
  FakeBodies bodies_;
  SmtpSink sink_;
  RemoteSettings settings_;
  std::unique_ptr<SmtpDelivery> delivery_;
  std::map<std::string, RemoteOutcome> outcomes_;
  int submitted_ = 0;
  int answered_ = 0;
};

}  // namespace posthorn::delivery_queue
