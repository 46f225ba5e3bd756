// What to do about a plan: which option of r1 would save how much memory, which of them together make it fit, and the largest batch, text and
// number of conversations that fit. All from train/plan.h's formulas, evaluated again with the option changed: nothing is estimated twice.
// What r1 does not have (adapters, optimizer states in 8 bit, offloading, several devices) is no option here; whoever prints advice says so.
#pragma once

#include <string>
#include <vector>

#include "r1/train/plan.h"

namespace r1::train {

// A plan and what its options are called, so that advice can be typed.
struct AdviceInput {
  PlanInput plan;
  int64_t memory = 0;     // bytes that must suffice
  int64_t sequences = 1;  // of a micro-batch: plan.micro_batch_tokens is that many times `length`
  int64_t length = 0;
  bool by_tokens = false;  // a micro-batch is set by max_tokens_per_batch, not by per_device_train_batch_size
  std::string length_option = "max_length";
  int64_t fixed_length = 0;  // of `length`, what length_option does not set: grpo's prompt
  int64_t cache_needed = 0;  // bytes that the engine's sequences can fill at most; 0: no engine
};

struct Lever {
  std::string option, effect;  // "--gradient_checkpointing", "blocks are computed again in the backward pass"
  int64_t peak = 0;            // bytes with it
  int64_t saves = 0;
};

// Each by itself, the largest saving first; those that save nothing are left out.
std::vector<Lever> levers(const AdviceInput& input);

// The fewest, largest first, that together fit, as one lever with all their options; no option if it fits as it is, or if none of them helps
// (`saves` 0).
Lever way_to_fit(const AdviceInput& input);

// Sequences of a micro-batch at input.length, at most 4096; tokens of a sequence with micro-batches of one, at most the model's context, a
// multiple of 16 below it. 0: not even the least.
int64_t most_sequences(const AdviceInput& input);
int64_t longest_length(const AdviceInput& input);

// Conversations of `context` tokens that an engine alone can hold at a time beside the model's weights, and the bytes of cache that they
// fill. `input` is of no training.
struct Streams {
  int64_t context = 0, number = 0, cache_bytes = 0;
};
Streams most_streams(const AdviceInput& input, int64_t context);

// True if the plan's likely peak is within the memory.
bool fits(const Plan& plan, int64_t memory);

// The option that makes micro-batches of so many sequences: "--per_device_train_batch_size 4".
std::string batch_option(const AdviceInput& input, int64_t sequences);

}  // namespace r1::train
