// How much memory a run will take, from shapes alone, before anything is loaded: what each part is and when the peak comes. The formulas
// follow what the ops save for the backward pass (nn/block, ops/*), so a change there belongs here too; tests/train/plan_test.cc holds them
// against measured peaks.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "r1/base/json.h"
#include "r1/model/footprint.h"
#include "r1/tensor/dtype.h"
#include "r1/train/trainer.h"

namespace r1::train {

struct PlanInput {
  model::ModelConfig model;  // finished
  tensor::DType dtype = at::kFloat;
  bool cuda = false;

  bool training = true;  // false: the engine alone
  TrainerConfig trainer;
  int64_t micro_batch_tokens = 0, micro_batches = 1;  // tokens of the longest micro-batch; micro-batches a step
  int64_t longest_text = 0;                           // tokens of one text, prompt and answer; 0: micro_batch_tokens

  bool reference_model = false;                          // GRPO with beta > 0
  int64_t cache_bytes = 0;                               // the engine's block pool; 0: no engine
  ops::CacheForm cache = {};                             // how it is kept
  int64_t engine_tokens = 0, engine_sequences = 0;       // of one engine step
  int64_t program_bytes = 0;                             // code, libraries, allocator (measured by the caller)
  std::shared_ptr<const model::Footprint> network = {};  // of model and dtype, for who plans often; null: counted
  int64_t verifier_bytes = 0;                            // the most that the verifier's worker processes take (verify/verify.h)
};

struct PlanPart {
  std::string name, note;
  int64_t bytes = 0;
};

struct Plan {
  int64_t parameters = 0;  // with the modules of multi-token prediction
  model::Footprint network;
  std::vector<PlanPart> resident;  // there all the time
  std::vector<PlanPart> training;  // at the peak of a training step
  std::vector<PlanPart> rollout;   // at the peak of an engine step; not at the same time as training
  int64_t peak = 0;                // resident + the larger of the two: bytes that are in use
  // CPU: what the C library may keep of freed blocks at the peak (without checkpointing; measured: an eighth to a half of the training
  // part).
  int64_t kept_free = 0;
  int64_t likely = 0;  // what the system will show at the peak: in use, and what is usually kept beside it
};

Plan make_plan(const PlanInput& input);
Json plan_to_json(const Plan& plan);

// Neurons of a layer's MLP that a token meets: of a mixture, its experts' and the shared ones'.
int64_t inner_width(const model::ModelConfig& config, int64_t layer);
// Bytes that the graph holds for one token of one layer.
int64_t saved_bytes_of_layer(const model::ModelConfig& config, tensor::DType dtype, int64_t layer);

// Memory that this process may use: of the machine, or of its control group if that is less.
int64_t machine_memory();
// Resident set of this process now, and its highest so far.
int64_t resident_bytes();
int64_t peak_resident_bytes();

}  // namespace r1::train
