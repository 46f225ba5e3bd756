// What a reader of somebody else's folder gets, and what it never gets. (Runs below a root: tests/api/runs_test.cc.)
#include "r1/base/files_below.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "r1/base/file.h"
#include "tests/temporary_folder.h"

namespace r1 {
namespace {

TEST(FilesBelow, PathsArePartsOfPlainNames) {
  for (const char* good : {"a", "runs/r1-zero_tiny/zero.2", "A9._-", "...", "a/b/c/d/e/f/g/h"}) EXPECT_TRUE(is_plain_path(good)) << good;
  for (const std::string& bad : {std::string(), std::string("/"), std::string("a/"), std::string("/a"), std::string("a//b"),
                                 std::string(".."), std::string("a/../b"), std::string("."), std::string("a/./b"), std::string("a b"),
                                 std::string("a\\b"), std::string("a\0b", 3), std::string("ä"), std::string("%2e%2e"), std::string("~"),
                                 std::string("a:b"), std::string("a\n"), std::string(129, 'a'), std::string("a/b/c/d/e/f/g/h/i")})
    EXPECT_FALSE(is_plain_path(bad)) << bad;
  EXPECT_TRUE(is_plain_path(std::string(128, 'a')));
}

TEST(FilesBelow, LinksAreFollowedBelowTheRootOrNotAtAll) {
  const TemporaryFolder outer("files_below");
  const fs::path root = outer.path() / "root";
  make_folder(root / "folder");
  write_file_atomic(outer.path() / "secret", "secret");
  write_file_atomic(root / "folder" / "file", "inside");
  fs::create_symlink("folder/file", root / "link");
  fs::create_directory_symlink("folder", root / "way");
  fs::create_symlink("../secret", root / "out");
  fs::create_symlink(outer.path() / "secret", root / "far_out");
  fs::create_directory_symlink("..", root / "up");
  const FilesBelow some(root), none(root, Links::kNone);
  for (const FilesBelow* files : {&some, &none}) {
    EXPECT_EQ(files->read("folder/file", 100), "inside");
    for (const char* path : {"out", "far_out", "up/secret", "up/root/folder/file", "../secret", "folder/../folder/file", "absent", ""})
      EXPECT_FALSE(files->file(path)) << path;
  }
  for (const char* path : {"link", "way/file"}) EXPECT_FALSE(none.file(path)) << path;
  EXPECT_FALSE(none.folder("way"));
  EXPECT_EQ(some.read("link", 100), "inside");
  EXPECT_EQ(some.read("way/file", 100), "inside");
}

TEST(FilesBelow, OnlyRegularFilesAndWithinTheirLimit) {
  const TemporaryFolder folder("files_below");
  make_folder(folder.path() / "folder");
  ASSERT_EQ(::mkfifo((folder.path() / "pipe").c_str(), 0600), 0);
  write_file_atomic(folder.path() / "file", "0123456789");
  const FilesBelow files(folder.path());
  EXPECT_FALSE(files.file("folder"));
  EXPECT_FALSE(files.file("pipe"));
  EXPECT_FALSE(files.folder("file"));
  EXPECT_EQ(files.file("file")->read(7, 100), "789");
  EXPECT_EQ(files.read("file", 10), "0123456789");
  std::string fault;
  EXPECT_EQ(files.read("file", 9, &fault), std::nullopt);
  EXPECT_NE(fault.find("more than the"), std::string::npos) << fault;
  EXPECT_EQ(files.entries("", 10).size(), 3u);
  EXPECT_EQ(files.entries("", 2).size(), 2u);
  EXPECT_TRUE(FilesBelow(folder.path() / "absent").entries("", 10).empty());
}

}  // namespace
}  // namespace r1
