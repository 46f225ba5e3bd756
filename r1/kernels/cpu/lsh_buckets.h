// Which keys a query sees under hashing (lsh_attention.h): the tokens of each bucket in order of position. Of one sequence and one kv head;
// queries come in the order of their positions.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace r1::kernels {

class LshBuckets {
 public:
  // codes [rounds][tokens]; borrowed.
  LshBuckets(int64_t rounds, int64_t bits, int64_t bucket, const int16_t* codes, int64_t tokens)
      : rounds_(rounds), bits_(bits), bucket_(bucket), tokens_(tokens), codes_(codes), seen_(size_t(tokens)) {}

  // All tokens up to `position` are in their buckets, as many buckets as there are at that position.
  void advance(int64_t position) {
    int64_t level = 0;
    while (level < bits_ && (bucket_ << level) < position + 1) ++level;
    if (level != level_) {
      level_ = level;
      members_.assign(size_t(rounds_ << level), {});
      filled_ = 0;
    }
    for (; filled_ <= position; ++filled_) insert(filled_);
  }

  // The keys of the query at the position advanced to, whose code in round r is codes[r]. At most window + 4 rounds bucket.
  void select(const int16_t* codes, int64_t window, std::vector<int32_t>& keys) {
    keys.clear();
    ++query_;
    const int64_t position = filled_ - 1;
    for (int64_t t = position; t >= 0 && t > position - window; --t) take(t, keys);
    const int64_t buckets = int64_t{1} << level_;
    for (int64_t r = 0; r < rounds_; ++r) {
      const int64_t own = bucket_of(codes[r]);
      follow(r, own, 2 * bucket_, keys);
      if (buckets > 1) follow(r, (own + buckets - 1) % buckets, bucket_, keys);
      if (buckets > 2) follow(r, (own + 1) % buckets, bucket_, keys);
    }
  }

 private:
  int64_t bucket_of(int16_t code) const { return code >> (bits_ - level_); }
  void insert(int64_t t) {
    for (int64_t r = 0; r < rounds_; ++r) members_[size_t((r << level_) + bucket_of(codes_[r * tokens_ + t]))].push_back(int32_t(t));
  }
  void follow(int64_t r, int64_t bucket, int64_t most, std::vector<int32_t>& keys) {
    const std::vector<int32_t>& members = members_[size_t((r << level_) + bucket)];
    for (auto t = members.rbegin(); t != members.rend() && most > 0; ++t, --most) take(*t, keys);
  }
  void take(int64_t t, std::vector<int32_t>& keys) {
    if (seen_[size_t(t)] == query_) return;
    seen_[size_t(t)] = query_;
    keys.push_back(int32_t(t));
  }

  int64_t rounds_, bits_, bucket_, tokens_;
  const int16_t* codes_;
  int64_t level_ = -1, filled_ = 0;
  std::vector<std::vector<int32_t>> members_;  // [rounds][buckets] ascending tokens
  std::vector<uint32_t> seen_;                 // [tokens] the last query that took it
  uint32_t query_ = 0;
};

}  // namespace r1::kernels
