// The state of one assert run between its two sandboxes: the tester (trusted) and the solution (not). Frames in, what to do with them out;
// no I/O, so that a fuzzer reaches all of it. A verdict is only ever taken from a tester's frame that carries the nonce; what the solution
// sends is handed to the tester as the answer to its question, if it has asked one, and is an offence otherwise.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "r1/verify/judge/channel.h"
#include "r1/verify/judge/judge.h"

namespace r1::verify::judge {

class AssertRelay {
 public:
  explicit AssertRelay(std::string nonce) : nonce_(std::move(nonce)) {}

  enum class Next { kGoOn, kToSolution, kToTester, kFinished, kFault };
  struct Step {
    Next next = Next::kGoOn;
    std::string payload;  // kToSolution, kToTester: the frame; kFault: why
  };
  Step from_tester(std::string_view frame);
  Step from_solution(std::string_view frame);

  bool planned() const { return planned_; }
  const std::vector<std::string>& names() const { return names_; }
  // The test that runs now.
  std::optional<size_t> current() const { return current_; }
  // A verdict a test; nothing for those that have none yet.
  const std::vector<std::optional<TestReport>>& results() const { return results_; }

 private:
  Step fault(std::string why) const { return {Next::kFault, std::move(why)}; }

  std::string nonce_;
  bool planned_ = false, asked_ = false, finished_ = false;
  std::vector<std::string> names_;
  std::optional<size_t> current_;
  Clock::time_point begun_;
  std::vector<std::optional<TestReport>> results_;
};

}  // namespace r1::verify::judge
