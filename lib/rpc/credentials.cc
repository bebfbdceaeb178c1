#include "lib/rpc/credentials.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <fstream>
#include <mutex>
#include <sstream>
#include <thread>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/certs/certificate.h"
#include "lib/certs/folder.h"
#include "lib/net/loop.h"
#include "lib/observe/log.h"
#include "lib/observe/metrics.h"

namespace posthorn::rpc {
namespace {

constexpr std::chrono::milliseconds kLookEvery{1000};
constexpr int64_t kDay = 86400;
constexpr int64_t kWarnBefore = 14 * kDay;
constexpr std::string_view kDomain = ".posthorn";

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return base::NotFound(base::StrCat("cannot read ", path));
  std::stringstream all;
  all << file.rdbuf();
  return all.str();
}

// What changes when a file is replaced or written.
struct Mark {
  dev_t device = 0;
  ino_t number = 0;
  off_t size = 0;
  int64_t seconds = 0;
  int64_t nanoseconds = 0;
  bool operator==(const Mark&) const = default;
};

Mark MarkOf(const std::string& path) {
  struct stat file{};
  if (stat(path.c_str(), &file) != 0) return {};
  return {file.st_dev, file.st_ino, file.st_size, file.st_mtim.tv_sec, file.st_mtim.tv_nsec};
}

using Marks = std::array<Mark, 3>;

Marks MarksOf(const Credentials::Files& files) {
  return {MarkOf(files.certificate), MarkOf(files.key), MarkOf(files.authorities)};
}

int64_t FirstExpiry(const std::vector<certs::Certificate>& chain,
                    const std::vector<certs::Certificate>& authorities) {
  int64_t expiry = chain.front().not_after;
  for (const certs::Certificate& certificate : chain) {
    expiry = std::min(expiry, certificate.not_after);
  }
  const certs::Certificate* const issuer = certs::IssuerOf(chain.back(), authorities);
  return issuer == nullptr ? expiry : std::min(expiry, issuer->not_after);
}

absl::StatusOr<Credentials::Material> Read(const Credentials::Files& files) {
  Credentials::Material out;
  ASSIGN_OR_RETURN(out.certificate_pem, ReadFile(files.certificate));
  ASSIGN_OR_RETURN(out.key_pem, ReadFile(files.key));
  ASSIGN_OR_RETURN(out.authorities_pem, ReadFile(files.authorities));
  const auto chain = certs::ReadCertificates(out.certificate_pem);
  if (!chain.ok()) return base::Annotate(chain.status(), files.certificate);
  const auto authorities = certs::ReadCertificates(out.authorities_pem);
  if (!authorities.ok()) return base::Annotate(authorities.status(), files.authorities);
  if (const absl::Status fits = certs::CheckKey(out.certificate_pem, out.key_pem); !fits.ok()) {
    return base::Annotate(fits, files.key);
  }
  out.names = chain->front().dns_names;
  out.expiry = FirstExpiry(*chain, *authorities);
  return out;
}

// What was read last. Any thread.
class Shelf {
 public:
  using Pointer = std::shared_ptr<const Credentials::Material>;
  explicit Shelf(Credentials::Material material) { Put(std::move(material)); }
  void Put(Credentials::Material material) {
    const std::lock_guard lock(mutex_);
    current_ = std::make_shared<const Credentials::Material>(std::move(material));
  }
  Pointer Get() const {
    const std::lock_guard lock(mutex_);
    return current_;
  }

 private:
  mutable std::mutex mutex_;
  Pointer current_;
};

bool SameFiles(const Credentials::Material& a, const Credentials::Material& b) {
  return a.certificate_pem == b.certificate_pem && a.key_pem == b.key_pem &&
         a.authorities_pem == b.authorities_pem;
}

class FileCredentials : public Credentials {
 public:
  FileCredentials(net::Loop& loop, Files files, Marks marks, Material material)
      : loop_(loop),
        files_(std::move(files)),
        marks_(marks),
        shelf_(std::make_shared<Shelf>(std::move(material))) {
    Tell();
    Tick();
  }

  std::shared_ptr<const Material> current() const override { return shelf_->Get(); }
  Source source() const override {
    return [shelf = shelf_] { return shelf->Get(); };
  }
  std::shared_ptr<void> OnChange(std::function<void()> changed) override {
    auto held = std::make_shared<std::function<void()>>(std::move(changed));
    listeners_.push_back(held);
    return held;
  }
  void Look() override;

 private:
  void Tick() {
    Look();
    Warn();
    timer_ = loop_.After(kLookEvery, [this] { Tick(); });
  }
  void Use(Material material);
  void Tell() const {
    const auto material = current();
    observe::Info("rpc.certificate",
                  {{"file", files_.certificate},
                   {"names", base::Join(material->names, " ")},
                   {"days_left", (material->expiry - std::time(nullptr)) / kDay}});
  }
  // Of an end that is near, once a day.
  void Warn();

  net::Loop& loop_;
  const Files files_;
  Marks marks_;
  // Consecutive looks at files that do not fit together.
  int misfits_ = 0;
  const std::shared_ptr<Shelf> shelf_;
  std::vector<std::weak_ptr<std::function<void()>>> listeners_;
  int64_t warned_ = 0;
  std::unique_ptr<net::Loop::Timer> timer_;
  observe::Gauge* const left_ =
      observe::NewGauge("posthorn_process_certificate_expiry_seconds",
                        "Seconds until the certificate of this process, or its authority, expires");
  observe::Counter* const reloads_ = observe::NewCounter(
      "posthorn_process_certificate_reloads_total", "Changed certificates that were put to use");
};

void FileCredentials::Look() {
  const Marks marks = MarksOf(files_);
  if (marks == marks_) return;
  absl::StatusOr<Material> material = Read(files_);
  // Replaced while they were read: the next look will find them whole.
  if (MarksOf(files_) != marks) return;
  if (material.ok()) {
    marks_ = marks;
    misfits_ = 0;
    return Use(*std::move(material));
  }
  // Whoever replaces three files does it one by one.
  if (++misfits_ == 3) {
    observe::Error("rpc.certificate_unusable", {{"reason", base::Message(material.status())}});
  }
}

void FileCredentials::Use(Material material) {
  const auto before = current();
  if (SameFiles(material, *before)) return;
  material.generation = before->generation + 1;
  shelf_->Put(std::move(material));
  reloads_->Add();
  warned_ = 0;
  Tell();
  std::erase_if(listeners_, [](const auto& weak) { return weak.expired(); });
  for (const auto& weak : std::vector(listeners_)) {
    if (const auto changed = weak.lock()) (*changed)();
  }
}

void FileCredentials::Warn() {
  const int64_t now = std::time(nullptr);
  const int64_t left = current()->expiry - now;
  left_->Set(static_cast<double>(left));
  if (left > kWarnBefore || now - warned_ < kDay) return;
  warned_ = now;
  observe::Warning(left > 0 ? "rpc.certificate_expires" : "rpc.certificate_expired",
                   {{"file", files_.certificate}, {"days_left", left / kDay}});
}

}  // namespace

absl::StatusOr<std::shared_ptr<Credentials>> Credentials::Load(net::Loop& loop, Files files) {
  constexpr int kTries = 10;
  for (int i = 1;; ++i) {
    const Marks marks = MarksOf(files);
    absl::StatusOr<Material> material = Read(files);
    if (material.ok()) {
      return std::shared_ptr<Credentials>(
          std::make_shared<FileCredentials>(loop, std::move(files), marks, *std::move(material)));
    }
    if (i == kTries) return material.status();
    std::this_thread::sleep_for(kLookEvery / kTries);
  }
}

std::string CertificateName(std::string_view process) { return base::StrCat(process, kDomain); }

absl::StatusOr<std::string> RoleOf(const std::vector<std::string>& dns_names) {
  std::string role;
  for (const std::string& name : dns_names) {
    if (!name.ends_with(kDomain)) continue;
    const std::string process = name.substr(0, name.size() - kDomain.size());
    if (std::ranges::count(certs::Owners(), process) == 0) {
      return base::Error(absl::StatusCode::kUnauthenticated,
                         base::StrCat("no process is called ", name));
    }
    if (!role.empty() && role != process) {
      return base::Error(absl::StatusCode::kUnauthenticated,
                         base::StrCat("the certificate belongs to ", role, " and ", process));
    }
    role = process;
  }
  if (role.empty()) {
    return base::Error(absl::StatusCode::kUnauthenticated,
                       "the certificate names no process (a DNS name like cli.posthorn)");
  }
  return role;
}

}  // namespace posthorn::rpc
