// r1 sandbox doctor: which layers this machine has. r1 sandbox run -- PROGRAM ...: one program in the sandbox, for people and scripts.
#include <cstdio>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "r1/app/command.h"
#include "r1/base/error.h"
#include "r1/base/json.h"
#include "r1/verify/sandbox/sandbox.h"

namespace r1::app {
namespace {

namespace box = verify::sandbox;

// ---- doctor ----
struct DoctorConfig {
  template <class V>
  void visit(V&) {}
};

int doctor(const DoctorConfig&, const CommonOptions& common) {
  Json layers = Json::array();
  bool all = true;
  std::string text;
  for (const box::LayerState& state : box::examine()) {
    all = all && state.available;
    layers.push_back({{"layer", box::layer_name(state.layer)},
                      {"available", state.available},
                      {"stops", box::layer_purpose(state.layer)},
                      {"detail", state.detail}});
    text += str(state.available ? "ok       " : "MISSING  ", box::layer_name(state.layer),
                "\n           stops: ", box::layer_purpose(state.layer), "\n           ",
                state.available ? "here: " : "why, and what to do: ", state.detail, "\n");
  }
  text += all ? "All layers are there.\n"
              : "Programs are refused until the missing layers are provided, or named in may_miss (docs/sandbox.md).\n";
  print_text(common.json ? dump_json({{"ok", all}, {"layers", layers}}) + "\n" : text);
  return all ? 0 : 1;
}

// ---- run ----
struct SandboxRunConfig {
  double time_limit = 10, cpu_limit = 10;
  int64_t memory = 512, disk = 64, output = 1024, processes = 32, open_files = 128;
  std::vector<std::string> may_miss, mount, env, argv;
  std::string directory = "/box";
  bool stdin_too = false;
  void visit(Fields& v) {
    v("time_limit", time_limit, "seconds by the wall's clock", Range{0.001, 1e6});
    v("cpu_limit", cpu_limit, "seconds of CPU time", Range{0.001, 1e6});
    v("memory", memory, "MiB", Range{8, 1 << 20});
    v("disk", disk, "MiB that it may write", Range{1, 1 << 20});
    v("output", output, "KiB of stdout and of stderr that are kept; more ends the program", Range{0, 1 << 20});
    v("processes", processes, "processes and threads", Range{1, 30000});
    v("open_files", open_files, "open files a process", Range{8, 100000});
    v("mount", mount, "HOST:INSIDE or HOST:INSIDE:rw: a file or folder to bring in, read-only unless rw");
    v("env", env, "NAME=value");
    v("directory", directory, "where it starts");
    v("stdin", stdin_too, "give it this command's stdin");
    v("may_miss", may_miss, "layers to do without where this machine lacks them: seccomp, rlimits, cgroup, landlock");
    v("argv", argv, "the program, a path inside, and its arguments; also what stands after --");
  }
};

box::Layer layer_named(const std::string& name) {
  for (const auto layer : {box::Layer::kSeccomp, box::Layer::kRlimits, box::Layer::kCgroup, box::Layer::kLandlock}) {
    if (name == box::layer_name(layer)) return layer;
  }
  fail_usage("--may_miss: expected seccomp, rlimits, cgroup or landlock, got '", name, "'");
}

box::Mount mount_of(std::string text) {
  box::Mount mount;
  mount.writable = text.ends_with(":rw");
  if (mount.writable) text.resize(text.size() - 3);
  const size_t colon = text.find(':');
  if (colon == std::string::npos || colon == 0) fail_usage("--mount: expected HOST:INSIDE or HOST:INSIDE:rw, got '", text, "'");
  mount.host = text.substr(0, colon);
  mount.inside = text.substr(colon + 1);
  return mount;
}

box::Program program_of(const SandboxRunConfig& config) {
  if (config.argv.empty()) fail_usage("r1 sandbox run: which program? r1 sandbox run -- /usr/bin/python3 -c 'print(1)'");
  box::Program program;
  program.argv = config.argv;
  program.directory = config.directory;
  for (const auto& text : config.mount) program.mounts.push_back(mount_of(text));
  for (const auto& text : config.env) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) fail_usage("--env: expected NAME=value, got '", text, "'");
    program.env.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  if (config.stdin_too) program.input.assign(std::istreambuf_iterator<char>(std::cin), {});
  return program;
}

void print_outcome(const box::Outcome& o, bool json) {
  if (json) {
    // Output may be any bytes: what is no UTF-8 is replaced.
    const Json row = {{"end", box::end_name(o.end)},
                      {"status", o.status},
                      {"stdout", o.out},
                      {"stderr", o.err},
                      {"wall_seconds", o.wall_seconds},
                      {"cpu_seconds", o.cpu_seconds},
                      {"peak_memory", o.peak_memory},
                      {"reason", o.reason}};
    return print_text(row.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  }
  print_text(o.out);
  std::fflush(stdout);
  std::fwrite(o.err.data(), 1, o.err.size(), stderr);
  std::fprintf(stderr, "r1 sandbox: %s %d, %.3f s, %.3f s CPU, %.1f MiB%s%s\n", box::end_name(o.end), o.status, o.wall_seconds,
               o.cpu_seconds, double(o.peak_memory) / (1 << 20), o.reason.empty() ? "" : ": ", o.reason.c_str());
}

int run(const SandboxRunConfig& config, const CommonOptions& common) {
  const box::Program program = program_of(config);
  box::Limits limits;
  limits.wall_seconds = config.time_limit;
  limits.cpu_seconds = config.cpu_limit;
  limits.memory_bytes = config.memory << 20;
  limits.disk_bytes = config.disk << 20;
  limits.output_bytes = config.output << 10;
  limits.processes = int32_t(config.processes);
  limits.open_files = int32_t(config.open_files);
  box::Policy policy;
  for (const auto& name : config.may_miss) policy.may_miss.push_back(layer_named(name));
  const box::Outcome outcome = box::Sandbox(policy).run(program, limits);
  print_outcome(outcome, common.json);
  return outcome.end == box::End::kExited && outcome.status == 0 ? 0 : 1;
}

}  // namespace

Command cmd_sandbox_doctor() {
  return make_command<DoctorConfig>("sandbox doctor", "which layers of the sandbox this machine has", doctor);
}

Command cmd_sandbox_run() {
  Command command = make_command<SandboxRunConfig>("sandbox run", "run one program in the sandbox", run);
  command.rest = "argv";
  return command;
}

}  // namespace r1::app
