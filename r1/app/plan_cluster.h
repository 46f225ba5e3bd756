// r1 plan --cluster: the options of a plan for many GPUs, and from them to the maths of r1/plan.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "r1/app/command.h"
#include "r1/plan/failures.h"
#include "r1/plan/search.h"

namespace r1::app {

// The keys of a training run's own `parallel`; 0 (zero: -1) is chosen by the search.
struct ParallelOptions {
  int64_t dp = 0, tp = 0, pp = 0, ep = 0, cp = 0, zero = -1;

  void visit(Fields& v);
};

struct FailureOptions {
  double weeks = 4, gpu_mtbf_hours = 50000, node_mtbf_hours = 0, checkpoint_interval_minutes = 0, checkpoint_stall_seconds = 0,
         checkpoint_write_seconds = 0, restart_minutes = 10;
  int64_t runs = 32;
  uint64_t seed = 1;

  void visit(Fields& v);
};

struct ClusterOptions {
  std::string cluster, precision = "bf16", schedule = "auto", recompute = "auto", attention_kernel = "cudnn";
  int64_t global_batch = 0, micro_batch = 0, sequence_length = 4096, virtual_stages = 0, layouts = 5;
  bool sequence_parallel = true, overlap_tp = false, overlap_ep = false, node_dispatch = false, simulate = false;
  ParallelOptions parallel;
  FailureOptions failures;

  void visit(Fields& v);
};

// An interval between checkpoints, simulated and by the closed form.
struct IntervalOutcome {
  plan::FailureModel model;
  double goodput = 0, goodput_error = 0, expected_goodput = 0;  // mean of the runs, its standard error
  double lost_share = 0, stall_share = 0, restart_share = 0, failures = 0;
  const char* note = "";
};

struct SimulatedRun {
  FailureOptions options;
  double mean_seconds_between_failures = 0, stall_seconds = 0, young_seconds = 0, daly_seconds = 0;
  std::vector<IntervalOutcome> intervals;  // shortest first
  size_t best = 0;
};

struct ClusterPlan {
  plan::Cluster cluster;
  std::optional<plan::Network> network;  // of a simulation alone none is needed
  plan::Job job;
  plan::Found found;
  std::optional<SimulatedRun> simulated;
};

// kUsage before any work for what cannot be. `network` is asked for once the options are known to make sense, and may have none.
ClusterPlan make_cluster_plan(const ClusterOptions& options, const std::function<std::optional<plan::Network>()>& network);
// Of a model by name; "": none.
ClusterPlan make_cluster_plan(const ClusterOptions& options, const std::string& model);

std::string cluster_plan_text(const ClusterPlan& plan);
Json cluster_plan_json(const ClusterPlan& plan);

}  // namespace r1::app
