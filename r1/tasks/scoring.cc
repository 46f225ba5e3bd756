#include "r1/tasks/scoring.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "r1/base/error.h"
#include "r1/base/log.h"
#include "r1/base/threads.h"

namespace r1::tasks {

namespace {

using Clock = std::chrono::steady_clock;
constexpr int kMostThreads = 4;  // times the workers, late ones included

double seconds(Clock::duration d) {
  return std::chrono::duration<double>(d).count();
}

}  // namespace

// The queue and its threads. A job says whether it came too late: then its thread was replaced, and leaves.
struct ScoringPool::Impl {
  using Job = std::function<bool()>;

  const Task& task;
  const std::vector<const Reward*> rewards;
  const ScoringOptions options;
  const int workers;
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<Job> queue;
  std::vector<std::thread> threads;
  std::vector<std::thread::id> left;  // threads that ended and wait to be joined
  int alive = 0;
  bool ending = false;

  Impl(const Task& t, std::vector<const Reward*> r, ScoringOptions o)
      : task(t), rewards(std::move(r)), options(o), workers(o.workers > 0 ? o.workers : std::max(1, num_threads())) {
    grow(workers);
  }

  ~Impl() {
    {
      std::lock_guard lock(mutex);
      ending = true;
      queue.clear();
    }
    wake.notify_all();
    for (auto& thread : threads) thread.join();
  }

  void grow(int n) {
    std::lock_guard lock(mutex);
    for (const auto id : left) {
      const auto it = std::find_if(threads.begin(), threads.end(), [id](const std::thread& t) { return t.get_id() == id; });
      it->join();  // it holds no lock any more: its last step was to write itself down
      threads.erase(it);
    }
    left.clear();
    for (; n > 0 && alive < kMostThreads * workers; --n, ++alive) threads.emplace_back([this] { work(); });
  }

  void push(Job job, bool first) {
    {
      std::lock_guard lock(mutex);
      first ? queue.push_front(std::move(job)) : queue.push_back(std::move(job));
    }
    wake.notify_one();
  }

  void work() {
    std::unique_lock lock(mutex);
    for (;;) {
      wake.wait(lock, [this] { return ending || !queue.empty(); });
      if (ending) return;
      Job job = std::move(queue.front());
      queue.pop_front();
      lock.unlock();
      const bool late = job();
      job = nullptr;  // what it holds may be the last of a batch
      lock.lock();
      if (late && alive > workers) {
        --alive;
        left.push_back(std::this_thread::get_id());
        return;
      }
    }
  }
};

namespace {

// Shared by the batch and its jobs: a late job finds it closed.
struct State {
  std::vector<Problem> problems;
  size_t group_size = 0;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<RewardInput> inputs;  // written by add(), the score by the sample's job; read by the group's job after all of them
  std::vector<Scored> results;
  std::vector<size_t> scored;                            // of each group
  std::vector<std::map<std::string, int64_t>> failures;  // of each reward
  int64_t pending = 0;                                   // jobs handed in and not back
  int running = 0;                                       // of these, with a thread
  bool closed = false, finishing = false;
  Clock::time_point finish_begin;
  ScoringTimes times;
  std::string complaint;  // the first exception's text
};

// One job's clock and books: counts it in on construction; back() takes the lock and says whether the batch still wants the result.
class JobRecord {
 public:
  explicit JobRecord(State& state) : state_(state), begin_(Clock::now()) {
    std::lock_guard lock(state.mutex);
    wanted_ = !state.closed;
    state.running += wanted_;
  }
  bool wanted() const { return wanted_; }
  // `store` runs under the lock. True: too late.
  template <class Store>
  bool back(Store store) {
    std::lock_guard lock(state_.mutex);
    if (state_.closed) return true;
    const auto end = Clock::now();
    store();
    --state_.running;
    --state_.pending;
    state_.times.busy += seconds(end - begin_);
    const auto until = state_.finishing ? std::min(end, state_.finish_begin) : end;
    state_.times.overlapped += std::max(0.0, seconds(until - begin_));
    state_.changed.notify_all();
    return false;
  }

 private:
  State& state_;
  Clock::time_point begin_;
  bool wanted_ = false;
};

// Runs what users and tasks bring. False: it threw, whatever it was; the first such text is kept. Nothing may leave a thread of the pool.
template <class Body>
bool contained(std::string& complaint, Body body) {
  try {
    body();
    return true;
  } catch (const std::exception& error) {
    if (complaint.empty()) complaint = error.what();
  } catch (...) {
    if (complaint.empty()) complaint = "an exception of an unknown kind";
  }
  return false;
}

// What a reward gives for `inputs`; an exception counts as nothing for all of them.
std::vector<std::optional<double>> ask(const Reward& reward, std::span<const RewardInput> inputs, bool& threw, std::string& complaint) {
  std::vector<std::optional<double>> values;
  threw = !contained(complaint, [&] {
    values = reward(inputs);
    check(values.size() == inputs.size(), "[scoring] a reward gave ", values.size(), " values for ", inputs.size(), " completions");
  });
  if (threw) values.assign(inputs.size(), std::nullopt);
  return values;
}

class Batch : public ScoringBatch {
 public:
  Batch(ScoringPool::Impl& pool, std::vector<Problem> problems, size_t group_size) : pool_(pool), state_(std::make_shared<State>()) {
    State& s = *state_;
    s.problems = std::move(problems);
    s.group_size = group_size;
    s.inputs.resize(s.problems.size() * group_size);
    s.scored.resize(s.problems.size());
    s.failures.resize(pool.rewards.size());
    Scored late;
    late.score.verdict = Verdict::kTimeout;
    late.rewards.resize(pool.rewards.size());
    s.results.assign(s.inputs.size(), late);
  }
  ~Batch() override { close(); }

  void add(size_t group, size_t index, std::string completion, int64_t tokens, bool truncated) override {
    State& s = *state_;
    check(group < s.problems.size() && index < s.group_size, "[scoring] expected sample (group, index) below (", s.problems.size(), ", ",
          s.group_size, "), got (", group, ", ", index, ")");
    const size_t k = group * s.group_size + index;
    check(s.inputs[k].problem == nullptr, "[scoring] sample ", index, " of group ", group, " was added twice");
    s.inputs[k] = {&s.problems[group], std::move(completion), tokens, truncated, {}};
    {
      std::lock_guard lock(s.mutex);
      ++s.pending;
    }
    pool_.push([state = state_, &pool = pool_, k] { return score_sample(state, pool, k); }, false);
  }

  std::vector<Scored> finish(const std::function<bool()>& stop) override {
    State& s = *state_;
    {
      std::unique_lock lock(s.mutex);
      s.finishing = true;
      s.finish_begin = Clock::now();
      const auto done = [&] { return s.pending == 0; };
      const double deadline = pool_.options.deadline > 0 ? pool_.options.deadline : HUGE_VAL;
      for (double left = deadline; !done() && left > 0 && !(stop && stop()); left = deadline - seconds(Clock::now() - s.finish_begin))
        s.changed.wait_for(lock, std::chrono::duration<double>(std::min(left, 0.1)), done);
      s.times.waited = seconds(Clock::now() - s.finish_begin);
    }
    close();
    for (size_t r = 0; r < pool_.rewards.size(); ++r)
      for (const auto& [why, n] : pool_.rewards[r]->take_failures()) s.failures[r][why] += n;
    if (!s.complaint.empty()) log_warning("scoring: a task or reward failed, the first time with: ", s.complaint);
    return std::move(s.results);
  }
  const ScoringTimes& times() const override { return state_->times; }
  const std::vector<std::map<std::string, int64_t>>& failures() const override { return state_->failures; }

 private:
  // From here on nothing is taken any more; threads that are still busy with this batch are replaced.
  void close() {
    int late = 0;
    {
      std::lock_guard lock(state_->mutex);
      if (!state_->closed) late = state_->running;
      state_->closed = true;
    }
    pool_.grow(late);
  }

  static bool score_sample(const std::shared_ptr<State>& state, ScoringPool::Impl& pool, size_t k) {
    State& s = *state;
    JobRecord record(s);
    if (!record.wanted()) return false;
    const size_t group = k / s.group_size;
    RewardInput& input = s.inputs[k];
    Scored out;
    out.rewards.resize(pool.rewards.size());
    std::vector<bool> threw(pool.rewards.size());
    std::string complaint;
    out.known = contained(complaint, [&] {
      out.score = pool.task.score(*input.problem, input.completion);
      if (pool.options.measure) out.measures = pool.options.measured_by(*input.problem, input.completion, out.score);
    });
    if (!out.known) out.score = {Verdict::kCrash, 0, ""};
    // The group's job reads the score under the lock below; a closed batch has none.
    input.score = out.score;
    bool compares = false;
    for (size_t r = 0; r < pool.rewards.size(); ++r) {
      compares |= pool.rewards[r]->compares();
      if (!out.known || pool.rewards[r]->compares()) continue;
      bool failed = false;
      out.rewards[r] = ask(*pool.rewards[r], std::span(&input, 1), failed, complaint)[0];
      threw[r] = failed;
    }
    bool complete = false;
    const bool late = record.back([&] {
      s.results[k] = std::move(out);
      complete = compares && ++s.scored[group] == s.group_size;
      s.pending += complete;  // the group's job, before this one is counted out
      note(s, threw, complaint);
    });
    if (complete) pool.push([state, &pool, group] { return score_group(state, pool, group); }, true);
    return late;
  }

  static bool score_group(const std::shared_ptr<State>& state, ScoringPool::Impl& pool, size_t group) {
    State& s = *state;
    JobRecord record(s);
    if (!record.wanted()) return false;
    std::vector<size_t> members;
    std::vector<RewardInput> inputs;
    {
      std::lock_guard lock(s.mutex);
      if (s.closed) return true;
      for (size_t k = group * s.group_size; k < (group + 1) * s.group_size; ++k) {
        if (!s.results[k].known) continue;
        members.push_back(k);
        inputs.push_back(s.inputs[k]);
      }
    }
    std::vector<std::vector<std::optional<double>>> values(pool.rewards.size());
    std::vector<bool> threw(pool.rewards.size());
    std::string complaint;
    for (size_t r = 0; r < pool.rewards.size(); ++r) {
      if (!pool.rewards[r]->compares() || inputs.empty()) continue;
      bool failed = false;
      values[r] = ask(*pool.rewards[r], inputs, failed, complaint);
      threw[r] = failed;
    }
    return record.back([&] {
      for (size_t r = 0; r < values.size(); ++r)
        for (size_t i = 0; i < values[r].size(); ++i) s.results[members[i]].rewards[r] = values[r][i];
      note(s, threw, complaint);
    });
  }

  static void note(State& s, const std::vector<bool>& threw, const std::string& complaint) {
    for (size_t r = 0; r < threw.size(); ++r)
      if (threw[r]) ++s.failures[r]["threw"];
    if (s.complaint.empty()) s.complaint = complaint;
  }

  ScoringPool::Impl& pool_;
  std::shared_ptr<State> state_;
};

}  // namespace

ScoringPool::ScoringPool(const Task& task, std::vector<const Reward*> rewards, ScoringOptions options)
    : impl_(std::make_unique<Impl>(task, std::move(rewards), options)) {}
ScoringPool::~ScoringPool() = default;

std::unique_ptr<ScoringBatch> ScoringPool::begin(std::vector<Problem> problems, size_t group_size) {
  check(group_size > 0, "[scoring] expected groups of at least one, got ", group_size);
  return std::make_unique<Batch>(*impl_, std::move(problems), group_size);
}

int ScoringPool::threads() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->alive;
}

}  // namespace r1::tasks
