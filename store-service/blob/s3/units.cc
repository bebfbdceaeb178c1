#include "store-service/blob/s3/units.h"

#include <algorithm>

#include "lib/base/status_macros.h"

namespace posthorn::store_service {
namespace {

// Those inside a merged object's range that it names as its sources.
absl::Status MarkSources(ObjectReader& reader, std::vector<Unit>& units, size_t pack) {
  const UnitName name = units[pack].name;
  const auto inside = [&](const Unit& unit) {
    return unit.name.generation < name.generation && unit.name.first >= name.first &&
           unit.name.last <= name.last;
  };
  if (std::none_of(units.begin(), units.end(), inside)) return absl::OkStatus();
  const auto map = reader.MapOf(name);
  // One that cannot be read replaces nothing.
  if (absl::IsNotFound(map.status()) || map.status().code() == absl::StatusCode::kDataLoss) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(map.status());
  const std::unordered_set<std::string> sources((*map)->sources.begin(), (*map)->sources.end());
  for (Unit& unit : units) {
    if (inside(unit) && sources.contains(NameOf(unit.name))) {
      unit.replaced_by = static_cast<int>(pack);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<uint64_t>> ListSegments(S3Client& client) {
  ASSIGN_OR_RETURN(const std::vector<S3Object> objects, client.List("s/"));
  std::vector<uint64_t> segments;
  for (const S3Object& object : objects) {
    if (const auto segment = ParseSegmentObject(object.name)) segments.push_back(*segment);
  }
  return segments;
}

absl::StatusOr<bool> HasObjects(S3Client& client, uint64_t segment) {
  for (const std::string& prefix : {ObjectsOf(segment), PacksOf(segment)}) {
    ASSIGN_OR_RETURN(const std::vector<S3Object> objects, client.List(prefix));
    if (!objects.empty()) return true;
  }
  return false;
}

absl::StatusOr<std::vector<Unit>> ListUnits(S3Client& client, ObjectReader& reader,
                                            uint64_t segment) {
  std::vector<Unit> units;
  // Objects first: what is merged meanwhile is then in one list at least.
  for (const std::string& prefix : {ObjectsOf(segment), PacksOf(segment)}) {
    ASSIGN_OR_RETURN(const std::vector<S3Object> objects, client.List(prefix));
    for (const S3Object& object : objects) {
      const std::optional<UnitName> name = ParseUnitName(object.name);
      if (name) units.push_back({*name, object.size, object.modified_ms});
    }
  }
  std::sort(units.begin(), units.end(), [](const Unit& a, const Unit& b) {
    return std::tie(a.name.first, a.name.generation) < std::tie(b.name.first, b.name.generation);
  });
  for (size_t i = 0; i < units.size(); ++i) {
    if (units[i].name.generation > 0) RETURN_IF_ERROR(MarkSources(reader, units, i));
  }
  return units;
}

}  // namespace posthorn::store_service
