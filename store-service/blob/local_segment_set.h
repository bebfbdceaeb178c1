#pragma once

// The segments of a folder that belongs to one store.
//   DIR/segments.table     says which count, and in which form

#include "lib/file/directory_lock.h"
#include "store-service/blob/segment_set.h"
#include "store-service/blob/segment_table.h"

namespace posthorn::store_service {

class LocalSegmentSet final : public SegmentSet {
 public:
  LocalSegmentSet(file::FileSystem& system, std::string directory, OnDamage on_damage)
      : SegmentSet(system, std::move(directory), std::move(on_damage)) {}
  // kDataLoss: the table itself is damaged; kUnavailable: another store has the folder;
  // kFailedPrecondition: the folder belongs to several.
  absl::Status Load() override;
  void Close() override {}

  absl::StatusOr<std::shared_ptr<Segment>> Add() override;
  std::vector<std::shared_ptr<Segment>> OpenOnes() override;
  absl::StatusOr<std::shared_ptr<Segment>> Find(uint64_t number) override;
  absl::StatusOr<bool> Renew(uint64_t /*number*/) override { return false; }
  absl::Status Refresh() override { return absl::OkStatus(); }
  std::vector<uint64_t> Numbers() override;
  absl::StatusOr<std::shared_ptr<Segment>> FindWhole(uint64_t number) override {
    return Find(number);
  }
  BlobStats Stats() override;

  Holder HolderOf(const Segment& segment) override {
    return segment.sealed() ? Holder::kFinal : Holder::kThis;
  }
  absl::Status Remove(const std::shared_ptr<Segment>& segment) override;
  absl::StatusOr<Form> NextForm(const Segment& segment) override;
  absl::Status Replace(const std::shared_ptr<Segment>& fresh, const Form& form) override;
  absl::Status Tidy() override { return absl::OkStatus(); }

 private:
  absl::Status LoadTable(const std::vector<std::string>& names);
  absl::Status OpenNamed(uint64_t number);
  absl::Status Adopt(const std::vector<std::string>& names);
  absl::Status SaveTable();  // with table_mutex_
  std::shared_ptr<Segment> Known(uint64_t number);
  std::vector<std::shared_ptr<Segment>> All();

  std::unique_ptr<file::DirectoryLock> lock_;
  std::mutex table_mutex_;  // taken before mutex_
  SegmentTable table_;

  std::shared_mutex mutex_;
  std::map<uint64_t, std::shared_ptr<Segment>> segments_;
};

}  // namespace posthorn::store_service
