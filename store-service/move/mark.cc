#include "store-service/move/mark.h"

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"

namespace posthorn::store_service {
namespace {

std::string PathIn(const std::string& data) { return base::StrCat(data, "/", kMovedFile); }

}  // namespace

absl::Status MarkMoved(file::FileSystem& files, const std::string& data, std::string_view url) {
  return file::ReplaceAtomically(files, PathIn(data), base::StrCat(url, "\n"), "store.moved");
}

absl::Status RemoveMovedMark(file::FileSystem& files, const std::string& data) {
  const absl::Status status = files.Unlink(PathIn(data));
  if (!status.ok() && !absl::IsNotFound(status)) return status;
  return files.SyncDirectory(data, "store.moved.dir");
}

absl::Status ExpectNotMoved(file::FileSystem& files, const std::string& data) {
  const absl::StatusOr<std::string> text = file::ReadWhole(files, PathIn(data));
  if (absl::IsNotFound(text.status())) return absl::OkStatus();
  RETURN_IF_ERROR(text.status());
  return base::Precondition(
      base::StrCat("this installation has moved to ", base::Trim(*text), ": start with --database ",
                   base::Trim(*text), " (its files are as they were then; ", PathIn(data),
                   " says so, and may be removed only while no store has run on that database)"));
}

}  // namespace posthorn::store_service
