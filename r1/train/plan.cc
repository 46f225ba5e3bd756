#include "r1/train/plan.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/memory_left.h"
#include "r1/ops/logprob.h"

namespace r1::train {
namespace {

constexpr int64_t kF32 = 4;
constexpr const char* kActivations = "activations";

struct Shape {
  explicit Shape(const model::ModelConfig& c) : D(c.hidden_size), V(c.vocab_size), L(c.num_hidden_layers) {
    for (int64_t layer = 0; layer < L; ++layer) F = std::max(F, inner_width(c, layer));
  }
  int64_t D, V, L, F = 0;  // F: the widest that a token's MLP is, over its experts
};

int64_t bytes_of(tensor::DType dtype) {
  return int64_t(c10::elementSize(dtype));
}

// Rows of logits that ops/logprob holds at a time, and the tensors it makes of them.
int64_t logits_bytes(const PlanInput& in, const Shape& s) {
  const int64_t rows = ops::logits_chunk_rows(in.micro_batch_tokens, s.V, in.cuda ? at::kCUDA : at::kCPU, in.dtype);
  const bool half = in.dtype != at::kFloat;
  return rows * s.V * (kF32 + (half ? bytes_of(in.dtype) : 0));  // half: the product itself, or its gradient, in the model's dtype too
}

struct Moments {
  int64_t held;  // bytes held beyond the resident ones
  const char* when;
};

// The graph of a whole micro-batch.
int64_t graph_bytes(const PlanInput& in, const Shape& s) {
  const int64_t e = bytes_of(in.dtype), T = in.micro_batch_tokens;
  int64_t layers = 0;
  for (int64_t i = 0; i < s.L; ++i) layers += in.trainer.gradient_checkpointing ? s.D * e : saved_bytes_of_layer(in.model, in.dtype, i);
  const int64_t ends = 3 * s.D * e;  // input and output of the final norm, and its rows that are learned from
  // A module of multi-token prediction: its block, kept whole; both its norms' inputs, what they give side by side, and ends of its own.
  const int64_t mtp = in.model.num_nextn_predict_layers * (saved_bytes_of_layer(in.model, in.dtype, s.L) + 4 * s.D * e + ends);
  return T * (layers + ends + mtp);
}

// What one block needs beside its graph while its gradients flow; with checkpointing its own graph comes on top.
int64_t block_bytes(const PlanInput& in, const Shape& s) {
  const int64_t e = bytes_of(in.dtype), T = in.micro_batch_tokens;
  const int64_t recomputed = in.trainer.gradient_checkpointing ? saved_bytes_of_layer(in.model, in.dtype, s.L - 1) : 0;
  return T * ((2 * s.F + 3 * s.D) * e + recomputed);
}

int64_t optimizer_scratch(const PlanInput& in, const Plan& plan) {
  const int64_t matrix = plan.network.largest_matrix * kF32;
  if (in.trainer.optim == "muon") return 6 * matrix;  // scaled gradient, look-ahead, and Newton-Schulz' x, next x and two Gram matrices
  return 0;
}

// A training step is largest either when the backward begins (the whole graph, logits, the head's gradient) or when it ends (all
// gradients).
void plan_training(const PlanInput& in, const Shape& s, Plan& plan) {
  const int64_t P = plan.parameters, e = bytes_of(in.dtype), table = s.V * s.D;
  const bool half = in.dtype != at::kFloat, accumulate = in.micro_batches > 1;
  const int64_t graph = graph_bytes(in, s), logits = logits_bytes(in, s), block = block_bytes(in, s);
  const int64_t sums = accumulate ? P * kF32 : 0;  // gradients of earlier micro-batches
  const int64_t head_gradient = table * kF32 + (half ? table * e : 0);
  // Of an only micro-batch a device's optimizer reads the gradients as they come.
  const int64_t all_gradients = half ? P * (accumulate ? kF32 + e : in.cuda ? e : kF32) : P * kF32;
  // A tied table's gradient is made twice (head, embedding), and once more while it is added to an earlier sum.
  const int64_t table_again = (in.model.tie_word_embeddings ? table * kF32 : 0) + (accumulate ? table * kF32 : 0);
  const int64_t begin = sums + head_gradient + graph + std::max(logits, block),
                end = all_gradients + table_again + optimizer_scratch(in, plan);
  if (begin >= end) {
    plan.training = {
        {kActivations,
         in.trainer.gradient_checkpointing ? "inputs of the blocks, recomputed in the backward pass" : "kept for the backward pass", graph},
        {logits >= block ? "logits" : "gradients of activations", logits >= block ? "one chunk of rows" : "of one block",
         std::max(logits, block)},
        {"gradient of the head", "", head_gradient}};
    if (sums) plan.training.push_back({"gradients", "fp32 sums over micro-batches", sums});
  } else {
    plan.training = {{"gradients", half && (accumulate || !in.cuda) ? "fp32 sums" : "", all_gradients},
                     {"update", "the embedding's gradient twice, scratch of the optimizer", end - all_gradients}};
  }
}

void plan_rollout(const PlanInput& in, const Shape& s, Plan& plan) {
  const int64_t e = bytes_of(in.dtype);
  plan.rollout = {{"engine step", "activations of one forward", in.engine_tokens * (3 * s.F + 3 * s.D) * e},
                  {"logits", "of the sequences that sample", in.engine_sequences * s.V * (kF32 + (e < kF32 ? e : 0))}};
}

// Rotary tables grow with the texts, by doubling (model/transformer); what is kept of one position are cos and sin of half a head each.
int64_t rotary_bytes(const PlanInput& in) {
  if (in.model.positions != "rope") return 0;
  constexpr int64_t kFirst = 1024;
  const int64_t most = in.model.max_position_embeddings,
                longest = std::min(most, in.longest_text ? in.longest_text : in.micro_batch_tokens);
  int64_t rows = std::min(most, kFirst);
  while (rows < longest) rows = std::min(most, 2 * rows);
  const int64_t rotated = in.model.attention == "mla" ? in.model.mla.qk_rope_head_dim : in.model.head_dim;
  return rows * rotated * kF32 * (in.reference_model ? 2 : 1);
}

int64_t sum(const std::vector<PlanPart>& parts) {
  int64_t total = 0;
  for (const PlanPart& part : parts) total += part.bytes;
  return total;
}

// What the C library keeps of freed blocks while the peak lasts. With checkpointing large blocks go back (base/memory.h), and what stays are
// the activations' if those are small: they are in use when the backward pass begins, and lie about when it ends.
void set_kept_free(const PlanInput& in, const Shape& s, Plan& plan) {
  constexpr int64_t kMost = int64_t{1} << 30, kLarge = int64_t{4} << 20;
  if (!in.trainer.gradient_checkpointing) {
    plan.kept_free = sum(plan.training) / 2;
  } else if (plan.training[0].name != kActivations && s.D * bytes_of(in.dtype) * in.micro_batch_tokens < kLarge) {
    plan.kept_free = std::min(kMost, graph_bytes(in, s) + block_bytes(in, s));
  }
}

// The number after `key` in a file of "Key:  123 kB" lines, in bytes; -1 if it is not there.
int64_t proc_kilobytes(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(key + ":", 0) == 0) return std::stoll(line.substr(key.size() + 1)) * 1024;
  }
  return -1;
}

}  // namespace

namespace {

// What one layer keeps for the backward pass of a token: values of the model's dtype, and fp32 ones.
struct Saved {
  int64_t elements = 0, floats = 0;
};

// q, k, v and the result, the log-normaliser of each head; what the norms before them take.
Saved saved_by_attention(const model::ModelConfig& c) {
  const int64_t N = c.num_attention_heads, K = c.num_key_value_heads, Q = N * c.head_dim, KV = K * c.head_dim;
  if (c.attention == "mla") {  // both latents before and after their norms; keys and values of all heads are made
    const int64_t latents = 2 * (c.mla.q_lora_rank + c.mla.kv_lora_rank);
    return {latents + 2 * Q + 2 * N * c.mla.v_head_dim, N + (c.mla.q_lora_rank ? 2 : 1)};
  }
  Saved saved{2 * Q + 2 * KV, N};
  if (c.qk_norm) saved.elements += Q + KV, saved.floats += N + K;
  return saved;
}

// Gate, up and their product; with experts also the rows that each takes and gives, and the scores of all.
Saved saved_by_mlp(const model::ModelConfig& c, int64_t layer) {
  Saved saved{3 * inner_width(c, layer), 0};
  if (c.moe_layer(layer)) saved.elements += 2 * c.moe.num_experts_per_tok * c.hidden_size, saved.floats += 2 * c.moe.n_routed_experts;
  return saved;
}

}  // namespace

int64_t inner_width(const model::ModelConfig& c, int64_t layer) {
  if (!c.moe_layer(layer)) return c.intermediate_size;
  return (c.moe.num_experts_per_tok + c.moe.n_shared_experts) * c.moe.moe_intermediate_size;
}

int64_t saved_bytes_of_layer(const model::ModelConfig& config, tensor::DType dtype, int64_t layer) {
  const Saved attention = saved_by_attention(config), mlp = saved_by_mlp(config, layer);
  // Both norms keep their input and 1 / rms, and the linears after them their output.
  const int64_t elements = 4 * config.hidden_size + attention.elements + mlp.elements, floats = 2 + attention.floats + mlp.floats;
  return elements * bytes_of(dtype) + floats * kF32;
}

Plan make_plan(const PlanInput& in) {
  const Shape s(in.model);
  const int64_t e = bytes_of(in.dtype);
  Plan plan;
  plan.network = in.network ? *in.network : model::footprint(in.model, in.dtype, in.cache);
  plan.parameters = plan.network.parameters + plan.network.mtp_parameters;
  const int64_t P = plan.parameters, muon = in.trainer.optim == "muon" ? plan.network.matrix_parameters : 0;
  plan.resident.push_back({"weights", tensor::dtype_name(in.dtype), P * e});
  if (in.training && (in.dtype != at::kFloat || in.trainer.quantize_training != "none"))
    plan.resident.push_back({"master weights", "float32", P * kF32});
  if (in.training)
    plan.resident.push_back({"optimizer",
                             in.trainer.optim == "muon" ? "momentum of matrices, two AdamW moments of the rest" : "two AdamW moments",
                             (2 * P - muon) * kF32});
  if (in.reference_model) plan.resident.push_back({"reference model", tensor::dtype_name(in.dtype), P * e});
  if (in.cache_bytes) plan.resident.push_back({"engine cache", "keys and values", in.cache_bytes});
  if (const int64_t rotary = rotary_bytes(in)) plan.resident.push_back({"rotary table", "as long as the texts", rotary});
  if (in.program_bytes) plan.resident.push_back({"program", "code and libraries", in.program_bytes});
  if (in.verifier_bytes) plan.resident.push_back({"verifier", "worker processes, at most", in.verifier_bytes});
  if (in.training) plan_training(in, s, plan);
  if (in.cache_bytes) plan_rollout(in, s, plan);
  plan.peak = sum(plan.resident) + std::max(sum(plan.training), sum(plan.rollout));
  if (in.training && !in.cuda) set_kept_free(in, s, plan);
  plan.likely = plan.peak + (in.trainer.gradient_checkpointing ? plan.kept_free : plan.kept_free / 2);
  return plan;
}

Json plan_to_json(const Plan& plan) {
  const auto parts = [](const std::vector<PlanPart>& list) {
    Json out = Json::object();
    for (const PlanPart& part : list) out[part.name] = part.bytes;
    return out;
  };
  return {{"parameters", plan.parameters},
          {"active_parameters", plan.network.active_parameters},
          {"mtp_parameters", plan.network.mtp_parameters},
          {"cache_bytes_per_token", plan.network.cache_bytes_per_token},
          {"flops_per_token", plan.network.flops_per_token},
          {"attention_flops_per_context_token", plan.network.attention_flops_per_context_token},
          {"resident", parts(plan.resident)},
          {"training", parts(plan.training)},
          {"rollout", parts(plan.rollout)},
          {"peak", plan.peak},
          {"kept_free", plan.kept_free},
          {"likely", plan.likely}};
}

int64_t machine_memory() {
  return std::min(proc_kilobytes("/proc/meminfo", "MemTotal"), memory_limit());
}
int64_t resident_bytes() {
  return proc_kilobytes("/proc/self/status", "VmRSS");
}
int64_t peak_resident_bytes() {
  return proc_kilobytes("/proc/self/status", "VmHWM");
}

}  // namespace r1::train
