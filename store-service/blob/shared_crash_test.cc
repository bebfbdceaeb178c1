// What power losses leave of a folder that two stores share: files after any prefix of what was
// done, with the registry as it was at that moment.

#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "lib/file/recorder.h"
#include "lib/file/replay.h"
#include "store-service/blob/blob_fixture.h"
#include "store-service/blob/segment_registry.h"

namespace posthorn::store_service {
namespace {

constexpr SharedTimes kAtOnce{.abandoned_ms = 0, .settle_ms = 0, .keep_ms = 0};

struct Image {
  std::map<uint64_t, SegmentRow> rows;
  uint64_t next = 1;
  std::string identity;
};

// Every state it was in is kept under a number, and the recorder hears which.
class RecordedRegistry final : public MemorySegmentRegistry {
 public:
  explicit RecordedRegistry(file::Recorder& recorder) : recorder_(recorder) {}
  std::vector<Image> images{Image()};

 protected:
  void Changed(const std::map<uint64_t, SegmentRow>& rows, uint64_t next,
               const std::string& identity) override {
    images.push_back({rows, next, identity});
    recorder_.Mark(base::StrCat("registry ", images.size() - 1));
  }

 private:
  file::Recorder& recorder_;
};

class RestoredRegistry final : public MemorySegmentRegistry {
 public:
  explicit RestoredRegistry(const Image& image) {
    rows_ = image.rows;
    next_ = image.next;
    identity_ = image.identity;
  }
};

struct Recorded {
  std::vector<file::Operation> log;
  std::vector<Image> images;
};

// Two stores append and upload; one collects, seizes from the other, rewrites; restarts.
Recorded RecordRun(const std::string& root) {
  file::Recorder recorder(file::Real(), root);
  RecordedRegistry registry(recorder);
  const auto open = [&](std::string writer) {
    return OpenStore({.directory = root + "/blobs",
                      .system = &recorder,
                      .roll_bytes = 12'000,
                      .registry = &registry,
                      .writer = std::move(writer),
                      .shared = kAtOnce});
  };
  std::vector<std::unique_ptr<BlobStore>> stores;
  stores.push_back(open("a"));
  stores.push_back(open("b"));
  std::mutex mutex;
  std::vector<uint64_t> keys;
  const auto append = [&](BlobStore& store, uint64_t number) {
    const auto ref =
        number % 5 == 0 ? UploadNow(store, BodyOf(number)) : AppendNow(store, BodyOf(number));
    if (ref.status().code() == absl::StatusCode::kUnavailable) return;  // it was thought dead
    ASSERT_TRUE(ref.ok()) << ref.status();
    const std::lock_guard lock(mutex);
    recorder.Mark(base::StrCat("stored ", number, " ", ref->key, " ", ref->size));
    keys.push_back(ref->key);
  };
  for (uint64_t phase = 0; phase < 3; ++phase) {
    std::vector<std::thread> threads;
    for (uint64_t t = 0; t < 2; ++t) {
      threads.emplace_back([&, t] {
        for (uint64_t i = 0; i < 6; ++i) append(*stores[t], phase * 1'000 + t * 100 + i);
      });
    }
    for (std::thread& thread : threads) thread.join();
    std::vector<uint64_t> dead;
    for (size_t i = 0; i < keys.size(); ++i) {
      if (i % 3 != 0) dead.push_back(keys[i]);
    }
    for (const uint64_t key : dead) recorder.Mark(base::StrCat("destroyed ", key));
    for (int round = 0; round < 3; ++round) EXPECT_TRUE(stores[0]->Destroy(dead).ok());
    if (phase == 1) stores[1].reset();
    if (phase == 1) stores[1] = open("b");
  }
  stores.clear();
  return {recorder.Log(), registry.images};
}

struct Demands {
  size_t image = 0;
  std::map<uint64_t, std::pair<uint64_t, std::string>> blobs;  // key to (size, body)
};

Demands Demanded(const std::vector<std::string>& marks) {
  Demands demands;
  for (const std::string& mark : marks) {
    const std::vector<std::string_view> words = base::Split(mark, ' ');
    const auto number = base::ParseInt<uint64_t>(words[1]).value();
    if (words[0] == "registry") {
      demands.image = number;
    } else if (words[0] == "destroyed") {
      demands.blobs.erase(number);
    } else {
      demands.blobs[base::ParseInt<uint64_t>(words[2]).value()] = {
          base::ParseInt<uint64_t>(words[3]).value(), BodyOf(number)};
    }
  }
  return demands;
}

std::string WrongIn(BlobStore& store, const Demands& demands) {
  for (const auto& [key, wanted] : demands.blobs) {
    const auto read = store.Read({key, wanted.first}, 0, 0);
    if (!read.ok()) {
      return base::StrCat(wanted.second.substr(0, 14), " ", SegmentOf(key), ": ",
                          base::Message(read.status()));
    }
    if (*read != wanted.second) return "wrong bytes";
  }
  const absl::Status walked = store.ForEach([](const BlobRecord&) { return true; }, nullptr);
  if (!walked.ok()) return std::string(base::Message(walked));
  for (const BlobDamage& damage : store.Damage()) {
    return base::StrCat("damage in ", damage.segment, " at ", damage.offset, ": ", damage.what);
  }
  return "";
}

// Empty when everything that was promised is there after this power loss; else what is wrong.
std::string WrongAfter(const Recorded& run, const file::PowerLoss& loss) {
  const Folder lost;
  const absl::Status made = file::Materialise(run.log, loss, lost.root);
  if (!made.ok()) return std::string(base::Message(made));
  const Demands demands = Demanded(file::MarksBefore(run.log, loss.count));
  RestoredRegistry registry(run.images[demands.image]);
  LocalBlobOptions options{.directory = lost.blobs(),
                           .registry = &registry,
                           .writer = "a",
                           .shared = kAtOnce,
                           .on_damage = [](const BlobDamage&) {}};
  auto a = OpenLocalBlobStore(options);
  options.writer = "c";
  auto c = OpenLocalBlobStore(options);
  if (!a.ok() || !c.ok()) return std::string(base::Message(a.ok() ? c.status() : a.status()));
  for (int round = 0; round < 4; ++round) {
    for (BlobStore* store : {a->get(), c->get()}) {
      const std::string wrong = WrongIn(*store, demands);
      if (!wrong.empty()) return base::StrCat("round ", round, ": ", wrong);
    }
    const auto collected = (*c)->Destroy({});
    if (!collected.ok()) return std::string(base::Message(collected.status()));
  }
  if (!AppendNow(**c, "it goes on").ok()) return "nothing can be appended";
  return "";
}

std::string FirstWrong(const Recorded& run) {
  for (uint64_t count = 0; count <= run.log.size(); ++count) {
    for (const file::Unsynced unsynced :
         {file::Unsynced::kDropped, file::Unsynced::kKept, file::Unsynced::kMixed}) {
      const std::string what = WrongAfter(run, {count, unsynced, count * 31 + 7});
      if (!what.empty()) {
        return base::StrCat("at ", count, " form ", static_cast<int>(unsynced), ": ", what);
      }
    }
  }
  return "";
}

TEST(SharedPowerLoss, EverythingAnsweredIsReadableAfterAnyPrefix) {
  const Folder folder;
  EXPECT_EQ(FirstWrong(RecordRun(folder.root)), "");
}

TEST(SharedPowerLoss, LeavingOutASyncIsNoticed) {
  if (!file::HasTestHooks())
    GTEST_SKIP() << "needs POSTHORN_TEST_HOOKS: all builds but release run it";
  for (const char* name : {"segment.commit", "segment.upload", "segment.head", "segment.dir",
                           "segment.rewrite", "segment.rewrite.dir"}) {
    const Folder folder;
    file::SkipSyncForTest(name);
    const Recorded run = RecordRun(folder.root);
    file::SkipSyncForTest("");
    EXPECT_NE(FirstWrong(run), "") << name;
  }
}

}  // namespace
}  // namespace posthorn::store_service
