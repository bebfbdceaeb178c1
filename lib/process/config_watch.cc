#include "lib/process/config_watch.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <vector>

#include "lib/base/crc32c.h"
#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"
#include "lib/rpc/methods/admin.h"

namespace posthorn::process {
namespace {

constexpr std::string_view kHeader = "posthorn-config 1 ";
constexpr std::chrono::milliseconds kFirstPause{50};
constexpr std::chrono::milliseconds kLongestPause{2000};

}  // namespace

absl::Status SaveSnapshot(const std::string& path, const config::Snapshot& snapshot) {
  const std::string bytes = snapshot.Serialize();
  const std::string text = base::StrCat(kHeader, base::Crc32c(bytes), "\n", bytes);
  const std::string beside = path + ".new";
  // Secrets are in it. No fsync: the checksum tells a torn file, and admin has the original.
  const int fd = open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return base::Unavailable("cannot write " + beside);
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = write(fd, text.data() + done, text.size() - done);
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  close(fd);
  if (done < text.size() || rename(beside.c_str(), path.c_str()) != 0) {
    return base::Unavailable("cannot write " + path);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const config::Snapshot>> LoadSnapshot(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return base::NotFound("no " + path);
  std::stringstream all;
  all << file.rdbuf();
  const std::string text = all.str();
  const size_t line = text.find('\n');
  if (!text.starts_with(kHeader) || line == std::string::npos)
    return base::DataLoss("unknown form of " + path);
  const std::string_view bytes = std::string_view(text).substr(line + 1);
  const auto crc = base::ParseInt<uint32_t>(
      std::string_view(text).substr(kHeader.size(), line - kHeader.size()));
  if (!crc || *crc != base::Crc32c(bytes)) return base::DataLoss("torn: " + path);
  return config::Snapshot::Parse(bytes);
}

struct ConfigWatch::State {
  State(net::Loop& l, rpc::Client& a, Options o)
      : loop(l), admin(a), options(std::move(o)), swapped(l) {}

  void Swap(std::shared_ptr<const config::Snapshot> next) {
    current = std::move(next);
    revision->Set(static_cast<double>(current->revision()));
    observe::Info("config.swap",
                  {{"revision", current->revision()}, {"from", from_admin ? "admin" : "file"}});
    const std::shared_ptr<const config::Snapshot> held = current;
    for (const auto& changed : listeners) changed(*held);
    swapped.NotifyAll();
  }

  net::Loop& loop;
  rpc::Client& admin;
  const Options options;
  std::shared_ptr<const config::Snapshot> current;
  bool from_admin = false;
  bool stopped = false;
  bool away = false;
  std::vector<std::function<void(const config::Snapshot&)>> listeners;
  net::Signal swapped;
  observe::Gauge* revision =
      observe::NewGauge("posthorn_process_config_revision", "Revision of the configuration in use");
  observe::Gauge* connected =
      observe::NewGauge("posthorn_process_config_connected", "1 while admin-service answers");
};

ConfigWatch::ConfigWatch(net::Loop& loop, rpc::Client& admin, Options options)
    : state_(std::make_shared<State>(loop, admin, std::move(options))) {}
ConfigWatch::~ConfigWatch() { state_->stopped = true; }

void ConfigWatch::Start() { state_->loop.Spawn("config.watch", Watch(state_)); }
std::shared_ptr<const config::Snapshot> ConfigWatch::current() const { return state_->current; }

void ConfigWatch::OnChange(std::function<void(const config::Snapshot&)> changed) {
  if (state_->current) changed(*state_->current);
  state_->listeners.push_back(std::move(changed));
}

bool ConfigWatch::UseSaved() {
  const auto saved = LoadSnapshot(state_->options.file);
  if (!saved.ok()) {
    if (!absl::IsNotFound(saved.status())) {
      observe::Warning("config.bad_saved", {{"reason", base::Message(saved.status())}});
    }
    return false;
  }
  observe::Warning("config.saved_in_use", {{"revision", (*saved)->revision()},
                                           {"reason", "admin-service does not answer"}});
  state_->Swap(*saved);
  return true;
}

net::Task<bool> ConfigWatch::WaitForAdmin(std::chrono::milliseconds limit) {
  const std::shared_ptr<State> state = state_;
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!state->from_admin) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) co_return false;
    co_await state->swapped.WaitFor(left);
  }
  co_return true;
}

net::Task<void> ConfigWatch::Watch(std::shared_ptr<State> state) {
  std::chrono::milliseconds pause = kFirstPause;
  while (!state->stopped) {
    const bool had = state->from_admin;
    const absl::Status status = co_await WatchOnce(state);
    if (state->stopped) break;
    state->connected->Set(0);
    if (!state->away && had) observe::Warning("config.away", {{"reason", base::Message(status)}});
    if (!state->away) pause = kFirstPause;
    state->away = true;
    co_await net::Sleep(state->loop, pause);
    pause = std::min(pause * 2, kLongestPause);
  }
}

net::Task<absl::Status> ConfigWatch::WatchOnce(std::shared_ptr<State> state) {
  admin::v1::WatchRequest request;
  request.set_process(state->options.process);
  request.set_instance(state->options.instance);
  request.set_health(state->options.health);
  request.set_version(state->options.version);
  // Deltas only make sense on top of what admin sent to this very process; a file may hold less
  // than it did.
  request.set_known_revision(state->from_admin ? state->current->revision() : 0);
  rpc::CallOptions options;
  options.timeout = std::chrono::hours(24);
  // The call ends when nothing comes for too long.
  const auto call = std::make_shared<std::unique_ptr<rpc::RawCall>>(
      state->admin.Start(rpc::admin::kConfigWatch.path, "", rpc::Flow::kFree, std::move(options)));
  std::unique_ptr<net::Loop::Timer> silence;
  const auto wait = [&](std::chrono::milliseconds limit) {
    silence = state->loop.After(limit, [call] { call->reset(); });
  };
  wait(std::min(state->options.first_word, state->options.silence));
  CO_RETURN_IF_ERROR(co_await (*call)->Write(request));
  if (*call) (*call)->WritesDone();
  while (!state->stopped) {
    if (!*call) co_return base::Unavailable("admin-service says nothing any more");
    admin::v1::WatchReply reply;
    const absl::StatusOr<bool> more = co_await (*call)->Read(reply);
    if (!*call) continue;
    CO_RETURN_IF_ERROR(more.status());
    if (!*more || state->stopped) break;
    wait(state->options.silence);
    if (state->away && state->from_admin) observe::Info("config.back");
    state->away = false;
    state->connected->Set(1);
    if (reply.heartbeat()) continue;
    const config::Snapshot empty;
    state->from_admin = true;
    state->Swap((state->current ? *state->current : empty).With(reply));
    if (state->options.file.empty()) continue;
    const absl::Status saved = SaveSnapshot(state->options.file, *state->current);
    if (!saved.ok()) observe::Error("config.not_saved", {{"reason", base::Message(saved)}});
  }
  co_return absl::OkStatus();
}

}  // namespace posthorn::process
