#pragma once

// A mail server for tests, on a free port of 127.0.0.1, that keeps what it is given and refuses
// what it is told to.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/base/strings.h"
#include "lib/net/listener.h"
#include "lib/net/loop.h"

namespace posthorn::delivery_queue {

class SmtpSink {
 public:
  struct Mail {
    std::string from;
    std::vector<std::string> to;
    std::string data;  // as it came, dots still doubled, without the last one
    int connection = 0;
    bool tls = false;
  };
  // What becomes of a TLS handshake.
  enum class Handshake {
    kGood,
    kGarbage,     // plain text instead of it
    kClose,       // the connection ends
    kCloseAfter,  // it succeeds, then the connection ends
  };

  explicit SmtpSink(net::Loop& loop) {
    net::ListenerOptions options;
    options.name = "sink";
    options.address = "127.0.0.1";
    listener_ = net::Listener::Bind(loop, options).value();
    listener_->Start(
        [this](std::unique_ptr<net::Connection> connection) {
          return Serve(std::move(connection));
        },
        [](net::Refusal) { return std::string(); });
  }
  uint16_t port() const { return listener_->port(); }
  // The reply to commands that begin with `command` ("RCPT TO:<a@", "." for the end of DATA), from
  // now on. Empty: closes the connection instead.
  void Answer(const std::string& command, const std::string& reply) { answers[command] = reply; }

  std::vector<std::string> offers = {"PIPELINING", "8BITMIME", "SIZE 1000000"};
  std::string name = "sink.test";
  std::string greeting = "220 sink.test ESMTP";
  std::string silent_at;  // from this command on nothing is answered; empty: never
  std::map<std::string, std::string> answers;
  std::vector<Mail> mails;
  std::vector<std::string> commands;
  std::vector<std::string> commands_in_clear;
  // STARTTLS is offered when it is set.
  std::shared_ptr<const net::TlsContext> tls;
  Handshake handshake = Handshake::kGood;
  bool implicit_tls = false;
  int hang_up_on = 0;  // connection (counted from 1) that is closed at its next command
  int connections = 0;
  int open = 0;
  int most_open = 0;

 private:
  static constexpr std::chrono::milliseconds kLimit = std::chrono::seconds(20);

  std::string ReplyTo(const std::string& line, bool encrypted) const {
    for (const auto& [command, reply] : answers)
      if (line.starts_with(command)) return reply.empty() ? reply : reply + "\r\n";
    if (line == "STARTTLS" && tls) return "220 2.0.0 go ahead\r\n";
    if (!line.starts_with("EHLO")) return line == "DATA" ? "354 go on\r\n" : "250 2.0.0 ok\r\n";
    std::string reply = "250-" + name + "\r\n";
    for (const std::string& offer : offers) reply += "250-" + offer + "\r\n";
    if (tls && !encrypted) reply += "250-STARTTLS\r\n";
    return reply + "250 HELP\r\n";
  }
  net::Task<bool> ReadData(net::Connection& connection, Mail& mail) {
    for (;;) {
      const auto line = co_await connection.ReadLine(100000, kLimit);
      if (!line.ok()) co_return false;
      if (*line == ".") co_return true;
      base::StrAppend(mail.data, *line, "\r\n");
    }
  }
  net::Task<void> Serve(std::unique_ptr<net::Connection> connection) {
    const int number = ++connections;
    most_open = std::max(most_open, ++open);
    if (!implicit_tls || co_await Encrypt(*connection)) {
      connection->Append(greeting + "\r\n");
      co_await Dialogue(*connection, number);
    }
    --open;
  }
  net::Task<bool> Encrypt(net::Connection& connection) {
    if (handshake == Handshake::kClose) co_return false;
    if (handshake == Handshake::kGarbage) {
      connection.Append("500 what was that?\r\n");
      static_cast<void>(co_await connection.Flush(kLimit));
      // Until the client has seen it.
      static_cast<void>(co_await connection.ReadLine(100, kLimit));
      co_return false;
    }
    if (!(co_await connection.StartTls(tls, kLimit)).ok()) co_return false;
    co_return handshake == Handshake::kGood;
  }
  net::Task<void> Dialogue(net::Connection& connection, int number) {
    Mail mail;
    for (;;) {
      if (!connection.HasLine() && !(co_await connection.Flush(kLimit)).ok()) co_return;
      const auto read = co_await connection.ReadLine(2000, kLimit);
      if (!read.ok()) co_return;
      const std::string line(*read);
      if (number == hang_up_on) co_return;
      const bool encrypted = connection.tls() != nullptr;
      commands.push_back(line);
      if (!encrypted) commands_in_clear.push_back(line);
      if (!silent_at.empty() && line.starts_with(silent_at)) {
        while ((co_await connection.ReadLine(2000, kLimit)).ok()) continue;
        co_return;
      }
      std::string reply = ReplyTo(line, encrypted);
      if (reply.empty()) co_return;
      if (line == "STARTTLS" && reply.starts_with("220")) {
        connection.Append(reply);
        if (!(co_await connection.Flush(kLimit)).ok() || !co_await Encrypt(connection)) co_return;
        continue;
      }
      if (line.starts_with("MAIL")) mail = {line, {}, {}, number, encrypted};
      if (line.starts_with("RCPT") && reply.starts_with("250")) mail.to.push_back(line);
      if (reply.starts_with("354") && mail.to.empty() && !answers.contains("DATA"))
        reply = "554 5.5.1 no valid recipients\r\n";
      if (reply.starts_with("354")) {
        connection.Append(reply);
        if (!(co_await connection.Flush(kLimit)).ok() || !co_await ReadData(connection, mail))
          co_return;
        reply = ReplyTo(".", encrypted);
        if (reply.empty()) co_return;
        if (reply.starts_with("250")) mails.push_back(mail);
      }
      connection.Append(reply);
      if (line == "QUIT") {
        static_cast<void>(co_await connection.Flush(kLimit));
        co_return;
      }
    }
  }

  std::unique_ptr<net::Listener> listener_;
};

}  // namespace posthorn::delivery_queue
