#include "lib/rpc/rpc_fixture.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "lib/base/strings.h"
#include "lib/testing/free_port.h"

namespace posthorn::rpc {
namespace {

net::Task<absl::StatusOr<common::v1::Event>> Echo(const CallContext&, common::v1::Event event) {
  co_return event;
}

net::Task<absl::StatusOr<common::v1::Event>> Fail(const CallContext&, common::v1::Event event) {
  co_return base::Error(static_cast<absl::StatusCode>(event.size()), event.text());
}

net::Task<void> Finishing(net::Task<void> task, std::promise<void>* done) {
  co_await std::move(task);
  done->set_value();
}

}  // namespace

common::v1::Event Event(std::string text) {
  common::v1::Event event;
  event.set_text(std::move(text));
  return event;
}

RpcFixture::RpcFixture() {
  char directory[] = "/tmp/posthorn_rpc_test.XXXXXX";
  directory_ = mkdtemp(directory);
  thread_ = std::thread([this] { loop_.Run(); });
}

RpcFixture::~RpcFixture() {
  StopServer();
  loop_.Stop();
  thread_.join();
  std::filesystem::remove_all(directory_);
}

void RpcFixture::StartServer(bool unix_socket, const std::function<void(Server&)>& more,
                             const std::string& role) {
  Server::Options options;
  options.process = "test";
  const std::string path = base::StrCat("unix:", directory_, "/socket");
  // A restarted TCP server comes back on the port it had.
  const std::string tcp =
      target_.empty() ? base::StrCat("127.0.0.1:", posthorn::testing::FreePort()) : target_;
  options.addresses.push_back({unix_socket ? path : tcp, role});
  OnLoop([this, &options, &more] {
    server_ = Server::Create(loop_, options);
    server_->Handle<common::v1::Event, common::v1::Event>(kEcho, {}, &Echo);
    server_->Handle<common::v1::Event, common::v1::Event>(kFail, {}, &Fail);
    if (more) more(*server_);
    const absl::Status started = server_->Start();
    ASSERT_TRUE(started.ok()) << started;
  });
  target_ = unix_socket ? path : base::StrCat("127.0.0.1:", server_->port(0));
}

void RpcFixture::StopServer(std::chrono::milliseconds grace) {
  if (!server_) return;
  server_->Stop(grace);
  server_.reset();
}

std::shared_ptr<Client> RpcFixture::MakeClient() {
  std::shared_ptr<Client> client;
  OnLoop([this, &client] {
    client = std::shared_ptr<Client>(Client::Create(loop_, {target_, ""}).release(),
                                     [this](Client* gone) { OnLoop([gone] { delete gone; }); });
  });
  return client;
}

void RpcFixture::Run(net::Task<void> task) {
  std::promise<void> done;
  auto shared = std::make_shared<net::Task<void>>(std::move(task));
  loop_.Post([this, shared, &done] { loop_.Spawn("test", Finishing(std::move(*shared), &done)); });
  done.get_future().wait();
}

void RpcFixture::OnLoop(const std::function<void()>& work) {
  if (loop_.OnThread()) return work();
  std::promise<void> done;
  loop_.Post([&work, &done] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

}  // namespace posthorn::rpc
