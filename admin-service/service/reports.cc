#include "admin-service/service/reports.h"

#include <algorithm>
#include <tuple>

namespace posthorn::admin_service {
namespace {

using admin::v1::ProcessReport;

// Both of one instance.
bool BeganAnew(const ProcessReport& before, const ProcessReport& now) {
  return !before.left() && now.has_starting_ms() &&
         (!before.has_starting_ms() || now.starting_ms() < before.starting_ms());
}

}  // namespace

void Reports::Put(Words& words, admin::v1::ProcessReport report, int64_t at_ms) {
  Key key{report.process(), report.instance()};
  const auto known = words.find(key);
  int64_t crashed_ms = 0;
  if (known != words.end()) {
    if (known->second.at_ms > at_ms) return;
    const bool anew = BeganAnew(known->second.report, report);
    crashed_ms = anew ? known->second.at_ms : known->second.crashed_ms;
  }
  words.insert_or_assign(std::move(key), Said{std::move(report), at_ms, crashed_ms});
}

void Reports::Take(admin::v1::ProcessReport report, int64_t now_ms) {
  std::erase_if(own_,
                [&](const auto& entry) { return now_ms - entry.second.at_ms > kForgottenMs; });
  if (own_.size() >= kMost && !own_.contains({report.process(), report.instance()})) return;
  Put(own_, std::move(report), now_ms);
}

admin::v1::AdminWord Reports::Word(int64_t now_ms) const {
  admin::v1::AdminWord word;
  for (const auto& [key, said] : own_) {
    admin::v1::AdminWord::Heard& heard = *word.add_heard();
    *heard.mutable_report() = said.report;
    heard.set_silent_ms(static_cast<uint64_t>(now_ms - said.at_ms));
  }
  return word;
}

void Reports::TakeWords(const store::v1::MeetReply& words, int64_t now_ms) {
  others_.clear();
  for (const store::v1::MeetReply::Met& met : words.met()) {
    admin::v1::AdminWord word;
    if (!word.ParseFromString(met.word())) continue;  // of a release that says it otherwise
    for (admin::v1::AdminWord::Heard& heard : *word.mutable_heard()) {
      const int64_t at = now_ms - static_cast<int64_t>(met.age_ms() + heard.silent_ms());
      Put(others_, std::move(*heard.mutable_report()), at);
    }
  }
}

std::vector<Reports::Heard> Reports::All(int64_t now_ms) const {
  Words words = own_;
  for (const auto& [key, said] : others_) Put(words, said.report, said.at_ms);
  // The newest word of each name, and when one of it was heard last that never left.
  struct Name {
    int64_t newest = 0;
    int64_t crashed = INT64_MIN / 2;
  };
  std::map<Key, Name> names;
  for (const auto& [key, said] : words) {
    Name& name = names[{said.report.process(), said.report.name()}];
    name.newest = std::max(name.newest, said.at_ms);
    if (said.crashed_ms != 0) name.crashed = std::max(name.crashed, said.crashed_ms);
  }
  for (const auto& [key, said] : words) {
    Name& name = names[{said.report.process(), said.report.name()}];
    if (!said.report.left() && said.at_ms < name.newest)
      name.crashed = std::max(name.crashed, said.at_ms);
  }
  std::vector<Heard> all;
  for (const auto& [key, said] : words) {
    const int64_t silent = now_ms - said.at_ms;
    const Name& name = names[{said.report.process(), said.report.name()}];
    const bool followed = silent > kSilentMs && name.newest > said.at_ms;
    if (said.report.left() || silent > kForgottenMs || followed) continue;
    all.push_back({said.report, silent, now_ms - name.crashed <= kCrashedMs});
  }
  std::ranges::sort(all, [](const Heard& a, const Heard& b) {
    return std::forward_as_tuple(a.report.process(), a.report.name(), a.report.instance()) <
           std::forward_as_tuple(b.report.process(), b.report.name(), b.report.instance());
  });
  return all;
}

}  // namespace posthorn::admin_service
