// Every parser of the IMAP gateway on any bytes: framed as the session would, then each command's
// arguments.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "imap-gateway/protocol/arguments.h"
#include "imap-gateway/protocol/mailbox_name.h"
#include "imap-gateway/protocol/search_keys.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace posthorn::imap_gateway;  // a fuzzer has no header to keep clean
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  CommandFramer framer(4096);
  (void)framer.AddLine(text);
  const auto head = ParseHead(text);
  const std::string_view arguments = head.ok() ? head->arguments : text;
  (void)ParseLogin(arguments).ok();
  (void)ParseAuthenticate(arguments).ok();
  (void)ParseSelect(arguments).ok();
  (void)ParseCreate(arguments).ok();
  (void)ParseRename(arguments).ok();
  (void)ParseList(arguments).ok();
  (void)ParseLsub(arguments).ok();
  (void)ParseStatus(arguments).ok();
  (void)ParseAppend(arguments).ok();
  (void)ParseFetch(arguments).ok();
  (void)ParseStore(arguments).ok();
  (void)ParseCopy(arguments).ok();
  (void)ParseEnable(arguments).ok();
  (void)ParseId(arguments).ok();
  Scanner scan(arguments);
  (void)ParseSearch(scan).ok();
  if (const auto name = ParseMailboxName(arguments.substr(0, 200)); name.ok()) {
    // What was accepted goes out and comes back the same.
    const auto again = ParseMailboxName(EncodeModifiedUtf7(*name));
    if (!again.ok() || *again != *name) __builtin_trap();
  }
  return 0;
}
