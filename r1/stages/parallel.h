// A stage on several ranks (docs/parallel.md): what is said in the config, and the way from a started process to a group. The ranks share the
// micro-batches of each step; the batch is the config's, per_device_train_batch_size x gradient_accumulation_steps, on any number of them. `tp`
// ranks that follow each other share a model's layers and do the same micro-batches.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "r1/dist/mesh.h"
#include "r1/stages/run.h"

namespace r1::stages {

// The stages whose work ranks share.
inline constexpr const char* kSharedStages[] = {"pretrain", "sft"};
// Usage error for any other in a process that is one of many: each would do all of it, into the same files.
void check_alone(const std::string& stage);

struct ParallelArgs {
  int64_t dp = 0, tp = 1, zero = 0;
  std::string backend = "auto", gradients = "plain", checkpoint = "auto";
  double timeout = 600;
  bool deterministic = true;

  void visit(Fields& v);
};

struct Together {
  std::unique_ptr<dist::Group> group;  // all ranks
  dist::Mesh mesh;                     // of these
  tensor::Device device;               // this rank's own
};

// Usage error for what can be known to be wrong alone: how many ranks were started, whether each has a micro-batch to do, what cannot be shared.
void check_parallel(const ParallelArgs& args, const RunArgs& run, const train::TrainerConfig& trainer);
// And for what `tp` ranks cannot share: of the network, and of how it is trained.
void check_layers_parallel(const ParallelArgs& args, const model::ModelConfig& network, const train::TrainerConfig& trainer);
// Meets the other ranks, if there are any: they must have the same program and config. Ranks but the first log warnings and errors only.
Together meet(const ParallelArgs& args, const RunArgs& run, const Json& config);
// Whether each rank writes its share of the checkpoints.
bool shares_checkpoints(const ParallelArgs& args);
// What a trainer is told of it.
train::Sharing sharing(const ParallelArgs& args, Together& together);
// Runs a stage's body; what ends it is told to the other ranks.
Json in_group(dist::Group& group, const std::function<Json()>& body);

// What a run's folder holds of its data: made by rank 0, then opened by the others, who only read (open(false)).
template <class T>
T opened(Run& run, const char* what, const std::function<T(bool make)>& open) {
  std::optional<T> out;
  run.group().first(what, [&] { out.emplace(open(true)); });
  if (!out) out.emplace(open(false));
  return std::move(*out);
}

// Of what all ranks must have alike, by its hash. Otherwise one usage error on all of them: "rank 1 (node7, process 4711) has another model
// than rank 0 (..)".
// `rank`: this one's in the world, of which the group may be a part.
void check_alike(dist::Group& group, int64_t rank, const std::string& what, const std::string& hash);
// SHA-256 of a model's weights, in the order of its table.
std::string weights_hash(const model::Transformer& model);

}  // namespace r1::stages
