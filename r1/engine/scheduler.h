// Which tokens run in the next forward. Continuous batching: sequences that decode go first, then prompts that are half prefilled, then new
// ones, first come first served, all under one budget of tokens; a long prompt is prefilled in chunks. When no block is left the youngest
// running sequence gives its blocks back and is prefilled again later (recompute). The oldest is never preempted for a younger one and
// every admitted request fits into the empty cache, so all requests end. Samples of one prompt prefill it once; a partly filled block that
// several hold is copied before one of them writes (copy on write).
//
// Where a sequence keeps its first and last tokens only (kept_last), blocks wholly between are given back as soon as no later query sees
// them, and prompts take the blocks of one chunk at a time: a sequence holds a bounded number of them, however long it is. A chunk is cut
// to what is free; one that gets nothing waits for those that decode, and if nobody does, the youngest gives its blocks up.
//
// With a budget a sequence holds no more tokens than that: where it is full, some are dropped before the next step (Schedule::drops) and the rest move
// to its first blocks, so that it never needs more. A chunk ends where the budget is full, at places that depend on the sequence alone, so who
// stays does too. What a block holds then is one sequence's own: nothing is shared, neither prefixes nor groups.
//
// Knows tokens and blocks, nothing of tensors. One step:
//   const Schedule& plan = schedule();  <copy blocks, run the forward>;  const auto& samplers = computed();  <sample>;  append(...) or
//   finish(...) each
// schedule() may be called again without computed() if the forward failed: nothing has been counted as done (but the copies must have been
// made). Cost of a step: O(sequences in it), but for prompts, whose tokens are hashed once.
#pragma once

#include <list>
#include <memory>
#include <unordered_map>
#include <vector>

#include "r1/engine/block_manager.h"
#include "r1/engine/prefix_cache.h"
#include "r1/engine/sequence.h"
#include "r1/kernels/block_copy.h"

namespace r1::engine {

struct ScheduledSequence {
  Sequence* sequence = nullptr;
  int64_t tokens = 0;  // sequence->tokens[cached, cached + tokens) run now
  int64_t drafts = 0;  // and after them so many of sequence->draft
  bool samples() const { return sequence->cached + tokens == int64_t(sequence->tokens.size()); }
};

using kernels::BlockCopy;

// Of the `held` tokens in these blocks, `kept` are to stay, in the first places.
struct Drop {
  Sequence* sequence = nullptr;
  std::vector<BlockId> blocks;
  int64_t held = 0, kept = 0;
};

struct Schedule {
  std::vector<ScheduledSequence> sequences;
  std::vector<Drop> drops;        // to be made first, also where nothing runs
  std::vector<BlockCopy> copies;  // to be made in this order, before the forward
  int64_t tokens = 0;
};

// A sequence whose next token is drawn from row `row` of the step's logits (rows count the scheduled sequences that sample, in order). If
// the token turns out to be the first of `drafts` guesses, the one after it is drawn from the next row, and so on.
struct PendingSample {
  Sequence* sequence = nullptr;
  int64_t row = 0;
  int64_t drafts = 0;
};

struct SchedulerConfig {
  int64_t max_num_seqs = 64, max_num_batched_tokens = 2048, num_blocks = 0;
  int32_t block_size = 16;
  bool prefix_caching = true;
  int64_t kept_first = 0, kept_last = 0;   // ops/cache_form.h; kept_last 0: all tokens
  int64_t budget = 0, kept_of_budget = 0;  // the same; needs prefix_caching off
};

class Scheduler {
 public:
  explicit Scheduler(const SchedulerConfig& config);

  // The sequence must fit into the empty cache (fits(max_tokens)), which is the caller's to check.
  void add(std::unique_ptr<Sequence> sequence);
  const Schedule& schedule();
  const std::vector<PendingSample>& computed();
  // The step after the one that was computed last, planned before that one's tokens are known: one token more of each of its sequences but
  // those that end there by their length. Null where there is more to do than to go on decoding, or blocks are scarce. `sources`: of each
  // sequence of the plan, which of the samplers it is. computed() comes when the tokens are appended, and leaves out who has ended by then;
  // schedule() must not come in between.
  const Schedule* schedule_ahead(std::vector<int64_t>& sources);
  // There will be no computed() for it.
  void drop_ahead();
  void append(Sequence* sequence, TokenId token);
  // The token appended last was guessed right: the forward has cached it already.
  void accept_draft(Sequence* sequence) { ++sequence->cached; }
  // Ends a sequence in whatever stage it is, gives its blocks back at once and destroys it.
  void finish(Sequence* sequence);
  Sequence* find(RequestId id) const;

  // The plan's drops could not be made: what those sequences hold is lost, they are prefilled again.
  void not_dropped();
  // These could not be sampled, so they are prefilled again.
  void not_sampled(const std::vector<PendingSample>& samplers);

  // New weights: all remembered prefixes go. Running sequences go on with what they have, or are prefilled again if `recompute`.
  void weights_changed(bool recompute);
  // Sequences that have cached tokens.
  bool any_cached() const;

  // Whether a sequence of so many tokens can be run by itself.
  bool fits(int64_t tokens) const { return fewest_blocks(tokens) <= blocks_.total_blocks(); }
  int64_t blocks_for(int64_t tokens) const { return (tokens + config_.block_size - 1) / config_.block_size; }
  int64_t running() const { return int64_t(running_.size()); }
  int64_t waiting() const { return int64_t(waiting_.size()); }
  bool idle() const { return sequences_.empty(); }
  int64_t preemptions() const { return preemptions_; }
  int64_t dropped_tokens() const { return dropped_tokens_; }
  int64_t prefix_hit_tokens() const { return prefix_hit_tokens_; }
  const BlockManager& blocks() const { return blocks_; }
  const PrefixCache& prefixes() const { return prefixes_; }
  const SchedulerConfig& config() const { return config_; }

 private:
  using Queue = std::list<Sequence*>;

  void schedule_decodes();
  void schedule_prefills();
  void admit();
  bool admit_one(Sequence* s);
  void plan(Sequence* s, int64_t tokens, int64_t drafts = 0);
  int64_t fewest_blocks(int64_t tokens) const;
  void give_back_unseen(Sequence* s);
  void drop_from_full(Sequence* s);
  int64_t take_chunk(Sequence* s, int64_t wanted, int64_t spare);
  int64_t room_for_drafts(Sequence* s);
  bool make_room(Sequence* s);  // a writable slot for token s->cached
  BlockId take_block(Sequence* for_whom);
  bool preempt_youngest(Sequence* for_whom);
  void preempt(Sequence* s);
  void release_blocks(Sequence* s);
  void remember_full_blocks(Sequence* s);
  int64_t reuse_prefix(Sequence* s);
  void fork(Sequence* from, Sequence* to);
  void drop_leadership(Sequence* s);
  void move(Sequence* s, Stage stage);
  void remove_follower(Sequence* s);
  void forget_prefixes();
  void leave_ahead(const Sequence* s);

  SchedulerConfig config_;
  BlockManager blocks_;
  PrefixCache prefixes_;
  std::unordered_map<RequestId, std::unique_ptr<Sequence>> sequences_;
  Queue waiting_, running_;  // by id; running_ holds followers too
  Schedule schedule_;
  std::vector<PendingSample> samplers_;
  bool preempted_now_ = false, starved_now_ = false;
  bool ahead_ = false;      // schedule_ is of schedule_ahead()
  RequestId blocked_ = -1;  // the head of the queue that did not fit, and the free blocks then
  int64_t blocked_free_ = 0;
  int64_t preemptions_ = 0, prefix_hit_tokens_ = 0, dropped_tokens_ = 0;
};

}  // namespace r1::engine
