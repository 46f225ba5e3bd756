#include "r1/verify/sandbox/setup.h"

#include <unistd.h>

#include <cstring>

#include "r1/base/error.h"
#include "r1/verify/sandbox/bubblewrap.h"
#include "r1/verify/sandbox/rlimits.h"
#include "r1/verify/sandbox/setup_format.h"

namespace r1::verify::sandbox {
namespace {

namespace fs = std::filesystem;

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}
  void raw(const void* data, size_t n) { out_.append(static_cast<const char*>(data), n); }
  void number(uint64_t n) { raw(&n, sizeof n); }
  void string(std::string_view s) {
    number(s.size());
    out_.append(s);
    out_.append(8 - s.size() % 8, '\0');
  }

 private:
  std::string& out_;
};

bool stays_inside(const std::string& relative) {
  const fs::path path(relative);
  if (relative.empty() || relative.back() == '/' || path.is_absolute()) return false;
  for (const auto& part : path) {
    if (part == ".." || part == "." || part.empty()) return false;
  }
  return true;
}

std::vector<std::string> environment_of(const Program& program) {
  std::vector<std::pair<std::string, std::string>> all = {
      {"PATH", "/usr/local/bin:/usr/bin:/bin"}, {"HOME", "/box"}, {"LANG", "C.UTF-8"}, {"TMPDIR", "/tmp"}};
  for (const auto& [name, value] : program.env) {
    std::erase_if(all, [&, &key = name](const auto& row) { return row.first == key; });
    all.emplace_back(name, value);
  }
  std::vector<std::string> lines;
  for (const auto& [name, value] : all) lines.push_back(name + "=" + value);
  return lines;
}

std::vector<LandlockRule> rules_of(const Machine& machine, const Layers& layers, const Program& program) {
  std::vector<LandlockRule> rules = machine.rules;
  if (layers.probe) rules.push_back({R1_INIT_PATH, Access::kReadExecute});
  for (const Mount& mount : program.mounts) rules.push_back({mount.inside, mount.writable ? Access::kAll : Access::kReadExecute});
  return rules;
}

bool no_nul(std::string_view s) {
  return s.find('\0') == std::string_view::npos;
}

}  // namespace

void check_program(const Program& program, const Limits& limits) {
  check(!program.argv.empty() && !program.argv[0].empty(), "[sandbox] the program has no argv; give at least its path inside");
  for (const auto& word : program.argv) check(no_nul(word), "[sandbox] an argument has a NUL inside: ", word.c_str());
  for (const auto& [name, value] : program.env)
    check(!name.empty() && no_nul(name) && no_nul(value) && name.find('=') == std::string::npos, "[sandbox] no name of a variable: '",
          name.c_str(), "'");
  for (const auto& [path, content] : program.files)
    check(stays_inside(path) && no_nul(path), "[sandbox] expected a path below /box without '..', got '", path.c_str(), "'");
  for (const Mount& mount : program.mounts)
    check(mount.inside.is_absolute() && mount.inside != "/" && no_nul(mount.inside.native()) && no_nul(mount.host.native()),
          "[sandbox] a mount needs an absolute place inside, got '", mount.inside.string(), "'");
  check(program.mounts.size() <= 60, "[sandbox] at most 60 mounts, got ", program.mounts.size());
  check(fs::path(program.directory).is_absolute() && no_nul(program.directory), "[sandbox] expected an absolute directory, got '",
        program.directory, "'");
  check(limits.wall_seconds > 0 && limits.cpu_seconds > 0 && limits.wall_seconds < 1e7 && limits.cpu_seconds < 1e7,
        "[sandbox] time limits are seconds above 0, got wall ", limits.wall_seconds, ", cpu ", limits.cpu_seconds);
  check(limits.memory_bytes >= 8 << 20, "[sandbox] memory_bytes: at least 8 MiB, got ", limits.memory_bytes);
  check(limits.disk_bytes >= 64 << 10, "[sandbox] disk_bytes: at least 64 KiB, got ", limits.disk_bytes);
  check(limits.output_bytes >= 0 && limits.processes >= 1 && limits.open_files >= 8,
        "[sandbox] expected output_bytes >= 0, processes >= 1, open_files >= 8, got ", limits.output_bytes, ", ", limits.processes, ", ",
        limits.open_files);
}

std::string setup_bytes(const Machine& machine, const Layers& layers, const Program& program, const Limits& limits, const Cgroup* cgroup) {
  const bool staged = machine.uid != R1_NO_UID && !program.mounts.empty();
  const auto arguments = bubblewrap_arguments(machine, layers, program, limits, staged);
  const auto limit_rows = rlimits(limits, cgroup && machine.cgroups.has_memory());
  const auto rules = rules_of(machine, layers, program);
  const auto environment = environment_of(program);
  const LandlockDomain domain = layers.landlock ? landlock_domain(machine.landlock) : LandlockDomain{};
  r1_setup head = {};
  head.parent = ::getpid();
  head.uid = machine.uid;
  head.arguments = uint32_t(arguments.size());
  head.staged = staged ? uint32_t(program.mounts.size()) : 0;
  head.cgroups = cgroup ? uint32_t(cgroup->join_files().size()) : 0;
  head.folders = cgroup ? uint32_t(cgroup->folders().size()) : 0;
  head.rlimits = uint32_t(limit_rows.size());
  head.rules = uint32_t(rules.size());
  head.files = uint32_t(program.files.size());
  head.argv = uint32_t(program.argv.size());
  head.environment = uint32_t(environment.size());
  head.channel = program.channel_fd >= 0;
  head.landlock = layers.landlock;
  head.adopts = program.adopts_orphans;
  head.landlock_fs = domain.fs;
  head.landlock_net = domain.net;
  head.landlock_scope = domain.scope;

  std::string out;
  Writer w(out);
  w.raw(&head, sizeof head);
  for (const auto& word : arguments) w.string(word);
  for (uint32_t i = 0; i < head.staged; ++i) w.string(fs::absolute(program.mounts[i].host).string());
  for (uint32_t i = 0; i < head.folders; ++i) w.string(cgroup->folders()[i]);
  w.raw(limit_rows.data(), limit_rows.size() * sizeof limit_rows[0]);
  for (const auto& rule : rules) {
    w.number(landlock_rights(rule.access));
    w.string(rule.path);
  }
  for (const auto& [path, content] : program.files) {
    w.string("/box/" + path);
    w.string(content);
  }
  w.string(program.directory);
  for (const auto& word : program.argv) w.string(word);
  for (const auto& line : environment) w.string(line);
  reinterpret_cast<r1_setup*>(out.data())->size = out.size();
  return out;
}

}  // namespace r1::verify::sandbox
