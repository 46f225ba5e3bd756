// What tasks made from a seed share: problem `index` of a split is a pure function of (seed, split, index), and which split a problem
// belongs to is a function of the problem alone (a hash of its key), whatever the seed: train, pretraining documents and SFT examples never
// hold a test problem.
#pragma once

#include <string>
#include <string_view>

#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "r1/tasks/options.h"
#include "r1/tasks/task.h"

namespace r1::tasks {

// 64-bit FNV-1a with a final mix; stable over versions, as the partition depends on it.
uint64_t problem_hash(std::string_view key);
// One problem in eight is a test problem.
bool is_test_problem(std::string_view key);

class GeneratedTask : public Task {
 public:
  const std::string& name() const override { return name_; }
  int64_t size(const std::string& split) const override;

 protected:
  // Reads options seed, train_size, test_size, strict.
  GeneratedTask(std::string name, OptionReader& options);

  enum Stream : uint64_t { kTrain = 1, kTest, kDocuments, kSft };
  Rng rng_for(Stream stream, int64_t index) const { return Rng(seed_, stream).split(uint64_t(index)); }
  Stream stream_of(const std::string& split, int64_t index) const;  // checks both

  // Calls draw(rng) until its result's key() lies on the wanted side. Fails when the options leave (next to) nothing to draw.
  template <class Draw>
  auto draw_on_side(bool test, Rng& rng, Draw draw) const {
    for (int attempt = 0; attempt < 10'000; ++attempt) {
      auto drawn = draw(rng);
      if (drawn.ok() && is_test_problem(drawn.key()) == test) return drawn;
    }
    fail("task ", name_, ": found no ", test ? "test" : "train",
         " problem with these options in 10,000 draws; allow larger numbers or more operators");
  }

  std::string name_;
  uint64_t seed_ = 0;
  int64_t train_size_ = 0, test_size_ = 0;
  bool strict_ = true;
};

}  // namespace r1::tasks
