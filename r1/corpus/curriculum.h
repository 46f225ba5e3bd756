// A mixture whose weights change on the way: r1 data mix --curriculum stages.yaml.
//
//   steps: 10000           # optional: `until` counts in steps of these; without, it is a share, 0 to 1
//   interpolate: true      # optional: weights go in a straight line to the next stage's; without, they jump
//   stages:
//     - until: 6000
//       weights: [8, 2, 0]
//     - until: 10000       # the last one ends where the mixture does
//       weights: [2, 4, 4]
//
// Progress is the share of the mixture's bytes that is written. Where weights go over into each other a stage has its own in its middle, and
// before the first stage's middle and after the last one's they stay.
#pragma once

#include <string>
#include <vector>

#include "r1/base/json.h"

namespace r1::corpus {

struct Curriculum {
  struct Stage {
    double until = 1;             // of the whole, 0 to 1
    std::vector<double> weights;  // of each source; their sum is 1
  };
  std::vector<Stage> stages;
  bool interpolate = false;

  // kUsage with the file and the stage for what is none of `sources` sources.
  static Curriculum load(const std::string& path, size_t sources);
  static Curriculum parse(std::string_view yaml, const std::string& where, size_t sources);
  size_t stage_at(double progress) const;
  // The sources' shares at a progress of 0 to 1; their sum is 1.
  std::vector<double> shares_at(double progress) const;
  Json to_json() const;
};

}  // namespace r1::corpus
