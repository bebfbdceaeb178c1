#pragma once

// admin-service as the command line sees it: blocking calls, plain gRPC.

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "admin-service/cli/arguments.h"
#include "lib/config/schema.h"
#include "lib/net/loop.h"
#include "lib/rpc/client.h"

namespace posthorn::cli {

class AdminClient {
 public:
  struct Target {
    std::string address;
    bool local = false;  // the socket that needs no password
  };
  // From --admin, --dir, POSTHORN_ADMIN, POSTHORN_DIR. Of several addresses, with commas between
  // them, the first one that answers. Credentials from --token-file,
  // POSTHORN_TOKEN,
  // --password-file, POSTHORN_PASSWORD or a prompt; or the certificate of --tls-cert, --tls-key and
  // --tls-ca (POSTHORN_TLS_…), which may be the folder that has all three. The local socket needs
  // none.
  static absl::StatusOr<std::unique_ptr<AdminClient>> Connect(const Arguments& arguments,
                                                              std::chrono::milliseconds limit);

  template <class Q, class R>
  absl::StatusOr<R> Call(rpc::Method<Q, R> method, Q request) {
    absl::StatusOr<R> result = absl::InternalError("not answered");
    loop_.Spawn("cli.call", Finish<Q, R>(method, std::move(request), &result));
    loop_.Run();
    return result;
  }
  // One request, many replies; `each` runs for each until the end.
  template <class Q, class R>
  absl::Status Stream(rpc::Method<Q, R> method, Q request, std::function<void(const R&)> each) {
    absl::Status result;
    loop_.Spawn("cli.stream",
                FinishStream<Q, R>(method, std::move(request), std::move(each), &result));
    loop_.Run();
    return result;
  }
  // Whether anybody answers there; waits two seconds at most.
  bool Answers();
  // Read once.
  absl::StatusOr<const config::Schema*> schema();
  const std::string& target() const { return target_; }

 private:
  AdminClient(std::string target, std::chrono::milliseconds limit);
  static absl::StatusOr<std::unique_ptr<AdminClient>> ConnectTo(const Target& target,
                                                                const Arguments& arguments,
                                                                std::string authorization,
                                                                std::chrono::milliseconds limit);
  net::Task<void> Ask(bool* answers);
  rpc::CallOptions Limit(std::chrono::milliseconds limit) const {
    rpc::CallOptions options;
    options.timeout = limit;
    return options;
  }
  template <class Q, class R>
  net::Task<void> Finish(rpc::Method<Q, R> method, Q request, absl::StatusOr<R>* result) {
    // A file may bring thousands of passwords, 45 ms of hashing each: the user decides how long to
    // wait.
    const bool whole_file = method.path == std::string_view("/posthorn.admin.v1.Config/Apply");
    *result = co_await client_->Call(method, Limit(whole_file ? std::chrono::hours(1) : limit_),
                                     std::move(request));
    loop_.Stop();
  }
  template <class Q, class R>
  net::Task<void> FinishStream(rpc::Method<Q, R> method, Q request,
                               std::function<void(const R&)> each, absl::Status* result) {
    const auto call =
        client_->Start(method.path, "", rpc::Flow::kFree, Limit(std::chrono::hours(24)));
    *result = co_await call->Write(request);
    call->WritesDone();
    while (result->ok()) {
      R reply;
      const absl::StatusOr<bool> more = co_await call->Read(reply);
      *result = more.status();
      if (!more.ok() || !*more) break;
      each(reply);
    }
    loop_.Stop();
  }

  const std::string target_;
  const std::chrono::milliseconds limit_;
  net::Loop loop_;
  std::unique_ptr<rpc::Client> client_;
  std::unique_ptr<config::Schema> schema_;
};

// Where the files of the suite are: --dir, POSTHORN_DIR, or /var/lib/posthorn.
std::string Directory(const Arguments& arguments);

// --password-file, POSTHORN_PASSWORD, or what is typed at the prompt.
absl::StatusOr<std::string> AdministratorsPassword(const Arguments& arguments,
                                                   const std::string& user);

}  // namespace posthorn::cli
