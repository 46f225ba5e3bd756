// The layouts that a job could have, tried one by one by the formulas of step.h: the fastest that fit, and why others are refused.
#pragma once

#include <string>
#include <vector>

#include "r1/plan/step.h"

namespace r1::plan {

// What the user left open is empty; what is given is the only one tried. dp follows from the rest.
struct Choices {
  std::vector<int64_t> dp, tp, pp, ep, cp, zero, micro_batch, virtual_stages;
  std::vector<Schedule> schedules;
  std::vector<Recompute> recompute;
};

struct Refusal {
  Layout layout;
  std::string reason;
  double tokens_per_second = 0;  // that it would have, if only memory is short; 0: it cannot be
};

struct Found {
  std::vector<Estimate> best;    // fastest first, one for each {dp, tp, pp, ep, cp}
  std::vector<Refusal> refused;  // too large ones, those faster than best[0] and then those that need least first; then one a reason
  int64_t tried = 0, impossible = 0, too_large = 0, fit = 0;
};

// `number`: of best and of refused layouts at most.
Found search(const Setting& setting, const Choices& choices, size_t number);

// Where the step's time goes, in percent: "products 61 %, attention 9 %, bubble 5 %, ...".
std::string where_time_goes(const Estimate& estimate);
// What makes `other` slower than `best`, the largest differences first: "8 % slower: bubble +6 %, tp collectives +2 %".
std::string why_slower(const Estimate& best, const Estimate& other);
// "needs 93.1 GiB of 79.1: activations 61.2 GiB ..., ..." with the option that saves most of it.
std::string why_too_large(const Setting& setting, const Layout& layout, const Memory& memory);

}  // namespace r1::plan
