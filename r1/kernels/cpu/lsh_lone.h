// Which keys a lone query sees, as in decoding (lsh_attention.h): where a part has few queries, filling all buckets (lsh_buckets.h) would
// cost more than their attention. The tokens are gone through backwards from the query instead, round by round, until its buckets have all
// that it sees of them. Memory is the thread's scratch.
// Of one sequence and one kv head.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "r1/kernels/cpu/lsh_tiles.h"
#include "r1/kernels/cpu/scratch.h"

namespace r1::kernels {

class LshLone {
 public:
  // Keys are the tokens 0 .. count - 1.
  LshLone(const LshHash& hash, const LshTokens& tokens, int64_t count)
      : hash_(hash), count_(count), step_((count + kChunk - 1) / kChunk * kChunk) {
    codes_ = memory<int16_t>(Scratch::kLshCodes, hash.rounds * step_);
    found_ = memory<uint8_t>(Scratch::kLshFound, count);
    token_ = memory<int32_t>(Scratch::kLshTokens, count + 1);
    latest_ = memory<int32_t>(Scratch::kLshLatest, 3 * row());
    end_ = memory<int64_t>(Scratch::kLshEnds, hash.rounds + 1);
    const int64_t block = tokens.blocks ? tokens.block_size : count, step = tokens.code_step;
    const auto codes_of = [&](int64_t b) { return tokens.codes + (tokens.blocks ? tokens.blocks[b] * tokens.block_stride : 0); };
    for (int64_t b = 0, first = 0; first < count; ++b, first += block) {
      const int64_t n = std::min(block, count - first);
      // Blocks lie anywhere, so nothing else would fetch the next ones ahead.
      if (first + kAhead * block < count)
        for (int64_t i = 0; i < block; ++i) __builtin_prefetch(codes_of(b + kAhead) + i * step);
      const char* from = codes_of(b);
      int16_t* to = codes_ + first;
      for (int64_t r = 0; r < hash.rounds; ++r, to += step_)
        for (int64_t i = 0; i < n; ++i) to[i] = reinterpret_cast<const int16_t*>(from + i * step)[r];
    }
  }

  // Lists what the query of these codes at the position sees on 2^level buckets: stage 0 is its window, stage 1 + r what round r adds.
  void see(int64_t level, int64_t position, const int16_t* code) {
    std::memset(found_, 0, size_t(count_));
    listed_ = 0;
    for (int64_t t = std::max<int64_t>(0, position - hash_.window + 1); t <= position; ++t) token_[listed_++] = int32_t(t);
    end_[0] = listed_;
    // With one bucket all rounds see the same.
    stages_ = 1 + (level == 0 ? 1 : hash_.rounds);
    for (int64_t r = 0; r + 1 < stages_; ++r) add_round(level, position, codes_ + r * step_, code[r]), end_[r + 1] = listed_;
  }
  int64_t stages() const { return stages_; }
  // Of the list: a stage has the keys from the end of the one before it.
  const int64_t* ends() const { return end_; }
  int64_t keys() const { return listed_; }
  const int32_t* tokens() const { return token_; }

 private:
  static constexpr int64_t kAhead = 2;   // blocks
  static constexpr int64_t kChunk = 16;  // tokens that are passed over together
  template <class T>
  static T* memory(Scratch buffer, int64_t count) {
    return static_cast<T*>(scratch_bytes(buffer, size_t(count) * sizeof(T)));
  }
  int64_t row() const { return std::min(2 * hash_.bucket, count_) + kChunk; }

  // Of the buckets that the query sees, 0 is the one below, 1 its own, 2 the one above; two buckets are below and own, a single one is 0.
  struct Near {
    uint32_t base, up;
    uint16_t last[3];  // of each bucket, counted from the base: modulo 2^16, with the code's bits at the top

    Near(const LshHash& hash, int64_t level, int16_t query) : up(1u << (16 - hash.bits)) {
      const int shift = int(hash.bits - level);
      base = uint32_t((query >> shift) - (level > 0)) << shift;
      for (uint32_t w = 0; w < 3; ++w) last[w] = uint16_t(std::min(((w + 1) << (16 - level)) - 1, 0xFFFFu));
    }
    uint16_t from_base(int16_t code) const { return uint16_t((uint32_t(code) - base) * up); }
  };
  // 1 or 0 for each token of a chunk.
  struct Flags {
    uint16_t in[3][kChunk], any;

    Flags(const Near& near, const int16_t* codes) : any(0) {
      for (int64_t i = 0; i < kChunk; ++i) {
        const uint16_t x = near.from_base(codes[i]);
        const uint16_t below = x <= near.last[0], up_to_own = x <= near.last[1], all = x <= near.last[2];
        in[0][i] = below, in[1][i] = up_to_own ^ below, in[2][i] = all ^ up_to_own;
        any |= all;
      }
    }
  };
  // Of each bucket the latest tokens, backwards; to write in any case and count what belongs costs less than branches guessed wrong.
  struct Latest {
    int32_t* tokens[3];
    int64_t count[3], most[3];

    // Tokens first + from to first + to - 1, where a chunk begins at `first`.
    void visit(int64_t first, int64_t from, int64_t to, const Flags& flags) {
      int32_t *a = tokens[0] + count[0], *b = tokens[1] + count[1], *c = tokens[2] + count[2];
      for (int64_t i = to; i-- > from;) {
        *a = *b = *c = int32_t(first + i);
        a += flags.in[0][i], b += flags.in[1][i], c += flags.in[2][i];
      }
      count[0] = std::min(a - tokens[0], most[0]), count[1] = std::min(b - tokens[1], most[1]), count[2] = std::min(c - tokens[2], most[2]);
    }
    bool full() const { return count[0] == most[0] && count[1] == most[1] && count[2] == most[2]; }
  };

  void add_round(int64_t level, int64_t position, const int16_t* codes, int16_t query) {
    const Near near(hash_, level, query);
    Latest latest{.tokens = {latest_, latest_ + row(), latest_ + 2 * row()}, .count = {0, 0, 0}, .most = {2 * hash_.bucket, 0, 0}};
    if (level > 0) latest.most[0] = hash_.bucket, latest.most[1] = 2 * hash_.bucket;
    if (level > 1) latest.most[2] = hash_.bucket;
    const int64_t window = std::max<int64_t>(0, position - hash_.window + 1);  // its tokens count, but are listed already
    int64_t t = position + 1;
    const auto visit_down_to = [&](int64_t end) {
      for (int64_t first = 0; t > end; t = std::max(first, end)) {
        first = (t - 1) / kChunk * kChunk;
        latest.visit(first, std::max(first, end) - first, t - first, Flags(near, codes + first));
      }
    };
    visit_down_to(window);
    const int64_t in_window[3] = {latest.count[0], latest.count[1], latest.count[2]};
    visit_down_to(window / kChunk * kChunk);
    for (; t > 0 && !latest.full(); t -= kChunk)
      if (const Flags flags(near, codes + t - kChunk); flags.any) latest.visit(t - kChunk, 0, kChunk, flags);
    int64_t listed = listed_;
    for (int w = 0; w < 3; ++w)
      for (int64_t i = latest.count[w]; i-- > in_window[w];) {
        const int32_t token = latest.tokens[w][i];
        token_[listed] = token, listed += !found_[token], found_[token] = 1;
      }
    listed_ = listed;
  }

  LshHash hash_;
  int64_t count_, step_, stages_ = 0, listed_ = 0;
  int16_t* codes_;   // [rounds][step]
  uint8_t* found_;   // [count]: by a round before
  int32_t* token_;   // the list, and one written beyond
  int32_t* latest_;  // of a round: [3][row]
  int64_t* end_;     // [stages]
};

}  // namespace r1::kernels
