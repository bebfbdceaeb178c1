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
  std::string greeting = "220 sink.test ESMTP";
  std::map<std::string, std::string> answers;
  std::vector<Mail> mails;
  std::vector<std::string> commands;
  int hang_up_on = 0;  // connection (counted from 1) that is closed at its next command
  int connections = 0;
  int open = 0;
  int most_open = 0;

 private:
  static constexpr std::chrono::milliseconds kLimit = std::chrono::seconds(20);

  std::string ReplyTo(const std::string& line) const {
    for (const auto& [command, reply] : answers)
      if (line.starts_with(command)) return reply.empty() ? reply : reply + "\r\n";
    if (!line.starts_with("EHLO")) return line == "DATA" ? "354 go on\r\n" : "250 2.0.0 ok\r\n";
    std::string reply = "250-sink.test\r\n";
    for (const std::string& offer : offers) reply += "250-" + offer + "\r\n";
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
    connection->Append(greeting + "\r\n");
    co_await Dialogue(*connection, number);
    --open;
  }
  net::Task<void> Dialogue(net::Connection& connection, int number) {
    Mail mail;
    for (;;) {
      if (!connection.HasLine() && !(co_await connection.Flush(kLimit)).ok()) co_return;
      const auto read = co_await connection.ReadLine(2000, kLimit);
      if (!read.ok()) co_return;
      const std::string line(*read);
      if (number == hang_up_on) co_return;
      commands.push_back(line);
      std::string reply = ReplyTo(line);
      if (reply.empty()) co_return;
      if (line.starts_with("MAIL")) mail = {line, {}, {}, number};
      if (line.starts_with("RCPT") && reply.starts_with("250")) mail.to.push_back(line);
      if (reply.starts_with("354")) {
        connection.Append(reply);
        if (!(co_await connection.Flush(kLimit)).ok() || !co_await ReadData(connection, mail))
          co_return;
        reply = ReplyTo(".");
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
