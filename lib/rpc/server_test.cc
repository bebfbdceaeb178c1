// Addresses, roles, health, reflection, and servers that go and come back.

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>

#include "lib/base/strings.h"
#include "lib/rpc/methods/grpc.h"
#include "lib/rpc/rpc_fixture.h"

namespace posthorn::rpc {
namespace {

namespace pub = grpc_public;
using common::v1::Event;
using std::chrono::milliseconds;

class ServerTest : public RpcFixture {
 protected:
  std::string Path(std::string_view name) const { return base::StrCat(directory(), "/", name); }
  std::shared_ptr<Client> ClientOf(const std::string& target) {
    SetTarget(target);
    return MakeClient();
  }
};

net::Task<absl::StatusOr<Event>> Echo(const CallContext& context, Event event) {
  event.set_peer(context.role);
  co_return event;
}

net::Task<void> ExpectCode(Client& client, std::string stream, absl::StatusCode code,
                           std::string role) {
  const auto reply = co_await client.Call(kEcho, stream, Flow::kFree, {}, rpc::Event("x"));
  EXPECT_EQ(reply.status().code(), code) << reply.status();
  EXPECT_EQ(reply.ok() ? reply->peer() : role, role);
}

TEST_F(ServerTest, TheSocketSaysWhoCalls) {
  std::unique_ptr<Server> server;
  OnLoop([&] {
    Server::Options options;
    options.addresses = {{"unix:" + Path("gateway"), "gateway", 0600},
                         {"unix:" + Path("queue"), "queue", 0660},
                         {"127.0.0.1:0", "cli"},
                         {"127.0.0.1:0", "queue"},
                         {"127.0.0.1:0", ""}};
    server = Server::Create(loop(), options);
    server->Handle<Event, Event>(kEcho, {"gateway", "cli"}, &Echo);
    EXPECT_EQ(server->Start(), absl::OkStatus());
  });
  struct stat file{};
  ASSERT_EQ(stat(Path("gateway").c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600U);
  auto gateway = ClientOf("unix:" + Path("gateway"));
  auto queue = ClientOf("unix:" + Path("queue"));
  auto cli = ClientOf(base::StrCat("127.0.0.1:", server->port(2)));
  auto far_queue = ClientOf(base::StrCat("127.0.0.1:", server->port(3)));
  auto nobody = ClientOf(base::StrCat("127.0.0.1:", server->port(4)));
  for (const char* stream : {"", "s"}) {
    Run(ExpectCode(*far_queue, stream, absl::StatusCode::kPermissionDenied, "queue"));
    Run(ExpectCode(*nobody, stream, absl::StatusCode::kPermissionDenied, ""));
    Run(ExpectCode(*gateway, stream, absl::StatusCode::kOk, "gateway"));
    Run(ExpectCode(*queue, stream, absl::StatusCode::kPermissionDenied, "queue"));
    Run(ExpectCode(*cli, stream, absl::StatusCode::kOk, "cli"));
  }
  server->Stop(milliseconds(0));
  EXPECT_FALSE(std::filesystem::exists(Path("gateway")));
}

TEST_F(ServerTest, AStaleSocketIsReplacedAndALiveOneIsNot) {
  const auto start = [this](std::unique_ptr<Server>& server) {
    absl::Status status;
    OnLoop([&] {
      Server::Options options;
      options.addresses = {{"unix:" + Path("socket")}};
      server = Server::Create(loop(), options);
      status = server->Start();
    });
    return status;
  };
  // What a killed process leaves behind.
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  Path("socket").copy(address.sun_path, sizeof(address.sun_path) - 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  close(fd);
  std::unique_ptr<Server> first;
  EXPECT_EQ(start(first), absl::OkStatus());
  std::unique_ptr<Server> second;
  EXPECT_EQ(start(second).code(), absl::StatusCode::kUnavailable);
}

TEST_F(ServerTest, AnAddressInUseIsAnError) {
  StartServer(false);
  OnLoop([this] {
    Server::Options options;
    options.addresses = {{target()}};
    const auto second = Server::Create(loop(), options);
    const absl::Status status = second->Start();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_NE(base::Message(status).find(target()), std::string_view::npos);
  });
}

TEST_F(ServerTest, AnAddressWithARoleInUseIsAnError) {
  StartServer(false, {}, "gateway");
  OnLoop([this] {
    Server::Options options;
    options.addresses = {{target(), "queue"}};
    const absl::Status status = Server::Create(loop(), options)->Start();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_NE(base::Message(status).find(target()), std::string_view::npos);
  });
}

net::Task<void> EchoUntilOk(net::Loop& loop, Client& client, std::string stream) {
  for (;;) {
    const auto reply = co_await client.Call(kEcho, stream, Flow::kHoldBack, {}, rpc::Event("x"));
    if (reply.ok()) co_return;
    EXPECT_EQ(reply.status().code(), absl::StatusCode::kUnavailable) << reply.status();
    co_await net::Sleep(loop, milliseconds(5));
  }
}
net::Task<void> ExpectUnavailable(Client& client, std::string stream) {
  const auto begun = std::chrono::steady_clock::now();
  const auto reply = co_await client.Call(kEcho, stream, Flow::kHoldBack, {}, rpc::Event("x"));
  EXPECT_EQ(reply.status().code(), absl::StatusCode::kUnavailable) << reply.status();
  // Far below the call's own 30 s.
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(5));
}

class ReconnectTest : public RpcFixture, public testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(Transports, ReconnectTest, testing::Bool(), [](const auto& unix_socket) {
  return std::string(unix_socket.param ? "Unix" : "Tcp");
});
TEST_P(ReconnectTest, AClientFindsAServerThatWentAndCameBack) {
  StartServer(GetParam());
  auto client = MakeClient();
  for (const char* stream : {"", "s"}) Run(EchoUntilOk(loop(), *client, stream));
  StopServer();
  for (const char* stream : {"", "s"}) Run(ExpectUnavailable(*client, stream));
  StartServer(GetParam());
  for (const char* stream : {"", "s"}) Run(EchoUntilOk(loop(), *client, stream));
}

net::Task<void> EchoOnce(Client& client, std::string stream, std::promise<void>* end) {
  const auto reply = co_await client.Call(kEcho, stream, Flow::kHoldBack, {}, rpc::Event("x"));
  EXPECT_TRUE(reply.ok()) << reply.status();
  end->set_value();
}
TEST_F(ServerTest, ACallWaitsAMomentForAServerThatStarts) {
  auto client = ClientOf("unix:" + Path("socket"));
  std::promise<void> streamed;
  std::promise<void> plain;
  OnLoop([&] {
    loop().Spawn("test", EchoOnce(*client, "s", &streamed));
    loop().Spawn("test", EchoOnce(*client, "", &plain));
  });
  StartServer(true);
  streamed.get_future().wait();
  plain.get_future().wait();
}

net::Task<void> AskHealth(Client& client, std::string service, int status) {
  pub::health::HealthCheckRequest request;
  request.set_service(service);
  const auto reply = co_await client.Call(pub::kHealthCheck, {}, request);
  EXPECT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(static_cast<int>(reply->status()), status);
}
net::Task<void> WatchHealth(Server& server, std::unique_ptr<RawCall> call) {
  using Response = pub::health::HealthCheckResponse;
  pub::health::HealthCheckRequest request;
  server.SetServing(false);
  EXPECT_EQ(co_await call->Write(request), absl::OkStatus());
  call->WritesDone();
  Response state;
  for (const bool serving : {false, true, false}) {
    server.SetServing(serving);
    const absl::StatusOr<bool> more = co_await call->Read(state);
    EXPECT_TRUE(more.ok() && *more) << more.status();
    EXPECT_EQ(state.status(), serving ? Response::SERVING : Response::NOT_SERVING);
  }
}
TEST_F(ServerTest, HealthTellsWhatSetServingSaid) {
  StartServer(true);
  auto client = MakeClient();
  Run(AskHealth(*client, "", pub::health::HealthCheckResponse::NOT_SERVING));
  OnLoop([this] { server().SetServing(true); });
  Run(AskHealth(*client, "", pub::health::HealthCheckResponse::SERVING));
  Run(AskHealth(*client, "posthorn.test.Test", pub::health::HealthCheckResponse::SERVING));
  Run(WatchHealth(server(), client->Start(pub::kHealthWatch.path, "", Flow::kFree, {})));
}

net::Task<void> Reflect(std::unique_ptr<RawCall> call) {
  pub::reflection::ServerReflectionRequest request;
  pub::reflection::ServerReflectionResponse response;
  request.set_list_services("");
  EXPECT_EQ(co_await call->Write(request), absl::OkStatus());
  EXPECT_TRUE((co_await call->Read(response)).ok());
  std::vector<std::string> names;
  for (const auto& service : response.list_services_response().service()) {
    names.push_back(service.name());
  }
  EXPECT_EQ(names, (std::vector<std::string>{"grpc.health.v1.Health",
                                             "grpc.reflection.v1alpha.ServerReflection",
                                             "posthorn.test.Test"}));
  request.set_file_containing_symbol("grpc.health.v1.Health");
  EXPECT_EQ(co_await call->Write(request), absl::OkStatus());
  EXPECT_TRUE((co_await call->Read(response)).ok());
  EXPECT_EQ(response.file_descriptor_response().file_descriptor_proto_size(), 1);
  request.set_file_by_filename("grpc/health/v1/health.proto");
  EXPECT_EQ(co_await call->Write(request), absl::OkStatus());
  EXPECT_TRUE((co_await call->Read(response)).ok());
  EXPECT_EQ(response.file_descriptor_response().file_descriptor_proto_size(), 1);
  request.set_file_containing_symbol("no.such.Thing");
  EXPECT_EQ(co_await call->Write(request), absl::OkStatus());
  EXPECT_TRUE((co_await call->Read(response)).ok());
  EXPECT_EQ(response.error_response().error_code(), 5);
}
TEST_F(ServerTest, ReflectionDescribesTheServicesOnOffer) {
  StartServer(true, [](Server& server) { server.EnableReflection(); });
  auto client = MakeClient();
  Run(Reflect(client->Start(pub::kReflectionInfo.path, "", Flow::kFree, {})));
}

net::Task<absl::StatusOr<Event>> SlowEcho(net::Loop& loop, std::shared_ptr<int> begun,
                                          Event event) {
  ++*begun;
  co_await net::Sleep(loop, milliseconds(50));
  co_return event;
}
TEST_F(ServerTest, AStoppingServerLetsCallsFinish) {
  constexpr Method<Event, Event> kSlow{"/posthorn.test.Test/Slow"};
  const auto begun = std::make_shared<int>(0);
  StartServer(true, [&](Server& server) {
    server.Handle<Event, Event>(kSlow, {}, [this, begun](const CallContext&, Event event) {
      return SlowEcho(loop(), begun, std::move(event));
    });
  });
  auto client = MakeClient();
  std::promise<absl::Status> streamed;
  std::promise<absl::Status> plain;
  OnLoop([&] {
    for (auto [stream, result] : {std::pair("s", &streamed), {"", &plain}}) {
      loop().Spawn(
          "test",
          [](Client& c, Method<Event, Event> method, std::string s,
             std::promise<absl::Status>* to) -> net::Task<void> {
            to->set_value((co_await c.Call(method, s, Flow::kFree, {}, rpc::Event("x"))).status());
          }(*client, kSlow, stream, result));
    }
  });
  Run([](net::Loop& l, std::shared_ptr<int> b) -> net::Task<void> {
    while (*b < 2) co_await net::Sleep(l, milliseconds(1));
  }(loop(), begun));
  StopServer(milliseconds(5000));
  EXPECT_EQ(streamed.get_future().get(), absl::OkStatus());
  EXPECT_EQ(plain.get_future().get(), absl::OkStatus());
}

}  // namespace
}  // namespace posthorn::rpc
