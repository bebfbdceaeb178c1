#pragma once

// The transparency of DATA [RFC5321 4.5.2], incremental: input may be cut anywhere. Pure.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace posthorn::mail {

// What to hand on for a CR or LF that stands alone. Whichever is chosen, only CRLF "." CRLF ends
// the data, and the decoder tells that they occurred.
enum class BareNewlines { kKeep, kMakeCrlf };

// Reads the client's bytes after 354. Only "\r\n.\r\n" ends the data, where the "\r\n" may be that
// of the DATA command itself; "\n.\n", "\r\n.\n", "\n.\r\n", "\r.\r" and the like never do, so two
// servers cannot disagree about where a message ends (SMTP smuggling). Whoever refuses bare
// newlines must still read up to the true end before replying.
class DotDecoder {
 public:
  explicit DotDecoder(BareNewlines newlines = BareNewlines::kKeep) : newlines_(newlines) {}

  // Appends to `out` views of the content, into `chunk` or static storage, valid while `chunk`
  // is. Returns how many bytes of `chunk` belong to the data: all of them, or fewer once done().
  size_t Decode(std::string_view chunk, std::vector<std::string_view>& out);

  bool done() const { return state_ == State::kDone; }
  // Of the content so far, without the final dot line, after un-stuffing.
  uint64_t size() const { return size_; }
  bool has_bare_cr() const { return bare_cr_; }
  bool has_bare_lf() const { return bare_lf_; }
  bool has_nul() const { return nul_; }
  bool has_8bit() const { return eight_bit_; }
  // The longest line in bytes without its CRLF [RFC5321 4.5.3.1.6].
  size_t longest_line() const { return longest_line_; }

 private:
  enum class State {
    kLineStart,  // behind CRLF, or at the very start
    kLine,       // inside a line
    kCr,         // a CR is held back
    kDot,        // a "." at a line's start is held back
    kDotCr,      // ".\r" at a line's start is held back
    kDone,
  };

  size_t Text(std::string_view rest, std::vector<std::string_view>& out);
  void Emit(std::string_view bytes, std::vector<std::string_view>& out);
  void Inspect(std::string_view text);
  void BareCr(std::vector<std::string_view>& out);
  void BareLf(std::vector<std::string_view>& out);
  void EndLine();

  const BareNewlines newlines_;
  State state_ = State::kLineStart;
  uint64_t size_ = 0;
  size_t line_ = 0;  // bytes in the current line
  size_t longest_line_ = 0;
  bool bare_cr_ = false, bare_lf_ = false, nul_ = false, eight_bit_ = false;
};

// Writes a message as DATA's content: dots at the start of lines doubled, and a CRLF put at the
// end when there is none, then "." CRLF.
class DotEncoder {
 public:
  void Encode(std::string_view chunk, std::string& out);
  void Finish(std::string& out);

 private:
  bool line_start_ = true;
  bool cr_ = false;  // the last byte was a CR
};

}  // namespace posthorn::mail
