#include "admin-service/service/reports.h"

#include <algorithm>
#include <tuple>

namespace posthorn::admin_service {

void Reports::Put(Words& words, admin::v1::ProcessReport report, int64_t at_ms) {
  Key key{report.process(), report.instance()};
  const auto known = words.find(key);
  if (known != words.end() && known->second.at_ms > at_ms) return;
  words.insert_or_assign(std::move(key), Said{std::move(report), at_ms});
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
  // The newest word of each name.
  std::map<Key, int64_t> newest;
  for (const auto& [key, said] : words) {
    int64_t& at = newest[{said.report.process(), said.report.name()}];
    at = std::max(at, said.at_ms);
  }
  std::vector<Heard> all;
  for (const auto& [key, said] : words) {
    const int64_t silent = now_ms - said.at_ms;
    const bool followed =
        silent > kSilentMs && newest[{said.report.process(), said.report.name()}] > said.at_ms;
    if (said.report.left() || silent > kForgottenMs || followed) continue;
    all.push_back({said.report, silent});
  }
  std::ranges::sort(all, [](const Heard& a, const Heard& b) {
    return std::forward_as_tuple(a.report.process(), a.report.name(), a.report.instance()) <
           std::forward_as_tuple(b.report.process(), b.report.name(), b.report.instance());
  });
  return all;
}

}  // namespace posthorn::admin_service
