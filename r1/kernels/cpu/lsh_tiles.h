// The tiles of hashing attention (lsh_attention_simd.h): up to 16 queries of a level that share a bucket, and the keys that any of them
// sees, gathered side by side. A key is thus fetched a few times a round, when its bucket's turn comes, and not by each query that sees it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <tuple>
#include <vector>

#include "r1/kernels/cpu/lsh_attention.h"
#include "r1/kernels/cpu/lsh_attention_simd.h"
#include "r1/kernels/cpu/lsh_buckets.h"

namespace r1::kernels {

// Where the tokens of one sequence and kv head are.
struct LshTokens {
  const char *k = nullptr, *v = nullptr, *codes = nullptr;  // of token 0; paged: of a block's first token, from the pool's start
  int64_t k_step = 0, v_step = 0, code_step = 0;            // bytes
  const int32_t* blocks = nullptr;
  int64_t block_size = 0, block_stride = 0;

  int64_t place(int64_t t, int64_t step) const {
    const auto token = uint32_t(t), size = uint32_t(block_size);  // the shorter division
    return blocks ? blocks[token / size] * block_stride + token % size * step : t * step;
  }
  const void* key(int64_t t) const { return k + place(t, k_step); }
  const void* value(int64_t t) const { return v + place(t, v_step); }
  const int16_t* code(int64_t t) const { return reinterpret_cast<const int16_t*>(codes + place(t, code_step)); }
};

// One kv head of a sequence: rows q_begin .. are its tokens first .. count - 1.
struct LshPart {
  LshTokens tokens;
  Float type;  // of keys and values
  int64_t q_begin, first, count, kv_head;
};

inline const void* lsh_row_at(const ConstRows& rows, int64_t offset) {
  return static_cast<const char*>(rows.data) + offset * size_of(rows.type);
}

// The tiles of a level, one after another, with what they need gathered in one place.
class LshTiles {
 public:
  LshTiles(const LshShape& s, const LshPart& part, const ConstRows& q) : s_(s), part_(part), q_(q) {
    q_rows_.resize(size_t(kLshLanes * lsh_row(s.head_dim))), q_lanes_.resize(q_rows_.size());
    ranges_.resize(size_t(s.rounds * 3 * 2 * kLshLanes));
  }

  // f(tile, query): query[j] is the level's query in lane j. First the window, then round after round.
  template <class F>
  void for_each(const LshLevel& level, F f) {
    std::vector<int32_t> all(size_t(level.queries()));
    std::iota(all.begin(), all.end(), 0);
    for (int64_t i = 0; i < level.queries(); i += kLshLanes) {
      begin(level, &all[size_t(i)], std::min<int64_t>(kLshLanes, level.queries() - i));
      add_window(level);
      run(f);
    }
    for (int64_t r = 0; r < level.rounds(); ++r)
      for (int64_t b = 0; b < level.buckets(); ++b) {
        const int64_t count = level.queries(r).end(b) - level.queries(r).begin(b);
        for (int64_t i = 0; i < count; i += kLshLanes) {
          begin(level, level.queries(r).items(b) + i, std::min<int64_t>(kLshLanes, count - i));
          if (tile_.lanes == 1) {
            add_lone(level, r);
          } else {
            for (int which = 0; which < 3; ++which) add_reach(level, r, which);
            add_earlier(level, r);
          }
          if (!tokens_.empty()) run(f);
        }
      }
  }
  const int32_t* tokens() const { return tokens_.data(); }
  // The packed row of a query, in heads.
  int64_t row(const LshLevel& level, int64_t query) const {
    const int64_t group = s_.heads / s_.kv_heads;
    return (part_.q_begin + level.position(query) - part_.first) * s_.heads + part_.kv_head * group + query % group;
  }

 private:
  void begin(const LshLevel& level, const int32_t* query, int64_t lanes) {
    query_ = query;
    tile_ = {.head_dim = s_.head_dim, .v_dim = s_.v_dim, .scale = s_.scale, .lanes = lanes};
    tokens_.clear();
    from_.clear();
    for (int64_t j = 0; j < lanes; ++j) from_.push_back(lsh_row_at(q_, row(level, query[j]) * s_.head_dim));
  }
  // A run of the places lo of the first query to hi of the last.
  template <class Range, class Token>
  void add_run(Range range, Token token) {
    LshRun run{.begin = int64_t(tokens_.size())};
    for (int64_t j = 0; j < tile_.lanes; ++j) std::tie(run.lo[j], run.hi[j]) = range(query_[j]);
    for (int64_t j = tile_.lanes; j < kLshLanes; ++j) run.lo[j] = run.hi[j] = 0;
    run.first = run.lo[0];
    for (auto place = int64_t(run.first); place < int64_t(run.hi[tile_.lanes - 1]); ++place) tokens_.push_back(token(place));
    run.end = int64_t(tokens_.size());
    if (run.end > run.begin) tile_.runs[tile_.run_count++] = run;
  }
  void add_window(const LshLevel& level) {
    add_run(
        [&](int32_t i) {
          const int64_t p = level.position(i);
          return std::pair(float(std::max<int64_t>(0, p - s_.window + 1)), float(p + 1));
        },
        [](int64_t place) { return int32_t(place); });
  }
  void add_reach(const LshLevel& level, int64_t r, int which) {
    add_run(
        [&](int32_t i) {
          const LshReach& reach = level.reach(r, i);
          return std::pair(float(reach.lo[which]), float(reach.hi[which]));
        },
        [&](int64_t place) { return level.keys(r)[place]; });
  }
  // Alone in its bucket, a query lists what it sees and no more: between near rounds and in short texts, most keys are found already.
  void add_lone(const LshLevel& level, int64_t r) {
    for (int which = 0; which < 3; ++which)
      for (int32_t place = level.reach(r, query_[0]).lo[which]; place < level.reach(r, query_[0]).hi[which]; ++place)
        if (const int32_t t = level.keys(r)[place]; !level.found_before(r, query_[0], t)) tokens_.push_back(t);
    LshRun& run = tile_.runs[tile_.run_count++];
    run = {.end = int64_t(tokens_.size())};
    run.hi[0] = float(tokens_.size());
  }
  void add_earlier(const LshLevel& level, int64_t r) {
    grow(places_, tokens_.size() * size_t(r));
    float* to = places_.data();
    for (const int32_t t : tokens_)
      for (int64_t e = 0; e < r; ++e) *to++ = level.places(t)[e];
    for (int64_t e = 0; e < r; ++e)
      for (int64_t j = 0; j < tile_.lanes; ++j)
        for (int which = 0; which < 3; ++which) {
          float* range = &ranges_[size_t((e * 3 + which) * 2 * kLshLanes + j)];
          range[0] = float(level.reach(e, query_[j]).lo[which]), range[kLshLanes] = float(level.reach(e, query_[j]).hi[which]);
        }
    tile_.earlier = r, tile_.places = places_.data(), tile_.ranges = ranges_.data();
  }
  template <class F>
  void run(F f) {
    const size_t keys = tokens_.size();
    tile_.keys = int64_t(keys);
    grow(k_, keys * size_t(lsh_row(s_.head_dim))), grow(v_, keys * size_t(lsh_row(s_.v_dim))), grow(p_, keys * kLshLanes);
    tile_.q = q_rows_.data(), tile_.q_lanes = q_lanes_.data(), tile_.k = k_.data(), tile_.v = v_.data(), tile_.p = p_.data();
    with_isa([&](auto isa) {
      lsh_gather_simd<isa()>(q_.type, from_.data(), tile_.lanes, s_.head_dim, q_rows_.data());
      lsh_transpose_simd<isa()>(q_rows_.data(), s_.head_dim, q_lanes_.data());
      from_.clear();
      for (const int32_t t : tokens_) from_.push_back(part_.tokens.key(t));
      lsh_gather_simd<isa()>(part_.type, from_.data(), tile_.keys, s_.head_dim, k_.data());
      from_.clear();
      for (const int32_t t : tokens_) from_.push_back(part_.tokens.value(t));
      lsh_gather_simd<isa()>(part_.type, from_.data(), tile_.keys, s_.v_dim, v_.data());
    });
    f(tile_, query_);
  }
  static void grow(std::vector<float>& memory, size_t size) {
    if (memory.size() < size) memory.resize(size + size / 4);
  }

  LshShape s_;
  LshPart part_;
  ConstRows q_;
  LshTile tile_{};
  const int32_t* query_ = nullptr;
  std::vector<int32_t> tokens_;  // of the tile's keys
  std::vector<const void*> from_;
  std::vector<float> q_rows_, q_lanes_, k_, v_, p_, places_, ranges_;
};

}  // namespace r1::kernels
