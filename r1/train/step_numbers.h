// What a step says of itself, over ranks. Ranks may know different names (one without a micro-batch knows none): the union counts, and who lacks
// a name adds nothing to it.
#pragma once

#include <map>
#include <string>

#include "r1/dist/group.h"

namespace r1::train {

struct StepNumbers {
  std::map<std::string, double> sums, maxima;
  std::map<std::string, Tensor> tensors;  // added up; each keeps its shape and dtype
};

// `device`: where a rank that lacks a tensor makes it.
void sum_numbers(dist::Group& group, StepNumbers& numbers, tensor::Device device);

}  // namespace r1::train
