#include "r1/tasks/scoring.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "r1/base/error.h"
#include "r1/base/rng.h"

namespace r1::tasks {
namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// A latch that the test opens.
class Gate {
 public:
  void open() {
    std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

// Accuracy = length of the completion / 100; "hang" waits for the gate, "throw" throws, "sleep" takes a few milliseconds.
class FakeTask : public Task {
 public:
  const std::string& name() const override { return name_; }
  int64_t size(const std::string&) const override { return 1; }
  Problem problem(const std::string&, int64_t) const override { return {}; }
  Score score(const Problem& problem, const std::string& completion) const override {
    ++calls;
    if (completion == "hang") gate->wait();
    if (completion == "throw") fail("no such luck");
    if (completion.substr(0, 5) == "sleep") std::this_thread::sleep_for(std::chrono::milliseconds(std::stoi(completion.substr(5))));
    return {completion == problem.gold ? Verdict::kRight : Verdict::kWrong, double(completion.size()) / 100, completion};
  }
  std::shared_ptr<Gate> gate = std::make_shared<Gate>();
  mutable std::atomic<int64_t> calls{0};

 private:
  std::string name_ = "fake";
};

// The largest token count of the group: needs them all.
class Largest : public Reward {
 public:
  std::vector<std::optional<double>> operator()(std::span<const RewardInput> group) const override {
    int64_t most = 0;
    for (const auto& i : group) {
      if (i.completion == "poison") fail("cannot compare");
      most = std::max(most, i.tokens);
    }
    return std::vector<std::optional<double>>(group.size(), double(most));
  }
};

std::vector<Problem> problems(size_t n) {
  std::vector<Problem> out(n);
  for (size_t i = 0; i < n; ++i) out[i].gold = "g" + std::to_string(i);
  return out;
}

struct Fixture {
  FakeTask task;
  std::unique_ptr<Reward> accuracy = make_reward("accuracy");
  std::unique_ptr<Reward> sometimes =
      single_reward([](const RewardInput& i) { return i.tokens % 2 ? std::optional<double>(double(i.tokens)) : std::nullopt; });
  Largest largest;
  std::vector<const Reward*> all() const { return {accuracy.get(), &largest, sometimes.get()}; }
};

TEST(Scoring, ValuesDoNotDependOnWhoIsFirst) {
  Fixture f;
  for (const int workers : {1, 4}) {
    ScoringPool pool(f.task, f.all(), {.workers = workers});
    for (uint64_t round = 0; round < 4; ++round) {
      auto batch = pool.begin(problems(6), 5);
      std::vector<size_t> order(30);
      for (size_t k = 0; k < 30; ++k) order[k] = k;
      Rng(round).shuffle(order);
      for (const size_t k : order)
        batch->add(k / 5, k % 5, k % 7 == 0 ? "g" + std::to_string(k / 5) : "sleep" + std::to_string(k % 3), int64_t(k), false);
      const auto scored = batch->finish();
      ASSERT_EQ(scored.size(), 30u);
      for (size_t k = 0; k < 30; ++k) {
        EXPECT_TRUE(scored[k].known);
        EXPECT_EQ(scored[k].score.verdict, k % 7 == 0 ? Verdict::kRight : Verdict::kWrong);
        EXPECT_DOUBLE_EQ(*scored[k].rewards[0], k % 7 == 0 ? 0.02 : 0.06);
        EXPECT_DOUBLE_EQ(*scored[k].rewards[1], double(k / 5 * 5 + 4));
        EXPECT_EQ(scored[k].rewards[2].has_value(), k % 2 == 1);
      }
      EXPECT_GT(batch->times().busy, 0);
      EXPECT_LE(batch->times().overlapped, batch->times().busy + 1e-9);
    }
  }
}

TEST(Scoring, WorksWhileTheCallerGoesOn) {
  Fixture f;
  ScoringPool pool(f.task, f.all(), {.workers = 2});
  auto batch = pool.begin(problems(1), 2);
  batch->add(0, 0, "sleep20", 1, false);
  batch->add(0, 1, "sleep20", 2, false);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // "generation"
  EXPECT_TRUE(batch->finish()[1].known);
  EXPECT_GT(batch->times().overlapped, 0.03);
  EXPECT_DOUBLE_EQ(batch->times().overlapped, batch->times().busy) << "all of it was done before finish()";
}

TEST(Scoring, TheDeadlineHoldsAndNothingElseIsLost) {
  Fixture f;
  {
    ScoringPool pool(f.task, f.all(), {.workers = 2, .deadline = 0.2});
    auto batch = pool.begin(problems(2), 3);
    for (size_t k = 0; k < 6; ++k) batch->add(k / 3, k % 3, k == 4 ? "hang" : "abc", int64_t(2 * k + 1), false);
    const auto begin = Clock::now();
    const auto scored = batch->finish();
    EXPECT_GE(since(begin), 0.19);
    EXPECT_LT(since(begin), 2);
    EXPECT_EQ(scored[4].score.verdict, Verdict::kTimeout);
    EXPECT_FALSE(scored[4].known);
    for (const auto& value : scored[4].rewards) EXPECT_FALSE(value) << "not scored is not 0";
    for (const size_t k : {0u, 1u, 2u, 3u, 5u}) {
      EXPECT_TRUE(scored[k].known);
      EXPECT_DOUBLE_EQ(*scored[k].rewards[0], 0.03) << "what was scored counts, also in the group that misses one";
      EXPECT_EQ(scored[k].rewards[1].has_value(), k < 3) << "comparing needs the whole group";
    }
    // The late thread is replaced, so the next batch has two again.
    EXPECT_EQ(pool.threads(), 3);
    auto next = pool.begin(problems(1), 2);
    next->add(0, 0, "a", 1, false);
    next->add(0, 1, "b", 1, false);
    EXPECT_TRUE(next->finish()[1].known);
    f.task.gate->open();
    for (int i = 0; i < 200 && pool.threads() > 2; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_EQ(pool.threads(), 2) << "and leaves when it comes back";
  }
}

TEST(Scoring, AStopEndsTheWaiting) {
  Fixture f;
  ScoringPool pool(f.task, f.all(), {.workers = 2});  // no deadline: it would wait for ever
  auto batch = pool.begin(problems(1), 2);
  batch->add(0, 0, "hang", 1, false);
  batch->add(0, 1, "abc", 1, false);
  int asked = 0;
  const auto scored = batch->finish([&] { return ++asked == 3; });
  EXPECT_EQ(asked, 3);
  EXPECT_FALSE(scored[0].known);
  f.task.gate->open();
  auto next = pool.begin(problems(1), 1);
  next->add(0, 0, "abc", 1, false);
  EXPECT_TRUE(next->finish([] { return false; })[0].known);
}

TEST(Scoring, WhenEveryThreadHangs) {
  Fixture f;
  ScoringPool pool(f.task, f.all(), {.workers = 1, .deadline = 0.05});
  for (int round = 0; round < 6; ++round) {
    auto batch = pool.begin(problems(1), 2);
    batch->add(0, 0, "hang", 1, false);
    batch->add(0, 1, "a", 1, false);
    const auto begin = Clock::now();
    const auto scored = batch->finish();
    EXPECT_LT(since(begin), 2);
    EXPECT_FALSE(scored[0].known);
  }
  EXPECT_LE(pool.threads(), 4) << "at most four times the workers";
  f.task.gate->open();
}

TEST(Scoring, AnExceptionIsACrashOfThatSampleOnly) {
  Fixture f;
  ScoringPool pool(f.task, f.all(), {.workers = 2, .deadline = 5});
  auto batch = pool.begin(problems(2), 2);
  batch->add(0, 0, "throw", 7, false);
  batch->add(0, 1, "abc", 3, false);
  batch->add(1, 0, "poison", 5, false);
  batch->add(1, 1, "abc", 5, false);
  const auto scored = batch->finish();
  EXPECT_EQ(scored[0].score.verdict, Verdict::kCrash);
  EXPECT_FALSE(scored[0].known);
  EXPECT_FALSE(scored[0].rewards[0]);
  EXPECT_DOUBLE_EQ(*scored[1].rewards[1], 3) << "the group is compared without it";
  EXPECT_FALSE(scored[2].rewards[1]);
  EXPECT_FALSE(scored[3].rewards[1]);
  EXPECT_DOUBLE_EQ(*scored[3].rewards[0], 0.03) << "the other rewards stand";
  EXPECT_EQ(batch->failures()[1].at("threw"), 1);
  EXPECT_TRUE(batch->failures()[0].empty());
}

// Whatever is thrown, and wherever: measuring a sample too, and things that are no std::exception. The process goes on, finish() comes back.
TEST(Scoring, AThrowWhileMeasuringIsThatSamplesError) {
  Fixture f;
  const auto number = single_reward([](const RewardInput& i) -> std::optional<double> {
    if (i.completion == "number") throw 7;
    return 1.0;
  });
  ScoringOptions options{.workers = 2, .deadline = 30, .measure = true};
  options.measured_by = [](const Problem& p, const std::string& completion, const Score& score) {
    if (completion == "bad measure") throw std::bad_alloc();
    if (completion == "odd measure") throw "text";
    return measure_sample(p, completion, score);
  };
  ScoringPool pool(f.task, {f.accuracy.get(), number.get()}, options);
  auto batch = pool.begin(problems(1), 4);
  batch->add(0, 0, "bad measure", 1, false);
  batch->add(0, 1, "odd measure", 1, false);
  batch->add(0, 2, "number", 1, false);
  batch->add(0, 3, "g0", 1, false);
  const auto scored = batch->finish();
  for (const size_t k : {0u, 1u}) {
    EXPECT_EQ(scored[k].score.verdict, Verdict::kCrash);
    EXPECT_FALSE(scored[k].known);
    EXPECT_FALSE(scored[k].rewards[0]);
  }
  EXPECT_TRUE(scored[2].known);
  EXPECT_FALSE(scored[2].rewards[1]);
  EXPECT_EQ(batch->failures()[1].at("threw"), 1);
  EXPECT_EQ(scored[3].score.verdict, Verdict::kRight);
  EXPECT_EQ(scored[3].rewards[1], 1.0);
}

TEST(Scoring, WhatIsThrownAwayIsNotDone) {
  Fixture f;
  ScoringPool pool(f.task, f.all(), {.workers = 1});
  {
    auto batch = pool.begin(problems(10), 10);
    for (size_t k = 0; k < 100; ++k) batch->add(k / 10, k % 10, "sleep5", 1, false);
  }
  auto batch = pool.begin(problems(1), 1);
  batch->add(0, 0, "a", 1, false);
  EXPECT_TRUE(batch->finish()[0].known);
  EXPECT_LT(f.task.calls, 10);
}

TEST(Scoring, SeveralBatchesAndUnaddedSamples) {
  Fixture f;
  ScoringPool pool(f.task, {}, {.workers = 3, .measure = true});
  auto a = pool.begin(problems(2), 2), b = pool.begin(problems(1), 2);
  for (size_t k = 0; k < 4; ++k) a->add(k / 2, k % 2, "<think>we add</think><answer>1</answer>", 1, false);
  b->add(0, 1, "x", 1, false);
  const auto second = b->finish(), first = a->finish();
  EXPECT_FALSE(second[0].known);
  EXPECT_TRUE(second[1].known);
  for (const auto& s : first) EXPECT_TRUE(s.known && s.measures.formatted && s.measures.english == 1.0);
  EXPECT_THROW(a->add(2, 0, "", 0, false), Error);
  EXPECT_THROW(b->add(0, 1, "again", 1, false), Error);
}

}  // namespace
}  // namespace r1::tasks
