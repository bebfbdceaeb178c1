#include "lib/certs/folder.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/certs/certificate.h"
#include "lib/certs/files.h"
#include "lib/certs/issue.h"

namespace posthorn::certs {
namespace {

constexpr mode_t kSecret = 0600;
constexpr mode_t kPublic = 0644;
constexpr const char* kAuthorityName = "Posthorn private authority";

struct Paths {
  explicit Paths(std::string d) : dir(std::move(d)) {}
  std::string AuthorityCertificate() const { return dir + "/ca/ca.crt"; }
  std::string AuthorityKey() const { return dir + "/ca/ca.key"; }
  std::string Of(const std::string& owner, const char* file) const {
    return base::StrCat(dir, "/", owner, "/", file);
  }
  std::string dir;
};

std::string Day(int64_t seconds) {
  const std::time_t time = seconds;
  std::tm parts{};
  gmtime_r(&time, &parts);
  char text[16];
  std::strftime(text, sizeof(text), "%Y-%m-%d", &parts);
  return text;
}

absl::Status MakeFolder(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return absl::OkStatus();
  return base::Unavailable(base::StrCat("cannot make ", path, ": ", std::strerror(errno)));
}

bool IsDue(const Certificate& certificate) {
  const int64_t life = certificate.not_after - certificate.not_before;
  return (certificate.not_after - std::time(nullptr)) * 3 < life;
}

std::string OwnName(const std::string& owner) { return owner + ".posthorn"; }

// What is trusted, and the one of them that signs.
struct Authorities {
  Authorities() = default;
  Authorities(Authorities&&) = default;  // `current` points into `all`: never copied
  Authorities& operator=(Authorities&&) = default;

  std::vector<Certificate> all;
  Identity signer;
  const Certificate* current = nullptr;

  std::string Bundle() const {
    std::string pem = current->pem;
    for (const Certificate& one : all) {
      if (&one != current) pem += one.pem;
    }
    return pem;
  }
};

absl::StatusOr<Authorities> ReadAuthorities(const Paths& paths) {
  Authorities out;
  ASSIGN_OR_RETURN(const std::string pem, ReadFile(paths.AuthorityCertificate()));
  ASSIGN_OR_RETURN(out.signer.key_pem, ReadFile(paths.AuthorityKey()));
  ASSIGN_OR_RETURN(out.all, ReadCertificates(pem));
  for (const Certificate& one : out.all) {
    if (CheckKey(one.pem, out.signer.key_pem).ok()) out.current = &one;
  }
  if (out.current == nullptr) {
    return base::Invalid(base::StrCat(paths.AuthorityKey(), " belongs to no certificate in ",
                                      paths.AuthorityCertificate()));
  }
  out.signer.certificate_pem = out.current->pem;
  return out;
}

// One owner's certificate as it is in the files. kInvalidArgument says what is wrong with it.
absl::StatusOr<Certificate> ReadLeaf(const Paths& paths, const std::string& owner) {
  ASSIGN_OR_RETURN(const std::string pem, ReadFile(paths.Of(owner, "tls.crt")));
  ASSIGN_OR_RETURN(const std::string key, ReadFile(paths.Of(owner, "tls.key")));
  ASSIGN_OR_RETURN(const std::vector<Certificate> chain, ReadCertificates(pem));
  RETURN_IF_ERROR(CheckKey(pem, key));
  if (std::ranges::count(chain.front().dns_names, OwnName(owner)) == 0) {
    return base::Invalid(base::StrCat("does not name ", OwnName(owner)));
  }
  return chain.front();
}

// The names besides the owner's.
std::vector<std::string> HostsOf(const Certificate& leaf, const std::string& owner) {
  std::vector<std::string> hosts;
  for (const std::string& name : leaf.dns_names) {
    if (name != OwnName(owner)) hosts.push_back(name);
  }
  hosts.insert(hosts.end(), leaf.addresses.begin(), leaf.addresses.end());
  return hosts;
}

absl::StatusOr<std::string> WriteLeaf(const Paths& paths, const std::string& owner,
                                      const Identity& signer, const std::vector<std::string>& hosts,
                                      int days) {
  std::vector<std::string> names = {OwnName(owner)};
  names.insert(names.end(), hosts.begin(), hosts.end());
  ASSIGN_OR_RETURN(const Identity made, Issue(signer, names, Validity::Days(days)));
  RETURN_IF_ERROR(MakeFolder(paths.dir + "/" + owner, 0755));
  // Readers take neither before both fit together.
  RETURN_IF_ERROR(ReplaceFile(paths.Of(owner, "tls.key"), made.key_pem, kSecret));
  RETURN_IF_ERROR(ReplaceFile(paths.Of(owner, "tls.crt"), made.certificate_pem, kPublic));
  ASSIGN_OR_RETURN(const auto read, ReadCertificates(made.certificate_pem));
  return base::StrCat(owner, ": good until ", Day(read.front().not_after));
}

// Tells everybody whom to trust, the authority's own folder first.
absl::Status WriteBundle(const Paths& paths, const std::string& bundle) {
  RETURN_IF_ERROR(ReplaceFile(paths.AuthorityCertificate(), bundle, kPublic));
  for (const std::string& owner : Owners()) {
    RETURN_IF_ERROR(MakeFolder(paths.dir + "/" + owner, 0755));
    RETURN_IF_ERROR(ReplaceFile(paths.Of(owner, "ca.crt"), bundle, kPublic));
  }
  return absl::OkStatus();
}

// The first of the three runs that replace an authority. Until its key is there the old one signs.
absl::Status BeginReplacement(const Paths& paths, const Authorities& old) {
  ASSIGN_OR_RETURN(const Identity young,
                   MakeAuthority(kAuthorityName, Validity::Days(kAuthorityDays)));
  RETURN_IF_ERROR(WriteBundle(paths, young.certificate_pem + old.current->pem));
  return ReplaceFile(paths.AuthorityKey(), young.key_pem, kSecret);
}

class Renewal {
 public:
  Renewal(const RenewOptions& options, Authorities authorities)
      : options_(options), paths_(options.dir), authorities_(std::move(authorities)) {}

  absl::StatusOr<std::vector<std::string>> Run() {
    const bool replacing = authorities_.all.size() > 1;
    const bool forced = options_.authority == RenewOptions::Authority::kNow;
    const bool old_ones_left = OldOnesLeft();
    if (replacing && forced) {
      return base::Precondition("an authority is being replaced already: renew without --ca first");
    }
    if (replacing && !old_ones_left) RETURN_IF_ERROR(ForgetOld());
    for (const std::string& owner : Owners()) RETURN_IF_ERROR(RenewOne(owner));
    if (!replacing && (forced || IsDue(*authorities_.current))) {
      RETURN_IF_ERROR(BeginReplacement(paths_, authorities_));
      Say("ca: a new authority is trusted from now on; once everybody has the files, renew again "
          "to use it");
    }
    return std::move(done_);
  }

 private:
  void Say(std::string line) { done_.push_back(std::move(line)); }
  bool FromCurrent(const Certificate& leaf) const {
    return IssuerOf(leaf, {*authorities_.current}) != nullptr;
  }
  bool OldOnesLeft() const {
    return std::ranges::any_of(Owners(), [this](const std::string& owner) {
      const auto leaf = ReadLeaf(paths_, owner);
      return !leaf.ok() || !FromCurrent(*leaf);
    });
  }
  absl::Status ForgetOld() {
    RETURN_IF_ERROR(WriteBundle(paths_, authorities_.current->pem));
    Say("ca: the old authority is trusted no more");
    return absl::OkStatus();
  }
  bool HasHosts(const Certificate& leaf, const std::string& owner) const {
    std::vector<std::string> have = HostsOf(leaf, owner);
    std::vector<std::string> want = options_.hosts;
    std::ranges::sort(have);
    std::ranges::sort(want);
    return want.empty() || have == want;
  }
  absl::Status RenewOne(const std::string& owner) {
    const auto leaf = ReadLeaf(paths_, owner);
    const bool good = leaf.ok() && !IsDue(*leaf) && FromCurrent(*leaf) && HasHosts(*leaf, owner);
    if (!leaf.ok()) {
      // A folder that is new, or was lost.
      RETURN_IF_ERROR(MakeFolder(paths_.dir + "/" + owner, 0755));
      RETURN_IF_ERROR(ReplaceFile(paths_.Of(owner, "ca.crt"), authorities_.Bundle(), kPublic));
    }
    if (good && options_.what == RenewOptions::What::kDue) return absl::OkStatus();
    std::vector<std::string> hosts = options_.hosts;
    if (hosts.empty() && leaf.ok()) hosts = HostsOf(*leaf, owner);
    ASSIGN_OR_RETURN(std::string line,
                     WriteLeaf(paths_, owner, authorities_.signer, hosts, options_.days));
    Say(std::move(line));
    return absl::OkStatus();
  }

  const RenewOptions& options_;
  const Paths paths_;
  const Authorities authorities_;
  std::vector<std::string> done_;
};

}  // namespace

const std::vector<std::string>& Owners() {
  static const auto* const kAll = new std::vector<std::string>{
      "smtp-gateway", "imap-gateway",  "pop3-gateway",  "delivery-queue",
      "spam-service", "store-service", "admin-service", "cli"};
  return *kAll;
}

absl::StatusOr<std::vector<std::string>> InitFolder(const FolderOptions& options) {
  const Paths paths(options.dir);
  struct stat there{};
  if (stat(paths.AuthorityKey().c_str(), &there) == 0) {
    return base::Exists(base::StrCat(options.dir, " has an authority; renew renews it"));
  }
  RETURN_IF_ERROR(MakeFolder(options.dir, 0755));
  RETURN_IF_ERROR(MakeFolder(options.dir + "/ca", 0700));
  ASSIGN_OR_RETURN(const Identity authority,
                   MakeAuthority(kAuthorityName, Validity::Days(kAuthorityDays)));
  RETURN_IF_ERROR(WriteBundle(paths, authority.certificate_pem));
  std::vector<std::string> done;
  for (const std::string& owner : Owners()) {
    ASSIGN_OR_RETURN(std::string line,
                     WriteLeaf(paths, owner, authority, options.hosts, options.days));
    done.push_back(std::move(line));
  }
  // Last: a run that was cut short is begun anew.
  RETURN_IF_ERROR(ReplaceFile(paths.AuthorityKey(), authority.key_pem, kSecret));
  return done;
}

absl::StatusOr<std::vector<std::string>> RenewFolder(const RenewOptions& options) {
  ASSIGN_OR_RETURN(Authorities authorities, ReadAuthorities(Paths(options.dir)));
  return Renewal(options, std::move(authorities)).Run();
}

absl::StatusOr<std::vector<Listed>> ListFolder(const std::string& dir) {
  const Paths paths(dir);
  ASSIGN_OR_RETURN(const std::string pem, ReadFile(paths.AuthorityCertificate()));
  ASSIGN_OR_RETURN(const std::vector<Certificate> authorities, ReadCertificates(pem));
  std::vector<Listed> out;
  for (const Certificate& one : authorities) out.push_back({"ca", one.subject, one.not_after, ""});
  for (const std::string& owner : Owners()) {
    const auto leaf = ReadLeaf(paths, owner);
    if (!leaf.ok()) {
      out.push_back({owner, "", 0, std::string(base::Message(leaf.status()))});
      continue;
    }
    const bool known = IssuerOf(*leaf, authorities) != nullptr;
    out.push_back({owner, leaf->subject, leaf->not_after,
                   known ? "" : "signed by an authority that is not trusted"});
  }
  for (Listed& one : out) {
    if (one.problem.empty() && one.not_after < std::time(nullptr)) one.problem = "has expired";
  }
  return out;
}

}  // namespace posthorn::certs
