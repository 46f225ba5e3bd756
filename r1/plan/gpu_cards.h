// Graphics cards by name: the memory that the box says, and what a program is told of it, which is less and is counted in other units.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace r1::plan {

struct GpuCard {
  const char* name;     // "h100"
  const char* title;    // "H100"
  int sold_gb;          // on the box
  double reported_gib;  // total memory as CUDA reports it to a program
  int64_t bytes() const { return int64_t(reported_gib * 1024 * 1024 * 1024); }
};

const std::vector<GpuCard>& gpu_cards();

// By name, in any case and with or without "nvidia", "rtx" and signs between ("RTX 4090", "a100-80gb"); kUsage with the nearest name if there
// is none. A name that stands for several sizes (a100) is the largest.
const GpuCard& gpu_card(std::string_view name);

}  // namespace r1::plan
