#include "r1/train/advice.h"

#include <algorithm>
#include <functional>
#include <optional>

#include "r1/base/error.h"

namespace r1::train {
namespace {

constexpr int64_t kMostSequences = 4096, kMostStreams = 100'000, kCacheBlock = 16;

struct Change {
  std::string option, effect;
  AdviceInput changed;
};
// What an option would make of the input; nothing where it is set already or means nothing here.
using Option = std::function<std::optional<Change>(const AdviceInput&)>;

void set_batch(AdviceInput& in, int64_t sequences, int64_t length) {
  in.sequences = sequences;
  in.length = length;
  in.plan.micro_batch_tokens = sequences * length;
  in.plan.longest_text = length;
}

std::optional<Change> checkpointing(const AdviceInput& in) {
  if (!in.plan.training || in.plan.trainer.gradient_checkpointing) return std::nullopt;
  Change c{"--gradient_checkpointing", "blocks are computed again in the backward pass: a step takes about a third longer", in};
  c.changed.plan.trainer.gradient_checkpointing = true;
  return c;
}

std::optional<Change> half_precision(const AdviceInput& in) {
  if (in.plan.dtype != at::kFloat) return std::nullopt;
  Change c{in.plan.training ? "--bf16" : "--dtype bfloat16",
           in.plan.training                               ? "weights and activations in bfloat16, beside float32 masters"
           : in.plan.cache.type == ops::CacheType::kModel ? "weights and cache in bfloat16"
                                                          : "weights in bfloat16",
           in};
  c.changed.plan.dtype = at::kBFloat16;
  c.changed.plan.network = std::make_shared<model::Footprint>(model::footprint(in.plan.model, at::kBFloat16, in.plan.cache));
  c.changed.plan.trainer.bf16 = true;
  if (in.plan.cache.type != ops::CacheType::kModel) return c;
  c.changed.plan.cache_bytes = in.plan.cache_bytes == in.cache_needed ? in.plan.cache_bytes / 2 : in.plan.cache_bytes;
  c.changed.cache_needed = in.cache_needed / 2;
  return c;
}

std::optional<Change> muon(const AdviceInput& in) {
  if (!in.plan.training || in.plan.trainer.optim == "muon") return std::nullopt;
  Change c{"--optim muon", "one moment of each matrix instead of two; another optimizer, with its own learning rate", in};
  c.changed.plan.trainer.optim = "muon";
  return c;
}

std::optional<Change> smaller_batch(const AdviceInput& in) {
  if (!in.plan.training || in.sequences < 2) return std::nullopt;
  // The largest that fits, or half where that is not the question.
  AdviceInput at_most = in;
  const int64_t fitting = most_sequences(at_most), half = (in.sequences + 1) / 2;
  const int64_t now = fitting > 0 && fitting < half ? fitting : half, parts = (in.sequences + now - 1) / now;
  Change c{str(batch_option(in, now), " --gradient_accumulation_steps ", in.plan.micro_batches * parts), "the same step in smaller parts",
           in};
  set_batch(c.changed, now, in.length);
  c.changed.plan.micro_batches = in.plan.micro_batches * parts;
  return c;
}

std::optional<Change> shorter_texts(const AdviceInput& in) {
  const int64_t settable = in.length - in.fixed_length;
  if (!in.plan.training || settable < 128) return std::nullopt;
  Change c{str("--", in.length_option, " ", settable / 2), "what is longer is cut", in};
  set_batch(c.changed, in.sequences, in.fixed_length + settable / 2);
  return c;
}

std::optional<Change> no_reference(const AdviceInput& in) {
  if (!in.plan.reference_model) return std::nullopt;
  Change c{"--beta 0", "no KL to a reference model, which is then not held", in};
  c.changed.plan.reference_model = false;
  return c;
}

std::optional<Change> smaller_cache(const AdviceInput& in) {
  if (in.plan.cache_bytes <= 0) return std::nullopt;
  // As much as is needed; beyond that prefixes are forgotten and sequences wait for each other.
  const int64_t now = in.cache_needed > 0 && in.cache_needed < in.plan.cache_bytes ? in.cache_needed : in.plan.cache_bytes / 2;
  Change c{str("--engine.kv_cache_memory ", now), "sequences wait for each other where it is full", in};
  c.changed.plan.cache_bytes = now;
  return c;
}

std::optional<Change> smaller_steps(const AdviceInput& in) {
  if (in.plan.cache_bytes <= 0 || in.plan.engine_tokens < 512) return std::nullopt;
  Change c{str("--engine.max_num_batched_tokens ", in.plan.engine_tokens / 2), "prompts are read in smaller parts", in};
  c.changed.plan.engine_tokens = in.plan.engine_tokens / 2;
  return c;
}

const std::vector<Option>& options() {
  static const std::vector<Option> all = {checkpointing, half_precision, smaller_batch, no_reference,
                                          smaller_cache, muon,           smaller_steps, shorter_texts};
  return all;
}

int64_t likely_peak(const AdviceInput& in) {
  return make_plan(in.plan).likely;
}

// The largest n in [1, most] for which ok(n), where ok falls once from true to false; 0 if not even 1.
int64_t largest(int64_t most, const std::function<bool(int64_t)>& ok) {
  int64_t good = 0, bad = most + 1;
  for (int64_t n = 1; n < bad; n = std::min(2 * n, bad)) {
    if (!ok(n)) {
      bad = n;
      break;
    }
    good = n;
    if (n == most) return most;
    if (2 * n > most && ok(most)) return most;
    if (2 * n > most) bad = most;
  }
  while (bad - good > 1) {
    const int64_t middle = good + (bad - good) / 2;
    (ok(middle) ? good : bad) = middle;
  }
  return good;
}

}  // namespace

bool fits(const Plan& plan, int64_t memory) {
  return plan.likely <= memory;
}

std::vector<Lever> levers(const AdviceInput& input) {
  const int64_t before = likely_peak(input);
  std::vector<Lever> found;
  for (const Option& option : options()) {
    const auto change = option(input);
    if (!change) continue;
    const int64_t peak = likely_peak(change->changed);
    if (peak < before) found.push_back({change->option, change->effect, peak, before - peak});
  }
  std::stable_sort(found.begin(), found.end(), [](const Lever& a, const Lever& b) { return a.saves > b.saves; });
  return found;
}

Lever way_to_fit(const AdviceInput& input) {
  AdviceInput now = input;
  Lever way{"", "", likely_peak(input), 0};
  const int64_t before = way.peak;
  std::vector<Option> left = options();
  while (way.peak > input.memory && !left.empty()) {
    size_t best = left.size();
    std::optional<Change> taken;
    int64_t peak = way.peak;
    for (size_t i = 0; i < left.size(); ++i) {
      auto change = left[i](now);
      const int64_t with = change ? likely_peak(change->changed) : way.peak;
      if (with < peak) best = i, peak = with, taken = std::move(change);
    }
    if (!taken) break;
    way.option += (way.option.empty() ? "" : " ") + taken->option;
    way.peak = peak;
    now = std::move(taken->changed);
    left.erase(left.begin() + std::ptrdiff_t(best));
  }
  if (way.peak > input.memory) return {"", "", way.peak, 0};
  way.saves = before - way.peak;
  return way;
}

int64_t most_sequences(const AdviceInput& input) {
  AdviceInput in = input;
  return largest(kMostSequences, [&](int64_t n) {
    set_batch(in, n, input.length);
    return likely_peak(in) <= input.memory;
  });
}

int64_t longest_length(const AdviceInput& input) {
  AdviceInput in = input;
  const int64_t most = input.plan.model.max_position_embeddings;
  const auto ok = [&](int64_t length) {
    set_batch(in, 1, length);
    return likely_peak(in) <= input.memory;
  };
  if (ok(most)) return most;
  return kCacheBlock * largest(std::max<int64_t>(1, most / kCacheBlock), [&](int64_t n) { return ok(kCacheBlock * n); });
}

Streams most_streams(const AdviceInput& input, int64_t context) {
  PlanInput in = input.plan;
  const int64_t token = (in.network ? *in.network : model::footprint(in.model, in.dtype, in.cache)).cache_bytes_per_token;
  in.longest_text = context;
  in.engine_tokens = std::max(in.engine_tokens, in.engine_sequences);
  const int64_t cached = in.cache.most_tokens(context, in.engine_tokens);
  const int64_t stream = std::max<int64_t>(1, (cached + kCacheBlock - 1) / kCacheBlock * kCacheBlock * token);
  in.cache_bytes = stream;
  // Everything but what grows with the streams.
  in.engine_sequences = 0;
  const Plan alone = make_plan(in);
  const int64_t logits = [&] {
    in.engine_sequences = 1;
    return make_plan(in).likely - alone.likely;
  }();
  const int64_t room = input.memory - (alone.likely - stream);
  const int64_t number = std::clamp<int64_t>(room / std::max<int64_t>(1, stream + logits), 0, kMostStreams);
  return {context, number, number * stream};
}

std::string batch_option(const AdviceInput& input, int64_t sequences) {
  return input.by_tokens ? str("--max_tokens_per_batch ", sequences * input.length) : str("--per_device_train_batch_size ", sequences);
}

}  // namespace r1::train
