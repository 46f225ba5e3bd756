#include "r1/base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <set>

#include "r1/base/error.h"

namespace r1 {
namespace {

class FileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        fs::temp_directory_path() / str("r1_file_test_", ::getpid(), "_", ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    make_folder(folder_);
  }
  void TearDown() override {
    set_file_fault(nullptr);
    fs::remove_all(folder_);
  }
  size_t files() const { return size_t(std::distance(fs::directory_iterator(folder_), fs::directory_iterator())); }

  fs::path folder_;
};

std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "(no error)";
}

TEST_F(FileTest, RoundTrip) {
  const fs::path path = folder_ / "数据 a.bin";
  const std::string bytes = std::string("a\0b\n", 4) + std::string(300'000, 'x');
  write_file_atomic(path, bytes);
  EXPECT_EQ(read_file(path), bytes);
  append_file(path, "tail");
  EXPECT_EQ(read_file(path), bytes + "tail");
  write_file_atomic(path, "");
  EXPECT_EQ(read_file(path), "");
  EXPECT_EQ(files(), 1u);
}

TEST_F(FileTest, ErrorsNamePathAndReason) {
  EXPECT_EQ(error_of([&] { read_file(folder_ / "none"); }),
            str("cannot open ", (folder_ / "none").string(), ": No such file or directory"));
  EXPECT_NE(error_of([&] { read_file(folder_); }).find("it is a folder"), std::string::npos);
  EXPECT_NE(error_of([&] { write_file_atomic(folder_, "x"); }).find("it is a folder"), std::string::npos);
  EXPECT_NE(error_of([&] { write_file_atomic(folder_ / "no" / "x", "x"); }).find("No such file"), std::string::npos);
  EXPECT_NE(error_of([&] { MappedFile(folder_ / "none"); }).find("No such file"), std::string::npos);
  write_file_atomic(folder_ / "f", "x");
  EXPECT_NE(error_of([&] { make_folder(folder_ / "f"); }).find("cannot create folder"), std::string::npos);
  EXPECT_NE(error_of([&] { make_folder(folder_ / "f" / "g"); }).find("cannot create folder"), std::string::npos);
}

// Every system call of a save fails once, each with several codes: the old content stays whole (or, after the rename, the new one), and
// nothing is left over.
TEST_F(FileTest, EveryFaultLeavesOldOrNew) {
  const fs::path path = folder_ / "state";
  const std::string older(10'000, 'o'), newer(20'000, 'n');
  std::set<std::string> seen;
  for (const int code : {EIO, ENOSPC, EACCES}) {
    for (int nth = 0;; ++nth) {
      set_file_fault(nullptr);
      write_file_atomic(path, older);
      int calls = 0;
      bool renamed = false;
      set_file_fault([&](const char* call) {
        seen.insert(call);
        if (calls++ == nth) return code;
        renamed = renamed || std::string_view(call) == "rename";
        return 0;
      });
      const std::string error = error_of([&] { write_file_atomic(path, newer); });
      set_file_fault(nullptr);
      if (calls <= nth) {
        EXPECT_EQ(error, "(no error)");
        EXPECT_GE(nth, 5) << "open, write, fsync, rename, open and fsync of the folder";
        break;
      }
      EXPECT_NE(error.find(std::strerror(code)), std::string::npos) << error;
      EXPECT_NE(error.find(renamed ? folder_.string() : path.string()), std::string::npos) << error;
      EXPECT_EQ(read_file(path), renamed ? newer : older) << "fault at call " << nth;
      EXPECT_EQ(files(), 1u) << "a temporary was left at call " << nth;
    }
  }
  EXPECT_EQ(seen, (std::set<std::string>{"open", "write", "fsync", "rename"}));
}

TEST_F(FileTest, InterruptedCallsAreRepeated) {
  int calls = 0;
  set_file_fault([&](const char*) { return calls++ % 2 == 0 ? EINTR : 0; });
  write_file_atomic(folder_ / "f", "whole");
  set_file_fault(nullptr);
  EXPECT_EQ(read_file(folder_ / "f"), "whole");
  EXPECT_GE(calls, 10);
}

TEST_F(FileTest, AtomicFileInPieces) {
  const fs::path path = folder_ / "big";
  write_file_atomic(path, "old");
  {
    AtomicFile file(path);
    file.write("half");
    EXPECT_EQ(read_file(path), "old");
  }
  EXPECT_EQ(read_file(path), "old");
  EXPECT_EQ(files(), 1u);
  AtomicFile file(path);
  file.write("one ");
  file.write("two");
  EXPECT_EQ(file.size(), 7u);
  file.commit();
  EXPECT_EQ(read_file(path), "one two");
  EXPECT_THROW(file.write("x"), Error);
  EXPECT_THROW(file.commit(), Error);
}

TEST_F(FileTest, KeepsModeAndFollowsLinks) {
  const fs::path path = folder_ / "f", link = folder_ / "link";
  write_file_atomic(path, "a");
  ::chmod(path.c_str(), 0640);
  fs::create_symlink(path, link);
  write_file_atomic(link, "b");
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(read_file(path), "b");
  EXPECT_EQ(int(fs::status(path).permissions()), 0640);
  EXPECT_NO_THROW(write_file_atomic("/dev/null", "x"));
  EXPECT_FALSE(fs::is_regular_file("/dev/null"));
}

TEST_F(FileTest, MappedFile) {
  write_file_atomic(folder_ / "f", "mapped");
  write_file_atomic(folder_ / "empty", "");
  MappedFile map(folder_ / "f");
  MappedFile moved(std::move(map));
  EXPECT_EQ(map.size(), 0u);
  ASSERT_EQ(moved.size(), 6u);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(moved.bytes().data()), 6), "mapped");
  EXPECT_EQ(MappedFile(folder_ / "empty").size(), 0u);
  moved = MappedFile(folder_ / "empty");
  EXPECT_TRUE(moved.bytes().empty());
  EXPECT_THROW(MappedFile{folder_}, Error);
}

// FIPS 180-2, appendix B.
TEST_F(FileTest, OneLockAtATime) {
  {
    const FileLock lock(folder_ / "lock", "taken");
    EXPECT_THROW(FileLock(folder_ / "lock", "taken"), Error);
  }
  EXPECT_NO_THROW(FileLock(folder_ / "lock", "taken"));
}

TEST_F(FileTest, Sha256) {
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const std::string million(1'000'000, 'a');
  EXPECT_EQ(sha256(million), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  write_file_atomic(folder_ / "a", million + million);
  EXPECT_EQ(sha256_file(folder_ / "a"), sha256(million + million));
  r1::Sha256 pieces;
  for (int i = 0; i < 1000; ++i) pieces.update(std::as_bytes(std::span(million.data(), 1000)));
  EXPECT_EQ(pieces.hex(), sha256(million));
  Digest md5("md5");
  md5.update(std::as_bytes(std::span("abc", 3)));
  EXPECT_EQ(md5.hex(), "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_THROW(Digest("none such"), Error);
}

}  // namespace
}  // namespace r1
