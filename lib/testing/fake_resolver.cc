#include "lib/testing/fake_resolver.h"

#include <algorithm>

#include "lib/base/strings.h"
#include "lib/dns/records.h"
#include "lib/net/network.h"

namespace posthorn::testing {
namespace {

using dns::Answer;
using dns::Type;

std::string Normal(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  return base::Lower(name);
}

std::string WireName(std::string_view name) {
  std::string wire;
  name = name.ends_with('.') ? name.substr(0, name.size() - 1) : name;
  if (!name.empty())
    for (const std::string_view label : base::Split(name, '.'))
      base::StrAppend(wire, static_cast<char>(label.size()), label);
  wire.push_back('\0');
  return wire;
}

std::string TypeName(Type type) {
  switch (type) {
    case Type::kA:
      return "A";
    case Type::kNs:
      return "NS";
    case Type::kPtr:
      return "PTR";
    case Type::kMx:
      return "MX";
    case Type::kTxt:
      return "TXT";
    case Type::kAaaa:
      return "AAAA";
    case Type::kTlsa:
      return "TLSA";
  }
  return "?";
}

}  // namespace

void FakeResolver::Add(std::string_view name, Type type, std::string data) {
  auto& answer = answers_
                     .try_emplace({Normal(name), type},
                                  Answer{dns::Outcome::kFound, false, Normal(name), 60, {}})
                     .first->second;
  if (answer.ok()) answer->records.push_back(std::move(data));
}

void FakeResolver::AddAddress(std::string_view name, std::string_view address) {
  const auto parsed = net::ParseAddress(address).value();
  const auto* bytes = reinterpret_cast<const char*>(parsed.bytes.data());
  Add(name, parsed.is_v4 ? Type::kA : Type::kAaaa, std::string(bytes, parsed.is_v4 ? 4 : 16));
}

void FakeResolver::AddMx(std::string_view name, uint16_t preference, std::string_view host) {
  Add(name, Type::kMx,
      base::StrCat(static_cast<char>(preference >> 8), static_cast<char>(preference & 255),
                   WireName(host)));
}

void FakeResolver::AddTxt(std::string_view name, std::string_view text) {
  std::string data;
  do {
    const std::string_view piece = text.substr(0, 255);
    base::StrAppend(data, static_cast<char>(piece.size()), piece);
    text.remove_prefix(piece.size());
  } while (!text.empty());
  Add(name, Type::kTxt, std::move(data));
}

void FakeResolver::AddPtr(std::string_view address, std::string_view host) {
  Add(dns::ReverseName(address).value(), Type::kPtr, WireName(host));
}

void FakeResolver::Fail(std::string_view name, Type type, absl::Status status) {
  answers_.insert_or_assign({Normal(name), type}, std::move(status));
}

void FakeResolver::SetSecure(std::string_view name, Type type) {
  const auto found = answers_.find({Normal(name), type});
  if (found != answers_.end() && found->second.ok()) found->second->secure = true;
}

absl::StatusOr<Answer> FakeResolver::Find(const std::string& name, Type type) const {
  if (!failure_.ok()) return failure_;
  const absl::StatusOr<std::string> valid = dns::QuestionName(name);
  if (!valid.ok()) return valid.status();
  const auto found = answers_.find({name, type});
  if (found != answers_.end()) return found->second;
  const bool exists = std::ranges::any_of(
      answers_, [&name](const auto& entry) { return entry.first.first == name; });
  return Answer{exists ? dns::Outcome::kNoData : dns::Outcome::kNxDomain, false, name, 60, {}};
}

net::Task<absl::StatusOr<Answer>> FakeResolver::Query(std::string name, Type type,
                                                      std::chrono::milliseconds) {
  asked_.push_back(base::StrCat(TypeName(type), " ", Normal(name)));
  co_return Find(Normal(name), type);
}

}  // namespace posthorn::testing
