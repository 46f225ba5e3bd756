// The doors of the kernels on rows: checks, strides, how many threads, which instruction set.
#include <numeric>
#include <vector>

#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "r1/kernels/cpu/bf16.h"
#include "r1/kernels/cpu/dropout.h"
#include "r1/kernels/cpu/embedding.h"
#include "r1/kernels/cpu/rows_simd.h"
#include "r1/kernels/cpu/threads.h"

namespace r1::kernels {
namespace {

template <class R>
R dense(R x, int64_t columns) {
  if (!x.row_stride) x.row_stride = columns;
  return x;
}

float value(const ConstRows& x, int64_t row, int64_t i) {
  const int64_t at = row * x.row_stride + i;
  return x.type == Float::kF32 ? static_cast<const float*>(x.data)[at] : from_bf16(static_cast<const uint16_t*>(x.data)[at]);
}
void set_value(const Rows& x, int64_t row, int64_t i, float v) {
  const int64_t at = row * x.row_stride + i;
  if (x.type == Float::kF32)
    static_cast<float*>(x.data)[at] = v;
  else
    static_cast<uint16_t*>(x.data)[at] = to_bf16(v);
}

}  // namespace

void rms_norm(const RmsNorm& given) {
  RmsNorm a = given;
  check(a.dim > 0, "[rms_norm] expected dim > 0, got ", a.dim);
  check(!a.residual.data || a.sum.data, "[rms_norm] expected a place for x + residual");
  a.x = dense(a.x, a.dim), a.residual = dense(a.residual, a.dim), a.y = dense(a.y, a.dim), a.sum = dense(a.sum, a.dim);
  with_isa([&](auto isa) { rms_norm_simd<isa()>(a, threads_for(double(a.rows * a.dim) * 4)); });
}

void rms_norm_backward(const RmsNormBackward& given) {
  RmsNormBackward a = given;
  check(a.dim > 0, "[rms_norm_backward] expected dim > 0, got ", a.dim);
  a.x = dense(a.x, a.dim), a.dy = dense(a.dy, a.dim), a.dx = dense(a.dx, a.dim), a.dsum = dense(a.dsum, a.dim);
  with_isa([&](auto isa) { rms_norm_backward_simd<isa()>(a, threads_for(double(a.rows * a.dim) * 8)); });
}

void layer_norm(const LayerNorm& given) {
  LayerNorm a = given;
  check(a.dim > 0, "[layer_norm] expected dim > 0, got ", a.dim);
  check((a.mean == nullptr) == (a.rstd == nullptr), "[layer_norm] expected places for mean and rstd, or for neither");
  a.x = dense(a.x, a.dim), a.y = dense(a.y, a.dim);
  with_isa([&](auto isa) { layer_norm_simd<isa()>(a, threads_for(double(a.rows * a.dim) * (a.gelu ? 25 : 6))); });
}

void layer_norm_backward(const LayerNormBackward& given) {
  LayerNormBackward a = given;
  check(a.dim > 0, "[layer_norm_backward] expected dim > 0, got ", a.dim);
  a.x = dense(a.x, a.dim), a.dy = dense(a.dy, a.dim), a.dx = dense(a.dx, a.dim);
  with_isa([&](auto isa) { layer_norm_backward_simd<isa()>(a, threads_for(double(a.rows * a.dim) * (a.gelu ? 35 : 12))); });
}

void geglu(const GeGlu& given) {
  GeGlu a = given;
  a.gate = dense(a.gate, a.dim), a.up = dense(a.up, a.dim), a.y = dense(a.y, a.dim);
  with_isa([&](auto isa) { geglu_simd<isa()>(a, threads_for(double(a.rows * a.dim) * 25)); });
}

void geglu_backward(const GeGluBackward& given) {
  GeGluBackward a = given;
  a.gate = dense(a.gate, a.dim), a.up = dense(a.up, a.dim), a.dy = dense(a.dy, a.dim), a.dgate = dense(a.dgate, a.dim),
  a.dup = dense(a.dup, a.dim);
  with_isa([&](auto isa) { geglu_backward_simd<isa()>(a, threads_for(double(a.rows * a.dim) * 40)); });
}

void rope(const Rope& given) {
  Rope a = given;
  check(a.rotary_dim > 0 && a.rotary_dim % 2 == 0 && a.rotary_dim <= a.head_dim, "[rope] expected an even rotary_dim up to ", a.head_dim,
        ", got ", a.rotary_dim);
  for (int64_t t = 0; t < a.tokens; ++t)
    check(a.positions[t] >= 0 && a.positions[t] < a.max_position, "[rope] expected positions below ", a.max_position, ", got ",
          a.positions[t]);
  a.x = dense(a.x, a.heads * a.head_dim);
  with_isa([&](auto isa) { rope_simd<isa()>(a, threads_for(double(a.tokens * a.heads * a.rotary_dim) * 2)); });
}

void swiglu(const SwiGlu& given) {
  SwiGlu a = given;
  a.gate = dense(a.gate, a.dim), a.up = dense(a.up, a.dim), a.y = dense(a.y, a.dim);
  with_isa([&](auto isa) { swiglu_simd<isa()>(a, threads_for(double(a.rows * a.dim) * 20)); });
}

void swiglu_backward(const SwiGluBackward& given) {
  SwiGluBackward a = given;
  a.gate = dense(a.gate, a.dim), a.up = dense(a.up, a.dim), a.dy = dense(a.dy, a.dim), a.dgate = dense(a.dgate, a.dim),
  a.dup = dense(a.dup, a.dim);
  with_isa([&](auto isa) { swiglu_backward_simd<isa()>(a, threads_for(double(a.rows * a.dim) * 30)); });
}

void log_prob(const LogProb& given) {
  LogProb a = given;
  check(a.vocab > 0, "[log_prob] expected a vocabulary, got ", a.vocab);
  check(a.targets || !a.logprob, "[log_prob] expected targets for log-probabilities");
  for (int64_t r = 0; a.logprob && r < a.rows; ++r)
    check(a.targets[r] < a.vocab, "[log_prob] expected targets below ", a.vocab, ", got ", a.targets[r]);
  if (!a.row_stride) a.row_stride = a.vocab;
  with_isa([&](auto isa) { log_prob_simd<isa()>(a, threads_for(double(a.rows * a.vocab) * 20)); });
}

void log_prob_backward(const LogProbBackward& given) {
  LogProbBackward a = given;
  for (int64_t r = 0; r < a.rows; ++r)
    check(a.targets[r] <= a.vocab, "[log_prob_backward] expected targets below ", a.vocab, ", got ", a.targets[r]);
  if (!a.row_stride) a.row_stride = a.vocab;
  with_isa([&](auto isa) { log_prob_backward_simd<isa()>(a, threads_for(double(a.rows * a.vocab) * 20)); });
}

void adamw(const AdamW& a) {
  check(a.step >= 1, "[adamw] expected steps counted from 1, got ", a.step);
  with_isa([&](auto isa) { adamw_simd<isa()>(a, threads_for(double(a.n) * 10)); });
}

double sum_of_squares(const void* x, Float type, int64_t n) {
  std::vector<double> sums((n + kSquaresChunk - 1) / kSquaresChunk);
  with_isa([&](auto isa) { sum_of_squares_simd<isa()>(x, type, n, sums.data(), threads_for(double(n))); });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

void add_scaled(float* y, const float* x, float scale, int64_t n) {
  with_isa([&](auto isa) { add_scaled_simd<isa()>(y, x, scale, n, threads_for(double(n))); });
}

void embedding(const Embedding& given) {
  Embedding a = given;
  a.table = dense(a.table, a.dim), a.out = dense(a.out, a.dim);
  for (int64_t t = 0; t < a.tokens; ++t)
    check(a.ids[t] >= 0 && a.ids[t] < a.vocab, "[embedding] expected ids below ", a.vocab, ", got ", a.ids[t]);
  const int threads = threads_for(double(a.tokens * a.dim));
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t t = 0; t < a.tokens; ++t)
    for (int64_t i = 0; i < a.dim; ++i) set_value(a.out, t, i, value(a.table, a.ids[t], i));
}

void embedding_backward(const EmbeddingBackward& given) {
  EmbeddingBackward a = given;
  a.dout = dense(a.dout, a.dim), a.dtable = dense(a.dtable, a.dim);
  check(a.dtable.type == Float::kF32, "[embedding_backward] expected a fp32 gradient of the table");
  for (int64_t t = 0; t < a.tokens; ++t)
    check(a.ids[t] >= 0 && a.ids[t] < a.vocab, "[embedding_backward] expected ids below ", a.vocab, ", got ", a.ids[t]);
  float* table = static_cast<float*>(a.dtable.data);
  // Threads share the columns, so each element is summed by one thread in the order of the tokens.
  const int threads = threads_for(double(a.tokens * a.dim));
  constexpr int64_t kColumns = 64;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t first = 0; first < a.dim; first += kColumns)
    for (int64_t t = 0; t < a.tokens; ++t)
      for (int64_t i = first; i < a.dim && i < first + kColumns; ++i) table[a.ids[t] * a.dtable.row_stride + i] += value(a.dout, t, i);
}

void dropout(const Dropout& a) {
  check(a.p >= 0 && a.p < 1, "[dropout] expected 0 <= p < 1, got ", a.p);
  const ConstRows x{a.x, a.type, 0};
  const Rows y{a.y, a.type, 0};
  const uint64_t drop = uint64_t(a.p * 4294967296.0);
  const float scale = float(1 / (1 - a.p));
  const int64_t first_block = int64_t(a.first / 4), last_block = int64_t((a.first + uint64_t(a.n) + 3) / 4);
  const int threads = threads_for(double(a.n) * 10);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int64_t block = first_block; block < last_block; ++block) {
    const auto words = philox4x32({uint32_t(block), uint32_t(uint64_t(block) >> 32), uint32_t(a.stream), uint32_t(a.stream >> 32)},
                                  {uint32_t(a.seed), uint32_t(a.seed >> 32)});
    for (int64_t j = 0; j < 4; ++j) {
      const int64_t i = block * 4 + j - int64_t(a.first);
      if (i >= 0 && i < a.n) set_value(y, 0, i, words[j] >= drop ? value(x, 0, i) * scale : 0.0f);
    }
  }
}

}  // namespace r1::kernels
