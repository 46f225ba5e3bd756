#include "r1/app/plan_cluster.h"

#include <algorithm>
#include <cmath>

#include "r1/app/plan_inputs.h"
#include "r1/base/error.h"
#include "r1/train/plan_network.h"

namespace r1::app {

void ParallelOptions::visit(Fields& v) {
  const Range size{0, 1e6};
  v("dp", dp, "data parallel ranks; 0: what the others leave of the cluster", size);
  v("tp", tp, "tensor parallel ranks; 0: searched", size);
  v("pp", pp, "pipeline stages; 0: searched", size);
  v("ep", ep, "ranks that share the experts out, of dp x cp x tp; 0: searched", size);
  v("cp", cp, "context parallel ranks (ring attention); 0: searched", size);
  v("zero", zero, "what data parallel ranks share: 0 nothing, 1 optimizer, 2 gradients too, 3 weights too; -1: searched", Range{-1, 3});
}

void FailureOptions::visit(Fields& v) {
  v("weeks", weeks, "length of the run", Range{0.01, 520});
  v("gpu_mtbf_hours", gpu_mtbf_hours, "hours between failures of one GPU and what hangs on it; 0: none", Range{0, 1e9});
  v("node_mtbf_hours", node_mtbf_hours, "the same of one node, beside those; 0: none", Range{0, 1e9});
  v("checkpoint_interval_minutes", checkpoint_interval_minutes, "training between two checkpoints; 0: Daly's best", Range{0, 1e6});
  v("checkpoint_stall_seconds", checkpoint_stall_seconds, "that a checkpoint stops training; 0: the snapshot's copy to the host",
    Range{0, 1e6});
  v("checkpoint_write_seconds", checkpoint_write_seconds, "after the stall, until it can be resumed from", Range{0, 1e6});
  v("restart_minutes", restart_minutes, "from a failure until training goes on", Range{0, 1e5});
  v("runs", runs, "simulated runs that the goodput is the mean of", Range{2, 1e5});
  v("seed", seed, "of the failures");
}

void ClusterOptions::visit(Fields& v) {
  const Range count{0, 1e9};
  v("cluster", cluster, "plan for many GPUs: nodes x GPUs x kind (64x8xh200, 8x8xh100+8x8xh200) or a .yaml file of kinds and nodes");
  v("global_batch", global_batch, "--cluster: sequences a step", count);
  v("sequence_length", sequence_length, "--cluster: tokens of a sequence", Range{2, 1e8});
  v("micro_batch", micro_batch, "--cluster: sequences of a micro-batch; 0: searched", count);
  v("precision", precision, "--cluster: of linear layers", OneOf{"bf16", "fp8"});
  v("schedule", schedule, "--cluster: of the pipeline; auto: 1f1b and interleaved are searched",
    OneOf{"auto", "1f1b", "interleaved", "zero_bubble", "dualpipe"});
  v("virtual_stages", virtual_stages, "--cluster: parts of the network a rank holds when interleaved; 0: searched", Range{0, 1000});
  v("recompute", recompute,
    "--cluster: what the backward pass makes again; selective: norms, activations, unfolded latents; every_other: every other product too",
    OneOf{"auto", "none", "selective", "every_other", "full"});
  v("attention_kernel", attention_kernel, "--cluster: cudnn stands for FlashAttention-3 too; flash2: FlashAttention-2 on a Hopper GPU",
    OneOf{"cudnn", "flash2"});
  v("sequence_parallel", sequence_parallel, "--cluster: tensor parallel ranks share norms and residual stream out by tokens");
  v("overlap_tp", overlap_tp, "--cluster: tensor parallel collectives run beside their products");
  v("overlap_ep", overlap_ep, "--cluster: dispatch and combine run beside another micro-batch");
  v("node_dispatch", node_dispatch, "--cluster: a token crosses to a node once, whatever number of its experts is there");
  v("layouts", layouts, "--cluster: how many of the best layouts to show", Range{1, 1000});
  v("simulate", simulate, "--cluster: a run of weeks with failures, for the interval between checkpoints");
  v.group("parallel", parallel);
  v.group("failures", failures);
}

namespace {

template <class T>
std::vector<T> chosen(T value, T open) {
  return value == open ? std::vector<T>{} : std::vector<T>{value};
}

plan::Choices choices_of(const ClusterOptions& o) {
  plan::Choices c;
  c.dp = chosen<int64_t>(o.parallel.dp, 0);
  c.tp = chosen<int64_t>(o.parallel.tp, 0);
  c.pp = chosen<int64_t>(o.parallel.pp, 0);
  c.ep = chosen<int64_t>(o.parallel.ep, 0);
  c.cp = chosen<int64_t>(o.parallel.cp, 0);
  c.zero = chosen<int64_t>(o.parallel.zero, -1);
  c.micro_batch = chosen<int64_t>(o.micro_batch, 0);
  c.virtual_stages = chosen<int64_t>(o.virtual_stages, 0);
  if (o.schedule != "auto") c.schedules = {plan::parse_schedule(o.schedule)};
  if (o.recompute != "auto") c.recompute = {plan::parse_recompute(o.recompute)};
  return c;
}

plan::Job job_of(const ClusterOptions& o) {
  return {.global_batch = o.global_batch,
          .sequence_length = o.sequence_length,
          .fp8 = o.precision == "fp8",
          .sequence_parallel = o.sequence_parallel,
          .overlap_tp = o.overlap_tp,
          .overlap_ep = o.overlap_ep,
          .flash2 = o.attention_kernel == "flash2",
          .node_dispatch = o.node_dispatch};
}

// What is given by hand and cannot be, whatever the search chooses for the rest.
void check_given(const ClusterOptions& o, const plan::Cluster& cluster) {
  const int64_t world = cluster.world();
  if (o.precision == "fp8" && cluster.gpu.fp8_flops <= 0)
    fail_usage("--precision fp8: ", cluster.gpu.name, " has no fp8; give --precision bf16");
  const std::pair<const char*, int64_t> sizes[] = {
      {"dp", o.parallel.dp}, {"tp", o.parallel.tp}, {"pp", o.parallel.pp}, {"cp", o.parallel.cp}};
  int64_t product = 1;
  std::string given;
  for (const auto& [key, value] : sizes) {
    if (value == 0) continue;
    product *= value;
    given += str(given.empty() ? "" : " x ", key, " ", value);
  }
  if (world % product != 0)
    fail_usage("parallel: ", given, " = ", product, " ranks do not divide the ", world, " GPUs of ", o.cluster,
               "; give sizes whose product does, or leave one out");
}

// Only one layout was asked for, or all that could be are impossible: the reason is the answer.
void check_possible(const plan::Found& found) {
  if (!found.best.empty() || found.too_large > 0) return;
  if (found.refused.empty()) fail_usage("--cluster: no layout divides its GPUs; give other sizes under parallel");
  const plan::Refusal& first = found.refused.front();
  fail_usage(first.reason, found.tried > 1 ? str(" (none of ", found.tried, " layouts can be; this is the first of them)") : "");
}

constexpr double kSnapshotBandwidth = 20e9;  // bytes a second from a GPU to its host: PCIe 5 x16, both directions in use
constexpr double kStateBytes = 2 + 12;       // a parameter's: weight, fp32 master and two moments

IntervalOutcome simulate_interval(const FailureOptions& o, plan::FailureModel model, double interval) {
  IntervalOutcome out;
  model.interval_seconds = interval;
  out.model = model;
  const double wall = o.weeks * 7 * 24 * 3600;
  double sum = 0, squares = 0;
  for (int64_t run = 0; run < o.runs; ++run) {
    const plan::RunOutcome one = plan::simulate(model, wall, o.seed + uint64_t(run) * 0x9E3779B97F4A7C15u);
    sum += one.goodput();
    squares += one.goodput() * one.goodput();
    out.lost_share += one.lost_seconds / wall;
    out.stall_share += one.stall_seconds / wall;
    out.restart_share += one.restart_seconds / wall;
    out.failures += double(one.failures);
  }
  const double n = double(o.runs);
  out.goodput = sum / n;
  out.goodput_error = std::sqrt(std::max(0.0, squares / n - out.goodput * out.goodput) / (n - 1));
  for (double* mean : {&out.lost_share, &out.stall_share, &out.restart_share, &out.failures}) *mean /= n;
  out.expected_goodput = plan::expected_goodput(model);
  return out;
}

SimulatedRun simulate_run(const ClusterOptions& options, const plan::Cluster& cluster, const std::optional<plan::Network>& network) {
  const FailureOptions& o = options.failures;
  SimulatedRun run;
  run.options = o;
  run.mean_seconds_between_failures =
      plan::seconds_between_failures(double(cluster.world()), o.gpu_mtbf_hours, double(cluster.nodes), o.node_mtbf_hours);
  if (std::isinf(run.mean_seconds_between_failures))
    fail_usage("--simulate: nothing ever fails; give --failures.gpu_mtbf_hours or --failures.node_mtbf_hours");
  run.stall_seconds = o.checkpoint_stall_seconds;
  if (run.stall_seconds == 0) {
    if (!network) fail_usage("--simulate: how long does a checkpoint stop training? Give --failures.checkpoint_stall_seconds, or --model");
    run.stall_seconds = std::max(1.0, network->parameters() * kStateBytes / double(cluster.world()) / kSnapshotBandwidth);
  }
  const plan::FailureModel model{.mean_seconds_between_failures = run.mean_seconds_between_failures,
                                 .interval_seconds = 0,
                                 .stall_seconds = run.stall_seconds,
                                 .durable_seconds = run.stall_seconds + o.checkpoint_write_seconds,
                                 .restart_seconds = o.restart_minutes * 60};
  run.young_seconds = plan::young_interval(run.stall_seconds, run.mean_seconds_between_failures);
  run.daly_seconds = plan::daly_interval(run.stall_seconds, run.mean_seconds_between_failures);
  std::vector<std::pair<double, const char*>> intervals;
  for (const double factor : {0.25, 0.5, 1.0, 2.0, 4.0, 8.0}) intervals.emplace_back(run.daly_seconds * factor, factor == 1 ? "Daly" : "");
  intervals.emplace_back(run.young_seconds, "Young");
  if (o.checkpoint_interval_minutes > 0) intervals.emplace_back(o.checkpoint_interval_minutes * 60, "given");
  std::sort(intervals.begin(), intervals.end());
  // A checkpoint and what comes of it are a step of the simulation.
  constexpr double kMostSteps = 1e9;
  const double checkpoints = double(o.runs) * double(intervals.size()) * o.weeks * 7 * 24 * 3600 / intervals.front().first;
  if (checkpoints > kMostSteps)
    fail_usage("--simulate: ", o.runs, " runs of ", o.weeks, " weeks with a checkpoint every ", intervals.front().first,
               " s are too many; give fewer --failures.runs or --failures.weeks, or a longer interval or stall");
  for (const auto& [interval, note] : intervals) {
    run.intervals.push_back(simulate_interval(o, model, interval));
    run.intervals.back().note = note;
    if (run.intervals.back().goodput > run.intervals[run.best].goodput) run.best = run.intervals.size() - 1;
  }
  return run;
}

}  // namespace

ClusterPlan make_cluster_plan(const ClusterOptions& options, const std::function<std::optional<plan::Network>()>& network) {
  ClusterPlan out;
  out.cluster = plan::parse_cluster(options.cluster);
  out.job = job_of(options);
  check_given(options, out.cluster);
  out.network = network();
  if (out.network) {
    if (options.global_batch == 0) fail_usage("--cluster: how many sequences is a step? Give --global_batch 2048, say");
    const plan::Stages stages(*out.network, out.job);
    const plan::Setting setting{out.cluster, *out.network, out.job, stages};
    out.found = plan::search(setting, choices_of(options), size_t(options.layouts));
    check_possible(out.found);
  } else if (!options.simulate) {
    fail_usage("plan: which model? Give --model=<preset name, HF folder or .gguf file> (r1 models lists presets and what is here)");
  }
  if (options.simulate) out.simulated = simulate_run(options, out.cluster, out.network);
  return out;
}

ClusterPlan make_cluster_plan(const ClusterOptions& options, const std::string& model) {
  return make_cluster_plan(options,
                           [&] { return model.empty() ? std::nullopt : std::optional(train::plan_network(named_model(model), model)); });
}

}  // namespace r1::app
