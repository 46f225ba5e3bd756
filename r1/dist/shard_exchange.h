// The two ways of ZeRO's bytes, bucket by bucket (shares.h): gradients of all ranks are summed to who owns them, and what the owners made of
// their weights comes to all. With N ranks, a bucket of B elements of which rank r owns b_r,
//   reduce   rank r sends (B - b_r) w bytes, w = 4 (plain) or 2 (bf16: rounded before they are sent, added up in fp32)
//   gather   rank r sends (N - 1) b_r e bytes, e the bytes of a weight's element
// over all ranks (N - 1) B of each: what a ring's reduce_scatter and all_gather move, and as many elements as the exchange of whole gradients.
// Sums are taken in the order of the ranks: the same bits in every run, and those of GradientExchange's plain sum.
//
// Every rank calls the same functions for the same buckets in the same order. No other thread may use the group meanwhile.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "r1/dist/group.h"
#include "r1/dist/shares.h"

namespace r1::dist {

class ShardExchange {
 public:
  // `how`: plain or bf16. The shares are the caller's and outlive this.
  ShardExchange(Group& group, const Shares& shares, std::string how = "plain");

  const Shares& shares() const { return shares_; }

  // The bucket's rows as they are sent: each rank's parts together, rank after rank. Rows of gradients (all of them, in the order of the
  // shares' rows; any float dtype, contiguous) that are undefined count as zeros. Touches no group.
  Tensor lay(size_t bucket, std::span<const Tensor> gradients, tensor::Device device) const;
  // Of what lay() gave: this rank's part of the sum, fp32 [counts[rank]], its rows in the bucket's order.
  Tensor reduce(size_t bucket, const Tensor& laid);
  // A part that reduce() gave, or a sum of such, by rows: flat views into parts[row] for each row of the bucket that this rank has some of.
  void part_by_rows(size_t bucket, const Tensor& part, std::span<Tensor> parts) const;

  // Each rank's part of the bucket's rows to all: in place, in `weights`, one a row, contiguous and all of one dtype.
  void gather(size_t bucket, std::span<const Tensor> weights);

 private:
  Group& group_;
  const Shares& shares_;
  std::string how_;
};

}  // namespace r1::dist
