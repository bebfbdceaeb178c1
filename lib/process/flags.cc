#include "lib/process/flags.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/process/privileges.h"

namespace posthorn::process {
namespace {

// Where the value of `name` goes; null when it is not a flag of every process.
std::string* TextFlag(ParsedFlags& out, std::string_view name) {
  if (name == "--run") return &out.flags.run;
  if (name == "--data") return &out.flags.data;
  if (name == "--store") return &out.flags.store;
  if (name == "--queue") return &out.flags.queue;
  if (name == "--spam") return &out.flags.spam;
  if (name == "--admin") return &out.flags.admin;
  if (name == "--health") return &out.flags.health;
  if (name == "--bind") return &out.flags.bind;
  if (name == "--user") return &out.flags.user;
  if (name == "--log") return &out.log_level;
  if (name == "--name") return &out.flags.name;
  if (name == "--advertise") return &out.flags.advertise;
  if (name == "--tls-cert") return &out.flags.tls_cert;
  if (name == "--tls-key") return &out.flags.tls_key;
  if (name == "--tls-ca") return &out.flags.tls_ca;
  return nullptr;
}

// A TCP port has no file mode: the role of its callers is whoever's the network lets in.
bool IsLocal(std::string_view address) {
  return address.starts_with("unix:") || address.starts_with("127.") ||
         address.starts_with("[::1]:") || address.starts_with("localhost:");
}

absl::Status CheckListen(std::string_view value) {
  const size_t equals = value.find('=');
  if (equals == std::string_view::npos || value.substr(equals + 1) != "cli")
    return absl::OkStatus();
  if (IsLocal(value.substr(0, equals))) return absl::OkStatus();
  return base::Invalid(
      "--listen: callers with role cli need no password, so that role is for loopback addresses "
      "and "
      "unix: only; leave it out, and callers log in");
}

// Over TCP a certificate says who calls, not a port.
absl::Status CheckRoles(const Flags& flags) {
  for (const std::string& listen : flags.listen) {
    if (flags.tls_cert.empty() || listen.starts_with("unix:")) continue;
    if (listen.find('=') != std::string::npos) {
      return base::Invalid(
          base::StrCat("--listen ", listen, ": with --tls-cert the role is the certificate's"));
    }
  }
  return absl::OkStatus();
}

absl::Status Assign(ParsedFlags& out, const std::vector<std::string>& own, std::string_view name,
                    std::string value) {
  if (std::string* text = TextFlag(out, name)) {
    *text = std::move(value);
  } else if (name == "--listen") {
    RETURN_IF_ERROR(CheckListen(value));
    out.flags.listen.push_back(std::move(value));
  } else if (name == "--port-base") {
    const std::optional<int> number = base::ParseInt<int>(value);
    if (!number || *number < 0 || *number > 55000)
      return base::Invalid("--port-base takes 0 to 55000");
    out.flags.port_base = *number;
  } else if (std::find(own.begin(), own.end(), name) != own.end()) {
    out.flags.own.emplace_back(name.substr(2), std::move(value));
  } else {
    return base::Invalid(base::StrCat("unknown flag ", name));
  }
  return absl::OkStatus();
}

std::string HostName() {
  char name[256] = {};
  gethostname(name, sizeof(name) - 1);
  return name[0] == 0 ? "localhost" : name;
}

// Where the first address of the network can be reached from other hosts; "" when there is none.
// One with a role is for callers of that role only, so not for all to hear of.
std::string OwnAddress(const std::vector<std::string>& listen) {
  for (const std::string& address : listen) {
    const size_t colon = address.rfind(':');
    if (address.starts_with("unix:") || address.find('=') != std::string::npos ||
        colon == std::string::npos)
      continue;
    const std::string host = address.substr(0, colon);
    const bool every = host.empty() || host == "0.0.0.0" || host == "[::]" || host == "*";
    return every ? HostName() + address.substr(colon) : address;
  }
  return "";
}

std::string Absolute(const std::string& path) {
  return path.empty() ? path : std::filesystem::absolute(path).lexically_normal().string();
}

}  // namespace

absl::StatusOr<ParsedFlags> ParseFlags(std::span<const std::string> arguments,
                                       const std::vector<std::string>& own) {
  ParsedFlags out;
  for (size_t i = 0; i < arguments.size(); ++i) {
    std::string name = arguments[i];
    if (name == "--help" || name == "-h") {
      out.help = true;
      continue;
    }
    if (name == "--version") {
      out.version = true;
      continue;
    }
    if (!name.starts_with("--")) return base::Invalid(base::StrCat("unexpected argument ", name));
    std::string value;
    const size_t equals = name.find('=');
    if (equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    } else if (i + 1 < arguments.size()) {
      value = arguments[++i];
    } else {
      return base::Invalid(base::StrCat(name, " wants a value"));
    }
    RETURN_IF_ERROR(Assign(out, own, name, std::move(value)));
  }
  out.flags.run = Absolute(out.flags.run);
  out.flags.data = Absolute(out.flags.data);
  if (out.flags.tls_cert.empty() != out.flags.tls_key.empty() ||
      out.flags.tls_cert.empty() != out.flags.tls_ca.empty()) {
    return base::Invalid("--tls-cert, --tls-key and --tls-ca go together");
  }
  RETURN_IF_ERROR(CheckRoles(out.flags));
  if (out.flags.name.empty()) out.flags.name = HostName();
  if (out.flags.advertise.empty()) out.flags.advertise = OwnAddress(out.flags.listen);
  // sun_path holds 108 bytes; a name that was cut would be another file.
  if (out.flags.run.size() > 70)
    return base::Invalid("--run: path is longer than 70 bytes, too long for sockets");
  return out;
}

std::string Usage(std::string_view process, const std::vector<std::string>& own) {
  std::string text = base::StrCat(
      "posthorn-", process,
      " [flags]\n"
      "  --run DIR             sockets of all processes\n"
      "  --data DIR            files of this process\n"
      "  --store, --queue, --spam, --admin TARGET\n"
      "                        unix:PATH or host:port, or several after commas, instead of the\n"
      "                        sockets in --run\n"
      "  --listen ADDR[=ROLE]  gRPC address besides the sockets, whose callers have that role;\n"
      "                        repeatable\n"
      "  --health ADDR         /livez, /readyz and /metrics\n"
      "  --port-base N         added to every listener's port below 10000\n"
      "  --bind ADDR           address of every listener, instead of the configured one\n"
      "  --user NAME           become this user, when started as root\n"
      "  --log LEVEL           debug, info, warning or error\n"
      "  --name NAME           this replica's name, the same after a restart (the host's)\n"
      "  --advertise HOST:PORT where other processes reach this one (host and port of the first\n"
      "                        --listen without a role)\n"
      "  --tls-cert, --tls-key, --tls-ca FILE\n"
      "                        mTLS for every gRPC connection over TCP; read again when they "
      "change\n"
      "  --version, --help\n");
  for (const std::string& flag : own) base::StrAppend(text, "  ", flag, " VALUE\n");
  return text;
}

std::string SocketWord(std::string_view process) {
  if (process == "store-service") return "store";
  if (process == "delivery-queue") return "queue";
  if (process == "spam-service") return "spam";
  if (process == "admin-service") return "admin";
  return std::string(process);
}

std::string ProcessOf(std::string_view word) {
  if (word == "store" || word == "spam" || word == "admin") return base::StrCat(word, "-service");
  return word == "queue" ? "delivery-queue" : std::string(word);
}

std::string SocketTarget(const std::string& run, std::string_view word, std::string_view process) {
  return base::StrCat("unix:", SocketDirectory(run, std::string(word), std::string(process)),
                      "/sock");
}

}  // namespace posthorn::process
