#include "tests/joint/joint_fixture.h"

#include <filesystem>
#include <utility>

#include "imap-gateway/backend/rpc_store.h"
#include "imap-gateway/session/session.h"
#include "lib/base/strings.h"

namespace posthorn::joint {

using std::chrono::milliseconds;

net::Task<login::Verdict> OpenGate::Check(login::Attempt attempt) {
  auto identity = std::make_shared<login::Identity>();
  identity->ticket = attempt.name;
  identity->account = base::ParseInt<uint64_t>(attempt.name).value_or(0);
  identity->address = attempt.name + "@example.org";
  login::Verdict verdict;
  verdict.outcome = login::Outcome::kSuccess;
  verdict.identity = std::move(identity);
  co_return verdict;
}

JointFixture::JointFixture()
    : to_store_(cluster::Stores::Create(
          loop_, {.targets = {base::StrCat("unix:", dir_.path(), "/imap-gateway")},
                  .caller = "imap-gateway",
                  .connect =
                      [this](const std::string& target) {
                        return rpc::Client::Create(loop_, {target, ""});
                      }})),
      store_calls_(imap_gateway::NewRpcStore(loop_, *to_store_)),
      sync_(imap_gateway::SyncClient::Create(loop_, *store_calls_, {})),
      drain_(loop_),
      imap_(new imap_gateway::Gateway{loop_, drain_, *store_calls_, *sync_, gate_}) {
  auto config = std::make_shared<imap_gateway::ImapConfig>();
  config->plaintext_login = imap_gateway::ImapConfig::PlaintextLogin::kAlways;
  imap_->config = std::move(config);
}

JointFixture::~JointFixture() {
  const auto settle = [](net::Loop* loop) -> net::Task<void> {
    for (int i = 0; i < 50; ++i) co_await net::Sleep(*loop, milliseconds(0));
  };
  for (const auto& client : clients_) client->peer.Reset();
  testing::RunTask(loop_, settle(&loop_));
  sync_->Stop();
  testing::RunTask(loop_, settle(&loop_));
}

net::Task<void> JointFixture::Serve(Client* client) {
  co_await imap_gateway::Session::Serve(*imap_, port_, client->peer.TakeConnection());
  client->ended = true;
}

JointFixture::Client& JointFixture::LogIn(base::AccountId account) {
  Client& client = *clients_.emplace_back(std::make_unique<Client>(loop_));
  loop_.Spawn("test.session", Serve(&client));
  EXPECT_TRUE(NextLine(client).starts_with("* OK ["));
  EXPECT_NE(Do(client, base::StrCat("LOGIN ", account, " x")).find(" OK "), std::string::npos);
  return client;
}

net::Task<std::string> JointFixture::NextLineTask(Client* client) {
  for (;;) {
    // Before the first look, too: what the store sends takes turns of the loop.
    co_await net::Sleep(loop_, milliseconds(1));
    client->unread += client->peer.TakeReceived();
    const size_t end = client->unread.find("\r\n");
    if (end != std::string::npos) {
      std::string line = client->unread.substr(0, end);
      client->unread.erase(0, end + 2);
      co_return line;
    }
    if (client->ended) co_return "<closed>";
  }
}

std::string JointFixture::NextLine(Client& client) {
  return testing::RunTask(loop_, NextLineTask(&client));
}

std::string JointFixture::Do(Client& client, std::string_view command) {
  const std::string tag = base::StrCat("t", ++last_tag_);
  client.peer.Send(base::StrCat(tag, " ", command, "\r\n"));
  std::string all;
  for (;;) {
    const std::string line = NextLine(client);
    all += line + "\n";
    if (line.starts_with(tag + " ") || line == "<closed>") return all;
  }
}

void JointFixture::BackUp() {
  StopStore();
  std::filesystem::copy_file(dir_.path() + "/mail.db", dir_.path() + "/backup.db");
  StartStore();
}

void JointFixture::Restore() {
  StopStore();
  for (const char* rest : {"-wal", "-shm"})
    std::filesystem::remove(dir_.path() + "/mail.db" + rest);
  std::filesystem::copy_file(dir_.path() + "/backup.db", dir_.path() + "/mail.db",
                             std::filesystem::copy_options::overwrite_existing);
  StartStore();
}

}  // namespace posthorn::joint
