#include "r1/engine/scheduler.h"

#include <algorithm>

#include "r1/base/error.h"

namespace r1::engine {

Scheduler::Scheduler(const SchedulerConfig& config)
    : config_(config), blocks_(config.num_blocks), prefixes_(config.num_blocks, config.block_size) {
  check(config.budget == 0 ||
            (!config.prefix_caching && config.kept_last == 0 && config.kept_of_budget > 0 && config.kept_of_budget < config.budget),
        "[scheduler] expected a budget of tokens that are neither shared nor kept by their place, some of which stay");
}

void Scheduler::add(std::unique_ptr<Sequence> sequence) {
  Sequence* s = sequence.get();
  check(!s->tokens.empty() && fits(s->max_tokens), "[scheduler] request ", s->id, " can't fit into the cache");
  check(config_.budget == 0 || !s->group, "[scheduler] request ", s->id, " can't share its cache");
  s->prefix_node = PrefixCache::root(s->cache_salt);
  s->place = waiting_.insert(waiting_.end(), s);
  sequences_[s->id] = std::move(sequence);
}

Sequence* Scheduler::find(RequestId id) const {
  const auto it = sequences_.find(id);
  return it == sequences_.end() ? nullptr : it->second.get();
}

// Both queues are ordered by id. New arrivals belong at the end, the preempted near the front of waiting_, so look from the likely side.
void Scheduler::move(Sequence* s, Stage stage) {
  Queue& from = s->stage == Stage::kWaiting ? waiting_ : running_;
  Queue& to = stage == Stage::kWaiting ? waiting_ : running_;
  s->stage = stage;
  if (&from == &to) return;
  auto at = to.end();
  if (&to == &waiting_) {
    at = to.begin();
    while (at != to.end() && (*at)->id < s->id) ++at;
  } else {
    while (at != to.begin() && (*std::prev(at))->id > s->id) --at;
  }
  to.splice(at, from, s->place);
}

// --- what runs next ---

const Schedule& Scheduler::schedule() {
  check(!ahead_, "[scheduler] a step that was planned ahead is still on its way");
  schedule_.sequences.clear();
  schedule_.drops.clear();
  schedule_.copies.clear();
  schedule_.tokens = 0;
  preempted_now_ = starved_now_ = false;
  for (Sequence* s : running_) give_back_unseen(s), drop_from_full(s);
  schedule_decodes();
  schedule_prefills();
  if (!preempted_now_ && !starved_now_) admit();
  return schedule_;
}

const Schedule* Scheduler::schedule_ahead(std::vector<int64_t>& sources) {
  const int64_t count = int64_t(samplers_.size());
  const bool others_wait = !waiting_.empty() && running() < config_.max_num_seqs;
  if (others_wait || count != running() || count > config_.max_num_batched_tokens || blocks_.free_blocks() < count) return nullptr;
  for (const PendingSample& p : samplers_)
    if (p.drafts > 0 || p.sequence->constraint || p.sequence->stage != Stage::kRunning || p.sequence->uncached() != 0) return nullptr;
  schedule_.sequences.clear();
  schedule_.copies.clear();
  schedule_.drops.clear();
  schedule_.tokens = 0;
  sources.clear();
  for (int64_t i = 0; i < count; ++i) {
    Sequence* s = samplers_[size_t(i)].sequence;
    if (int64_t(s->tokens.size()) + 1 >= s->max_tokens) continue;
    give_back_unseen(s);
    make_room(s);  // a block for each is free
    plan(s, 1);
    sources.push_back(i);
  }
  ahead_ = !sources.empty();
  return ahead_ ? &schedule_ : nullptr;
}

void Scheduler::drop_ahead() {
  ahead_ = false;
  schedule_.sequences.clear();
}

void Scheduler::leave_ahead(const Sequence* s) {
  if (!ahead_) return;
  for (ScheduledSequence& scheduled : schedule_.sequences)
    if (scheduled.sequence == s) scheduled.sequence = nullptr;
}

void Scheduler::plan(Sequence* s, int64_t tokens, int64_t drafts) {
  schedule_.sequences.push_back({s, tokens, drafts});
  schedule_.tokens += tokens + drafts;
}

// How many guesses may run after the one token of a decoding sequence: within the budget, the answer's length, and blocks that are free
// anyway. Guesses never preempt anybody.
int64_t Scheduler::room_for_drafts(Sequence* s) {
  if (s->constraint) return 0;
  const int64_t budget = config_.max_num_batched_tokens - schedule_.tokens - 1;
  const int64_t left = s->max_tokens - int64_t(s->tokens.size()) - 1;
  const int64_t wanted = std::min({int64_t(s->draft.size()), budget, left});
  for (int64_t i = 0; i < wanted; ++i) {
    const size_t index = size_t((s->held() + 1 + i) / config_.block_size);
    if (index < s->blocks.size() && blocks_.references(s->blocks[index]) == 1) continue;
    if (index != s->blocks.size()) return i;
    const BlockId block = take_block(nullptr);
    if (block == kNoBlock) return i;
    s->blocks.push_back(block);
  }
  return std::max<int64_t>(wanted, 0);
}

void Scheduler::schedule_decodes() {
  for (auto it = running_.begin(); it != running_.end() && schedule_.tokens < config_.max_num_batched_tokens;) {
    Sequence* s = *it;
    if (s->stage != Stage::kRunning || s->uncached() != 1) {
      ++it;
      continue;
    }
    // Victims are younger than s, so after it, or s itself.
    const bool room = make_room(s);
    if (!room && s->stage == Stage::kWaiting)
      break;  // s was the youngest that holds blocks; what follows are followers and prefills of nobody
    ++it;
    if (room) plan(s, 1, room_for_drafts(s));
  }
}

void Scheduler::schedule_prefills() {
  for (auto it = running_.begin(); it != running_.end();) {
    const int64_t budget = config_.max_num_batched_tokens - schedule_.tokens;
    if (budget <= 0) break;
    Sequence* s = *it;
    if (s->stage != Stage::kRunning || s->uncached() <= 1) {
      ++it;
      continue;
    }
    // Nobody who is planned already may lose his blocks, so only where nobody is does a prompt push others out: those are younger.
    if (schedule_.sequences.empty() && config_.kept_last > 0 && !make_room(s)) break;
    ++it;
    const int64_t tokens = take_chunk(s, std::min(budget, s->uncached()), running() > 1 ? std::max<int64_t>(1, running() / 4) : 0);
    if (tokens > 0) plan(s, tokens);
    starved_now_ |= tokens == 0;
  }
}

// Blocks for up to `wanted` tokens after s->cached, of those that are free but for `spare`; how many tokens they are for. Without a window a
// sequence has had the blocks of all its tokens since it was admitted.
int64_t Scheduler::take_chunk(Sequence* s, int64_t wanted, int64_t spare) {
  if (config_.budget > 0) wanted = std::min(wanted, config_.budget - s->held());
  while (int64_t(s->blocks.size()) < blocks_for(s->held() + wanted) && blocks_.free_blocks() > spare)
    s->blocks.push_back(take_block(nullptr));
  return std::min(wanted, int64_t(s->blocks.size()) * config_.block_size - s->held());
}

// A prompt that goes on keeps the blocks that it will fill again.
void Scheduler::drop_from_full(Sequence* s) {
  if (config_.budget == 0 || s->held() < config_.budget) return;
  const int64_t held = s->held(), kept = config_.kept_of_budget;
  schedule_.drops.push_back({s, s->blocks, held, kept});
  s->dropped += held - kept;
  dropped_tokens_ += held - kept;
  for (const int64_t needed = blocks_for(std::min(config_.budget, kept + s->uncached())); int64_t(s->blocks.size()) > needed;) {
    blocks_.release(s->blocks.back(), false);
    s->blocks.pop_back();
  }
}

void Scheduler::not_dropped() {
  for (const Drop& drop : schedule_.drops)
    if (!drop.sequence->blocks.empty()) preempt(drop.sequence);
}

// What the next query, the one of token s->cached, does not see, none after it does.
void Scheduler::give_back_unseen(Sequence* s) {
  if (config_.kept_last == 0) return;
  const int64_t size = config_.block_size, first = blocks_for(config_.kept_first), end = (s->cached + 1 - config_.kept_last) / size;
  if (end <= std::max(first, s->gone_end)) return;
  remember_full_blocks(s);  // guesses that were right have filled some since: while they are there
  if (s->gone_end == 0) s->gone_begin = s->gone_end = first;
  for (; s->gone_end < end; ++s->gone_end) {
    BlockId& block = s->blocks[size_t(s->gone_end)];
    blocks_.release(block, prefixes_.contains(block));
    block = kNoBlock;
  }
}

// Blocks that a sequence of so many tokens can't do without: where not all are kept, those of what one token sees, one that is half seen at
// either border, and the token's own; with a budget, its blocks.
int64_t Scheduler::fewest_blocks(int64_t tokens) const {
  const int64_t all = blocks_for(tokens);
  if (config_.budget > 0) return std::min(all, blocks_for(config_.budget));
  return config_.kept_last > 0 ? std::min(all, blocks_for(config_.kept_first) + blocks_for(config_.kept_last) + 2) : all;
}

void Scheduler::admit() {
  while (!waiting_.empty() && running() < config_.max_num_seqs && schedule_.tokens < config_.max_num_batched_tokens)
    if (!admit_one(waiting_.front())) break;
}

bool Scheduler::admit_one(Sequence* s) {
  Group* group = s->group.get();
  if (group && s->made() == 0) {
    if (group->prefilling) {
      move(s, Stage::kFollowing);
      group->followers.push_back(s);
      return true;
    }
  }
  // Blocks for everything it has now are taken at once: a prompt in the middle of its chunks never waits for blocks. A few more must stay
  // free, or what runs would preempt the newcomer in the next steps.
  if (s->id == blocked_ && blocks_.free_blocks() <= blocked_free_)
    return false;  // nothing has come free since the last try: don't hash its prompt again
  const int64_t spare = running_.empty() ? 0 : std::max<int64_t>(1, running() / 4);
  const int64_t hits = reuse_prefix(s);
  give_back_unseen(s);
  const int64_t budget = config_.max_num_batched_tokens - schedule_.tokens;
  const int64_t gone = s->gone_end - s->gone_begin, length = int64_t(s->tokens.size());
  const int64_t wanted =
      std::max(std::min(blocks_for(length), fewest_blocks(length) + gone), blocks_for(s->cached + 1)) - int64_t(s->blocks.size());
  if (wanted + spare > blocks_.free_blocks()) {
    release_blocks(s);
    blocked_ = s->id;
    blocked_free_ = blocks_.free_blocks();
    return false;
  }
  const int64_t chunk = take_chunk(s, config_.kept_last > 0 ? std::min(budget, s->uncached()) : s->uncached(), spare);
  prefix_hit_tokens_ += hits * config_.block_size;
  if (s->made() == 0) s->prompt_hits = hits * config_.block_size;
  if (group && s->made() == 0) group->prefilling = s;
  move(s, Stage::kRunning);
  plan(s, std::min(budget, chunk));
  return true;
}

// Takes the cached blocks of the longest known beginning; the last token is always computed, since its logits are wanted.
int64_t Scheduler::reuse_prefix(Sequence* s) {
  if (!config_.prefix_caching) return 0;
  const int64_t size = config_.block_size, most = (int64_t(s->tokens.size()) - 1) / size;
  for (int64_t i = 0; i < most; ++i) {
    const BlockId block =
        prefixes_.find(s->prefix_node, {s->tokens.data() + i * size, size_t(size)}, PrefixCache::content_of(s->contents, i * size, size));
    if (block == kNoBlock) break;
    blocks_.retain(block);
    s->blocks.push_back(block);
    s->prefix_node = prefixes_.node(block);
  }
  s->prefix_blocks = int64_t(s->blocks.size());
  s->cached = s->prefix_blocks * size;
  return s->prefix_blocks;
}

// --- blocks ---

bool Scheduler::make_room(Sequence* s) {
  const size_t index = size_t(s->held() / config_.block_size);
  if (index < s->blocks.size() && blocks_.references(s->blocks[index]) == 1) return true;
  const BlockId block = take_block(s);
  if (block == kNoBlock) return false;
  if (index == s->blocks.size()) {
    s->blocks.push_back(block);
  } else if (blocks_.references(s->blocks[index]) == 1) {
    blocks_.release(block, false);  // the others that held it were preempted meanwhile
  } else {
    schedule_.copies.push_back({s->blocks[index], block});
    blocks_.release(s->blocks[index], false);
    s->blocks[index] = block;
  }
  return true;
}

BlockId Scheduler::take_block(Sequence* for_whom) {
  BlockId block = blocks_.allocate();
  while (block == kNoBlock && for_whom) {
    if (!preempt_youngest(for_whom)) return kNoBlock;
    block = blocks_.allocate();
  }
  if (block != kNoBlock) prefixes_.forget(block);
  return block;
}

// False if that was `for_whom` itself.
bool Scheduler::preempt_youngest(Sequence* for_whom) {
  for (auto it = running_.rbegin(); it != running_.rend(); ++it) {
    Sequence* victim = *it;
    if (victim->blocks.empty()) continue;
    preempt(victim);
    return victim != for_whom;
  }
  fail("[scheduler] no block left and nothing to preempt");
}

void Scheduler::preempt(Sequence* s) {
  leave_ahead(s);
  ++preemptions_;
  preempted_now_ = true;
  drop_leadership(s);
  release_blocks(s);
  move(s, Stage::kWaiting);
}

// Deepest block first: the end of a chain is evicted before its beginning, so no node of the prefix cache outlives its parent.
void Scheduler::release_blocks(Sequence* s) {
  for (auto it = s->blocks.rbegin(); it != s->blocks.rend(); ++it)
    if (*it != kNoBlock) blocks_.release(*it, prefixes_.contains(*it));
  s->blocks.clear();
  s->gone_begin = s->gone_end = 0;
  s->draft.clear();
  s->cached = s->dropped = s->prefix_blocks = 0;
  s->prefix_node = PrefixCache::root(s->cache_salt);
  s->may_share = true;
}

void Scheduler::remember_full_blocks(Sequence* s) {
  if (!config_.prefix_caching || !s->may_share) return;
  const int64_t size = config_.block_size;
  for (; (s->prefix_blocks + 1) * size <= s->cached; ++s->prefix_blocks) {
    const std::span<const TokenId> tokens(s->tokens.data() + s->prefix_blocks * size, size_t(size));
    BlockId& block = s->blocks[size_t(s->prefix_blocks)];
    const PrefixCache::Content content = PrefixCache::content_of(s->contents, s->prefix_blocks * size, size);
    const BlockId known = prefixes_.find(s->prefix_node, tokens, content);
    if (known == kNoBlock) {
      s->prefix_node = prefixes_.insert(s->prefix_node, tokens, block, content);
      continue;
    }
    // Somebody computed the same meanwhile: hold theirs, so that a chain in use is held from its root on.
    s->prefix_node = prefixes_.node(known);
    if (known == block) continue;
    blocks_.retain(known);
    blocks_.release(block, false);
    block = known;
  }
}

// --- what has run ---

const std::vector<PendingSample>& Scheduler::computed() {
  samplers_.clear();
  int64_t row = 0;
  for (const ScheduledSequence& scheduled : schedule_.sequences) {
    Sequence* s = scheduled.sequence;
    if (!s) {  // ended since it was planned
      ++row;
      continue;
    }
    const bool samples = scheduled.samples();
    s->cached += scheduled.tokens;
    remember_full_blocks(s);
    if (!samples) continue;
    samplers_.push_back({s, row, scheduled.drafts});
    if (s->group && s->group->prefilling == s) {
      for (Sequence* follower : s->group->followers) {
        fork(s, follower);
        samplers_.push_back({follower, row, 0});
      }
      s->group->followers.clear();
      s->group->prefilling = nullptr;
    }
    row += 1 + scheduled.drafts;
  }
  ahead_ = false;
  return samplers_;
}

void Scheduler::fork(Sequence* from, Sequence* to) {
  to->blocks = from->blocks;
  to->gone_begin = from->gone_begin, to->gone_end = from->gone_end;
  for (BlockId b : to->blocks)
    if (b != kNoBlock) blocks_.retain(b);
  to->cached = from->cached;
  to->prefix_blocks = from->prefix_blocks;
  to->prefix_node = from->prefix_node;
  to->may_share = from->may_share;
  prefix_hit_tokens_ += to->cached;
  move(to, Stage::kRunning);
}

void Scheduler::not_sampled(const std::vector<PendingSample>& samplers) {
  for (const PendingSample& pending : samplers) preempt(pending.sequence);
}

void Scheduler::append(Sequence* s, TokenId token) {
  s->tokens.push_back(token);
  if (wants_penalties(s->sampling)) s->counts.add_made(token);
}

void Scheduler::finish(Sequence* s) {
  leave_ahead(s);
  drop_leadership(s);
  if (s->stage == Stage::kFollowing) remove_follower(s);
  release_blocks(s);
  (s->stage == Stage::kWaiting ? waiting_ : running_).erase(s->place);
  sequences_.erase(s->id);
}

void Scheduler::remove_follower(Sequence* s) {
  std::erase(s->group->followers, s);
}

// The one that prefilled the prompt for its group stops doing so: the others queue up again and one of them will take its place.
void Scheduler::drop_leadership(Sequence* s) {
  if (!s->group || s->group->prefilling != s) return;
  s->group->prefilling = nullptr;
  for (auto it = s->group->followers.rbegin(); it != s->group->followers.rend(); ++it) move(*it, Stage::kWaiting);
  s->group->followers.clear();
}

// --- weights ---

bool Scheduler::any_cached() const {
  return std::any_of(running_.begin(), running_.end(), [](const Sequence* s) { return s->cached > 0; });
}

void Scheduler::forget_prefixes() {
  prefixes_.clear();
  for (Sequence* s : running_) s->may_share = false;
}

void Scheduler::weights_changed(bool recompute) {
  if (recompute)
    while (!running_.empty()) {
      Sequence* s = running_.back();
      s->stage == Stage::kFollowing ? (remove_follower(s), move(s, Stage::kWaiting)) : preempt(s);
    }
  forget_prefixes();
}

}  // namespace r1::engine
