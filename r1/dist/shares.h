// Who owns which elements of a step's rows, where ranks share the state of the optimizer (ZeRO: Rajbhandari et al. 2019, arXiv 1910.02054,
// section 5). A function of the rows' sizes and the number of ranks alone, so every rank knows all shares, and a run may go on with others.
//
// Rows are laid into buckets of about 25 MB, the last row first, as a backward makes their gradients. In a bucket,
//   rows that may be cut    lie one after another, and of the n elements rank r of N has [n r / N, n (r + 1) / N): each as many, whatever the
//                           rows' sizes, and of each row one piece or none
//   rows of whole matrices  (Muon's, which are made orthogonal whole) belong to one rank each, the largest first to who has the fewest elements
//                           of such; stacked matrices, if there are at least N of them, are dealt out in N even runs
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace r1::dist {

struct RowSize {
  int64_t elements = 0;
  int64_t matrices = 0;  // of how many matrices the row consists, where none may be cut; 0: it may be cut anywhere
};

// Of a row's elements, in their order in memory.
struct Range {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
  bool operator==(const Range&) const = default;
};

class Shares {
 public:
  Shares(std::span<const RowSize> rows, int64_t ranks, int64_t bucket_elements);

  struct Bucket {
    std::vector<size_t> rows;     // the last first
    std::vector<int64_t> counts;  // elements of each rank
    int64_t elements() const;
  };
  int64_t ranks() const { return ranks_; }
  size_t rows() const { return bucket_of_.size(); }
  const std::vector<Bucket>& buckets() const { return buckets_; }
  size_t bucket_of(size_t row) const { return bucket_of_[row]; }
  Range part(size_t row, int64_t rank) const { return parts_[row * size_t(ranks_) + size_t(rank)]; }
  int64_t elements(int64_t rank) const;  // over all rows

 private:
  void fill_buckets(std::span<const RowSize> rows, int64_t bucket_elements);
  void cut(std::span<const RowSize> rows);
  void deal(std::span<const RowSize> rows);
  Range& slot(size_t row, int64_t rank) { return parts_[row * size_t(ranks_) + size_t(rank)]; }

  int64_t ranks_;
  std::vector<Bucket> buckets_;
  std::vector<size_t> bucket_of_;  // [rows]
  std::vector<Range> parts_;       // [rows, ranks]
};

}  // namespace r1::dist
