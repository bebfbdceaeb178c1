// Prints microseconds a message for the parsers every message passes. Build with -O2 ("release").

#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

#include "lib/base/strings.h"
#include "lib/mail/dot_codec.h"
#include "lib/mail/smtp_command.h"
#include "lib/mime/digest.h"
#include "lib/mime/structure.h"

namespace {

using posthorn::base::StrAppend;

std::string Header() {
  std::string out;
  for (int i = 0; i < 4; ++i)
    StrAppend(out, "Received: from host", i, ".example (host", i, ".example [192.0.2.", i,
              "])\r\n\tby mx.example.org with ESMTPS id 1234567890abcdef\r\n"
              "\tfor <joe@example.org>; Fri, 21 Nov 1997 09:55:06 -0600\r\n");
  out +=
      "From: \"Joe Q. Public\" <joe.public@example.com>\r\nTo: Mary <mary@example.net>, "
      "\"Third, Person\" <third@example.org>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from here\r\n"
      "Date: Fri, 21 Nov 1997 09:55:06 -0600\r\nMessage-ID: <1234@example.com>\r\n"
      "References: <1@x.example> <2@x.example>\r\nMIME-Version: 1.0\r\n";
  return out;
}

std::string Text(size_t size) {
  std::string out;
  while (out.size() < size)
    out += "The quick brown fox jumps over the lazy dog, again and again and again.\r\n";
  return out;
}

std::string Plain(size_t size) {
  std::string out = Header() + "Content-Type: text/plain; charset=utf-8\r\n\r\n";
  return out + Text(size - out.size());
}

std::string Multipart(size_t size) {
  std::string out = Header() + "Content-Type: multipart/mixed; boundary=\"=_outer\"\r\n\r\n";
  out += "--=_outer\r\nContent-Type: multipart/alternative; boundary=\"=_inner\"\r\n\r\n";
  out += "--=_inner\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + Text(size / 3);
  out += "--=_inner\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + Text(size / 3);
  out +=
      "--=_inner--\r\n--=_outer\r\nContent-Type: application/pdf; name=a.pdf\r\n"
      "Content-Disposition: attachment; filename=a.pdf\r\n\r\n" +
      Text(size / 3);
  return out + "--=_outer--\r\n";
}

template <class F>
void Measure(std::string_view name, F work) {
  using Clock = std::chrono::steady_clock;
  double best = 1e9;
  for (int round = 0; round < 5; ++round) {
    int count = 0;
    const auto start = Clock::now();
    std::chrono::duration<double> spent{};
    do {
      for (int i = 0; i < 20; ++i) work();
      count += 20;
      spent = Clock::now() - start;
    } while (spent.count() < 0.1);
    best = std::min(best, spent.count() / count);
  }
  std::printf("%-32.*s %10.3f us\n", static_cast<int>(name.size()), name.data(), best * 1e6);
}

size_t sink = 0;

void MeasureMessage(std::string_view name, const std::string& message) {
  using posthorn::base::StrCat;
  Measure(StrCat(name, " structure"),
          [&] { sink += posthorn::mime::ParseStructure(message).parts.size(); });
  Measure(StrCat(name, " digest"), [&] { sink += posthorn::mime::MakeDigest(message).size(); });
  Measure(StrCat(name, " dot decoding"), [&] {
    posthorn::mail::DotDecoder decoder;
    std::vector<std::string_view> views;
    sink += decoder.Decode(message, views);
  });
}

}  // namespace

int main() {
  MeasureMessage("4 KiB plain", Plain(4096));
  MeasureMessage("4 KiB multipart", Multipart(2800));
  MeasureMessage("1 MB multipart", Multipart(1'000'000));
  const std::string digest = posthorn::mime::MakeDigest(Plain(4096));
  std::string out;
  Measure("envelope from digest", [&] {
    out.clear();
    const auto view = posthorn::mime::DigestView::Open(digest);
    posthorn::mime::AppendEnvelope(*view, out);
    sink += out.size();
  });
  Measure("MAIL FROM", [&] {
    sink +=
        posthorn::mail::ParseSmtpCommand("MAIL FROM:<joe@example.org> SIZE=4096 BODY=8BITMIME", {})
            .index();
  });
  return sink == 0 ? 1 : 0;
}
