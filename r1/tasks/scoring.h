// Scores completions in threads of its own while more of them are still being generated.
//
//   ScoringPool pool(task, rewards, {.deadline = 30});
//   auto batch = pool.begin(problems, 8);
//   ... batch->add(group, index, text, tokens, truncated) as each sample ends ...
//   for (const Scored& s : batch->finish()) ...                     // group * 8 + index, whatever was done first
//
// A sample's score, measures and the rewards of it alone are one job, the rewards that compare a group (Reward::compares) another one, done
// when the group is complete. finish() waits for what is left, at most `deadline` seconds from its call on. What is not back by then is not
// waited for: a sample without score gets verdict timeout and nothing for every reward, and a group that misses a sample gets nothing for
// the rewards that compare. So a value never depends on the order in which threads work, only (and visibly) on a deadline that was missed.
//
// Task::score and Reward must bear calls from several threads, and must end by themselves sooner or later (verifier and sandbox have
// deadlines of their own): a thread cannot be killed. One that is late is replaced, up to four times the number of workers, and is waited
// for by the destructor only. Leaves out processes: who needs one (sandbox, verifier) starts it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "r1/tasks/reward.h"
#include "r1/tasks/sample_measures.h"
#include "r1/tasks/task.h"

namespace r1::tasks {

struct ScoringOptions {
  int workers = 0;       // 0: as many as the program has CPU threads (base/threads.h)
  double deadline = 0;   // seconds that finish() waits; 0: until everything is done
  bool measure = false;  // fill Scored::measures
  // How; tests put something else here.
  std::function<SampleMeasures(const Problem&, const std::string& completion, const Score&)> measured_by = measure_sample;
};

struct Scored {
  Score score;
  bool known = false;                          // false: late (verdict timeout), or scoring or measuring it threw (verdict crash)
  std::vector<std::optional<double>> rewards;  // in the order of the rewards; all nothing if not known
  SampleMeasures measures;                     // if asked for
};

struct ScoringTimes {
  double busy = 0;        // thread seconds of all jobs that were back in time
  double overlapped = 0;  // of these, before finish() was called
  double waited = 0;      // seconds that finish() took
};

class ScoringBatch {
 public:
  virtual ~ScoringBatch() = default;  // what is not done yet is dropped
  // Each sample once, from one thread.
  virtual void add(size_t group, size_t index, std::string completion, int64_t tokens, bool truncated) = 0;
  // Once. Samples that were never added come back as late ones. `stop`, asked ten times a second: true ends the waiting (the caller throws
  // the results away).
  virtual std::vector<Scored> finish(const std::function<bool()>& stop = {}) = 0;
  virtual const ScoringTimes& times() const = 0;
  // After finish(): for each reward, why it gave nothing where it should have ("threw", or Reward::take_failures).
  virtual const std::vector<std::map<std::string, int64_t>>& failures() const = 0;
};

class ScoringPool {
 public:
  // `task` and `rewards` are not owned and must outlive the pool.
  ScoringPool(const Task& task, std::vector<const Reward*> rewards, ScoringOptions options);
  ~ScoringPool();
  ScoringPool(const ScoringPool&) = delete;
  ScoringPool& operator=(const ScoringPool&) = delete;

  // The batch must not outlive the pool; several may be open.
  std::unique_ptr<ScoringBatch> begin(std::vector<Problem> problems, size_t group_size);
  int threads() const;  // alive now, late ones included

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace r1::tasks
