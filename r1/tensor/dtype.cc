#include "r1/tensor/dtype.h"

#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <cstdlib>
#include <fstream>

#include "r1/base/error.h"

namespace r1::tensor {
namespace {

struct Name {
  const char* name;
  DType dtype;
};
// The first spelling of a dtype is the one that dtype_name gives: what config.json says.
constexpr Name kNames[] = {
    {"float32", DType::Float},     {"fp32", DType::Float},    {"float", DType::Float},   {"F32", DType::Float},
    {"bfloat16", DType::BFloat16}, {"bf16", DType::BFloat16}, {"BF16", DType::BFloat16}, {"float16", DType::Half},
    {"fp16", DType::Half},         {"half", DType::Half},     {"F16", DType::Half},
};

constexpr std::string_view kTorchPrefix = "torch.";

int device_count(c10::DeviceType type) {
  return c10::impl::hasDeviceGuardImpl(type) ? c10::impl::getDeviceGuardImpl(type)->deviceCount() : 0;
}

// Why libtorch sees no GPU, as far as one can tell without a driver.
std::string why_no_cuda() {
  if (!c10::impl::hasDeviceGuardImpl(c10::DeviceType::CUDA)) return "this build has no CUDA (scripts/build.sh cuda makes one that has)";
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  if (visible && (!*visible || std::string_view(visible) == "-1"))
    return str("CUDA_VISIBLE_DEVICES is '", visible, "', which hides every GPU");
  std::ifstream driver("/proc/driver/nvidia/version");
  std::string version;
  if (!std::getline(driver, version)) return "this machine has no NVIDIA driver";
  return str("no GPU can be used with this driver, which may be too old for CUDA 13 (580 or later): ", printable(version));
}

}  // namespace

DType parse_dtype(std::string_view name) {
  std::string_view bare = name;
  if (bare.substr(0, kTorchPrefix.size()) == kTorchPrefix) bare.remove_prefix(kTorchPrefix.size());
  for (const Name& row : kNames) {
    if (bare == row.name) return row.dtype;
  }
  fail_usage("unknown dtype '", name, "': float32, bfloat16 and float16 are known");
}

std::string dtype_name(DType dtype) {
  for (const Name& row : kNames) {
    if (dtype == row.dtype) return row.name;
  }
  return c10::toString(dtype);
}

Device parse_device(std::string_view name) {
  if (name == "auto") return parse_device(device_count(c10::DeviceType::CUDA) > 0 ? "cuda" : "cpu");
  if (name == "cpu") return Device(c10::DeviceType::CPU);
  int index = 0;
  if (name != "cuda") {
    const bool numbered = name.substr(0, 5) == "cuda:" && name.size() > 5 && name.size() <= 7;
    if (!numbered || name.find_first_not_of("0123456789", 5) != std::string_view::npos) {
      fail_usage("unknown device '", name, "': auto, cpu, cuda and cuda:<number> are known");
    }
    index = std::stoi(std::string(name.substr(5)));
  }
  const int count = device_count(c10::DeviceType::CUDA);
  if (count == 0) fail_usage("device '", name, "': ", why_no_cuda(), "; --device cpu runs without one");
  if (index >= count) fail_usage("device '", name, "': this machine has CUDA devices 0 to ", count - 1);
  return Device(c10::DeviceType::CUDA, c10::DeviceIndex(index));
}

}  // namespace r1::tensor
