#include "r1/verify/sandbox/bubblewrap.h"

#include <unistd.h>

#include <cstdlib>
#include <sstream>

#include "r1/base/error.h"
#include "r1/verify/sandbox/setup_format.h"

namespace r1::verify::sandbox {
namespace {

namespace fs = std::filesystem;
using Arguments = std::vector<std::string>;

void append(Arguments& to, std::initializer_list<std::string> words) {
  to.insert(to.end(), words);
}

bool present(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

// /bin is a link to usr/bin on most systems of today.
void add_top_folder(const std::string& path, Arguments& arguments, std::vector<LandlockRule>& rules) {
  std::error_code error;
  if (fs::is_symlink(path, error)) {
    append(arguments, {"--symlink", fs::read_symlink(path), path});
  } else if (fs::is_directory(path, error)) {
    append(arguments, {"--ro-bind", path, path});
    rules.push_back({path, Access::kReadExecute});
  }
}

// Where libraries and programs are found, Java's own settings, the time zone; no users, no keys, no configuration of the host's services.
// Each mount costs a tenth of a millisecond a run, so nothing that is merely nice to have.
void add_etc(Arguments& arguments) {
  std::vector<fs::path> pieces = {"/etc/ld.so.cache", "/etc/alternatives"};
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/etc", error)) {
    if (entry.path().filename().string().starts_with("java-")) pieces.push_back(entry.path());
  }
  for (const auto& piece : pieces) {
    if (present(piece)) append(arguments, {"--ro-bind", piece, piece});
  }
  if (fs::is_symlink("/etc/localtime", error))
    append(arguments, {"--symlink", fs::read_symlink("/etc/localtime", error), "/etc/localtime"});
}

void add_dev(Arguments& arguments, std::vector<LandlockRule>& rules) {
  append(arguments, {"--dir", "/dev"});
  for (const char* name : {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"}) {
    append(arguments, {"--dev-bind", name, name});
    rules.push_back({name, Access::kReadWriteFile});
  }
  append(arguments, {"--symlink", "/proc/self/fd", "/dev/fd", "--symlink", "/proc/self/fd/0", "/dev/stdin", "--symlink", "/proc/self/fd/1",
                     "/dev/stdout", "--symlink", "/proc/self/fd/2", "/dev/stderr"});
}

// Facts about the host's kernel that a program has no business with, of those that everybody may read.
void add_hidden_proc(Arguments& arguments) {
  for (const char* file :
       {"/proc/cmdline", "/proc/config.gz", "/proc/keys", "/proc/sched_debug", "/proc/latency_stats", "/proc/timer_stats"}) {
    if (::access(file, F_OK) == 0) append(arguments, {"--ro-bind", "/dev/null", file});
  }
}

void add_mounts(const Program& program, bool staged, Arguments& arguments) {
  for (size_t i = 0; i < program.mounts.size(); ++i) {
    const Mount& mount = program.mounts[i];
    append(arguments, {mount.writable ? "--bind" : "--ro-bind", staged ? str(R1_STAGE "/", i) : fs::absolute(mount.host).string(),
                       mount.inside.string()});
  }
}

}  // namespace

std::string find_bubblewrap() {
  const char* path = std::getenv("PATH");
  std::istringstream folders(std::string(path ? path : "") + ":/usr/bin:/usr/local/bin:/bin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (folder.starts_with("/") && ::access((folder + "/bwrap").c_str(), X_OK) == 0) return folder + "/bwrap";
  }
  return "";
}

Arguments system_arguments(std::vector<LandlockRule>& rules) {
  Arguments arguments;
  for (const char* path : {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}) add_top_folder(path, arguments, rules);
  add_etc(arguments);
  rules.push_back({"/etc", Access::kRead});
  add_dev(arguments, rules);
  rules.push_back({"/dev", Access::kRead});
  rules.push_back({"/proc", Access::kRead});
  rules.push_back({"/box", Access::kAll});
  return arguments;
}

Arguments bubblewrap_arguments(const Machine& machine, const Layers& layers, const Program& program, const Limits& limits, bool staged) {
  Arguments a = {machine.bubblewrap,
                 "--unshare-user",
                 "--unshare-pid",
                 "--unshare-net",
                 "--unshare-ipc",
                 "--unshare-uts",
                 "--unshare-cgroup-try",
                 "--uid",
                 "1000",
                 "--gid",
                 "1000",
                 "--hostname",
                 "sandbox",
                 "--die-with-parent",
                 "--new-session",
                 "--as-pid-1"};
  if (layers.disable_userns) a.push_back("--disable-userns");
  if (layers.seccomp) append(a, {"--seccomp", std::to_string(R1_FD_SECCOMP)});
  a.insert(a.end(), machine.system.begin(), machine.system.end());
  if (layers.proc) {
    append(a, {"--proc", "/proc"});
    add_hidden_proc(a);
  }
  // One file system, so that disk_bytes bounds all of it.
  append(a, {"--perms", "0755", "--size", std::to_string(limits.disk_bytes), "--tmpfs", "/box", "--dir", "/box/.tmp", "--dir", "/box/.shm",
             "--symlink", "/box/.tmp", "/tmp", "--symlink", "/box/.shm", "/dev/shm"});
  append(a, {"--perms", "0444", "--file", std::to_string(R1_FD_PASSWD),   "/etc/passwd",
             "--perms", "0444", "--file", std::to_string(R1_FD_GROUP),    "/etc/group",
             "--perms", "0444", "--file", std::to_string(R1_FD_HOSTS),    "/etc/hosts",
             "--perms", "0555", "--file", std::to_string(R1_FD_LAUNCHER), R1_INIT_PATH});
  add_mounts(program, staged, a);
  append(a, {"--remount-ro", "/", "--chdir", "/", "--", R1_INIT_PATH, "init"});
  return a;
}

}  // namespace r1::verify::sandbox
