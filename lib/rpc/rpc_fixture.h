#pragma once

// For the tests of lib/rpc: a loop on a thread of its own, a server with a few methods, and clients
// of it.

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <thread>

#include "lib/net/loop.h"
#include "lib/rpc/client.h"
#include "lib/rpc/server.h"
#include "posthorn/common/v1/common.pb.h"

namespace posthorn::rpc {

inline constexpr Method<common::v1::Event, common::v1::Event> kEcho{"/posthorn.test.Test/Echo"};
// Ends with the status code in `size` and the message in `text`.
inline constexpr Method<common::v1::Event, common::v1::Event> kFail{"/posthorn.test.Test/Fail"};

common::v1::Event Event(std::string text);

class RpcFixture : public testing::Test {
 protected:
  RpcFixture();
  ~RpcFixture() override;

  net::Loop& loop() { return loop_; }
  Server& server() { return *server_; }
  std::string target() const { return target_; }
  void SetTarget(std::string target) { target_ = std::move(target); }
  const std::string& directory() const { return directory_; }
  // Registers the methods above and `more`, starts.
  void StartServer(bool unix_socket, const std::function<void(Server&)>& more = {},
                   const std::string& role = "");
  void StopServer(std::chrono::milliseconds grace = std::chrono::milliseconds(0));
  // Destroyed on the loop's thread.
  std::shared_ptr<Client> MakeClient();
  // Runs `task` on the loop and waits for its end.
  void Run(net::Task<void> task);
  // Runs `work` on the loop and waits.
  void OnLoop(const std::function<void()>& work);

 private:
  net::Loop loop_;
  std::thread thread_;
  std::string directory_;
  std::string target_;
  std::unique_ptr<Server> server_;
};

}  // namespace posthorn::rpc
