#include "store-service/events/event_file.h"

#include <algorithm>
#include <chrono>

#include "lib/base/crc32c.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

constexpr std::string_view kSuffix = ".events";

// The next offset after `from` where a sound header begins, or `size`.
absl::StatusOr<uint64_t> FindBlock(file::File& file, uint64_t from, uint64_t size) {
  std::string window(1 << 20, '\0');
  static const std::string kMagic = {'P', 'H', 'B', 'E'};
  while (from + kBlockHeaderBytes <= size) {
    ASSIGN_OR_RETURN(const size_t got, file.ReadAt(from, window));
    const std::string_view bytes = std::string_view(window).substr(0, got);
    for (size_t at = bytes.find(kMagic); at != std::string_view::npos;
         at = bytes.find(kMagic, at + 1)) {
      if (DecodeBlockHeader(bytes.substr(at))) return from + at;
    }
    if (got <= kBlockHeaderBytes) break;
    from += got - kBlockHeaderBytes + 1;
  }
  return size;
}

}  // namespace

absl::StatusOr<std::vector<BlockPlace>> ListBlocks(file::File& file, uint64_t& end) {
  ASSIGN_OR_RETURN(const uint64_t size, file.Size());
  std::vector<BlockPlace> places;
  end = 0;
  // Header and filter are read together: filters are a few KiB.
  std::string buffer(size_t{8} * 1024, '\0');
  for (uint64_t at = 0; at + kBlockHeaderBytes <= size;) {
    ASSIGN_OR_RETURN(size_t got, file.ReadAt(at, buffer));
    const auto header = DecodeBlockHeader(std::string_view(buffer).substr(0, got));
    if (!header || at + BlockSize(*header) > size) {
      ASSIGN_OR_RETURN(at, FindBlock(file, at + 1, size));
      continue;
    }
    BlockPlace place{.header = *header, .offset = at, .bloom = {}};
    if (kBlockHeaderBytes + header->bloom_length <= got) {
      place.bloom = buffer.substr(kBlockHeaderBytes, header->bloom_length);
    } else {
      place.bloom.resize(header->bloom_length);
      ASSIGN_OR_RETURN(got, file.ReadAt(at + kBlockHeaderBytes, place.bloom));
    }
    // A damaged filter must not hide its events: without one every search reads the block.
    if (base::Crc32c(place.bloom) != header->bloom_crc) place.bloom.clear();
    at += BlockSize(*header);
    end = at;
    places.push_back(std::move(place));
  }
  return places;
}

absl::StatusOr<std::string> ReadPayload(file::File& file, const BlockPlace& place) {
  std::string payload(place.header.payload_length, '\0');
  ASSIGN_OR_RETURN(
      const size_t got,
      file.ReadAt(place.offset + kBlockHeaderBytes + place.header.bloom_length, payload));
  if (got < payload.size() || base::Crc32c(payload) != place.header.payload_crc) {
    return base::DataLoss("a block of events does not check");
  }
  return payload;
}

std::string DayFileName(int64_t time_ms) {
  const std::chrono::year_month_day day{
      std::chrono::sys_days(std::chrono::days(std::max<int64_t>(time_ms, 0) / kDayMs))};
  const auto two = [](unsigned value) { return base::StrCat(value < 10 ? "0" : "", value); };
  return base::StrCat(static_cast<int>(day.year()), "-", two(static_cast<unsigned>(day.month())),
                      "-", two(static_cast<unsigned>(day.day())), kSuffix);
}

int64_t DayOfFileName(const std::string& name) {
  if (name.size() != 10 + kSuffix.size() || !name.ends_with(kSuffix)) return -1;
  const auto year = base::ParseInt<int>(name.substr(0, 4));
  const auto month = base::ParseInt<unsigned>(name.substr(5, 2));
  const auto day = base::ParseInt<unsigned>(name.substr(8, 2));
  if (!year || !month || !day || name[4] != '-' || name[7] != '-') return -1;
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(*month),
                                         std::chrono::day(*day)};
  if (!date.ok()) return -1;
  return std::chrono::sys_days(date).time_since_epoch().count();
}

}  // namespace posthorn::store_service
