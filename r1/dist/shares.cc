#include "r1/dist/shares.h"

#include <algorithm>
#include <numeric>

#include "r1/base/error.h"

namespace r1::dist {

Shares::Shares(std::span<const RowSize> rows, int64_t ranks, int64_t bucket_elements)
    : ranks_(ranks), bucket_of_(rows.size()), parts_(rows.size() * size_t(ranks)) {
  check(ranks > 0 && bucket_elements > 0, "[shares] expected ranks and room in a bucket, got ", ranks, " and ", bucket_elements);
  fill_buckets(rows, bucket_elements);
  cut(rows);
  deal(rows);
  for (Bucket& bucket : buckets_) {
    bucket.counts.assign(size_t(ranks), 0);
    for (const size_t row : bucket.rows)
      for (int64_t r = 0; r < ranks; ++r) bucket.counts[size_t(r)] += part(row, r).size();
  }
}

void Shares::fill_buckets(std::span<const RowSize> rows, int64_t bucket_elements) {
  int64_t filled = bucket_elements;
  for (size_t i = rows.size(); i-- > 0;) {
    if (filled >= bucket_elements) {
      buckets_.emplace_back();
      filled = 0;
    }
    buckets_.back().rows.push_back(i);
    bucket_of_[i] = buckets_.size() - 1;
    filled += rows[i].elements;
  }
}

void Shares::cut(std::span<const RowSize> rows) {
  for (const Bucket& bucket : buckets_) {
    int64_t all = 0, before = 0;
    for (const size_t row : bucket.rows) all += rows[row].matrices == 0 ? rows[row].elements : 0;
    for (const size_t row : bucket.rows) {
      if (rows[row].matrices > 0) continue;
      const int64_t n = rows[row].elements;
      for (int64_t r = 0; r < ranks_; ++r) {
        const auto inside = [&](int64_t at) { return std::clamp<int64_t>(at - before, 0, n); };
        slot(row, r) = {inside(all * r / ranks_), inside(all * (r + 1) / ranks_)};
      }
      before += n;
    }
  }
}

void Shares::deal(std::span<const RowSize> rows) {
  std::vector<size_t> whole;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto [elements, matrices] = rows[i];
    if (matrices < ranks_) {
      if (matrices > 0) whole.push_back(i);
      continue;
    }
    for (int64_t r = 0; r < ranks_; ++r)
      slot(i, r) = {elements / matrices * (matrices * r / ranks_), elements / matrices * (matrices * (r + 1) / ranks_)};
  }
  std::stable_sort(whole.begin(), whole.end(), [&](size_t a, size_t b) { return rows[a].elements > rows[b].elements; });
  std::vector<int64_t> given(size_t(ranks_), 0);
  for (const size_t row : whole) {
    const auto least = std::min_element(given.begin(), given.end());
    slot(row, least - given.begin()) = {0, rows[row].elements};
    *least += rows[row].elements;
  }
}

int64_t Shares::Bucket::elements() const {
  return std::accumulate(counts.begin(), counts.end(), int64_t{0});
}

int64_t Shares::elements(int64_t rank) const {
  int64_t sum = 0;
  for (const Bucket& bucket : buckets_) sum += bucket.counts[size_t(rank)];
  return sum;
}

}  // namespace r1::dist
