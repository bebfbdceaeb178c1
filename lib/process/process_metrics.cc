#include "lib/process/process_metrics.h"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>

#include "lib/base/strings.h"
#include "lib/observe/metrics.h"
#include "lib/process/version.h"

namespace posthorn::process {
namespace {

using observe::NewGaugeCallback;

// Of /proc/self/statm, in pages: 0 is the address space, 1 what is resident.
double ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  double size = 0;
  double resident = 0;
  statm >> size >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double OpenFiles() {
  std::error_code error;
  double files = 0;
  std::filesystem::directory_iterator it("/proc/self/fd", error);
  for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) ++files;
  return files;
}

double FileLimit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<double>(limit.rlim_cur);
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double HeapBytes() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<double>(info.uordblks + info.hblkhd);
}

// In bytes; nothing when the disk does not answer.
std::filesystem::space_info DiskOf(const std::string& path) {
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(path, error);
  return error ? std::filesystem::space_info{0, 0, 0} : space;
}

}  // namespace

std::string DiskProblem(const std::string& path) {
  if (path.empty()) return {};
  const std::filesystem::space_info disk = DiskOf(path);
  return DiskProblem(path, disk.available, disk.capacity);
}

std::string DiskProblem(const std::string& path, uint64_t free, uint64_t size) {
  if (size == 0 || free >= size / 10) return {};
  return base::StrCat("the disk of ", path, " is nearly full: ", free * 100 / size, " % (",
                      free >> 20, " MiB) left");
}

void ShowProcess(std::string_view name, const std::string& data) {
  observe::NewGauge("posthorn_process_info", "1; who this is",
                    {{"name", name}, {"version", Version()}})
      ->Set(1);
  observe::NewGauge("posthorn_process_start_time_seconds", "When it started, seconds since 1970")
      ->Set(static_cast<double>(std::time(nullptr)));
  NewGaugeCallback("posthorn_process_resident_bytes", "Resident memory", ResidentBytes);
  NewGaugeCallback("posthorn_process_memory_bytes", "Memory by what it is for", {{"use", "heap"}},
                   HeapBytes);
  NewGaugeCallback("posthorn_process_open_files", "Open file descriptors", OpenFiles);
  NewGaugeCallback("posthorn_process_open_files_limit", "Most it may open", FileLimit);
  observe::NewCounterCallback("posthorn_process_cpu_seconds_total", "CPU time used", CpuSeconds);
  if (data.empty()) return;
  NewGaugeCallback("posthorn_process_disk_free_bytes", "Room left on the disk of --data",
                   [data] { return static_cast<double>(DiskOf(data).available); });
  NewGaugeCallback("posthorn_process_disk_size_bytes", "Size of the disk of --data",
                   [data] { return static_cast<double>(DiskOf(data).capacity); });
}

LoopMetrics::LoopMetrics()
    : ready(observe::NewGauge("posthorn_process_ready", "1 while /readyz says ok")),
      lag(observe::NewGauge("posthorn_process_loop_lag_seconds",
                            "How late the loop came to its last tick: what every session waits")) {}

}  // namespace posthorn::process
