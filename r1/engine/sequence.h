// One sample on its way: its tokens, how many of them are in the cache, and in which blocks. Plain state; the scheduler moves it, the
// sampler reads it.
//
//   waiting -> running -> gone           tokens [0, cached) have their keys and values in `blocks`
//      ^----------'  (preemption: blocks given back, cached = 0, the tokens stay and are prefilled again)
//   waiting -> following -> running      a sample whose prompt another sample of its group is prefilling right now; holds no blocks
#pragma once

#include <list>
#include <memory>
#include <vector>

#include "r1/engine/block_manager.h"
#include "r1/engine/prefix_cache.h"
#include "r1/engine/request.h"
#include "r1/engine/token_counts.h"

namespace r1::engine {

struct Sequence;

// Samples of one prompt. While one of them prefills it, the others follow and then share its blocks and its last row of logits.
struct Group {
  Sequence* prefilling = nullptr;
  std::vector<Sequence*> followers;
};

enum class Stage { kWaiting, kRunning, kFollowing };

struct Sequence {
  RequestId id = 0;
  SamplingParams sampling;
  int32_t sample_index = 0;
  std::vector<TokenId> forced;
  std::shared_ptr<Group> group;  // null: a lone request
  // Told of every token once, when it is appended; preemption does not touch it.
  std::unique_ptr<grammar::TokenConstraint> constraint;
  std::vector<uint64_t> mask;  // of the next token, if the constraint gives one

  std::vector<TokenId> tokens;  // prompt, then what was made
  int64_t prompt_tokens = 0;
  int64_t max_tokens = 0;  // of prompt and answer together
  TokenCounts counts;      // kept up to date only if a penalty asks for it

  Stage stage = Stage::kWaiting;
  int64_t cached = 0;
  int64_t dropped =
      0;  // of these, how many are not held any more (SchedulerConfig::budget); those held lie at the first places of `blocks`
  std::vector<BlockId> blocks;  // by position; those at [gone_begin, gone_end), which nothing looks at any more, are kNoBlock
  int64_t gone_begin = 0, gone_end = 0;
  uint64_t cache_salt = 0;
  std::vector<ContentSpan> contents;
  PrefixCache::Node prefix_node;         // of the last block that is in the prefix cache
  int64_t prefix_blocks = 0;             // how many leading blocks are
  int64_t prompt_hits = 0;               // tokens of the prompt that were in the cache already when it began
  bool may_share = true;                 // false once its cache is of mixed weight versions
  std::list<Sequence*>::iterator place;  // in the queue of its stage

  std::vector<TokenId> draft;  // guesses of what follows `tokens`, to be checked by the next forward (speculation)
  int64_t most_guesses = 2;    // from the text: twice what was right lately

  int64_t made() const { return int64_t(tokens.size()) - prompt_tokens; }
  int64_t held() const { return cached - dropped; }
  int64_t uncached() const { return int64_t(tokens.size()) - cached; }
};

}  // namespace r1::engine
