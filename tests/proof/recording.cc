#include "tests/proof/recording.h"

#include <filesystem>

#include "lib/base/status_macros.h"
#include "lib/base/strings.h"
#include "lib/testing/run_task.h"
#include "tests/proof/compare.h"
#include "tests/proof/repeat.h"
#include "tests/proof/workload.h"

namespace posthorn::proof {
namespace {

using file::Operation;
using file::PowerLoss;

class Folder {
 public:
  Folder() {
    std::string name = std::filesystem::exists("/dev/shm") ? "/dev/shm" : "/tmp";
    name += "/posthorn_proof_XXXXXX";
    path = ::mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path); }
  Folder(const Folder&) = delete;
  std::string path;
};

class RecordedVfs {
 public:
  RecordedVfs(file::Recorder& recorder, std::string name)
      : name_(std::move(name)), status_(Machine::RegisterVfs(recorder, name_)) {}
  ~RecordedVfs() { Machine::UnregisterVfs(name_); }
  RecordedVfs(const RecordedVfs&) = delete;
  const absl::Status& status() const { return status_; }

 private:
  const std::string name_;
  const absl::Status status_;
};

// Every client looks at its whole account.
absl::Status LookAtAll(Machine& machine, const std::vector<Fact>& facts, Ledger& ledger) {
  std::set<base::AccountId> accounts;
  for (const Fact& fact : facts) accounts.insert(fact.accounts.begin(), fact.accounts.end());
  ASSIGN_OR_RETURN(const auto all, ReadMailboxes(machine, accounts));
  for (const auto& [account, mailboxes] : all) {
    auto effect = std::make_shared<Effect>();
    effect->set.assign(mailboxes.begin(), mailboxes.end());
    ledger.Say({.kind = Fact::Kind::kLooked, .accounts = {account}, .effect = effect});
  }
  return absl::OkStatus();
}

absl::Status AcceptOneMore(Machine& machine, Ledger& ledger) {
  const base::AccountId account = machine.AccountOf(AddressOf(0));
  if (account == 0) return absl::OkStatus();  // killed before there was any
  Fact fact{.number = 2'000'000, .accounts = {account}};
  ledger.Say(fact);
  RETURN_IF_ERROR(testing::RunTask(machine.loop(), Send(machine, AddressOf(0), fact.number)));
  fact.kind = Fact::Kind::kAccepted;
  ledger.Say(fact);
  return absl::OkStatus();
}

absl::Status LifeAfterKill(Machine& machine, const std::vector<Fact>& facts, Ledger& ledger) {
  RETURN_IF_ERROR(LookAtAll(machine, facts, ledger));
  RETURN_IF_ERROR(AcceptOneMore(machine, ledger));
  RETURN_IF_ERROR(testing::RunTask(machine.loop(), machine.Drain()));
  RETURN_IF_ERROR(testing::RunTask(machine.loop(), CollectAll(machine)));
  return LookAtAll(machine, facts, ledger);
}

}  // namespace

absl::Status SetUpReplays() { return Machine::RegisterVfs(file::Real(), "real"); }
void TearDownReplays() { Machine::UnregisterVfs("real"); }

absl::StatusOr<Recording> Record(uint64_t seed) {
  const Folder folder;
  file::Recorder recorder(file::Real(), folder.path);
  const RecordedVfs vfs(recorder, "recorded");
  RETURN_IF_ERROR(vfs.status());
  Ledger ledger(recorder);
  Workload workload(ledger, {.seed = seed});
  for (int life = 0; life < 2; ++life) {
    ASSIGN_OR_RETURN(auto machine, Machine::Start({folder.path, &recorder, "recorded"}));
    if (life == 0) RETURN_IF_ERROR(workload.Prepare(*machine));
    RETURN_IF_ERROR(workload.Phase(*machine));
    machine.reset();
    workload.Ended();
  }
  return Recording{recorder.Log(), ledger.facts()};
}

absl::StatusOr<Recording> Killed(const Recording& recording, uint64_t count) {
  const Folder folder;
  file::Recorder recorder(file::Real(), folder.path);
  RETURN_IF_ERROR(Repeat(recording.log, count, recorder, folder.path));
  const RecordedVfs vfs(recorder, "killed");
  RETURN_IF_ERROR(vfs.status());
  Ledger ledger(recorder, recording.facts);
  {
    ASSIGN_OR_RETURN(const auto machine, Machine::Start({folder.path, &recorder, "killed"}));
    RETURN_IF_ERROR(LifeAfterKill(*machine, recording.facts, ledger));
  }
  return Recording{recorder.Log(), ledger.facts()};
}

Recording Without(Recording recording, std::string_view name, uint64_t from) {
  for (uint64_t i = from; i < recording.log.size(); ++i) {
    // A mark that says nothing: the other operations keep their places.
    if (recording.log[i].name == name) recording.log[i] = {.kind = Operation::Kind::kMark};
  }
  return recording;
}

std::string WrongAfter(const Recording& recording, const PowerLoss& loss) {
  const Folder lost;
  const absl::Status made = file::Materialise(recording.log, loss, lost.path);
  if (!made.ok()) return std::string(base::Message(made));
  auto machine = Machine::Start({lost.path, &file::Real(), "real"});
  if (!machine.ok()) return base::StrCat("start: ", base::Message(machine.status()));
  return WrongWith(**machine,
                   ExpectedAfter(recording.facts, file::MarksBefore(recording.log, loss.count)));
}

std::string Describe(const Recording& recording, const PowerLoss& loss) {
  constexpr const char* kNames[] = {"dropped", "kept", "mixed"};
  return base::StrCat("after ", loss.count, " of ", recording.log.size(), " operations, unsynced ",
                      kNames[static_cast<int>(loss.unsynced)], ", seed ", loss.seed);
}

std::string FirstWrong(const Recording& recording, const std::vector<PowerLoss>& losses) {
  for (const PowerLoss& loss : losses) {
    const std::string what = WrongAfter(recording, loss);
    if (!what.empty()) return base::StrCat(what, ", power lost ", Describe(recording, loss));
  }
  return "";
}

}  // namespace posthorn::proof
