#include "tests/proof/moments.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>

namespace posthorn::proof {
namespace {

using file::Operation;
using file::PowerLoss;
using file::Unsynced;
using Kind = Operation::Kind;

bool IsSync(const Operation& operation) {
  return operation.kind == Kind::kSync || operation.kind == Kind::kSyncDirectory;
}
bool SameTarget(const Operation& a, const Operation& b) {
  return a.kind == b.kind && a.file == b.file && a.path == b.path;
}

// Where a later sync makes up for the one that was left out at `at`.
uint64_t MadeUpAt(const std::vector<Operation>& log, uint64_t at, std::string_view name) {
  for (uint64_t i = at + 1; i < log.size(); ++i) {
    if (SameTarget(log[i], log[at]) && log[i].name != name && log[i].covers > at) return i;
  }
  return log.size();
}

uint64_t AfterNextMark(const std::vector<Operation>& log, uint64_t at, uint64_t before) {
  for (uint64_t i = at + 1; i < before; ++i) {
    if (log[i].kind == Kind::kMark) return i + 1;
  }
  return before;
}

}  // namespace

std::vector<PowerLoss> Losses(const std::vector<Operation>& log, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<PowerLoss> losses;
  for (uint64_t i = 0; i < log.size(); ++i) {
    const bool boundary = log[i].kind == Kind::kMark || IsSync(log[i]);
    if (!boundary && random() % 4 != 0) continue;
    for (const Unsynced unsynced : {Unsynced::kDropped, Unsynced::kMixed, Unsynced::kKept}) {
      losses.push_back({i + random() % 2, unsynced, random()});
    }
  }
  std::shuffle(losses.begin(), losses.end(), random);
  losses.push_back({log.size(), Unsynced::kDropped, 0});
  std::swap(losses.front(), losses.back());
  return losses;
}

std::vector<PowerLoss> LossesWithout(const std::vector<Operation>& log, std::string_view name,
                                     uint64_t from, uint64_t most, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<uint64_t> missing;
  for (uint64_t i = from; i < log.size(); ++i) {
    if (log[i].name == name) missing.push_back(i);
  }
  std::shuffle(missing.begin(), missing.end(), random);
  std::vector<PowerLoss> losses;
  std::set<uint64_t> chosen;
  const auto add = [&](uint64_t count, Unsynced unsynced) {
    if (unsynced == Unsynced::kDropped && !chosen.insert(count).second) return;
    if (losses.size() < most) losses.push_back({count, unsynced, random()});
  };
  for (const uint64_t at : missing) {
    const uint64_t end = MadeUpAt(log, at, name);
    add(end, Unsynced::kDropped);
    uint64_t answered = AfterNextMark(log, at, end);
    add(answered, Unsynced::kDropped);
    add(answered, Unsynced::kMixed);
    answered = AfterNextMark(log, answered, end);
    add(answered, Unsynced::kDropped);
    add(at + 1 + random() % (end - at), Unsynced::kDropped);
  }
  return losses;
}

std::vector<uint64_t> KillMoments(const std::vector<Operation>& log, uint64_t most, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::map<std::string, std::vector<uint64_t>> kinds;
  std::map<std::string, uint64_t> last_sync;  // by name
  for (uint64_t i = 0; i < log.size(); ++i) {
    const Operation& operation = log[i];
    if (IsSync(operation)) {
      kinds["before " + operation.name].push_back(i);
      last_sync[operation.name] = i;
    }
    if (operation.kind == Kind::kRename) kinds["renamed " + operation.target].push_back(i + 1);
    // A segment is of use once its head is written, and safe only once its name is synced.
    if (operation.kind == Kind::kCreate && operation.path.ends_with(".seg"))
      kinds["segment"].insert(kinds["segment"].end(), {i + 1, i + 2, i + 3});
    if (operation.kind != Kind::kUnlink) continue;
    kinds["removed"].push_back(i + 1);
    // What made the removal possible: what was moved from there, for example.
    for (const auto& [name, at] : last_sync) kinds["replaced, " + name].push_back(at);
  }
  std::vector<uint64_t> moments;
  std::set<uint64_t> chosen;
  for (auto& [kind, all] : kinds) std::shuffle(all.begin(), all.end(), random);
  for (uint64_t round = 0; round < log.size() && moments.size() < most; ++round) {
    for (const auto& [kind, all] : kinds) {
      if (round < all.size() && chosen.insert(all[round]).second) moments.push_back(all[round]);
    }
  }
  moments.resize(std::min<uint64_t>(moments.size(), most));
  return moments;
}

}  // namespace posthorn::proof
