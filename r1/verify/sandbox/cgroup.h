// A control group a run: memory and processes of all that the program starts are counted and capped together, CPU time is counted, and the
// kernel says whether it killed for memory. Version 1 (a tree a controller) and version 2 (one tree) and machines that have both.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "r1/verify/sandbox/fd.h"
#include "r1/verify/sandbox/sandbox.h"

namespace r1::verify::sandbox {

// The group of one run. Removed by remove() or the destructor. The kernel may hold a group for seconds after its last process was killed
// (one that dies slowly, of tens of thousands of inotify watches say); the destructor then leaves it to held_groups().
class Cgroup {
 public:
  ~Cgroup();
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;

  const std::vector<Fd>& join_files() const { return join_; }  // a process that writes "0" to each is in
  const std::vector<std::string>& folders() const { return folders_; }
  double cpu_seconds() const;         // negative: not counted here
  int64_t memory_kills() const;       // processes that the kernel killed at the memory cap
  int64_t peak_memory() const;        // bytes; 0: unknown
  int64_t processes_refused() const;  // forks that the cap refused
  void kill_all() const;
  bool remove();  // false: still in use

 private:
  friend class CgroupTrees;
  Cgroup() = default;
  std::vector<std::string> folders_;
  std::vector<Fd> join_;
  std::string memory_, pids_, cpu_;  // the folder that has the controller; empty: none
  bool memory_v2_ = false, cpu_v2_ = false;
};

// Folders of ended runs that the kernel still holds. Tried again with each new group, at this call, at the end of this process and, should
// that be killed, by the next process that looks for groups. A warning names them once.
std::vector<std::string> held_groups();

// Where this process may make groups; found by making one.
class CgroupTrees {
 public:
  static CgroupTrees find();

  bool has_memory() const { return !memory_.folder.empty(); }
  bool has_pids() const { return !pids_.folder.empty(); }
  const std::string& detail() const { return detail_; }  // "cgroup v1: memory, pids" or what is in the way
  std::unique_ptr<Cgroup> make(const Limits& limits) const;

 private:
  struct Parent {
    std::string folder;
    bool v2 = false;
  };
  Parent memory_, pids_, cpu_;
  std::string detail_;
};

}  // namespace r1::verify::sandbox
