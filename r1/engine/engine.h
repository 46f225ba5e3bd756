// The engine: continuous batching over paged cache blocks with prefix reuse, chunked prefill and preemption by recompute. One class for
// rollout, evaluation, chat and a server: add / step / cancel; no thread inside, no text inside. It runs the trainer's own model object:
// after an optimizer step the next token comes from the new weights with nothing copied (a new model version drops the prefix cache and,
// unless allowed, refuses to go on with half-done sequences).
//
// A cache in another dtype than the model's (kv_cache_dtype), a window (attention_window) and dropped tokens (kv_eviction) change what the model says, each request the same
// way whatever its company: the invariants below hold, but the trainer's own numbers are others.
//
// Invariant mode (default on CPU): a sequence's tokens and log-probabilities do not depend, bit for bit, on what else is in the batch, on
// chunking, preemption or prefix hits.
//
// Speculation (num_speculative_tokens, models with multi-token prediction): a guessed token runs together with the one before it; the token
// is drawn from the model's own logits as always, with its own random number, and if it is the guess, the next one is drawn in the same
// step. So the text is that of decoding token by token, at any temperature, and a guess is accepted with the probability that the model
// gives it, which is all that rejection sampling (Leviathan et al., 2023) could reach with one guess. Guesses may also come from the text
// itself (speculation "ngram", any model, several at once); where many sequences decode, or guesses turn out wrong, fewer are made.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "r1/base/config.h"
#include "r1/engine/request.h"
#include "r1/model/transformer.h"

namespace r1::engine {

struct EngineConfig {
  int64_t max_num_seqs = 64;              // sequences in a step
  int64_t max_num_batched_tokens = 2048;  // tokens in a step, prefill and decode together
  int64_t max_model_len = 0;              // 0: the model's
  int64_t block_size = 16;
  int64_t num_blocks = 0;       // 0: as many as cache_memory() holds
  int64_t kv_cache_memory = 0;  // bytes for all layers; 0: on the CPU 1 GiB or half of what is left, a share of the free memory on a GPU
  double gpu_memory_utilization = 0.9;  // that share; lower where a trainer needs room beside it
  std::string kv_cache_dtype =
      "auto";                    // what keys and values are kept as: the model's dtype, float32, bfloat16, int8 or int4 (ops/cache_form.h)
  int64_t attention_window = 0;  // tokens that a query looks back at, itself included; 0: all. Blocks before it are given back, but for
  int64_t attention_sink_tokens = 4;  // these first tokens, which stay in sight (StreamingLLM, arXiv 2309.17453). Positions stay absolute
  // Which tokens of a long sequence go: none; window: those between the first attention_sink_tokens and the last, kv_budget of which stay in sight;
  // heavy_hitters: of kv_budget that it holds those that were looked at least (ops/heavy_hitters.h), without prefix caching.
  std::string kv_eviction = "none";
  int64_t kv_budget = 0;
  bool enable_prefix_caching = true;
  bool exact = true;        // CPU: log-probabilities are the trainer's bits; false: layers may decode in a faster form that is near
  bool cuda_graphs = true;  // GPU: steps that only decode are captured once for each size and replayed
  int64_t num_speculative_tokens = 0;
  std::string speculation = "mtp";      // who guesses: the model's multi-token prediction, or "ngram" (engine/ngram_lookup.h)
  std::string weight_update = "error";  // what a step does with half-done sequences when the model's version has changed

  void visit(Fields& v);
};

// Switches eviction off where no text of up to `longest` tokens (max_model_len) is longer than the budget; "", or a word about it.
std::string drop_idle_eviction(EngineConfig& config, int64_t longest);
// How the cache is kept.
ops::CacheForm cache_form(const EngineConfig& config);
// Tokens that a sequence of `tokens` tokens can have cached at once: all, or with a window the first, the last and those of one step.
int64_t most_cached_tokens(const EngineConfig& config, int64_t tokens);

// Bytes that the cache may take: on a GPU with this much free memory, or (nothing) on the CPU.
int64_t cache_memory(const EngineConfig& config, std::optional<int64_t> gpu_free);

struct EngineStats {
  int64_t steps = 0, prompt_tokens = 0, prefill_tokens = 0, generated_tokens = 0, preemptions = 0, prefix_hit_tokens = 0;
  int64_t draft_tokens = 0, accepted_draft_tokens = 0;  // speculation
  int64_t dropped_tokens = 0;                           // kv_eviction heavy_hitters
  int64_t replayed_steps = 0;                           // of `steps`, as CUDA graphs
  int64_t running = 0, waiting = 0, free_blocks = 0, total_blocks = 0;
  int64_t cache_bytes_per_token = 0;  // of all layers

  // Share of the guesses made since `before` that were right; nothing without guesses.
  std::optional<double> draft_acceptance(const EngineStats& before) const {
    const int64_t made = draft_tokens - before.draft_tokens;
    return made > 0 ? std::optional(double(accepted_draft_tokens - before.accepted_draft_tokens) / double(made)) : std::nullopt;
  }
};

// Takes the tokens of one request (or of a group's samples: event.request tells them apart), in order, when all tokens of a step are made.
// It may add and cancel requests, its own too, but not step. What it throws leaves step() once the others have had their tokens.
using TokenSink = std::function<void(const TokenEvent&)>;

class Engine {
 public:
  Engine(model::Transformer& model, const EngineConfig& config);
  ~Engine();

  // Queues a request. Throws (kFailed) if prompt + 1 exceeds max_model_len or the cache can never hold prompt + answer; the message has
  // both numbers. Never truncates a prompt; an answer that reaches max_model_len ends there with kLength.
  // With a sink the tokens go there, whoever calls step(), so that callers who know nothing of each other share an engine. Without one they
  // are what step() returns: right for a caller that is alone.
  RequestId add(Request request, TokenSink sink = {});
  // n requests of one prompt (sample_index 0..n-1); the prompt is prefilled once and its blocks shared.
  std::vector<RequestId> add_group(const Request& request, int n, TokenSink sink = {});
  // Frees the request's blocks at once; no event follows.
  void cancel(RequestId id);
  // Schedules and runs one forward: at most one token a request, or with speculation one more; none if nothing is queued or a prefill chunk
  // made none. Gives them to the requests' sinks and returns those of requests without one, in order. If it throws (out of memory, NaN, weights changed under half-done sequences), the
  // requests are still there: step again or cancel.
  std::vector<TokenEvent> step();
  bool idle() const;

  EngineStats stats() const;
  model::Transformer& model();
  const EngineConfig& config() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace r1::engine
