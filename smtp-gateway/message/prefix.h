#pragma once

// The header lines this gateway puts above a message. Pure.

#include <string>
#include <string_view>

#include "posthorn/common/v1/common.pb.h"

namespace posthorn::smtp_gateway {

// Authentication-Results [RFC8601] and the spam marks of a scored message; every line ends in CRLF.
std::string VerdictHeaders(const common::v1::Verdict& verdict, std::string_view hostname);
// "12.5": one decimal, never in exponent form.
std::string ScoreText(double score);
// "spf 5.0 (…); dnsbl.zen 3.0 (…)": for the trace.
std::string Explain(const common::v1::Verdict& verdict);

}  // namespace posthorn::smtp_gateway
