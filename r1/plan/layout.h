// How a training run is laid out over ranks, and whether it can be. Rank order, innermost first: tp, cp, dp, pp; ep shares experts out over
// neighbouring ranks of one stage (tp x cp x dp).
#pragma once

#include <cstdint>
#include <string>

#include "r1/plan/network.h"

namespace r1::plan {

enum class Schedule { kOneForwardOneBackward, kInterleaved, kZeroBubble, kDualPipe };
enum class Recompute { kNone, kSelective, kEveryOther, kFull };

struct Layout {
  int64_t dp = 1, tp = 1, pp = 1, ep = 1, cp = 1, zero = 1;
  int64_t micro_batch = 1;     // sequences
  int64_t virtual_stages = 1;  // parts of the network a rank holds under the interleaved schedule
  Schedule schedule = Schedule::kOneForwardOneBackward;
  Recompute recompute = Recompute::kNone;
  int64_t stage_ranks() const { return dp * tp * cp; }
  // Ranks that share the experts out: under tensor parallelism they are cut by number as well (model/shard.h).
  int64_t expert_ranks() const { return ep > 1 ? ep : tp; }
};

struct Job {
  int64_t global_batch = 0, sequence_length = 0;  // sequences a step, tokens of one
  bool fp8 = false;                               // linear layers; attention, head and gradients stay in bf16 and fp32
  bool sequence_parallel = true;                  // with tp: norms and residual stream cut along the tokens
  bool overlap_tp = false, overlap_ep = false;    // collectives beside products; of dp always, of ep under DualPipe too
  bool flash2 = false;                            // attention by FlashAttention-2, which leaves half of a Hopper GPU idle
  bool node_dispatch = false;                     // a token crosses to a node once, whatever number of experts it has there
};

inline int64_t micro_batches(const Job& job, const Layout& l) {
  return job.global_batch / (l.dp * l.micro_batch);
}

const char* name_of(Schedule schedule);
const char* name_of(Recompute recompute);
Schedule parse_schedule(const std::string& name);
Recompute parse_recompute(const std::string& name);
// "dp 8 tp 8 pp 8 cp 1 ep 1 zero 1, micro-batch 4, interleaved x2, recompute full"
std::string words(const Layout& layout);

// Why the layout cannot be, with the option, its value and a way out; "" if it can.
std::string problem(const Network& network, const Job& job, const Layout& layout, int64_t world, int64_t gpus_per_node);

}  // namespace r1::plan
