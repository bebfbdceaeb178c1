#pragma once

// The segments of a folder that several stores write and read at the same time. The registry says
// which there are; each segment has one writer, a start of a store, and is never gone on with by
// another.
//   DIR/id-*              which folder this is; the registry knows it
//   DIR/writers/NAME      one store of that name at a time on this machine
// Invariants:
//  1. A store answers nobody after its segment was seized: seizing renames the file, a commit looks
//     for the name after its sync, and where the segment ends is looked up only when every machine
//     must have seen the new name.
//  2. Whoever makes a new form first reserves its name in the registry; it counts when the row says
//     so. A collector that was taken for dead changes nothing any more: its rows are of old
//     versions.
//  3. Old forms stay until readers had time; a reader whose file is gone looks at the row again.

#include "lib/file/directory_lock.h"
#include "store-service/blob/segment_registry.h"
#include "store-service/blob/segment_set.h"

namespace posthorn::store_service {

struct SharedTimes {
  // An open segment without any change for so long belongs to nobody alive; longer than roll_ms.
  int64_t abandoned_ms = 24LL * 3600 * 1000;
  // From seizing to looking where it ends: longer than any machine remembers a name.
  int64_t settle_ms = 5LL * 60 * 1000;
  // Old forms stay so long.
  int64_t keep_ms = 3600LL * 1000;
  // A writer ends its segments at this age.
  int64_t roll_ms = 12LL * 3600 * 1000;
};

class SharedSegmentSet final : public SegmentSet {
 public:
  // `registry` outlives this. `writer`: letters, digits, dots, dashes.
  SharedSegmentSet(file::FileSystem& system, std::string directory, OnDamage on_damage,
                   SegmentRegistry& registry, std::string writer, SharedTimes times);

  // kFailedPrecondition: not the folder that the registry is about (is the volume mounted?).
  absl::Status Load() override;
  void Close() override;

  absl::StatusOr<std::shared_ptr<Segment>> Add() override;
  std::vector<std::shared_ptr<Segment>> OpenOnes() override { return {}; }
  absl::StatusOr<std::shared_ptr<Segment>> Find(uint64_t number) override;
  absl::StatusOr<bool> Renew(uint64_t number) override;
  absl::Status Refresh() override;
  std::vector<uint64_t> Numbers() override;
  absl::StatusOr<std::shared_ptr<Segment>> FindWhole(uint64_t number) override;
  BlobStats Stats() override;

  Holder HolderOf(const Segment& segment) override;
  absl::Status Remove(const std::shared_ptr<Segment>& segment) override;
  absl::StatusOr<Form> NextForm(const Segment& segment) override;
  absl::Status Replace(const std::shared_ptr<Segment>& fresh, const Form& form) override;
  absl::Status Tidy() override;

 private:
  struct Known {
    SegmentRow row;
    std::shared_ptr<Segment> segment;  // null: not opened yet
  };
  absl::Status CheckIdentity();
  absl::Status ImportTable();
  absl::Status TakeOverOwn();
  void NoteSealed();

  absl::StatusOr<std::shared_ptr<Segment>> Open(uint64_t number);
  absl::StatusOr<std::shared_ptr<Segment>> OpenForm(const SegmentRow& row);
  absl::StatusOr<std::shared_ptr<Segment>> OpenAs(const SegmentRow& row, uint32_t generation);
  void Learn(const SegmentRow& row, std::shared_ptr<Segment> segment);
  void Forget(uint64_t number);
  absl::StatusOr<SegmentRow> RowOf(uint64_t number);  // as it was last seen
  std::shared_ptr<Segment> Own(uint64_t number);

  bool Older(const SegmentRow& row, int64_t ms) const;
  absl::Status TidyRow(const SegmentRow& row, const std::vector<std::string>& names);
  absl::Status Abandon(SegmentRow row);
  absl::Status Seize(SegmentRow row);
  absl::Status Settle(SegmentRow row);
  absl::Status UnlinkForms(const SegmentRow& row, const std::vector<std::string>& names);
  absl::Status UnlinkOld(const std::string& name);
  absl::StatusOr<bool> MayUnlink(const SegmentRow& row, uint32_t generation);

  SegmentRegistry& registry_;
  const std::string writer_;
  const SharedTimes times_;
  std::unique_ptr<file::DirectoryLock> lock_;

  std::shared_mutex mutex_;
  std::map<uint64_t, Known> known_;
  std::map<uint64_t, std::shared_ptr<Segment>> own_;  // until the registry knows where they end
};

}  // namespace posthorn::store_service
