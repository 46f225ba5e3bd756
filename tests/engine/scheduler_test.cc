// The scheduler on a fake model: instead of keys and values, a block holds the tokens themselves, written slot by slot exactly as a forward
// would, and every sequence reads its whole context back from its blocks before it "samples". Whatever goes wrong with sharing, copying,
// eviction or preemption shows as a wrong token.
#include "r1/engine/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "r1/base/error.h"
#include "r1/base/rng.h"

namespace r1::engine {

namespace {

constexpr int kBlockSize = 4;
constexpr TokenId kJunk = -77;

struct FakeModel {
  std::vector<std::vector<TokenId>> memory;
  int64_t kept_first, kept_last;
  explicit FakeModel(const SchedulerConfig& c)
      : memory(size_t(c.num_blocks), std::vector<TokenId>(kBlockSize, kJunk)), kept_first(c.kept_first), kept_last(c.kept_last) {}

  void run(const Schedule& plan, const BlockManager& blocks) {
    for (const auto& [from, to] : plan.copies) memory[size_t(from)].swap(scratch_ = memory[size_t(from)]), memory[size_t(to)] = scratch_;
    std::set<std::pair<BlockId, int64_t>> written;
    for (const auto& [s, tokens, drafts] : plan.sequences) {
      ASSERT_GT(tokens, 0);
      ASSERT_LE(s->cached + tokens, int64_t(s->tokens.size()));
      ASSERT_LE(s->cached + tokens + drafts, int64_t(s->blocks.size()) * kBlockSize);
      ASSERT_LE(s->cached + tokens + drafts, s->max_tokens);
      for (int64_t t = s->cached; t < s->cached + tokens + drafts; ++t) {
        const BlockId b = s->blocks[size_t(t / kBlockSize)];
        ASSERT_EQ(blocks.references(b), 1) << "writes into a shared block";
        ASSERT_TRUE(written.insert({b, t % kBlockSize}).second) << "two sequences write one slot";
        const int64_t guess = t - int64_t(s->tokens.size());
        memory[size_t(b)][size_t(t % kBlockSize)] = guess < 0 ? s->tokens[size_t(t)] : s->draft[size_t(guess)];
      }
    }
    for (const auto& [s, tokens, drafts] : plan.sequences) check_context(*s, s->cached + tokens);
  }
  void check_context(const Sequence& s, int64_t count) const {
    for (int64_t t = 0; t < count; ++t) {
      if (kept_last > 0 && t >= kept_first && t <= s.cached - kept_last) continue;  // the next query does not see it
      ASSERT_NE(s.blocks[size_t(t / kBlockSize)], kNoBlock) << "request " << s.id << " position " << t;
      ASSERT_EQ(memory[size_t(s.blocks[size_t(t / kBlockSize)])][size_t(t % kBlockSize)], s.tokens[size_t(t)])
          << "request " << s.id << " position " << t;
    }
  }

 private:
  std::vector<TokenId> scratch_;
};

std::unique_ptr<Sequence> new_sequence(RequestId id, std::vector<TokenId> prompt, int64_t answer, std::shared_ptr<Group> group = nullptr) {
  auto s = std::make_unique<Sequence>();
  s->id = id;
  s->prompt_tokens = int64_t(prompt.size());
  s->max_tokens = s->prompt_tokens + answer;
  s->tokens = std::move(prompt);
  s->group = std::move(group);
  return s;
}

// The token a sequence makes next is a function of its id and position: what a seeded sampler would do.
TokenId next_token(const Sequence& s) {
  return TokenId(random_bits(uint64_t(s.id), 7, s.tokens.size()) % 50);
}

struct World {
  explicit World(SchedulerConfig config) : scheduler(config), model(config) {}
  Scheduler scheduler;
  FakeModel model;
  std::map<RequestId, std::vector<TokenId>> answers;
  int64_t copies = 0, accepted = 0, refused = 0;
  int guesses = 0;  // tokens guessed ahead; every third guess is wrong
  // Steps are launched before the tokens of those before them are known, where the scheduler finds that right.
  bool goes_ahead = false, is_ahead = false;
  int64_t steps_ahead = 0;
  struct Write {
    BlockId block;
    int64_t slot;
    size_t source;
  };

  void guess(Sequence* s) {
    s->draft.clear();
    Sequence ahead;
    ahead.id = s->id;
    ahead.tokens = s->tokens;
    for (int i = 0; i < guesses; ++i) {
      const TokenId token = next_token(ahead);
      s->draft.push_back(random_bits(5, uint64_t(s->id), ahead.tokens.size()) % 3 == 0 ? token + 1 : token);
      ahead.tokens.push_back(token);
    }
  }

  // What the device does with a plan whose tokens it has and the host has not: its places are written, whoever ends meanwhile.
  std::vector<Write> launch_ahead() {
    std::vector<int64_t> sources;
    const Schedule* plan = goes_ahead ? scheduler.schedule_ahead(sources) : nullptr;
    is_ahead = plan != nullptr;
    if (!plan) return {};
    ++steps_ahead;
    EXPECT_EQ(plan->sequences.size(), sources.size());
    std::vector<Write> writes;
    for (const auto& [from, to] : plan->copies) model.memory[size_t(to)] = std::vector<TokenId>(model.memory[size_t(from)]);
    for (size_t i = 0; i < sources.size(); ++i) {
      const Sequence& s = *plan->sequences[i].sequence;
      EXPECT_LT(s.cached + 1, s.max_tokens);
      EXPECT_EQ(s.cached, int64_t(s.tokens.size()));
      const BlockId block = s.blocks.at(size_t(s.cached / kBlockSize));
      EXPECT_EQ(scheduler.blocks().references(block), 1) << "writes into a shared block";
      writes.push_back({block, s.cached % kBlockSize, size_t(sources[i])});
    }
    return writes;
  }

  void step() {
    std::vector<PendingSample> samplers;
    if (is_ahead) samplers = scheduler.computed();
    if (samplers.empty()) {
      const Schedule& plan = scheduler.schedule();
      ASSERT_LE(plan.tokens, scheduler.config().max_num_batched_tokens);
      ASSERT_LE(scheduler.running(), scheduler.config().max_num_seqs);
      is_ahead = false;
      if (plan.sequences.empty()) return;
      copies += int64_t(plan.copies.size());
      model.run(plan, scheduler.blocks());
      if (testing::Test::HasFatalFailure()) return;
      samplers = scheduler.computed();
    }
    std::vector<TokenId> made;
    for (const PendingSample& p : samplers) made.push_back(next_token(*p.sequence));
    for (const Write& write : launch_ahead()) model.memory[size_t(write.block)][size_t(write.slot)] = made[write.source];
    int64_t row = 0;
    for (const auto& pending : samplers) {
      Sequence* s = pending.sequence;
      ASSERT_LE(pending.row, row);  // followers share their leader's
      row = pending.row + 1 + pending.drafts;
      for (int64_t j = 0;; ++j) {
        model.check_context(*s, s->cached);
        ASSERT_EQ(s->cached, int64_t(s->tokens.size()));
        const TokenId token = next_token(*s);
        const bool guessed = j < pending.drafts && s->draft[size_t(j)] == token;
        refused += j < pending.drafts && !guessed;
        answers[s->id].push_back(token);
        scheduler.append(s, token);
        if (int64_t(s->tokens.size()) == s->max_tokens) {
          scheduler.finish(s);
          break;
        }
        if (!guessed) {
          guess(s);
          break;
        }
        scheduler.accept_draft(s);
        ++accepted;
      }
    }
  }
  void run_out(int most = 100000) {
    int steps = 0;
    while (!scheduler.idle() && !testing::Test::HasFatalFailure()) {
      ASSERT_LT(++steps, most) << "deadlock";
      step();
    }
    ASSERT_EQ(scheduler.blocks().free_blocks(), scheduler.blocks().total_blocks());
  }
};

SchedulerConfig config(int64_t blocks, int64_t seqs = 8, int64_t tokens = 16, bool prefixes = true) {
  return {seqs, tokens, blocks, kBlockSize, prefixes};
}

std::vector<TokenId> counting(int64_t n, TokenId from = 0) {
  std::vector<TokenId> v;
  for (int64_t i = 0; i < n; ++i) v.push_back(from + TokenId(i));
  return v;
}

}  // namespace

TEST(Scheduler, PrefillsInChunksAndDecodesFirst) {
  World w(config(64, 8, 10));
  w.scheduler.add(new_sequence(1, counting(4), 20));
  w.step();  // 1 prefills and samples
  w.scheduler.add(new_sequence(2, counting(25, 100), 20));
  const Schedule& plan = w.scheduler.schedule();
  ASSERT_EQ(plan.sequences.size(), 2u);
  EXPECT_EQ(plan.sequences[0].sequence->id, 1);
  EXPECT_EQ(plan.sequences[0].tokens, 1);
  EXPECT_EQ(plan.sequences[1].tokens, 9);
  EXPECT_FALSE(plan.sequences[1].samples());
  w.run_out();
  EXPECT_EQ(w.answers[1].size(), 20u);
  EXPECT_EQ(w.answers[2].size(), 20u);
}

// Sequences of all lengths that come, end and are cancelled while a step is on its way, in a cache that is roomy or tight: nobody's tokens
// change, and no slot is written that another reads.
TEST(Scheduler, StepsLaunchedAheadChangeNoToken) {
  for (const int64_t blocks : {200, 30}) {
    World plain(config(blocks, 6, 40)), ahead(config(blocks, 6, 40));
    ahead.goes_ahead = true;
    for (World* w : {&plain, &ahead}) {
      Rng rng(11);
      RequestId next = 1;
      for (int round = 0; round < 200 && !testing::Test::HasFatalFailure(); ++round) {
        if (rng.below(8) == 0) {
          const auto group = rng.below(2) ? std::make_shared<Group>() : nullptr;
          const auto prompt = counting(int64_t(1 + rng.below(12)), TokenId(rng.below(3)));
          const int64_t count = group ? 3 : 1, answer = int64_t(1 + rng.below(30));
          for (int64_t i = 0; i < count; ++i) w->scheduler.add(new_sequence(next++, prompt, answer, group));
        }
        w->step();
      }
      w->run_out();
    }
    EXPECT_EQ(ahead.answers, plain.answers);
    EXPECT_GT(ahead.steps_ahead, 50);
    EXPECT_EQ(plain.steps_ahead, 0);
  }
}

// Where first and last tokens alone are kept: in a cache that is roomy, tight, or no larger than one sequence needs, with groups, prefixes,
// guesses and steps ahead, everybody finds what he sees, and nobody holds more than that.
TEST(Scheduler, KeepingFirstAndLastTokens) {
  for (const auto& [first, last] : std::vector<std::pair<int64_t, int64_t>>{{3, 10}, {0, 7}, {9, 1}}) {
    SchedulerConfig roomy = config(200, 6, 40);
    roomy.kept_first = first, roomy.kept_last = last;
    for (const int64_t blocks : {200, 16, 8})
      for (const int guesses : {0, 2})
        for (const bool goes_ahead : {false, true}) {
          SchedulerConfig c = roomy;
          c.num_blocks = blocks;
          SCOPED_TRACE(str("kept ", first, " and ", last, ", ", blocks, " blocks, ", guesses, " guesses", goes_ahead ? ", ahead" : ""));
          World w(c);
          w.guesses = guesses, w.goes_ahead = goes_ahead && guesses == 0;
          Rng rng(11);
          RequestId next = 1;
          size_t tokens = 0;
          ASSERT_TRUE(w.scheduler.fits(1000));
          for (int round = 0; round < 300 && !HasFatalFailure(); ++round) {
            if (rng.below(8) == 0) {
              const auto group = rng.below(2) ? std::make_shared<Group>() : nullptr;
              const auto prompt = counting(int64_t(1 + rng.below(rng.below(3) ? 12 : 150)), TokenId(rng.below(3)));
              const int64_t count = group ? 3 : 1, answer = int64_t(1 + rng.below(60));
              tokens += size_t(count * answer);
              for (int64_t i = 0; i < count; ++i) w.scheduler.add(new_sequence(next++, prompt, answer, group));
            }
            w.step();
            for (RequestId id = 1; id < next; ++id)
              if (const Sequence* s = w.scheduler.find(id)) {
                const auto held = std::count_if(s->blocks.begin(), s->blocks.end(), [](BlockId b) { return b != kNoBlock; });
                ASSERT_LE(held, (first + last + 40) / kBlockSize + 3) << "request " << id << " of " << s->tokens.size() << " tokens";
              }
          }
          w.run_out();
          size_t made = 0;
          for (const auto& [id, answer] : w.answers) made += answer.size();
          EXPECT_EQ(made, tokens) << first << " " << last << " in " << blocks;
          if (blocks == 200) {
            EXPECT_GT(w.scheduler.prefix_hit_tokens(), 0);
          }
          if (guesses > 0) {
            EXPECT_GT(w.accepted, 0);
          }
        }
  }
}

TEST(Scheduler, AStepAheadLeavesOutWhoEnds) {
  World w(config(64, 8, 100));
  for (RequestId id = 1; id <= 3; ++id) w.scheduler.add(new_sequence(id, counting(5, TokenId(id * 20)), id == 2 ? 1 : 9));
  w.model.run(w.scheduler.schedule(), w.scheduler.blocks());
  ASSERT_EQ(w.scheduler.computed().size(), 3u);
  std::vector<int64_t> sources;
  const Schedule* plan = w.scheduler.schedule_ahead(sources);
  ASSERT_TRUE(plan);
  EXPECT_EQ(sources, (std::vector<int64_t>{0, 2})) << "the second ends with the token that is on its way";
  EXPECT_THROW(w.scheduler.schedule(), Error);
  for (RequestId id : {1, 3}) w.scheduler.append(w.scheduler.find(id), 7);
  w.scheduler.finish(w.scheduler.find(2));
  w.scheduler.finish(w.scheduler.find(1));  // cancelled
  const auto& samplers = w.scheduler.computed();
  ASSERT_EQ(samplers.size(), 1u);
  EXPECT_EQ(samplers[0].sequence->id, 3);
  EXPECT_EQ(samplers[0].row, 1);
  w.scheduler.add(new_sequence(4, counting(3), 2));
  EXPECT_EQ(w.scheduler.schedule_ahead(sources), nullptr) << "somebody waits";
}

TEST(Scheduler, APromptSeenBeforeIsNotPrefilledAgain) {
  World w(config(64, 8, 100));
  w.scheduler.add(new_sequence(1, counting(18), 2));
  w.run_out();
  EXPECT_EQ(w.scheduler.prefix_hit_tokens(), 0);
  w.scheduler.add(new_sequence(2, counting(18), 2));
  const Schedule& plan = w.scheduler.schedule();
  ASSERT_EQ(plan.sequences.size(), 1u);
  EXPECT_EQ(plan.sequences[0].tokens, 2);  // 16 of 18 come from four blocks
  w.run_out();
  EXPECT_EQ(w.scheduler.prefix_hit_tokens(), 16);
  // A prompt of exactly whole blocks still computes its last block: the logits of its last token are wanted.
  w.scheduler.add(new_sequence(3, counting(16), 2));
  EXPECT_EQ(w.scheduler.schedule().sequences[0].tokens, 4);
  w.run_out();
}

TEST(Scheduler, NearlyEqualPromptsShareOnlyWhatIsEqual) {
  World w(config(64, 8, 100));
  w.scheduler.add(new_sequence(1, counting(16), 1));
  w.run_out();
  auto other = counting(16);
  other[5] = 99;  // in the second block: what follows is equal again and must not be found
  w.scheduler.add(new_sequence(2, other, 1));
  EXPECT_EQ(w.scheduler.schedule().sequences[0].tokens, 12);
  w.run_out();
}

TEST(Scheduler, AGroupPrefillsItsPromptOnceAndCopiesOnWrite) {
  World w(config(64, 8, 100, false));
  const auto group = std::make_shared<Group>();
  for (int i = 0; i < 4; ++i) w.scheduler.add(new_sequence(i + 1, counting(10), 6, group));
  {
    const Schedule& plan = w.scheduler.schedule();
    EXPECT_EQ(plan.tokens, 10);
    EXPECT_EQ(plan.sequences.size(), 1u);
    w.model.run(plan, w.scheduler.blocks());
  }
  const auto& pending = w.scheduler.computed();
  ASSERT_EQ(pending.size(), 4u);
  for (const auto& p : pending) {
    EXPECT_EQ(p.row, 0);
    w.scheduler.append(p.sequence, next_token(*p.sequence));
  }
  EXPECT_EQ(w.scheduler.blocks().free_blocks(), 64 - 3);
  const Schedule& plan = w.scheduler.schedule();
  EXPECT_EQ(plan.sequences.size(), 4u);
  EXPECT_EQ(plan.copies.size(), 3u);  // the last holder writes in place
  w.model.run(plan, w.scheduler.blocks());
  w.run_out();
}

TEST(Scheduler, AGroupSurvivesTheEndOfItsPrefiller) {
  for (const bool preempt : {false, true}) {
    World w(config(64, 8, 4, false));
    const auto group = std::make_shared<Group>();
    for (int i = 0; i < 3; ++i) w.scheduler.add(new_sequence(i + 1, counting(10), 3, group));
    w.step();
    if (preempt)
      w.scheduler.weights_changed(true);
    else
      w.scheduler.finish(w.scheduler.find(1));
    w.run_out();
    EXPECT_EQ(w.answers[2].size(), 3u);
    EXPECT_EQ(w.answers[3].size(), 3u);
    EXPECT_EQ(w.answers[1].size(), preempt ? 3u : 0u);
  }
}

TEST(Scheduler, TheYoungestGivesWayAndTheOldestNever) {
  World w(config(10, 8, 64, false));
  for (int i = 0; i < 5; ++i) w.scheduler.add(new_sequence(i + 1, counting(6, TokenId(100 * i)), 20));
  std::vector<RequestId> order;
  std::set<RequestId> done;
  while (!w.scheduler.idle()) {
    w.step();
    ASSERT_FALSE(HasFatalFailure());
    for (RequestId id = 1; id <= 5; ++id)
      if (!w.scheduler.find(id) && done.insert(id).second) order.push_back(id);
  }
  EXPECT_EQ(order, (std::vector<RequestId>{1, 2, 3, 4, 5}));
  EXPECT_GT(w.scheduler.preemptions(), 0);
  EXPECT_EQ(w.scheduler.blocks().free_blocks(), 10);
}

TEST(Scheduler, ARequestAsLargeAsTheCacheRuns) {
  World w(config(5, 8, 7));
  w.scheduler.add(new_sequence(1, counting(3), 5));
  w.scheduler.add(new_sequence(2, counting(13), 7));  // 20 tokens, 5 blocks
  w.scheduler.add(new_sequence(3, counting(3), 5));
  w.run_out();
  EXPECT_EQ(w.answers[2].size(), 7u);
  EXPECT_ANY_THROW(w.scheduler.add(new_sequence(4, counting(14), 7)));
}

TEST(Scheduler, AFailedForwardCanBeRepeated) {
  World w(config(16, 4, 8));
  for (int i = 0; i < 6; ++i) w.scheduler.add(new_sequence(i + 1, counting(11, TokenId(10 * i)), 9));
  int n = 0;
  while (!w.scheduler.idle()) {
    if (++n % 3 == 0) w.model.run(w.scheduler.schedule(), w.scheduler.blocks());  // copies and writes, then fails
    if (++n % 7 == 0) {
      w.model.run(w.scheduler.schedule(), w.scheduler.blocks());
      w.scheduler.not_sampled(w.scheduler.computed());
    }
    w.step();
    ASSERT_FALSE(HasFatalFailure());
    ASSERT_LT(n, 10000);
  }
  for (int i = 0; i < 6; ++i) EXPECT_EQ(w.answers[i + 1].size(), 9u);
}

// Random adds, groups, cancels, weight changes and steps: every context read back is right, every answer is what the request alone would
// have given, no block leaks.
struct Reached {
  int64_t preemptions = 0, copies = 0, hits = 0, cancelled = 0, accepted = 0, refused = 0;
};

void fuzz(int seed, Reached& reached) {
  Rng rng(uint64_t(seed), 3);
  const int64_t blocks = rng.between(8, 40);
  SchedulerConfig c = config(blocks, rng.between(1, 12), rng.between(1, 40), rng.below(4) != 0);
  const bool windowed = seed >= 12;
  if (windowed) c.kept_first = rng.between(0, 9), c.kept_last = rng.between(1, 12);
  World w(c);
  w.guesses = seed % 3;
  RequestId next = 1;
  std::map<RequestId, int64_t> wanted;
  std::set<RequestId> cancelled;
  for (int op = 0; op < 10000; ++op) {
    const uint64_t what = rng.below(10);
    if (what < 2 && w.scheduler.running() + w.scheduler.waiting() < 60) {
      // Prompts over few tokens that begin alike: prefix hits and near misses.
      std::vector<TokenId> prompt = counting(rng.between(0, 12));
      for (int64_t i = rng.between(1, 6); i > 0; --i) prompt.push_back(TokenId(rng.below(2)));
      if (windowed && rng.below(3) == 0)
        for (int64_t i = rng.between(1, 200); i > 0; --i) prompt.push_back(TokenId(rng.below(2)));
      const int64_t room = windowed ? 60 : blocks * kBlockSize - int64_t(prompt.size());
      const int64_t answer = std::min<int64_t>(rng.between(1, windowed ? 60 : 12), room);
      const int n = rng.below(3) == 0 ? int(rng.between(2, 6)) : 1;
      const auto group = n > 1 ? std::make_shared<Group>() : nullptr;
      for (int i = 0; i < n; ++i) {
        wanted[next] = answer;
        w.scheduler.add(new_sequence(next++, prompt, answer, group));
      }
    } else if (what == 2 && next > 1) {
      if (Sequence* s = w.scheduler.find(RequestId(rng.between(std::max<int64_t>(1, next - 30), next - 1)))) {
        cancelled.insert(s->id);
        w.scheduler.finish(s);
      }
    } else if (what == 3 && rng.below(20) == 0) {
      w.scheduler.weights_changed(rng.below(2) == 0);
    } else {
      w.step();
      ASSERT_FALSE(testing::Test::HasFatalFailure()) << "operation " << op;
    }
  }
  w.run_out();
  ASSERT_FALSE(testing::Test::HasFatalFailure());
  for (const auto& [id, answer] : wanted)
    if (!cancelled.count(id)) {
      ASSERT_EQ(int64_t(w.answers[id].size()), answer) << "request " << id;
    }
  // Nothing is held and every remembered block is free: the count returns to the baseline exactly.
  EXPECT_EQ(w.scheduler.blocks().free_blocks(), blocks);
  EXPECT_EQ(w.scheduler.running() + w.scheduler.waiting(), 0);
  reached.preemptions += w.scheduler.preemptions();
  reached.hits += w.scheduler.prefix_hit_tokens();
  reached.copies += w.copies;
  reached.cancelled += int64_t(cancelled.size());
  reached.accepted += w.accepted;
  reached.refused += w.refused;
}

class SchedulerFuzz : public testing::TestWithParam<int> {};

TEST_P(SchedulerFuzz, TenThousandRandomOperations) {
  Reached reached;
  fuzz(GetParam(), reached);
}

TEST(Scheduler, TheRandomOperationsReachEverything) {
  Reached reached;
  for (int seed = 0; seed < 12; ++seed) fuzz(seed, reached);
  EXPECT_GT(reached.preemptions, 100);
  EXPECT_GT(reached.copies, 100);
  EXPECT_GT(reached.hits, 1000);
  EXPECT_GT(reached.cancelled, 100);
  EXPECT_GT(reached.accepted, 1000);
  EXPECT_GT(reached.refused, 1000);
}

INSTANTIATE_TEST_SUITE_P(Seeds, SchedulerFuzz, testing::Range(0, 24));

}  // namespace r1::engine
