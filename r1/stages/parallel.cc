#include "r1/stages/parallel.h"

#include <algorithm>

#include <unistd.h>

#include "r1/base/build_info.h"
#include "r1/base/file.h"
#include "r1/base/log.h"
#include "r1/dist/join.h"
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

}  // namespace

void check_alone(const std::string& stage) {
  if (std::find(std::begin(kSharedStages), std::end(kSharedStages), stage) != std::end(kSharedStages)) return;
  if (const dist::Ranks ranks = dist::ranks_of_this_process(); ranks.size > 1)
    fail_usage(stage, " does not share its work between ranks, and this is one of ", ranks.size, " processes (", ranks.source,
               "): each would do the same; start it once");
}

void check_parallel(const ParallelArgs& args, const RunArgs& run) {
  const dist::Ranks ranks = dist::ranks_of_this_process();
  if (args.dp > 0 && args.dp != ranks.size)
    fail_usage("parallel.dp is ", args.dp, ", and ", ranks.size == 1 ? "one process was" : str(ranks.size, " ranks were"), " started",
               ranks.source.empty() ? "" : str(" (", ranks.source, ")"), "; start as many (r1 launch --nproc_per_node ", args.dp,
               " -- ...), or leave parallel.dp out to take what there is");
  if (run.gradient_accumulation_steps < ranks.size)
    fail_usage("a step has ", run.gradient_accumulation_steps, " micro-batch", run.gradient_accumulation_steps == 1 ? "" : "es",
               " (gradient_accumulation_steps) for ", ranks.size, " ranks, so some would have nothing to do; give a multiple of ",
               ranks.size,
               " (per_device_train_batch_size may be smaller then: the batch of a step is the two multiplied, on any number of ranks)");
}

Together meet(const ParallelArgs& args, const RunArgs& run, const Json& config) {
  const dist::Ranks ranks = dist::ranks_of_this_process();
  if (ranks.size == 1) return {.group = std::make_unique<dist::Group>(), .device = tensor::parse_device(run.device)};
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
  log_info("parallel: ", ranks.size, " ranks (", ranks.source, ")");
  return {.group = std::move(group), .device = options.device};
}

void check_alike(dist::Group& group, const std::string& what, const std::string& hash) {
  if (group.size() == 1) return;
  const auto name = [&](size_t rank, const Json& words) {
    return str("rank ", rank, " (", words.at("host").get<std::string>(), ", process ", words.at("process").get<int64_t>(), ")");
  };
  std::vector<Json> all;
  for (const std::string& text :
       group.all_gather(dump_json(Json{{"host", dist::own_host()}, {"process", int64_t(getpid())}, {"hash", hash}})))
    all.push_back(Json::parse(text));
  for (size_t r = 1; r < all.size(); ++r)
    if (all[r].at("hash") != all[0].at("hash"))
      fail_usage(
          name(r, all[r]), " has another ", what, " than ", name(0, all[0]),
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
  v("backend", backend, "what ranks talk through: gloo between CPUs, nccl between GPUs", OneOf{"auto", "gloo", "nccl"});
  v("gradients", gradients, "how gradients are exchanged: plain fp32, bf16 (half the bytes), sign (a 31st, with error feedback)",
    OneOf{"plain", "bf16", "sign"});
  v("timeout", timeout, "seconds to wait for a rank to come, and for an operation of all ranks", Range{1, 1e6});
  v("deterministic", deterministic, "sums in the order of the ranks: the same bits in every run (false: the backend's own order)");
}

}  // namespace r1::stages
