#include "r1/verify/sandbox/sandbox.h"

#include <algorithm>

#include "r1/base/error.h"
#include "r1/verify/sandbox/machine.h"
#include "r1/verify/sandbox/start.h"

namespace r1::verify::sandbox {
namespace {

bool contains(const std::vector<Layer>& list, Layer layer) {
  return std::find(list.begin(), list.end(), layer) != list.end();
}

}  // namespace

const char* layer_name(Layer layer) {
  switch (layer) {
    case Layer::kNamespaces:
      return "namespaces";
    case Layer::kSeccomp:
      return "seccomp";
    case Layer::kRlimits:
      return "rlimits";
    case Layer::kCgroup:
      return "cgroup";
    case Layer::kLandlock:
      return "landlock";
  }
  return "?";
}

const char* layer_purpose(Layer layer) {
  switch (layer) {
    case Layer::kNamespaces:
      return "seeing or touching the host: its files, processes, network, IPC; leaving processes behind";
    case Layer::kSeccomp:
      return "kernel interfaces with a history: io_uring, bpf, ptrace, userfaultfd, keyrings, mounts, new namespaces, sockets";
    case Layer::kRlimits:
      return "runaway CPU time, threads, open files, file sizes, core dumps of one process";
    case Layer::kCgroup:
      return "memory and fork bombs of all processes together";
    case Layer::kLandlock:
      return "opening any path that is not on the list, even if a mount went wrong";
  }
  return "?";
}

const char* end_name(End end) {
  switch (end) {
    case End::kExited:
      return "exited";
    case End::kSignalled:
      return "signalled";
    case End::kTimeout:
      return "timeout";
    case End::kCpuTime:
      return "cpu_time";
    case End::kMemory:
      return "memory";
    case End::kOutput:
      return "output";
    case End::kFailedToStart:
      return "failed_to_start";
  }
  return "?";
}

std::vector<LayerState> examine() {
  return machine().states;
}

struct Sandbox::Impl {
  Layers layers;
};

Sandbox::Sandbox(Policy policy) : impl_(std::make_unique<Impl>()) {
  std::string missing;
  for (const LayerState& state : machine().states) {
    const bool there = state.available && !contains(policy.pretend_missing, state.layer);
    // Without namespaces the program would run on the host: nobody can agree to that.
    const bool may_miss = contains(policy.may_miss, state.layer) && state.layer != Layer::kNamespaces;
    if (!there && !may_miss) missing += str("\n  ", layer_name(state.layer), ": ", state.detail);
  }
  check(missing.empty(), "[sandbox] layers are missing on this machine:", missing,
        "\nProvide them (docs/sandbox.md; r1 sandbox doctor looks again), or agree to do without by naming them (may_miss; namespaces can "
        "never be missed)");
  impl_->layers = machine().layers;
  if (contains(policy.pretend_missing, Layer::kSeccomp)) impl_->layers.seccomp = false;
  if (contains(policy.pretend_missing, Layer::kCgroup)) impl_->layers.cgroup = false;
  if (contains(policy.pretend_missing, Layer::kLandlock)) impl_->layers.landlock = false;
}

Sandbox::~Sandbox() = default;

std::unique_ptr<Process> Sandbox::start(const Program& program, const Limits& limits) const {
  return start_process(machine(), impl_->layers, program, limits);
}

}  // namespace r1::verify::sandbox
