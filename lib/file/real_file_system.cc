#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "lib/base/clock.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/file/file_system.h"
#include "lib/observe/metrics.h"

namespace posthorn::file {
namespace {

absl::Status FromErrno(std::string_view what, std::string_view path) {
  const int error = errno;
  absl::StatusCode code = absl::StatusCode::kUnavailable;
  if (error == ENOSPC || error == EDQUOT) code = absl::StatusCode::kResourceExhausted;
  if (error == ENOENT) code = absl::StatusCode::kNotFound;
  if (error == EEXIST) code = absl::StatusCode::kAlreadyExists;
  return base::Error(code, base::StrCat(what, " ", path, ": ", std::strerror(error)));
}

template <class Call>
auto Retry(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

class RealMapping final : public Mapping {
 public:
  RealMapping(void* start, size_t length, std::string_view wanted)
      : start_(start), length_(length) {
    bytes_ = wanted;
  }
  RealMapping(const RealMapping&) = delete;
  RealMapping& operator=(const RealMapping&) = delete;
  ~RealMapping() override {
    if (start_ != nullptr) ::munmap(start_, length_);
  }

 private:
  void* start_;
  size_t length_;
};

// `name` is one of the literals in the code. Looking its metric up costs nothing beside a sync.
void CountSync(std::string_view name, int64_t begin, const absl::Status& status) {
  observe::NewHistogram("posthorn_file_sync_seconds", "fdatasync and fsync, by what was synced",
                        {{"file", name}})
      ->Observe(static_cast<double>(base::MonotonicMicros() - begin) / 1e6);
  static observe::Counter* const kFailures = observe::NewCounter(
      "posthorn_file_sync_failures_total", "Syncs that failed: a disk is dying or full");
  if (!status.ok()) kFailures->Add();
}

class RealFile final : public File {
 public:
  RealFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  RealFile(const RealFile&) = delete;
  RealFile& operator=(const RealFile&) = delete;
  ~RealFile() override { ::close(fd_); }

  absl::StatusOr<size_t> ReadAt(uint64_t offset, std::span<char> out) override {
    size_t done = 0;
    while (done < out.size()) {
      const ssize_t got = Retry([&] {
        return ::pread(fd_, out.data() + done, out.size() - done,
                       static_cast<off_t>(offset + done));
      });
      if (got < 0) return FromErrno("read", path_);
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    return done;
  }

  using File::WriteAt;
  absl::Status WriteAt(uint64_t offset, std::span<const std::string_view> pieces) override {
    std::array<iovec, 512> vectors;
    size_t skip = 0;  // bytes of the first piece that are written already
    while (!pieces.empty()) {
      size_t count = 0;
      for (; count < pieces.size() && count < vectors.size(); ++count) {
        const size_t from = count == 0 ? skip : 0;
        vectors[count] = {const_cast<char*>(pieces[count].data() + from),
                          pieces[count].size() - from};
      }
      const ssize_t put = Retry([&] {
        return ::pwritev(fd_, vectors.data(), static_cast<int>(count), static_cast<off_t>(offset));
      });
      if (put < 0) return FromErrno("write", path_);
      offset += static_cast<uint64_t>(put);
      skip += static_cast<size_t>(put);
      while (!pieces.empty() && skip >= pieces.front().size()) {
        skip -= pieces.front().size();
        pieces = pieces.subspan(1);
      }
    }
    return absl::OkStatus();
  }

  absl::Status Truncate(uint64_t size) override {
    if (Retry([&] { return ::ftruncate(fd_, static_cast<off_t>(size)); }) < 0) {
      return FromErrno("truncate", path_);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<uint64_t> Size() override {
    struct stat info{};
    if (::fstat(fd_, &info) < 0) return FromErrno("stat", path_);
    return static_cast<uint64_t>(info.st_size);
  }

  absl::StatusOr<std::unique_ptr<Mapping>> Map(uint64_t offset, uint64_t length) override {
    if (length == 0) return std::make_unique<RealMapping>(nullptr, 0, std::string_view());
    static const auto kPage = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
    const uint64_t start = offset / kPage * kPage;
    const size_t whole = offset - start + length;
    void* memory = ::mmap(nullptr, whole, PROT_READ, MAP_SHARED, fd_, static_cast<off_t>(start));
    if (memory == MAP_FAILED) return FromErrno("map", path_);
    return std::make_unique<RealMapping>(
        memory, whole,
        std::string_view(static_cast<const char*>(memory) + (offset - start), length));
  }

 protected:
  absl::Status DoSync(std::string_view name) override {
    const int64_t begin = base::MonotonicMicros();
    const bool failed = Retry([&] { return ::fdatasync(fd_); }) < 0;
    const absl::Status status = failed ? FromErrno("sync", path_) : absl::OkStatus();
    CountSync(name, begin, status);
    return status;
  }

 private:
  int fd_;
  std::string path_;
};

class RealFileSystem final : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, Mode mode) override {
    int flags = O_CLOEXEC | (mode == Mode::kRead ? O_RDONLY : O_RDWR);
    if (mode == Mode::kCreate) flags |= O_CREAT;
    if (mode == Mode::kCreateNew) flags |= O_CREAT | O_EXCL;
    const int fd = Retry([&] { return ::open(path.c_str(), flags, 0640); });
    if (fd < 0) return FromErrno("open", path);
    return std::make_unique<RealFile>(fd, path);
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) < 0) return FromErrno("rename", from);
    return absl::OkStatus();
  }

  absl::Status Unlink(const std::string& path) override {
    if (::unlink(path.c_str()) < 0) return FromErrno("unlink", path);
    return absl::OkStatus();
  }

  absl::Status MakeDirectory(const std::string& path) override {
    if (::mkdir(path.c_str(), 0750) < 0 && errno != EEXIST) return FromErrno("mkdir", path);
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override {
    DIR* directory = ::opendir(path.c_str());
    if (directory == nullptr) return FromErrno("list", path);
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(directory)) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    ::closedir(directory);
    std::sort(names.begin(), names.end());
    return names;
  }

  absl::StatusOr<uint64_t> SizeOf(const std::string& path) override {
    struct stat info{};
    if (::stat(path.c_str(), &info) < 0) return FromErrno("stat", path);
    return static_cast<uint64_t>(info.st_size);
  }

 protected:
  absl::Status DoSyncDirectory(const std::string& path, std::string_view name) override {
    const int64_t begin = base::MonotonicMicros();
    const int fd = Retry([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
    if (fd < 0) return FromErrno("open", path);
    absl::Status status;
    if (Retry([&] { return ::fsync(fd); }) < 0) status = FromErrno("sync", path);
    ::close(fd);
    CountSync(name, begin, status);
    return status;
  }
};

}  // namespace

FileSystem& Real() {
  static RealFileSystem* const kReal = new RealFileSystem;
  return *kReal;
}

}  // namespace posthorn::file
