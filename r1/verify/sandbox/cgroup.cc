#include "r1/verify/sandbox/cgroup.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>

#include "r1/base/control_groups.h"
#include "r1/base/error.h"
#include "r1/base/log.h"

namespace r1::verify::sandbox {
namespace {

bool write_to(const std::string& path, const std::string& text) {
  const Fd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file && ::write(file.get(), text.data(), text.size()) == ssize_t(text.size());
}
std::string read_from(const std::string& path) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text(4096, '\0');
  const ssize_t n = file ? ::read(file.get(), text.data(), text.size()) : 0;
  text.resize(n > 0 ? size_t(n) : 0);
  return text;
}
bool exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}
// "oom_kill 3" in a file of names and numbers; -1: no such line.
int64_t number_named(const std::string& text, const std::string& name) {
  std::istringstream in(text);
  for (std::string key; in >> key;) {
    int64_t value = 0;
    if (!(in >> value)) break;
    if (key == name) return value;
  }
  return -1;
}

// Folders that may become a parent: this process' own group, the one above it, the top of what is mounted. Above our own group a cap of
// ours (a container's memory limit, say) would no longer hold, so for version 1 only the first counts where it exists.
std::vector<std::string> candidates(const ControlTree& tree, const std::string& own) {
  std::vector<std::string> list;
  const std::string folder = control_folder(tree, own);
  if (exists(folder)) list.push_back(folder);
  if (tree.v2 && folder != tree.mount_point && exists(folder)) list.push_back(folder.substr(0, folder.rfind('/')));
  if (list.empty()) list.push_back(tree.mount_point);
  return list;
}

std::string new_name() {
  static std::atomic<uint64_t> count{0};  // names differ within a process, that is all
  return str("/r1-sandbox-", ::getpid(), "-", count++);
}

bool removed(const std::string& folder) {
  return ::rmdir(folder.c_str()) == 0 || errno == ENOENT;
}

// Groups of ended runs that the kernel would not let go yet.
class Held {
 public:
  ~Held() { again(); }
  void add(const std::vector<std::string>& folders) {
    if (folders.empty()) return;
    log_warning("sandbox: the kernel still holds the control group ", folders[0],
                " of a run that has ended; it is removed as soon as that lets go, at the latest by the next start");
    std::lock_guard lock(mutex_);
    folders_.insert(folders_.end(), folders.begin(), folders.end());
  }
  std::vector<std::string> again() {
    std::lock_guard lock(mutex_);
    std::erase_if(folders_, removed);
    return folders_;
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> folders_;
};
Held& held() {
  static Held all;
  return all;
}

// What a killed process of ours left: groups named after a process that is no more. How many of them the kernel still holds.
int remove_stale(const std::string& parent) {
  int kept = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(parent, error)) {
    const std::string name = entry.path().filename();
    int pid = 0;
    if (std::sscanf(name.c_str(), "r1-sandbox-%d-", &pid) == 1 && pid > 0 && ::kill(pid, 0) != 0 && errno == ESRCH)
      kept += !removed(entry.path());
  }
  return kept;
}

bool word_in(const std::string& text, const std::string& word) {
  std::istringstream in(text);
  for (std::string w; in >> w;) {
    if (w == word) return true;
  }
  return false;
}

// Does a group below `parent` have the controller's files? In version 2 the parent must hand it down, which it can't while it holds
// processes.
bool usable(const std::string& parent, bool v2, const std::string& controller, const std::string& file, std::string& why) {
  if (v2 && controller != "cpu" && !word_in(read_from(parent + "/cgroup.subtree_control"), controller) &&
      !write_to(parent + "/cgroup.subtree_control", "+" + controller)) {
    why = str(parent, ": cannot hand down '", controller, "': ", std::strerror(errno));
    return false;
  }
  const std::string folder = parent + new_name();
  if (::mkdir(folder.c_str(), 0755) != 0) {
    why = str(parent, ": ", std::strerror(errno));
    return false;
  }
  // To join, the group's own file and, in version 2, that of the common ancestor must be writable.
  const bool ok = exists(folder + file) && ::access((folder + "/cgroup.procs").c_str(), W_OK) == 0 &&
                  (!v2 || ::access((parent + "/cgroup.procs").c_str(), W_OK) == 0);
  if (!ok) why = str(parent, ": groups made there lack ", file.substr(1), " or cannot be joined");
  ::rmdir(folder.c_str());
  return ok;
}

}  // namespace

// ---- finding ----
CgroupTrees CgroupTrees::find() {
  CgroupTrees found;
  const auto trees = control_trees();
  const auto own = own_control_groups();
  std::string why, list_v1, list_v2;
  int stale = 0;
  std::string folder_v2;  // a process is in one group of version 2: the first that serves serves all
  const auto look = [&](const std::string& controller, const std::string& tree, const std::string& file, Parent& parent) {
    const auto at = trees.find(tree);
    if (!parent.folder.empty() || at == trees.end()) return;
    const auto group = own.find(tree);
    std::vector<std::string> folders = candidates(at->second, group == own.end() ? "/" : group->second);
    if (at->second.v2 && !folder_v2.empty()) folders = {folder_v2};
    for (const std::string& folder : folders) {
      if (!usable(folder, at->second.v2, controller, file, why)) continue;
      parent = {folder, at->second.v2};
      if (at->second.v2) folder_v2 = folder;
      std::string& list = at->second.v2 ? list_v2 : list_v1;
      list += (list.empty() ? "" : ", ") + controller;
      stale = std::max(stale, remove_stale(folder));
      return;
    }
  };
  look("memory", "", "/memory.max", found.memory_);
  look("memory", "memory", "/memory.limit_in_bytes", found.memory_);
  look("pids", "", "/pids.max", found.pids_);
  look("pids", "pids", "/pids.max", found.pids_);
  if (!found.memory_.v2) look("cpuacct", "cpuacct", "/cpuacct.usage", found.cpu_);
  look("cpu", "", "/cpu.stat", found.cpu_);
  if (!list_v1.empty()) found.detail_ = "cgroup v1: " + list_v1;
  if (!list_v2.empty()) found.detail_ += (list_v1.empty() ? "cgroup v2: " : "; v2: ") + list_v2;
  if (stale) found.detail_ += str("; ", stale, " group(s) of killed runs still held by the kernel");
  if (!found.has_memory()) {
    found.detail_ = trees.empty() ? "no cgroup file system is mounted" : "no group with a memory controller can be made (" + why + ")";
    found.detail_ +=
        "; run with a delegated group (systemd-run --user --scope -p Delegate=yes r1 ..., or docker run --cgroupns=private with "
        "/sys/fs/cgroup "
        "writable)";
  }
  return found;
}

// ---- making ----
std::unique_ptr<Cgroup> CgroupTrees::make(const Limits& limits) const {
  held().again();
  std::unique_ptr<Cgroup> group(new Cgroup);
  const std::string name = new_name();
  std::map<std::string, std::string> made;  // parent -> folder: controllers often share one
  const auto folder_in = [&](const Parent& parent) -> std::string {
    if (parent.folder.empty()) return "";
    auto& folder = made[parent.folder];
    if (!folder.empty()) return folder;
    folder = parent.folder + name;
    const bool there = ::mkdir(folder.c_str(), 0755) == 0;  // before errno is asked
    check(there, "[sandbox] cannot make the control group ", folder, ": ", std::strerror(errno),
          "; r1 sandbox doctor says what is in the way");
    group->folders_.push_back(folder);
    // A thread that moves itself takes no lock against all forks of the machine; version 2 has whole processes only.
    const std::string join = folder + (parent.v2 ? "/cgroup.procs" : "/tasks");
    group->join_.emplace_back(::open(join.c_str(), O_WRONLY | O_CLOEXEC));
    check(bool(group->join_.back()), "[sandbox] cannot open ", join, ": ", std::strerror(errno));
    return folder;
  };
  const auto set = [](const std::string& path, int64_t value) {
    const bool written = write_to(path, std::to_string(value));
    check(written, "[sandbox] cannot write ", value, " to ", path, ": ", std::strerror(errno));
  };
  group->memory_ = folder_in(memory_);
  group->memory_v2_ = memory_.v2;
  group->pids_ = folder_in(pids_);
  group->cpu_ = folder_in(cpu_);
  group->cpu_v2_ = cpu_.v2;
  if (memory_.v2 && has_memory()) {
    set(group->memory_ + "/memory.max", limits.memory_bytes);
    write_to(group->memory_ + "/memory.swap.max", "0");
    write_to(group->memory_ + "/memory.oom.group", "1");
  } else if (has_memory()) {
    set(group->memory_ + "/memory.limit_in_bytes", limits.memory_bytes);
    write_to(group->memory_ + "/memory.memsw.limit_in_bytes",
             std::to_string(limits.memory_bytes));  // there is none without swap accounting
  }
  if (has_pids()) set(group->pids_ + "/pids.max", int64_t{limits.processes} + 2);  // bubblewrap and pid 1
  return group;
}

// ---- reading ----
Cgroup::~Cgroup() {
  if (!remove()) held().add(folders_);
}

std::vector<std::string> held_groups() {
  return held().again();
}

double Cgroup::cpu_seconds() const {
  if (cpu_.empty()) return -1;
  if (cpu_v2_) return double(number_named(read_from(cpu_ + "/cpu.stat"), "usage_usec")) * 1e-6;
  return std::strtod(read_from(cpu_ + "/cpuacct.usage").c_str(), nullptr) * 1e-9;
}

int64_t Cgroup::memory_kills() const {
  if (memory_.empty()) return 0;
  return std::max<int64_t>(0, number_named(read_from(memory_ + (memory_v2_ ? "/memory.events" : "/memory.oom_control")), "oom_kill"));
}

int64_t Cgroup::peak_memory() const {
  if (memory_.empty()) return 0;
  return std::strtoll(read_from(memory_ + (memory_v2_ ? "/memory.peak" : "/memory.max_usage_in_bytes")).c_str(), nullptr, 10);
}

int64_t Cgroup::processes_refused() const {
  return pids_.empty() ? 0 : std::max<int64_t>(0, number_named(read_from(pids_ + "/pids.events"), "max"));
}

void Cgroup::kill_all() const {
  for (const std::string& folder : folders_) {
    if (write_to(folder + "/cgroup.kill", "1")) continue;
    std::istringstream pids(read_from(folder + "/cgroup.procs"));
    for (pid_t pid = 0; pids >> pid;) {
      if (pid > 1) ::kill(pid, SIGKILL);
    }
  }
}

bool Cgroup::remove() {
  join_.clear();
  std::erase_if(folders_, removed);
  return folders_.empty();
}

}  // namespace r1::verify::sandbox
