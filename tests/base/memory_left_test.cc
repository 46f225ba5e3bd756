// Limits of control groups of both versions, of the group itself and of those above, in a tree of files as the kernel shows it.
#include "r1/base/memory_left.h"

#include <gtest/gtest.h>
#include <unistd.h>

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
  // Version 2 alone, as today's systems have it, or both.
  void mount(bool both = false) {
    const std::string two = both ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup";
    write("proc/self/mountinfo", "21 1 8:1 / / rw - ext4 /dev/vda rw\n34 21 0:29 / " + two + " rw,nosuid shared:4 - cgroup2 cgroup2 rw\n" +
                                     (both ? "35 21 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" : ""));
  }
  TemporaryFolder folder{"memory_left"};
};

TEST_F(MemoryLeft, NothingIsKnown) {
  EXPECT_EQ(memory_left(folder.path()), kNone);
  EXPECT_EQ(memory_limit(folder.path()), kNone);
}

TEST_F(MemoryLeft, TheSystemAlone) {
  write("proc/meminfo", "MemTotal:  16000000 kB\nMemFree:  1000 kB\nMemAvailable:    2048 kB\n");
  mount();
  write("proc/self/cgroup", "0::/user.slice\n");
  write("sys/fs/cgroup/user.slice/memory.max", "max\n");
  EXPECT_EQ(memory_left(folder.path()), 2 * kMB);
  EXPECT_EQ(memory_limit(folder.path()), kNone);
}

TEST_F(MemoryLeft, VersionTwoAndTheGroupsAbove) {
  write("proc/meminfo", "MemAvailable: 9000000 kB\n");
  mount();
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
  mount(true);
  write("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/0123\n0::/\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", 256 * kMB);  // the path above is the host's: its group is the root seen here
  write("sys/fs/cgroup/memory/memory.usage_in_bytes", 56 * kMB);
  EXPECT_EQ(memory_left(folder.path()), 200 * kMB);
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(memory_limit(folder.path()), kNone) << "how version 1 says that there is none";
}

// A container that sees its own group as the top of the tree.
TEST_F(MemoryLeft, AMountOfAPartOfTheTree) {
  write("proc/self/mountinfo", "34 21 0:29 /docker/7 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  write("proc/self/cgroup", "0::/docker/7/inner\n");
  write("sys/fs/cgroup/memory.max", 100 * kMB);
  write("sys/fs/cgroup/inner/memory.max", 80 * kMB);
  EXPECT_EQ(memory_limit(folder.path()), 80 * kMB);
  write("sys/fs/cgroup/inner/memory.max", "max\n");
  EXPECT_EQ(memory_limit(folder.path()), 100 * kMB);
}

TEST_F(MemoryLeft, OfThisProcess) {
  EXPECT_GT(memory_left(), 0);
  EXPECT_GT(memory_limit(), 0);
  EXPECT_LE(memory_left(), sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE)) << "/proc says less than the machine has";
}

}  // namespace
}  // namespace r1
