// r1 env: what somebody who reads a bug report needs to know of this machine and build.
#include <ATen/Version.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <gnu/libc-version.h>
#include <sys/utsname.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>

#include "r1/app/command.h"
#include "r1/base/build_info.h"
#include "r1/base/memory_left.h"
#include "r1/base/progress.h"
#include "r1/base/threads.h"

namespace r1::app {
namespace {

struct EnvConfig {
  template <class V>
  void visit(V&) {}
};

// The value of the first line "key<sep>value" of a file under /proc.
std::string line_of(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const size_t colon = line.find(':');
    const size_t from = line.find_first_not_of(" \t", colon == std::string::npos ? line.size() : colon + 1);
    return from == std::string::npos ? "" : line.substr(from);
  }
  return "";
}

Json cpu_features() {
  static const std::set<std::string> kOfInterest = {"avx2",     "fma",         "f16c",        "avx512f",     "avx512bw",
                                                    "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile",
                                                    "amx_bf16", "amx_int8",    "asimd",       "sve"};
  Json found = Json::array();
  std::istringstream flags(line_of("/proc/cpuinfo", "flags"));
  for (std::string flag; flags >> flag;) {
    if (kOfInterest.count(flag)) found.push_back(flag);
  }
  return found;
}

double kib(const char* key) {
  return std::atof(line_of("/proc/meminfo", key).c_str()) * 1024;
}

std::string cgroup_memory() {
  const int64_t limit = memory_limit();
  return limit < std::numeric_limits<int64_t>::max() ? human_bytes(double(limit)) : "none";
}

Json devices() {
  Json list = Json::array({"cpu"});
  const int64_t n = at::hasCUDA() ? at::detail::getCUDAHooks().getNumGPUs() : 0;
  for (int64_t i = 0; i < n; ++i) list.push_back(str("cuda:", i));
  return list;
}

std::string os_name() {
  std::ifstream file("/etc/os-release");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("PRETTY_NAME=")) return line.substr(13, line.size() - 14);
  }
  return "?";
}

Json paths() {
  namespace fs = std::filesystem;
  const auto or_default = [](const char* name, const std::string& fallback) {
    const char* value = std::getenv(name);
    return value && *value ? std::string(value) : fallback;
  };
  const std::string cache = or_default("HOME", "/") + "/.cache/r1";
  Json list = Json::object();
  for (const auto& [name, fallback] :
       {std::pair{"R1_DEPS", cache}, {"R1_MODELS", cache + "/models"}, {"R1_DATA", std::string()}, {"TMPDIR", std::string("/tmp")}}) {
    const std::string path = or_default(name, fallback);
    std::error_code error;
    const auto space = fs::space(path, error);
    list[name] = path.empty() ? "unset" : error ? path + " (missing)" : str(path, " (", human_bytes(double(space.available)), " free)");
  }
  return list;
}

Json report() {
  const BuildInfo& b = build_info();
  utsname system{};
  uname(&system);
  return Json{
      {"build",
       {{"version", b.version},
        {"commit", b.commit},
        {"type", b.build_type},
        {"compiler", b.compiler},
        {"libtorch", b.libtorch},
        {"cuda", b.cuda}}},
      {"system",
       {{"os", os_name()},
        {"kernel", str(system.sysname, " ", system.release)},
        {"machine", system.machine},
        {"glibc", gnu_get_libc_version()}}},
      {"cpu",
       {{"model", line_of("/proc/cpuinfo", "model name")},
        {"usable", usable_cpus()},
        {"threads", num_threads()},
        {"features", cpu_features()},
        {"libtorch_uses", at::get_cpu_capability()}}},
      {"memory", {{"total", human_bytes(kib("MemTotal"))}, {"available", human_bytes(kib("MemAvailable"))}, {"limit", cgroup_memory()}}},
      {"devices", devices()},
      {"gpu_driver", line_of("/proc/driver/nvidia/version", "NVRM")},
      {"paths", paths()},
  };
}

std::string plain(const Json& value) {
  if (!value.is_array()) return value.is_string() ? value.get<std::string>() : dump_json(value);
  std::string text;
  for (const Json& item : value) text += (text.empty() ? "" : " ") + plain(item);
  return text;
}

int run(const EnvConfig&, const CommonOptions& common) {
  const Json all = report();
  if (common.json) return print_text(dump_json(all) + "\n"), 0;
  for (const auto& setting : json_settings(all, "env")) {
    std::string left = setting.key;
    left.resize(std::max<size_t>(left.size() + 1, 20), ' ');
    print_text(str(left, plain(setting.value), "\n"));
  }
  return 0;
}

}  // namespace

Command cmd_env() {
  return make_command<EnvConfig>("env", "report this build and machine, for bug threads", run);
}

}  // namespace r1::app
