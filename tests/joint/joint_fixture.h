#pragma once

// IMAP sessions of one gateway on a store with a real database, both on one loop.

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "imap-gateway/backend/store.h"
#include "imap-gateway/session/gateway.h"
#include "imap-gateway/view/sync_client.h"
#include "lib/cluster/stores.h"
#include "lib/testing/script_transport.h"
#include "store-service/mailbox/mail_store_fixture.h"

namespace posthorn::joint {

// Any password; the name is the account's number.
class OpenGate final : public login::Gate {
 public:
  net::Task<login::Verdict> Check(login::Attempt attempt) override;
  void SetTimes(std::chrono::milliseconds, std::chrono::milliseconds) override {}
  std::unique_ptr<Guard> OnEnd(uint64_t, std::function<void()>) override { return nullptr; }
  bool watching() const override { return true; }
};

class JointFixture : public store_service::MailStoreFixture {
 protected:
  JointFixture();
  ~JointFixture() override;

  struct Client {
    explicit Client(net::Loop& loop) : peer(loop) {}
    testing::ScriptPeer peer;
    std::string unread;
    bool ended = false;
  };
  // Connected, greeted and logged in as this account.
  Client& LogIn(base::AccountId account);
  // All lines up to and with the tagged one; also what came before unasked.
  std::string Do(Client& client, std::string_view command);
  // The next line without its CRLF; "<closed>" at the end.
  std::string NextLine(Client& client);

  // An operator's copy of the mail database, and its return. The store is down meanwhile.
  void BackUp();
  void Restore();

 private:
  net::Task<void> Serve(Client* client);
  net::Task<std::string> NextLineTask(Client* client);

  std::unique_ptr<cluster::Stores> to_store_;
  std::unique_ptr<imap_gateway::Store> store_calls_;
  OpenGate gate_;
  std::shared_ptr<imap_gateway::SyncClient> sync_;
  net::Drain drain_;
  std::unique_ptr<imap_gateway::Gateway> imap_;
  std::shared_ptr<imap_gateway::Port> port_ = std::make_shared<imap_gateway::Port>();
  std::vector<std::unique_ptr<Client>> clients_;
  int last_tag_ = 0;
};

}  // namespace posthorn::joint
