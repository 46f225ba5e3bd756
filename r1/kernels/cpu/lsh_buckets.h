// Which keys a query sees under hashing (lsh_attention.h), for all queries of a level at once. While the number of buckets is the same, a
// round puts every token at one place: tokens sorted by bucket, within a bucket by position. What a query sees of a bucket, the latest so
// many of its tokens up to the query, is then a range of places, and the queries of one bucket see overlapping ranges.
// Of one sequence and one kv head.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace r1::kernels {

// Items 0 .. n - 1 by bucket, and within a bucket in their order.
class BucketOrder {
 public:
  template <class BucketOf>
  BucketOrder(int64_t items, int64_t buckets, BucketOf bucket_of) : begin_(size_t(buckets + 1), 0), item_(size_t(items)) {
    for (int64_t i = 0; i < items; ++i) ++begin_[size_t(bucket_of(i) + 1)];
    for (int64_t b = 0; b < buckets; ++b) begin_[size_t(b + 1)] += begin_[size_t(b)];
    std::vector<int32_t> next(begin_.begin(), begin_.end() - 1);
    for (int64_t i = 0; i < items; ++i) item_[size_t(next[size_t(bucket_of(i))]++)] = int32_t(i);
  }
  int32_t begin(int64_t bucket) const { return begin_[size_t(bucket)]; }
  int32_t end(int64_t bucket) const { return begin_[size_t(bucket + 1)]; }
  int32_t operator[](int64_t place) const { return item_[size_t(place)]; }
  const int32_t* items(int64_t bucket) const { return item_.data() + begin(bucket); }

 private:
  std::vector<int32_t> begin_, item_;
};

// The places that a query sees of one round, without those of its window: of the bucket below, its own and the bucket above, each from lo
// up to hi (nothing: lo = hi). Of two queries of a bucket, neither lo nor hi of the later one is lower.
struct LshReach {
  int32_t lo[3], hi[3];
};

// Codes [rounds][step], the first of which are used; borrowed.
struct LshCodes {
  const int16_t* data;
  int64_t step;
};

struct LshHash {
  int64_t rounds, bits, bucket, window;
};

class LshLevel {
 public:
  // 2^level buckets. Keys are the tokens 0 .. tokens - 1; queries i those at the positions first .. tokens - 1, `group` of each.
  LshLevel(const LshHash& hash, int64_t level, LshCodes keys, int64_t tokens, LshCodes queries, int64_t first, int64_t group)
      : hash_(hash), level_(level), first_(first), group_(group), tokens_(tokens) {
    // With one bucket all rounds see the same.
    rounds_ = level == 0 ? 1 : hash.rounds;
    place_.resize(size_t(tokens * rounds_)), reach_.resize(size_t(rounds_ * this->queries()));
    for (int64_t r = 0; r < rounds_; ++r) {
      keys_.emplace_back(tokens, buckets(), [&](int64_t t) { return bucket_of(keys.data[r * keys.step + t]); });
      queries_.emplace_back(this->queries(), buckets(), [&](int64_t i) { return bucket_of(queries.data[r * queries.step + i]); });
      for (int64_t place = 0; place < tokens; ++place) place_[size_t(keys_.back()[place] * rounds_ + r)] = float(place);
      for (int64_t b = 0; b < buckets(); ++b) find_reach(r, b);
    }
  }

  int64_t rounds() const { return rounds_; }
  int64_t buckets() const { return int64_t{1} << level_; }
  int64_t queries() const { return (tokens_ - first_) * group_; }
  int64_t position(int64_t query) const { return first_ + query / group_; }
  const BucketOrder& keys(int64_t round) const { return keys_[size_t(round)]; }
  const BucketOrder& queries(int64_t round) const { return queries_[size_t(round)]; }
  const LshReach& reach(int64_t round, int64_t query) const { return reach_[size_t(round * queries() + query)]; }
  // A round before this one shows the token to the query.
  bool found_before(int64_t round, int64_t query, int64_t token) const {
    for (int64_t e = 0; e < round; ++e)
      for (int which = 0; which < 3; ++which)
        if (const auto place = int32_t(places(token)[e]); place >= reach(e, query).lo[which] && place < reach(e, query).hi[which])
          return true;
    return false;
  }
  // [rounds] of a token, as floats.
  const float* places(int64_t token) const { return &place_[size_t(token * rounds_)]; }

 private:
  // Whatever code is given, the bucket is one of those there are.
  int64_t bucket_of(int16_t code) const { return (code >> (hash_.bits - level_)) & (buckets() - 1); }

  void find_reach(int64_t r, int64_t bucket) {
    const int64_t n = buckets();
    follow(r, bucket, bucket, 1, 2 * hash_.bucket);
    if (n > 1) follow(r, bucket, (bucket + n - 1) % n, 0, hash_.bucket);
    if (n > 2) follow(r, bucket, (bucket + 1) % n, 2, hash_.bucket);
  }
  // The reach of a bucket's queries into another: the latest `most` tokens up to the query, without its window.
  void follow(int64_t r, int64_t bucket, int64_t other, int which, int64_t most) {
    const BucketOrder& keys = this->keys(r);
    const BucketOrder& queries = this->queries(r);
    const int32_t begin = keys.begin(other), end = keys.end(other);
    int32_t past = begin, before = begin;  // the first key after the query, and the first of its window or after
    for (int32_t i = queries.begin(bucket); i < queries.end(bucket); ++i) {
      const int64_t p = position(queries[i]);
      while (past < end && keys[past] <= p) ++past;
      while (before < past && keys[before] <= p - hash_.window) ++before;
      LshReach& reach = reach_[size_t(r * this->queries() + queries[i])];
      reach.hi[which] = before;
      reach.lo[which] = int32_t(std::min<int64_t>(before, std::max<int64_t>(begin, past - most)));
    }
  }

  LshHash hash_;
  int64_t level_, first_, group_, tokens_, rounds_ = 0;
  std::vector<BucketOrder> keys_, queries_;  // of each round
  std::vector<float> place_;                 // [tokens][rounds]
  std::vector<LshReach> reach_;              // [rounds][queries]
};

}  // namespace r1::kernels
