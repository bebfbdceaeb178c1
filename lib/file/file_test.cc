#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <thread>

#include "lib/file/faults.h"
#include "lib/file/file_system.h"
#include "lib/file/recorder.h"
#include "lib/file/replay.h"

namespace posthorn::file {
namespace {

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/posthorn_file_XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string path;
};

std::string Content(const std::string& path) {
  const auto bytes = ReadWhole(Real(), path);
  return bytes.ok() ? *bytes
                    : std::string(bytes.status().code() == absl::StatusCode::kNotFound ? "(none)"
                                                                                       : "(error)");
}

TEST(RealFileSystem, TellsMissingFromExisting) {
  const Folder folder;
  const std::string path = folder.path + "/a";
  EXPECT_EQ(Real().Open(path, Mode::kRead).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(Real().Open(path, Mode::kCreateNew).ok());
  EXPECT_EQ(Real().Open(path, Mode::kCreateNew).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(Real().MakeDirectory(folder.path).ok());
  EXPECT_EQ(Real().List(folder.path).value(), std::vector<std::string>({"a"}));
  EXPECT_EQ(Real().Unlink(folder.path + "/b").code(), absl::StatusCode::kNotFound);
}

TEST(RealFileSystem, WritesManyPiecesAndMapsAnyRange) {
  const Folder folder;
  const auto opened = Real().Open(folder.path + "/a", Mode::kCreate).value();
  std::string expected;
  std::vector<std::string> owned;
  for (int i = 0; i < 2'000; ++i) owned.emplace_back(i % 13, static_cast<char>('a' + i % 26));
  std::vector<std::string_view> pieces;
  for (const std::string& piece : owned) {
    pieces.emplace_back(piece);
    expected += piece;
  }
  ASSERT_TRUE(opened->WriteAt(5, pieces).ok());
  EXPECT_EQ(opened->Size().value(), expected.size() + 5);
  EXPECT_EQ(opened->Map(5'005, 3'000).value()->bytes(), expected.substr(5'000, 3'000));
  std::string read(expected.size() + 100, '\0');
  EXPECT_EQ(opened->ReadAt(5, read).value(), expected.size());
}

TEST(Faults, FullDiskIsResourceExhaustedAndReadingGoesOn) {
  const Folder folder;
  Faults faults(Real());
  const auto opened = faults.Open(folder.path + "/a", Mode::kCreate).value();
  faults.DiskFull(10);
  EXPECT_TRUE(opened->WriteAt(0, "12345678").ok());
  EXPECT_EQ(opened->WriteAt(8, "abcd").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(opened->WriteAt(0, "overwrite").code() == absl::StatusCode::kOk);
  std::string read(4, '\0');
  EXPECT_EQ(opened->ReadAt(0, read).value(), 4U);
  faults.Clear();
  EXPECT_TRUE(opened->WriteAt(8, "abcd").ok());
}

TEST(Faults, FailsOneNamedSyncAndEverythingAfterACount) {
  const Folder folder;
  Faults faults(Real());
  const auto opened = faults.Open(folder.path + "/a", Mode::kCreate).value();
  faults.FailSync("b");
  EXPECT_TRUE(opened->Sync("a").ok());
  EXPECT_FALSE(opened->Sync("b").ok());
  EXPECT_TRUE(opened->Sync("b").ok());
  faults.FailAfter(1);
  EXPECT_TRUE(opened->WriteAt(0, "x").ok());
  EXPECT_FALSE(opened->WriteAt(0, "x").ok());
  EXPECT_FALSE(faults.Unlink(folder.path + "/a").ok());
}

// Replays every prefix of `log` and gives `check` the directory and the marks that were made by
// then.
template <class Check>
void EveryPrefix(const std::vector<Operation>& log, Unsynced unsynced, Check check) {
  for (uint64_t count = 0; count <= log.size(); ++count) {
    const Folder lost;
    ASSERT_TRUE(Materialise(log, {count, unsynced, count * 7 + 1}, lost.path).ok());
    check(lost.path, MarksBefore(log, count), count);
  }
}

std::vector<Operation> RecordReplacing(const std::string& root) {
  Recorder recorder(Real(), root);
  for (const std::string text : {"one", "two", "three"}) {
    EXPECT_TRUE(ReplaceAtomically(recorder, root + "/a", text, "t").ok());
    recorder.Mark(text);
  }
  return recorder.Log();
}

TEST(Replay, AtomicallyReplacedFileIsTheOldOrTheNewOneAfterAnyPowerLoss) {
  const Folder folder;
  const std::vector<Operation> log = RecordReplacing(folder.path);
  EXPECT_EQ(SyncNames(log), std::set<std::string>({"t.dir", "t.file"}));
  for (const Unsynced unsynced : {Unsynced::kDropped, Unsynced::kKept, Unsynced::kMixed}) {
    EveryPrefix(log, unsynced, [](const std::string& path, const auto& marks, uint64_t count) {
      const std::string content = Content(path + "/a");
      const std::vector<std::string> texts = {"(none)", "one", "two", "three"};
      const bool old = content == texts[marks.size()];
      const bool fresh = marks.size() < 3 && content == texts[marks.size() + 1];
      EXPECT_TRUE(old || fresh) << content << " at " << count;
    });
  }
}

TEST(Replay, LeavingOutEitherSyncIsNoticed) {
  if (!HasTestHooks()) GTEST_SKIP() << "needs POSTHORN_TEST_HOOKS: all builds but release run it";
  for (const std::string name : {"t.file", "t.dir"}) {
    const Folder folder;
    SkipSyncForTest(name);
    const std::vector<Operation> log = RecordReplacing(folder.path);
    SkipSyncForTest("");
    int broken = 0;
    EveryPrefix(log, Unsynced::kMixed, [&](const std::string& path, const auto& marks, uint64_t) {
      if (!marks.empty() && Content(path + "/a") < marks.back().substr(0, 1)) ++broken;
      if (!marks.empty() && Content(path + "/a") == "(none)") ++broken;
    });
    EveryPrefix(log, Unsynced::kDropped, [&](const std::string& path, const auto& marks, uint64_t) {
      if (!marks.empty() && Content(path + "/a") != marks.back()) ++broken;
    });
    EXPECT_GT(broken, 0) << name;
  }
}

TEST(Replay, SyncCoversOnlyWhatWasWrittenBeforeItBegan) {
  const std::vector<Operation> log = {
      {.kind = Operation::Kind::kCreate, .file = 1, .path = "a"},
      {.kind = Operation::Kind::kSyncDirectory, .path = "", .name = "d", .covers = 1},
      {.kind = Operation::Kind::kWrite, .file = 1, .offset = 0, .data = "before"},
      {.kind = Operation::Kind::kWrite, .file = 1, .offset = 6, .data = "during"},
      {.kind = Operation::Kind::kSync, .file = 1, .name = "s", .covers = 3},
  };
  const Folder folder;
  ASSERT_TRUE(Materialise(log, {.count = 5}, folder.path).ok());
  EXPECT_EQ(Content(folder.path + "/a"), "before");
}

TEST(Replay, TornWritesKeepWholeSectors) {
  std::vector<Operation> log = {
      {.kind = Operation::Kind::kCreate, .file = 1, .path = "a"},
      {.kind = Operation::Kind::kWrite, .file = 1, .offset = 0, .data = std::string(4096, 'x')},
      {.kind = Operation::Kind::kSyncDirectory, .path = "", .name = "d", .covers = 1},
  };
  std::set<std::string> seen;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const Folder folder;
    ASSERT_TRUE(Materialise(log, {3, Unsynced::kMixed, seed}, folder.path).ok());
    const std::string content = Content(folder.path + "/a");
    for (size_t at = 0; at < content.size(); at += 512) {
      const std::string sector = content.substr(at, 512);
      EXPECT_TRUE(sector == std::string(512, 'x') || sector == std::string(512, '\0'));
    }
    seen.insert(content);
  }
  EXPECT_GT(seen.size(), 20U);
}

}  // namespace
}  // namespace posthorn::file
