#pragma once

#include <string>
#include <string_view>

namespace posthorn::mime {

enum class Reply { kNo, kYes };

struct BaseSubject {
  std::string text;          // upper case where ASCII and Unicode have one, so that bytes compare
  Reply reply = Reply::kNo;  // "Re:", "Fwd:", "[fwd: …]" or "(fwd)" was taken off [RFC5256 2.1]
};

// `subject` is the field's raw value. Total, linear time.
BaseSubject ExtractBaseSubject(std::string_view subject);

}  // namespace posthorn::mime
