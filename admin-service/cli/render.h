#pragma once

// What people see: tables, YAML, JSON. Pure.

#include <google/protobuf/message.h>

#include <memory>
#include <string>
#include <vector>

#include "lib/config/schema.h"
#include "posthorn/admin/v1/admin.pb.h"

namespace posthorn::cli {

// Columns as wide as their widest cell (in code points); the last one is not padded.
std::string Table(const std::vector<std::string>& header,
                  const std::vector<std::vector<std::string>>& rows);

// An object as admin-service sent it.
struct Shown {
  const config::Kind* kind = nullptr;
  std::string name;
  std::string json;
  std::shared_ptr<google::protobuf::Message> object;
};
absl::StatusOr<Shown> Read(const config::Schema& schema, const admin::v1::ConfigObject& object);

// One row for each: the name, and the fields in which any of them holds something.
std::string ObjectTable(const std::vector<Shown>& objects);
// All fields of one, a line each.
std::string ObjectDetails(const Shown& object);
std::string ObjectsAsYaml(const std::vector<Shown>& objects);
// A JSON array of {kind, name, …fields}.
std::string ObjectsAsJson(const std::vector<Shown>& objects);

// "+ domain example.org", "  listener smtp: port 25 -> 2525".
std::string Differences(const admin::v1::ChangeReply& reply);
// kind or kind.field: type, default, rules, help.
absl::StatusOr<std::string> Explain(const config::Schema& schema, std::string_view what);
// Any reply as JSON with the contract's field names.
std::string Json(const google::protobuf::Message& message);

std::string TimeText(int64_t millis);
// "12 s", "3 min", "5 h", "2 days".
std::string AgeText(uint64_t seconds);

}  // namespace posthorn::cli
