// Targets with a host's name: what it stands for changes, and is not known for a while.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "lib/base/strings.h"
#include "lib/rpc/rpc_fixture.h"

namespace posthorn::rpc {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Answers any question for an address with one of 127.0.0.0/8, or that there is no such name.
class Names {
 public:
  Names() : socket_(socket(AF_INET, SOCK_DGRAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    socklen_t size = sizeof(address);
    EXPECT_EQ(getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~Names() {
    ended_ = true;
    shutdown(socket_, SHUT_RDWR);
    thread_.join();
    close(socket_);
  }
  int port() const { return port_; }
  void Set(int last_byte) { last_byte_ = last_byte; }
  int questions() const { return questions_; }

 private:
  void Serve() {
    char buffer[512];
    sockaddr_in from{};
    for (;;) {
      socklen_t size = sizeof(from);
      const ssize_t got =
          recvfrom(socket_, buffer, sizeof(buffer), 0, reinterpret_cast<sockaddr*>(&from), &size);
      if (ended_) return;
      if (got < 17) continue;
      ++questions_;
      const std::string reply = Answer(std::string(buffer, static_cast<size_t>(got)));
      sendto(socket_, reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&from), size);
    }
  }
  // [RFC1035 4.1]
  std::string Answer(std::string question) const {
    const size_t end = question.find('\0', 12) + 5;
    question.resize(end);
    const bool wants_address = question[end - 3] == 1;
    question[2] = static_cast<char>(0x85);
    question[3] = static_cast<char>(last_byte_ == 0 ? 0x83 : 0x80);
    question[7] = static_cast<char>(last_byte_ != 0 && wants_address ? 1 : 0);
    question[9] = question[11] = 0;
    if (question[7] == 1) {
      question += std::string("\xC0\x0C\0\x01\0\x01\0\0\0\0\0\x04\x7F\0\0", 15);
      question += static_cast<char>(last_byte_.load());
    }
    return question;
  }

  const int socket_;
  int port_ = 0;
  std::atomic<bool> ended_ = false;
  std::atomic<int> last_byte_ = 0;
  std::atomic<int> questions_ = 0;
  std::thread thread_;
};

class NamesTest : public RpcFixture {
 protected:
  void SetUp() override {
    StartServer(false);
    const std::string port = target().substr(target().rfind(':'));
    client_ = Client::Create(loop(), {.target = base::StrCat("dns://127.0.0.1:", names_.port(),
                                                             "/replica-0.store.test", port),
                                      .renew_after = milliseconds(100)});
  }
  void TearDown() override {
    OnLoop([&] { client_.reset(); });
  }
  absl::Status Ask() {
    absl::Status status;
    Run([](Client& client, absl::Status& status) -> net::Task<void> {
      const auto reply =
          co_await client.Call(kEcho, {.timeout = milliseconds(100)}, rpc::Event("x"));
      status = reply.status();
    }(*client_, status));
    return status;
  }
  void AskUntilAnswered(milliseconds limit) {
    const auto end = steady_clock::now() + limit;
    while (!Ask().ok()) ASSERT_LT(steady_clock::now(), end);
  }

  Names names_;
  std::unique_ptr<Client> client_;
};

TEST_F(NamesTest, AHostThatComesBackAtAnotherAddressIsFoundWithinSeconds) {
  names_.Set(9);  // nobody listens there
  EXPECT_FALSE(Ask().ok());
  names_.Set(1);
  AskUntilAnswered(milliseconds(15000));  // gRPC's own pause is 30 s
}

TEST_F(NamesTest, ANameThatWasUnknownForAWhileIsFoundOnceItIsKnown) {
  // gRPC's own pauses have grown to several seconds by then.
  while (names_.questions() < 60) EXPECT_FALSE(Ask().ok());
  names_.Set(1);
  AskUntilAnswered(milliseconds(15000));
}

}  // namespace
}  // namespace posthorn::rpc
