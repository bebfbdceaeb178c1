#pragma once

#include <string_view>

namespace posthorn::store::v1 {
class PutReply;
}

namespace posthorn::store_service {

// Fills all fields of a reply but the blob from the message's bytes. Pure; about a microsecond for
// a usual header.
void FillPutFacts(std::string_view message, store::v1::PutReply& reply);

}  // namespace posthorn::store_service
