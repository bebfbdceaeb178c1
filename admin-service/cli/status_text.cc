#include "admin-service/cli/status_text.h"

#include <algorithm>
#include <array>
#include <vector>

#include "admin-service/cli/render.h"
#include "lib/base/strings.h"

namespace posthorn::cli {
namespace {

using admin::v1::ProcessStatus;
using admin::v1::StatusReply;
using Row = std::vector<std::string>;

constexpr size_t kWidth = 100;
constexpr size_t kLeastName = 16;
constexpr int64_t kDay = 86400;

// "65.0 GiB".
std::string Size(uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"octets", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  uint64_t tenths = bytes * 10;
  for (; tenths >= 10240 && unit + 1 < kUnits.size(); ++unit) tenths /= 1024;
  if (unit == 0) return base::StrCat(bytes, " ", kUnits[0]);
  return base::StrCat(tenths / 10, ".", tenths % 10, " ", kUnits[unit]);
}

// "40 ms", "3.2 s", "12 min".
std::string Span(int64_t millis) {
  if (millis < 0) return base::StrCat("-", Span(-millis));
  if (millis < 1000) return base::StrCat(millis, " ms");
  if (millis < 10'000) return base::StrCat(millis / 1000, ".", millis % 1000 / 100, " s");
  return AgeText(static_cast<uint64_t>(millis) / 1000);
}

std::string Remaining(int64_t seconds) {
  if (seconds <= 0) return "EXPIRED";
  return seconds < 2 * kDay ? base::StrCat(seconds / 3600, " h")
                            : base::StrCat(seconds / kDay, " days");
}

std::string Count(uint64_t count, std::string_view what) {
  return base::StrCat(count, " ", what, count == 1 ? "" : "s");
}

// The end tells more than the middle.
std::string Cut(const std::string& text, size_t width) {
  if (text.size() <= width) return text;
  const size_t tail = (width - 1) / 2;
  return base::StrCat(text.substr(0, width - 1 - tail), "…", text.substr(text.size() - tail));
}

// Without columns that say nothing; `flexible` (in the order of giving way) are cut until it fits.
std::string Fitted(Row header, std::vector<Row> rows, std::vector<std::string> flexible) {
  for (size_t column = header.size(); column-- > 0;) {
    if (std::ranges::any_of(rows, [&](const Row& row) { return !row[column].empty(); })) continue;
    header.erase(header.begin() + static_cast<ptrdiff_t>(column));
    for (Row& row : rows) row.erase(row.begin() + static_cast<ptrdiff_t>(column));
  }
  std::vector<size_t> widths;
  size_t total = 0;
  for (size_t column = 0; column < header.size(); ++column) {
    size_t width = header[column].size();
    for (const Row& row : rows) width = std::max(width, row[column].size());
    widths.push_back(width);
    total += width + (column > 0 ? 2 : 0);
  }
  for (const std::string& name : flexible) {
    const auto found = std::ranges::find(header, name);
    if (total <= kWidth || found == header.end()) continue;
    const auto column = static_cast<size_t>(found - header.begin());
    const size_t excess =
        std::min(total - kWidth, widths[column] - std::min(widths[column], kLeastName));
    total -= excess;
    for (Row& row : rows) row[column] = Cut(row[column], widths[column] - excess);
  }
  return Table(header, rows);
}

// Behind "  - ", the next lines under the first one's text.
std::string Wrapped(const std::string& text) {
  std::string out = "  - ";
  size_t used = out.size();
  for (const std::string_view word : base::Split(text, ' ')) {
    const bool first = used == 4;
    if (!first && used + 1 + word.size() > kWidth) {
      out += "\n    ";
      used = 4;
    } else if (!first) {
      out += ' ';
      ++used;
    }
    out += word;
    used += word.size();
  }
  return out + "\n";
}

std::string Problems(const StatusReply& reply) {
  if (reply.problems().empty()) {
    const size_t starting = Starting(reply);
    if (starting == 0) return "everything works\n";
    return base::StrCat("nothing is wrong; ", starting,
                        starting == 1 ? " process is starting\n" : " processes are starting\n");
  }
  std::string out = reply.problems_size() == 1
                        ? "1 thing is wrong:\n"
                        : base::StrCat(reply.problems_size(), " things are wrong:\n");
  for (const std::string& problem : reply.problems()) out += Wrapped(problem);
  return out;
}

std::string StateOf(const ProcessStatus& process) {
  if (process.starting() && !process.ready()) return "starting";
  if (!process.alive())
    return process.silent_ms() > 0
               ? base::StrCat("SILENT ", Span(static_cast<int64_t>(process.silent_ms())))
               : "MISSING";
  if (process.draining()) return "draining";
  return process.ready() ? "ready" : "NOT READY";
}

std::string BehindOf(const ProcessStatus& process) {
  uint64_t most = 0;
  for (const auto& lag : process.lags()) most = std::max(most, lag.behind_ms());
  return process.lags().empty() ? "" : Span(static_cast<int64_t>(most));
}

std::string Processes(const StatusReply& reply) {
  std::vector<Row> rows;
  for (const ProcessStatus& process : reply.processes()) {
    rows.push_back(
        {process.process(), process.name(), StateOf(process), process.version(),
         process.config_revision() == 0 ? "" : base::StrCat(process.config_revision()),
         BehindOf(process),
         process.has_certificate_seconds() ? Remaining(process.certificate_seconds()) : "",
         process.address()});
  }
  return Fitted({"PROCESS", "NAME", "STATE", "VERSION", "CONFIG", "BEHIND", "CERT", "ADDRESS"},
                std::move(rows), {"ADDRESS", "NAME"});
}

std::string Stores(const store::v1::StoreStatusReply& store) {
  if (store.replicas_size() == 0) return {};
  if (store.replicas_size() == 1 && store.replicas(0).address().empty()) {
    return base::StrCat("lanes          ", store.replicas(0).lanes(), " of ", store.lanes(),
                        " in the only store\n");
  }
  std::vector<Row> rows;
  for (const auto& replica : store.replicas()) {
    rows.push_back({replica.name(),
                    !replica.alive()     ? "SILENT"
                    : replica.draining() ? "draining"
                                         : "serving",
                    base::StrCat(replica.lanes(), " of ", store.lanes()),
                    replica.has_lease_left_ms() ? Span(replica.lease_left_ms()) : "",
                    Span(static_cast<int64_t>(replica.silent_ms())),
                    replica.started_ms() > 0 ? TimeText(replica.started_ms()) : "",
                    replica.address()});
  }
  std::string out =
      "\n" + Fitted({"STORE", "STATE", "LANES", "LEASE LEFT", "HEARD", "STARTED", "ADDRESS"},
                    std::move(rows), {"ADDRESS", "STORE"});
  if (store.ownerless().empty()) return out;
  std::vector<std::string> lanes;
  for (const uint32_t lane : store.ownerless()) lanes.push_back(base::StrCat(lane));
  return base::StrCat(out, "lanes without a store: ", base::Join(lanes, " "), "\n");
}

std::string Queues(const StatusReply& reply) {
  std::vector<Row> rows;
  for (const auto& queue : reply.queues()) {
    rows.push_back({queue.replica(), queue.journal(), base::StrCat(queue.entries()),
                    queue.entries() > 0 ? AgeText(queue.oldest_seconds()) : "",
                    queue.held() > 0 ? base::StrCat(queue.held()) : "",
                    queue.has_lease_left_ms() ? Span(queue.lease_left_ms()) : ""});
  }
  std::string out;
  if (!rows.empty()) {
    out = "\n" + Fitted({"QUEUE", "JOURNAL", "WAITING", "OLDEST", "HELD", "LEASE LEFT"},
                        std::move(rows), {"QUEUE"});
  }
  std::vector<Row> others;
  for (const auto& journal : reply.store().queue_journals()) {
    const bool answers = std::ranges::any_of(
        reply.queues(), [&](const auto& queue) { return queue.replica() == journal.owner(); });
    if (answers || journal.entries() == 0) continue;
    others.push_back(
        {journal.owner(), base::StrCat(journal.entries()), Span(journal.lease_left_ms())});
  }
  if (others.empty()) return out;
  return base::StrCat(
      out, "\n",
      Fitted({"JOURNAL OF", "WAITING", "LEASE LEFT"}, std::move(others), {"JOURNAL OF"}));
}

std::string Line(std::string_view what, const std::string& text) {
  std::string out(what);
  out.resize(15, ' ');
  return base::StrCat(out, Cut(text, kWidth - 15), "\n");
}

std::string Storage(const store::v1::StoreStatusReply& store) {
  std::string out;
  const auto& database = store.database();
  if (!database.engine().empty()) {
    out += Line("database", base::StrCat(database.engine(), ", ", database.place()));
    if (!database.node().empty()) out += Line("", base::StrCat("writes go to ", database.node()));
  }
  const auto& blobs = store.blobs();
  if (blobs.kind().empty()) return out;
  out += Line("message files", base::StrCat(blobs.kind(), " ", blobs.place()));
  std::string room = blobs.unreachable().empty() ? "" : "NOT REACHED, ";
  if (blobs.has_free_bytes() && blobs.has_size_bytes())
    room =
        base::StrCat(room, Size(blobs.free_bytes()), " of ", Size(blobs.size_bytes()), " free, ");
  out += Line("", base::StrCat(room, Size(store.segment_bytes()), " in ",
                               Count(store.segments(), "segment")));
  return out;
}

std::string Certificates(const StatusReply& reply) {
  std::vector<std::string> parts;
  for (const auto& certificate : reply.certificates())
    parts.push_back(base::StrCat(certificate.name(), " ", Remaining(certificate.seconds_left())));
  return parts.empty() ? "" : Line("certificates", base::Join(parts, ", "));
}

}  // namespace

size_t Starting(const StatusReply& reply) {
  return static_cast<size_t>(std::ranges::count_if(
      reply.processes(), [](const ProcessStatus& process) { return process.starting(); }));
}

std::string StatusText(const StatusReply& reply) {
  std::string out = base::StrCat(Problems(reply), "\n", Processes(reply));
  if (reply.has_store()) out += Stores(reply.store());
  out += Queues(reply);
  out += "\n";
  if (reply.has_store()) {
    out += Storage(reply.store());
    out += Line("mail",
                base::StrCat(Count(reply.accounts(), "account"), ", ",
                             Count(reply.messages(), "message"), ", ", Size(reply.store_bytes())));
  }
  out += Certificates(reply);
  return base::StrCat(out, "configuration revision ", reply.revision(), "\n");
}

}  // namespace posthorn::cli
