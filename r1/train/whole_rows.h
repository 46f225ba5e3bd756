// Whole tensors of a model whose layers ranks share, for whoever writes it down: the first rank asks for them one by one, the others hand over
// their parts. So the first has the whole of one row at a time beside its own part of the model.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "r1/dist/group.h"
#include "r1/model/weights.h"

namespace r1::train {

class WholeRows {
 public:
  // A row, or something of its shape (moments): what this rank has of it.
  struct Part {
    const model::WeightRow* row;
    Tensor tensor;
  };

  // Null: nobody shares, everything is whole.
  explicit WholeRows(dist::Group* ranks) : ranks_(ranks) {}

  // All ranks call it, with the same parts in the same order. The first does `work`, in which it may ask; the others answer until that is done or
  // has failed, which only the first throws. `fault`: what is wrong with a rank's own parts, or "".
  void together(std::vector<Part> parts, std::function<std::string()> fault, const std::function<void()>& work);

  // In `work`: the whole of part i, and what is wrong on any rank.
  Tensor whole(size_t i);
  std::string fault();

 private:
  void answer();
  void ask(double what);
  Tensor collect(const Part& part);
  std::string gather_faults();

  dist::Group* ranks_;
  bool under_way_ = false;
  std::vector<Part> parts_;
  std::function<std::string()> own_fault_;
};

}  // namespace r1::train
