// A whole IMAP session over a store in memory: the input is what a client sends, replayed before
// login, after login and with a mailbox selected.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "imap-gateway/testing/imap_fixture.h"
#include "lib/observe/log.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using posthorn::imap_gateway::ImapFixture;
  static const bool quiet = [] {
    posthorn::observe::SetUpLog("fuzz", posthorn::observe::Level::kError);
    return true;
  }();
  (void)quiet;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  for (const std::string_view before :
       {"", "x LOGIN ann secret\r\n", "x LOGIN ann secret\r\ny SELECT INBOX\r\n"}) {
    ImapFixture fixture;
    for (int i = 0; i < 3; ++i) fixture.store.AddMessage("INBOX", "Subject: x\r\n\r\nbody\r\n");
    auto& client = fixture.Connect(1);
    client.peer.Send(before);
    client.peer.Send(input);
    client.peer.HalfClose();
    fixture.Settle();
  }
  return 0;
}
