// Limits of control groups of both versions, of the group itself and of those above, in a tree of files as the kernel shows it.
#include "r1/base/memory_left.h"

#include <gtest/gtest.h>

#include <limits>

#include "r1/base/file.h"
#include "tests/temporary_folder.h"

namespace r1 {
namespace {

constexpr int64_t kMB = 1 << 20, kNone = std::numeric_limits<int64_t>::max();

class MemoryLeft : public ::testing::Test {
 protected:
  void write(const std::string& file, const std::string& text) {
    make_folder((folder.path() / file).parent_path());
    write_file_atomic(folder.path() / file, text);
  }
  void write(const std::string& file, int64_t number) { write(file, std::to_string(number) + "\n"); }
  TemporaryFolder folder{"memory_left"};
};

TEST_F(MemoryLeft, NothingIsKnown) {
  EXPECT_EQ(memory_left(folder.path()), kNone);
  EXPECT_EQ(memory_limit(folder.path()), kNone);
}

TEST_F(MemoryLeft, TheSystemAlone) {
  write("proc/meminfo", "MemTotal:  16000000 kB\nMemFree:  1000 kB\nMemAvailable:    2048 kB\n");
  write("proc/self/cgroup", "0::/user.slice\n");
  write("sys/fs/cgroup/user.slice/memory.max", "max\n");
  EXPECT_EQ(memory_left(folder.path()), 2 * kMB);
  EXPECT_EQ(memory_limit(folder.path()), kNone);
}

TEST_F(MemoryLeft, VersionTwoAndTheGroupsAbove) {
  write("proc/meminfo", "MemAvailable: 9000000 kB\n");
  write("proc/self/cgroup", "0::/a/b\n");
  write("sys/fs/cgroup/a/b/memory.max", 500 * kMB);
  write("sys/fs/cgroup/a/b/memory.current", 120 * kMB);
  write("sys/fs/cgroup/a/b/memory.stat", "anon 1\ninactive_file " + std::to_string(20 * kMB) + "\nactive_file 5\n");
  EXPECT_EQ(memory_left(folder.path()), 400 * kMB);
  write("sys/fs/cgroup/a/memory.max", 300 * kMB);
  write("sys/fs/cgroup/a/memory.current", 310 * kMB);
  EXPECT_EQ(memory_left(folder.path()), 0) << "more in use than is allowed";
  EXPECT_EQ(memory_limit(folder.path()), 300 * kMB);
}

TEST_F(MemoryLeft, VersionOneAndAContainersRoot) {
  write("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/0123\n0::/\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", 256 * kMB);  // the path above is the host's: its group is the root seen here
  write("sys/fs/cgroup/memory/memory.usage_in_bytes", 56 * kMB);
  EXPECT_EQ(memory_left(folder.path()), 200 * kMB);
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(memory_limit(folder.path()), kNone) << "how version 1 says that there is none";
}

TEST_F(MemoryLeft, OfThisProcess) {
  EXPECT_GT(memory_left(), 0);
  EXPECT_GT(memory_limit(), 0);
}

}  // namespace
}  // namespace r1
