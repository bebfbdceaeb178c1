#pragma once

// SMTP sessions with a scripted client and no other process. Tests only.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/strings.h"
#include "lib/config/snapshot.h"
#include "lib/net/loop.h"
#include "lib/testing/run_task.h"
#include "lib/testing/script_transport.h"
#include "smtp-gateway/session/session.h"

namespace posthorn::smtp_gateway {

using common::v1::Verdict;
using store::v1::PutReply;
using store::v1::ResolveReply;

template <class Result>
class FakeSink : public Sink<Result> {
 public:
  FakeSink(std::string& into, absl::StatusOr<Result> result)
      : into_(into), result_(std::move(result)) {}
  net::Task<absl::Status> Write(std::string_view chunk) override {
    into_.append(chunk);
    co_return absl::OkStatus();
  }
  net::Task<absl::StatusOr<Result>> Finish() override { co_return result_; }

 private:
  std::string& into_;
  absl::StatusOr<Result> result_;
};

// alice@here.test is 1, bob 2, full 3 (over quota); far.test is somebody else's.
class FakeBackend : public Backend {
 public:
  net::Task<absl::StatusOr<Resolution>> Resolve(std::string address) override {
    if (directory_down) co_return base::Unavailable("down");
    auto reply = std::make_shared<ResolveReply>();
    const std::string lower = base::Lower(address);
    const std::map<std::string, uint64_t> accounts = {
        {"alice@here.test", 1}, {"bob@here.test", 2}, {"full@here.test", 3}, {"postmaster", 2}};
    if (const auto found = accounts.find(lower); found != accounts.end()) {
      reply->set_kind(ResolveReply::ACCOUNT);
      reply->set_account(found->second);
      reply->set_over_quota(found->second == 3);
      reply->set_quota(1000000);
      reply->set_used(900000);
    } else {
      reply->set_kind(lower.ends_with("@here.test") ? ResolveReply::UNKNOWN : ResolveReply::REMOTE);
    }
    co_return Resolution(reply);
  }
  net::Task<login::Verdict> Login(login::Attempt attempt) override {
    login::Verdict answer;
    answer.outcome = login::Outcome::kFailure;
    if (attempt.name == "alice@here.test" && attempt.password == "secret") {
      auto identity = std::make_shared<login::Identity>();
      identity->account = 1;
      identity->address = "alice@here.test";
      identity->may_send_as = {"sales@here.test"};
      answer = {login::Outcome::kSuccess, identity};
    }
    co_return answer;
  }
  std::unique_ptr<login::Gate::Guard> OnEnd(uint64_t, std::function<void()>) override {
    return nullptr;
  }
  net::Task<absl::StatusOr<Verdict>> CheckEnvelope(spam::v1::Envelope) override {
    ++envelope_checks;
    co_return envelope_verdict;
  }
  std::unique_ptr<Scan> StartScan(spam::v1::Envelope, Verdict, rpc::TraceContext) override {
    return std::make_unique<FakeSink<Verdict>>(scanned, verdict);
  }
  net::Task<absl::StatusOr<Verdict>> ScanWhole(spam::v1::Envelope, Verdict,
                                               std::shared_ptr<const std::string> bytes,
                                               rpc::TraceContext) override {
    scanned += *bytes;
    co_return verdict;
  }
  std::unique_ptr<Upload> StartUpload(std::string, uint64_t, rpc::TraceContext) override {
    return std::make_unique<FakeSink<PutReply>>(stored, put);
  }
  net::Task<absl::StatusOr<PutReply>> PutWhole(std::string,
                                               std::shared_ptr<const std::string> bytes,
                                               rpc::TraceContext) override {
    stored += *bytes;
    co_return put;
  }
  net::Task<absl::Status> Enqueue(queue::v1::Entry entry) override {
    if (!queue_status.ok()) co_return queue_status;
    entries.push_back(std::move(entry));
    co_return absl::OkStatus();
  }
  void Record(common::v1::Event event) override { events.push_back(std::move(event)); }

  bool directory_down = false;
  absl::StatusOr<Verdict> envelope_verdict = Verdict();
  absl::StatusOr<Verdict> verdict = Verdict();
  absl::StatusOr<PutReply> put = PutReply();
  absl::Status queue_status;
  int envelope_checks = 0;
  std::string scanned;
  std::string stored;
  std::vector<queue::v1::Entry> entries;
  std::vector<common::v1::Event> events;
};

class SmtpSessionTest : public ::testing::TestWithParam<size_t> {
 protected:
  SmtpSessionTest() : drain_(loop_) {
    settings_ =
        std::make_shared<config::v1::Settings>(config::Snapshot().Get<config::v1::Settings>());
    port_->config.set_name("smtp");
    port_->config.set_protocol(config::v1::SMTP);
    port_->config.set_tls(config::v1::STARTTLS);
    port_->tls = *net::TlsContext::Server({*net::TlsContext::MakeSelfSigned({"mx.here.test"}, 1)});
  }

  // A whole session with `peer`.
  void Serve(::posthorn::testing::ScriptPeer& peer) {
    Surroundings around{backend_, drain_, [this] { return settings_; },
                        [this](std::string_view) { return rights_; }, "mx.here.test"};
    auto connection = peer.TakeConnection();
    if (!client_.empty()) connection->SetEndpoints({client_, 4711}, {"192.0.2.25", 25});
    ::posthorn::testing::RunTask(loop_, SmtpSession::Serve(std::make_shared<SmtpSession>(
                                            around, std::move(connection), port_)));
  }
  // The whole dialogue: what a client that sends `input` and then half-closes is told.
  std::string Talk(const std::string& input, const std::string& after_tls = "") {
    ::posthorn::testing::ScriptPeer peer(loop_, GetParam());
    peer.Send(input);
    if (!after_tls.empty()) peer.SendAfterTls(after_tls);
    peer.HalfClose();
    Serve(peer);
    return peer.received();
  }
  // The codes of all final reply lines.
  std::vector<std::string> Codes(const std::string& input, const std::string& after_tls = "") {
    std::vector<std::string> codes;
    const std::string answer = Talk(input, after_tls);
    for (const std::string_view line : base::Split(answer, '\n'))
      if (line.size() > 3 && line[3] == ' ') codes.emplace_back(line.substr(0, 3));
    return codes;
  }

  net::Loop loop_;
  net::Drain drain_;
  FakeBackend backend_;
  std::shared_ptr<config::v1::Settings> settings_;
  std::shared_ptr<gateway::Port> port_ = std::make_shared<gateway::Port>();
  gateway::NetworkRights rights_;
  std::string client_;  // its address, when it matters
};

inline constexpr char kMail[] =
    "EHLO c.far.test\r\nMAIL FROM:<x@far.test>\r\nRCPT TO:<alice@here.test>\r\n";

}  // namespace posthorn::smtp_gateway
