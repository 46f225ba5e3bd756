// The sum of the ranks' gradients, and what it costs on the wire. Rows are laid into buckets of about 25 MB, so that small ones do not wait for
// each other; the exchange begins when the backward is done.
//
//   plain  fp32 as it is: 2 (N - 1) / N of the gradients' bytes go out of each of N ranks
//   bf16   each rank's share rounded to bfloat16, added up in fp32, the sum rounded again: half of that
//   sign   a sign for each element and an fp32 scale (the mean size) for each kBlock of them, both ways: a 31st. What is rounded off is kept and
//          added to the next step's gradients, on the rank that rounded it (Karimireddy et al. 2019, arXiv 1901.09847, Algorithm 1; both ways:
//          Tang et al. 2019, arXiv 1905.05957). A run that is resumed begins with nothing kept.
//
// A row that no rank has a gradient for stays without one, except under sign. A step with NaN or Inf in any gradient goes through plain, so
// that it shows and leaves nothing behind.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "r1/dist/group.h"

namespace r1::dist {

inline constexpr int64_t kBucketBytes = int64_t{25} << 20, kBlock = 1024;

class GradientExchange {
 public:
  GradientExchange(Group& group, std::string how = "plain");

  // gradients[i]: of row i, of any float dtype, or undefined where this rank has none; afterwards fp32 and the sum over ranks, the same bits on
  // every rank. `zeros(i)`: an fp32 tensor of row i's shape and device. The rows are the same at every call.
  void sum(std::span<Tensor> gradients, const std::function<Tensor(size_t)>& zeros);

 private:
  struct Kept {
    Tensor own, shared;  // rounded off of this rank's gradients, and of its share of the sum
  };
  void sum_bucket(Tensor& flat, size_t bucket, bool finite);
  void sum_signs(Tensor& flat, Kept& kept);

  Group& group_;
  std::string how_;
  std::vector<Kept> kept_;
};

// One sign a bit and a scale a block, of fp32 [n] with n a multiple of kBlock: uint8 [n / kBlock, kBlock / 8 + 4]; and back.
Tensor pack_signs(const Tensor& x);
Tensor unpack_signs(const Tensor& packed);

}  // namespace r1::dist
