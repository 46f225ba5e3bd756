#include "r1/stages/parallel.h"

#include <algorithm>

#include <unistd.h>

#include "r1/base/build_info.h"
#include "r1/base/file.h"
#include "r1/base/log.h"
#include "r1/dist/join.h"
#include "r1/model/shard.h"
#include "r1/model/transformer.h"
#include "r1/model/weights.h"

namespace r1::stages {
namespace {

bool shows_one_card() {
  try {
    tensor::parse_device("cuda:1");
    return false;
  } catch (const Error&) {
    return true;
  }
}

// Where `auto` and `cuda` name no card: the one of the rank's number on its machine, or the only one that this process is shown (srun
// --gpus-per-task=1 shows each its own).
tensor::Device own_device(const std::string& name, const dist::Ranks& ranks) {
  const tensor::Device device = tensor::parse_device(name);
  if (ranks.size == 1 || !device.is_cuda() || name.find(':') != std::string::npos) return device;
  return shows_one_card() ? device : tensor::parse_device(str("cuda:", ranks.local_rank));
}

// Every setting by its key, so that the one that differs can be named.
void add_settings(std::map<std::string, std::string>& out, const Json& config) {
  for (const Setting& setting : json_settings(config, "config")) out[setting.key] = setting.value.dump();
}

void check_zero(const ParallelArgs& args, const train::TrainerConfig& trainer) {
  if (args.zero == 0) return;
  if (args.checkpoint == "whole")
    fail_usage("parallel.zero ", args.zero,
               " and parallel.checkpoint whole: no rank has the whole of the optimizer's state; take sharded, ",
               "which any number of ranks goes on from, or parallel.zero 0");
  if (args.gradients == "sign")
    fail_usage("parallel.zero ", args.zero,
               " and parallel.gradients sign: what sign rounds off is kept for whole gradients, which ranks do ",
               "not have then; take parallel.gradients bf16, or parallel.zero 0");
  if (trainer.quantize_training != "none")
    fail_usage("parallel.zero ", args.zero, " and quantize_training ", trainer.quantize_training,
               ": the weights are rounded from whole masters, which ranks do not have then; take parallel.zero 0");
}

}  // namespace

void check_alone(const std::string& stage) {
  if (std::find(std::begin(kSharedStages), std::end(kSharedStages), stage) != std::end(kSharedStages)) return;
  if (const dist::Ranks ranks = dist::ranks_of_this_process(); ranks.size > 1)
    fail_usage(stage, " does not share its work between ranks, and this is one of ", ranks.size, " processes (", ranks.source,
               "): each would do the same; start it once");
}

void check_parallel(const ParallelArgs& args, const RunArgs& run, const train::TrainerConfig& trainer) {
  check_zero(args, trainer);
  const dist::Ranks ranks = dist::ranks_of_this_process();
  const std::string started = str(ranks.size == 1 ? "one process was" : str(ranks.size, " ranks were"), " started",
                                  ranks.source.empty() ? "" : str(" (", ranks.source, ")"));
  const int64_t wanted = std::max<int64_t>(args.dp, 1) * args.tp;
  if (args.dp > 0 && wanted != ranks.size)
    fail_usage("parallel.dp is ", args.dp, args.tp > 1 ? str(" and parallel.tp ", args.tp, ", together ", wanted, " ranks") : "", ", and ",
               started, "; start as many (r1 launch --nproc_per_node ", wanted, " -- ...), or leave parallel.dp out to take what there is");
  if (ranks.size % args.tp != 0)
    fail_usage("parallel.tp is ", args.tp, ", and ", started, ", which is no multiple of it; start ", args.tp, " or a multiple (r1 launch ",
               "--nproc_per_node ", args.tp, " -- ...), or give another parallel.tp");
  const int64_t sharing = ranks.size / args.tp;
  if (run.gradient_accumulation_steps < sharing)
    fail_usage("a step has ", run.gradient_accumulation_steps, " micro-batch", run.gradient_accumulation_steps == 1 ? "" : "es",
               " (gradient_accumulation_steps) for ", sharing, args.tp > 1 ? str(" times ", args.tp) : "",
               " ranks, so some would have nothing to do; give a multiple of ", sharing,
               " (per_device_train_batch_size may be smaller then: the batch of a step is the two multiplied, on any number of ranks)");
}

void check_layers_parallel(const ParallelArgs& args, const model::ModelConfig& network, const train::TrainerConfig& trainer) {
  if (args.tp == 1) return;
  if (trainer.optim != "adamw")
    fail_usage("parallel.tp ", args.tp, " and optim ", trainer.optim,
               ": it makes whole matrices orthogonal, of which each rank has a part; take optim adamw, or parallel.tp 1");
  if (trainer.quantize_training != "none")
    fail_usage("parallel.tp ", args.tp, " and quantize_training ", trainer.quantize_training,
               ": weights are rounded by whole rows, of which each rank has a part; take parallel.tp 1");
  if (args.zero > 0 || args.checkpoint == "sharded")
    fail_usage(
        "parallel.tp ", args.tp, " and parallel.", args.zero > 0 ? str("zero ", args.zero) : "checkpoint sharded",
        ": each rank has its own part of the layers' state already; take parallel.zero 0 and parallel.checkpoint auto, or parallel.tp 1");
  try {
    model::shard_config(network, {0, args.tp});
  } catch (const Error& error) {
    fail_usage("parallel.tp ", args.tp, ": ", error.what());
  }
}

Together meet(const ParallelArgs& args, const RunArgs& run, const Json& config) {
  const dist::Ranks ranks = dist::ranks_of_this_process();
  if (ranks.size == 1) return {.group = std::make_unique<dist::Group>(), .mesh = {}, .device = tensor::parse_device(run.device)};
  if (ranks.rank > 0 && log_level() < LogLevel::kWarning) set_log_level(LogLevel::kWarning);
  dist::JoinOptions options{.timeout = args.timeout,
                            .start_timeout = args.timeout,
                            .backend = args.backend,
                            .device = own_device(run.device, ranks),
                            .deterministic = args.deterministic};
  options.same["program"] = version_line();
  options.same["kind of device"] = options.device.is_cuda() ? "cuda" : "cpu";  // `auto` where a driver is broken
  add_settings(options.same, config);
  auto group = dist::join(ranks, options);
  dist::Mesh mesh(*group, args.tp);
  log_info("parallel: ", ranks.size, " ranks (", ranks.source, ")",
           args.tp > 1 ? str(", ", args.tp, " for each of ", mesh.data().size(), " models") : "");
  return {.group = std::move(group), .mesh = std::move(mesh), .device = options.device};
}

bool shares_checkpoints(const ParallelArgs& args) {
  return args.checkpoint == "sharded" || (args.checkpoint == "auto" && args.zero > 0);
}

train::Sharing sharing(const ParallelArgs& args, Together& together) {
  return {.group = &together.mesh.data(), .gradients = args.gradients, .zero = args.zero};
}

void check_alike(dist::Group& group, int64_t rank, const std::string& what, const std::string& hash) {
  if (group.size() == 1) return;
  const auto name = [&](const Json& words) {
    return str("rank ", words.at("rank").get<int64_t>(), " (", words.at("host").get<std::string>(), ", process ",
               words.at("process").get<int64_t>(), ")");
  };
  std::vector<Json> all;
  for (const std::string& text :
       group.all_gather(dump_json(Json{{"rank", rank}, {"host", dist::own_host()}, {"process", int64_t(getpid())}, {"hash", hash}})))
    all.push_back(Json::parse(text));
  for (size_t r = 1; r < all.size(); ++r)
    if (all[r].at("hash") != all[0].at("hash"))
      fail_usage(
          name(all[r]), " has another ", what, " than ", name(all[0]),
          ": all ranks must read the same files and the same output_dir (a relative path, or a folder of each machine's own, is not the "
          "same everywhere)");
}

std::string weights_hash(const model::Transformer& model) {
  Sha256 hash;
  for (const model::WeightRow& row : model.weights()) {
    const Tensor values = model::whole_weight(row).to(at::kCPU).contiguous();
    hash.update({static_cast<const std::byte*>(values.const_data_ptr()), size_t(values.nbytes())});
  }
  return hash.hex();
}

Json in_group(dist::Group& group, const std::function<Json()>& body) {
  try {
    return body();
  } catch (const std::exception& error) {
    group.leave(error.what());
    throw;
  }
}

void ParallelArgs::visit(Fields& v) {
  v("dp", dp, "ranks that share the micro-batches of each step; 0: as many as were started", Range{0, 1e6});
  v("tp", tp, "ranks that share the layers of one model (tensor parallel); all ranks are dp x tp", Range{1, 1e6});
  v("zero", zero, "what ranks share out among them, where each has the whole else: 0 nothing, 1 the optimizer's state, 2 gradients too",
    Range{0, 2});
  v("backend", backend, "what ranks talk through: gloo between CPUs, nccl between GPUs", OneOf{"auto", "gloo", "nccl"});
  v("gradients", gradients, "how gradients are exchanged: plain fp32, bf16 (half the bytes), sign (a 31st, with error feedback)",
    OneOf{"plain", "bf16", "sign"});
  v("checkpoint", checkpoint,
    "who writes a checkpoint: whole: rank 0; sharded: each rank its share of weights and optimizer state; auto: sharded with zero 1 or 2",
    OneOf{"auto", "sharded", "whole"});
  v("timeout", timeout, "seconds to wait for a rank to come, and for an operation of all ranks", Range{1, 1e6});
  v("deterministic", deterministic, "sums in the order of the ranks: the same bits in every run (false: the backend's own order)");
}

}  // namespace r1::stages
