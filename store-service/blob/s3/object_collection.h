#pragma once

// Giving space back in an object store, and reading everything. One collector at a time; should one
// that was thought dead go on, it does no harm: names are never used twice, and an object goes only
// when one of a later generation that names it as its source is there, or when all in it is dead.
//  1. Objects without living messages are deleted.
//  2. Runs of small ones and mostly dead ones are merged: the new object says where everything
//  lies.
//  3. What was merged is deleted when readers had time to find the new one.
// A segment that the registry knows, and whose own object is lost, gets it again from what its
// objects' heads say.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "store-service/blob/blob_marks.h"
#include "store-service/blob/s3/object_codec.h"
#include "store-service/blob/s3/object_reader.h"
#include "store-service/blob/s3/units.h"
#include "store-service/blob/segment.h"
#include "store-service/blob/segment_registry.h"

namespace posthorn::store_service {

struct MergeRules {
  // Younger objects may still be written again by a try that was slow.
  int64_t settle_ms = 15LL * 60 * 1000;
  // Merged ones stay so long beside the new one.
  int64_t keep_ms = 3600LL * 1000;
  uint64_t small_bytes = uint64_t{4} << 20;
  uint64_t pack_bytes = uint64_t{32} << 20;
  size_t least_units = 8;
  double dead_share = 0.5;
};

class ObjectCollection {
 public:
  ObjectCollection(S3Client& client, ObjectReader& reader, SegmentRegistry& registry,
                   BlobMarks& marks, MergeRules rules)
      : client_(client), reader_(reader), registry_(registry), marks_(marks), rules_(rules) {}

  // As BlobStore's.
  absl::StatusOr<std::vector<uint64_t>> Destroy(const std::vector<uint64_t>& keys);
  absl::Status ForEach(const std::function<bool(const BlobRecord&)>& visit,
                       const std::function<void(uint64_t)>& pace);

  struct Totals {
    uint64_t objects = 0;
    uint64_t bytes = 0;
  };
  Totals totals();  // when it was last counted

 private:
  using Keys = std::unordered_set<uint64_t>;
  struct Walk;
  absl::StatusOr<std::vector<uint64_t>> Segments();
  absl::Status Mend(const SegmentRow& row);
  absl::Status Tidy(uint64_t segment, const Keys& dead);
  absl::Status DeleteReplaced(std::vector<Unit>& units);
  absl::Status DeleteDead(std::vector<Unit>& units, const Keys& dead, std::vector<double>& shares);
  absl::StatusOr<double> DeadShareOf(const Unit& unit, const Keys& dead);
  bool Fit(const Unit& unit, double share) const;
  absl::Status MergeRuns(const std::vector<Unit>& units, const Keys& dead,
                         const std::vector<double>& shares);
  absl::Status Merge(const std::vector<Unit>& run, const Keys& dead);
  absl::Status Gather(const Unit& unit, const Keys& dead, std::vector<MovedRecord>& records);
  absl::Status WhatIsGone(uint64_t segment, const std::vector<uint64_t>& keys,
                          std::vector<uint64_t>& gone);
  absl::StatusOr<std::shared_ptr<Segment>> Open(const Unit& unit);
  absl::Status WalkSegment(uint64_t segment, Walk& walk);
  absl::Status WalkUnit(const Unit& unit, Walk& walk);
  absl::StatusOr<bool> VisitRecord(Segment& object, const Found& found, uint64_t key, Walk& walk);

  S3Client& client_;
  ObjectReader& reader_;
  SegmentRegistry& registry_;
  BlobMarks& marks_;
  const MergeRules rules_;
  std::mutex totals_mutex_;
  Totals totals_;
};

}  // namespace posthorn::store_service
