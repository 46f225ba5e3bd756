// A training step of a layout: memory of the fullest rank, every collective, the pipeline's bubble, time, tokens a second and MFU.
#pragma once

#include <string>
#include <vector>

#include "r1/plan/collective.h"
#include "r1/plan/layout.h"
#include "r1/plan/stages.h"

namespace r1::plan {

// Bytes of the rank that holds most.
struct Memory {
  double weights = 0, gradients = 0, optimizer = 0, activations = 0, logits = 0, gathered = 0, program = 0;
  int64_t stage = 0;      // of which rank along pp
  int64_t in_flight = 0;  // micro-batches (of a part of the network, if interleaved) whose activations it holds at a time
  double total() const { return weights + gradients + optimizer + activations + logits + gathered + program; }
};

// One kind of collective over a step, of the busiest rank.
struct Exchange {
  std::string name, group;                             // "tp gather/scatter", "tp 8, in the node"
  double bytes = 0, seconds = 0, exposed_seconds = 0;  // exposed: not beside products
  double calls = 0;
};

struct Estimate {
  Layout layout;
  int64_t micro_batches = 0;
  Memory memory;
  std::vector<Exchange> exchanges;
  double product_seconds = 0, attention_seconds = 0, elementwise_seconds = 0, recompute_seconds = 0;  // of the slowest stage, a step
  double exposed_seconds = 0, overlap_seconds = 0;  // its collectives that nothing hides; what hidden ones cost
  double bubble_seconds = 0, optimizer_seconds = 0, other_seconds = 0;
  double step_seconds = 0, tokens_per_second = 0, tokens_per_second_per_gpu = 0, model_tflops_per_gpu = 0, mfu = 0;  // of the bf16 peak
  double bubble_share = 0;                                                                                           // of the step
  std::vector<int> stage_layers;  // layers of each rank along pp
  bool fits = false;
};

// What every rank of a run has in common. `stages` is of the same network and job, and is made once for many layouts.
struct Setting {
  const Cluster& cluster;
  const Network& network;
  const Job& job;
  const Stages& stages;
};

// `layout` has no problem() (layout.h).
Estimate estimate(const Setting& setting, const Layout& layout);
// Its memory alone: cheaper, and enough to refuse it.
Memory memory_of(const Setting& setting, const Layout& layout);

}  // namespace r1::plan
