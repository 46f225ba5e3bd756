// Runs a program that nobody trusts: model-written code, a user's reward command. Layers: namespaces by bubblewrap (user, pid, net, ipc,
// mount, uts), a seccomp allow-list, rlimits, a cgroup where one can be made (v1 or v2), Landlock where the kernel has it, and caps on
// time, memory, processes, output and disk. docs/sandbox.md says what each stops and what it does not. A layer that this machine lacks is
// an error (fail closed) unless it is listed in Policy::may_miss. Never runs anything on the host itself. Thread-safe; no signals, no
// global state.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace r1::verify::sandbox {

enum class Layer { kNamespaces, kSeccomp, kRlimits, kCgroup, kLandlock };
const char* layer_name(Layer layer);
const char* layer_purpose(Layer layer);  // what it stops, in a line

struct LayerState {
  Layer layer;
  bool available = false;
  std::string detail;  // "cgroup v1: memory, pids" or why not and what to do
};
// What this machine has, found by trying; cheap after the first call.
std::vector<LayerState> examine();

struct Limits {
  // Of wall time, what the program is ready and gets no CPU does not count, so that a busy machine changes no verdict; ten times the limit end it.
  double wall_seconds = 10, cpu_seconds = 10;
  int64_t memory_bytes = int64_t{512} << 20;  // of all processes together with a cgroup; of each one without
  int64_t output_bytes = 1 << 20;             // stdout and stderr, each; what comes after is dropped and the program killed
  int64_t disk_bytes = int64_t{64} << 20;     // everything the program writes (its folders are tmpfs)
  int32_t processes = 32;                     // threads count
  int32_t open_files = 128;
};

// A file or folder put into the sandbox. Inside it runs as a user without rights on the host: what only its owner may read stays
// unreadable. If this process is root, a writable folder is given to that user (chown, the folder alone). Limits::disk_bytes does not bound
// what is written to a mount, only each file.
struct Mount {
  std::filesystem::path host, inside;
  bool writable = false;
};

struct Program {
  std::vector<std::string> argv;                           // argv[0] is a path inside
  std::vector<std::pair<std::string, std::string>> env;    // the whole environment, beside PATH, HOME, LANG, TMPDIR
  std::vector<std::pair<std::string, std::string>> files;  // relative path under /box -> content, written before the start
  std::vector<Mount> mounts;                               // beside the system's read-only /usr, /lib*, /bin, /etc pieces
  std::string directory = "/box";                          // tmpfs, writable
  std::string input;                                       // stdin
  int channel_fd = -1;  // an open descriptor the program inherits as fd 3 (judge's own launcher only); -1: none
  // Processes whose parent ended become the program's children instead of pid 1's, so that it can tell what outlived what (the judge's).
  bool adopts_orphans = false;
};

// kMemory: the kernel killed a process of it at the cap, whatever the others did then. The caps on disk, processes and open files end
// nothing by themselves: the program gets ENOSPC, EAGAIN, EMFILE; `reason` says if processes were refused.
enum class End { kExited, kSignalled, kTimeout, kCpuTime, kMemory, kOutput, kFailedToStart };
const char* end_name(End end);

struct Outcome {
  End end = End::kFailedToStart;
  int status = 0;  // exit code or signal
  std::string out, err;
  double wall_seconds = 0, cpu_seconds = 0;
  double waited_seconds = 0;  // of wall_seconds what the limit was put off by: ready to run while other programs had the CPUs
  int64_t peak_memory = 0;    // 0: unknown
  std::string reason;         // of kFailedToStart, kMemory, ...
};

struct Policy {
  std::vector<Layer> may_miss;         // layers the user agreed to do without
  std::vector<Layer> pretend_missing;  // treated as if this machine lacked them (tests, measuring what a layer costs)
};

// A program that runs. Destroying it kills everything it started; nothing stays behind: no process, cgroup, mount or file.
class Process {
 public:
  virtual ~Process() = default;
  // Gives input (beside Program::input) and closes stdin, then waits until the end or `limits.wall_seconds` from this call on: so a process
  // may be started ahead of time (a warm pool) and its clock runs only from here.
  virtual Outcome finish(std::string_view input = {}) = 0;
  virtual void kill() = 0;  // from any thread
};

class Sandbox {
 public:
  // Throws (kFailed) naming the missing layers and the way out, if one is missing that the policy does not allow to miss.
  explicit Sandbox(Policy policy = {});
  ~Sandbox();
  std::unique_ptr<Process> start(const Program& program, const Limits& limits) const;
  Outcome run(const Program& program, const Limits& limits) const { return start(program, limits)->finish(); }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace r1::verify::sandbox
