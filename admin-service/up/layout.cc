#include "admin-service/up/layout.h"

#include <algorithm>

#include "lib/base/strings.h"

namespace posthorn::up {

const std::vector<Process>& Processes() {
  static const auto* const kAll = new std::vector<Process>{
      {"store-service", 4, 906},  {"admin-service", 3, 907}, {"spam-service", 2, 905},
      {"delivery-queue", 1, 904}, {"smtp-gateway", 0, 901},  {"imap-gateway", 0, 902},
      {"pop3-gateway", 0, 903}};
  return *kAll;
}

const std::vector<std::string>& StoreFlags() {
  static const auto* const kAll =
      new std::vector<std::string>{"--database",    "--database-password-file",
                                   "--database-ca", "--key-file",
                                   "--blobs",       "--s3-endpoint",
                                   "--s3-region",   "--s3-credentials-file",
                                   "--s3-cache",    "--s3-disk-cache"};
  return *kAll;
}

const std::vector<Port>& Ports() {
  static const auto* const kAll = new std::vector<Port>{
      {"SMTP_PORT", 25, "smtp-gateway"},         {"SUBMISSION_PORT", 587, "smtp-gateway"},
      {"SUBMISSIONS_PORT", 465, "smtp-gateway"}, {"IMAP_PORT", 143, "imap-gateway"},
      {"IMAPS_PORT", 993, "imap-gateway"},       {"POP3_PORT", 110, "pop3-gateway"},
      {"POP3S_PORT", 995, "pop3-gateway"}};
  return *kAll;
}

namespace {

constexpr int kAdminOffset = 80;
// 80 and 901 … belong to others on a machine with the standard ports.
constexpr int kStandardShift = 9000;

int InnerPort(const Options& options, int offset) {
  return (options.port_base == 0 ? kStandardShift : options.port_base) + offset;
}

std::string Quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out.push_back(c);
    }
  }
  return out + "'";
}

}  // namespace

std::string Host(const Options& options) {
  if (options.bind.empty() || options.bind == "0.0.0.0" || options.bind == "::") return "127.0.0.1";
  return options.bind;
}

std::string AdminAddress(const Options& options) {
  return base::StrCat("127.0.0.1:", InnerPort(options, kAdminOffset));
}

std::string HealthAddress(const Options& options, const Process& process) {
  return base::StrCat("127.0.0.1:", InnerPort(options, process.health_offset));
}

bool Runs(const Options& options, std::string_view process) {
  const auto& only = options.processes;
  return only.empty() || std::find(only.begin(), only.end(), process) != only.end();
}

std::vector<WantedPort> WantedPorts(const Options& options, Which which) {
  std::vector<WantedPort> out;
  const auto inner = [&](int offset, std::string what) {
    out.push_back({"127.0.0.1", InnerPort(options, offset), std::move(what)});
  };
  for (const Process& process : Processes()) {
    if (!Runs(options, process.name)) continue;
    inner(process.health_offset, base::StrCat("health of ", process.name));
    if (process.name == "admin-service") inner(kAdminOffset, "admin API");
  }
  if (which == Which::kFixed) return out;
  for (const Port& port : Ports()) {
    if (!Runs(options, port.process)) continue;
    const std::string_view word = port.variable.substr(0, port.variable.find('_'));
    out.push_back({options.bind.empty() ? "::" : options.bind, options.port_base + port.standard,
                   std::string(word)});
  }
  return out;
}

std::string VariableName(std::string_view process) {
  std::string out = base::Upper(process);
  for (char& c : out) {
    if (c == '-') c = '_';
  }
  return out;
}

std::vector<std::string> Arguments(const Options& options, const Process& process,
                                   const std::string& user) {
  std::vector<std::string> out = {"--run",    options.dir + "/run",
                                  "--data",   base::StrCat(options.dir, "/data/", process.name),
                                  "--health", HealthAddress(options, process),
                                  "--log",    options.log};
  const auto add = [&out](std::string flag, std::string value) {
    out.push_back(std::move(flag));
    out.push_back(std::move(value));
  };
  if (process.stage == 0 && options.port_base != 0)
    add("--port-base", std::to_string(options.port_base));
  if (process.stage == 0 && !options.bind.empty()) add("--bind", options.bind);
  if (process.name == "admin-service") {
    add("--listen", AdminAddress(options));
    add("--password-file", options.dir + "/admin.password");
  }
  if (process.name == "store-service")
    out.insert(out.end(), options.store_flags.begin(), options.store_flags.end());
  if (!user.empty()) add("--user", user);
  return out;
}

std::string EndpointsText(const Options& options, int supervisor, const std::vector<int>& pids) {
  std::string out = base::StrCat("HOST=", Quoted(Host(options)), "\n");
  for (const Port& port : Ports())
    base::StrAppend(out, port.variable, "=", options.port_base + port.standard, "\n");
  base::StrAppend(out, "ADMIN_ADDRESS=", Quoted(AdminAddress(options)), "\n");
  base::StrAppend(out, "DIR=", Quoted(options.dir), "\nPID=", supervisor, "\n");
  for (size_t i = 0; i < Processes().size(); ++i) {
    const Process& process = Processes()[i];
    const std::string name = VariableName(process.name);
    base::StrAppend(out, "PID_", name, "=", pids[i], "\nHEALTH_", name, "=",
                    Quoted(HealthAddress(options, process)), "\n");
  }
  return out;
}

std::string ReadVariable(std::string_view text, std::string_view name) {
  for (const std::string_view line : base::Split(text, '\n')) {
    if (line.size() <= name.size() || !line.starts_with(name) || line[name.size()] != '=') continue;
    std::string value(line.substr(name.size() + 1));
    if (value.size() >= 2 && value.front() == '\'') value = value.substr(1, value.size() - 2);
    return value;
  }
  return {};
}

}  // namespace posthorn::up
