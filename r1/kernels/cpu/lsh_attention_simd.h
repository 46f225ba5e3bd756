// The instruction-set specific part of lsh_attention: a tile, up to 16 queries against a list of keys of which each query sees some.
// A query is a lane of the scores, and its sums run over the keys in the order of the list, one fma a key; a key that it does not see adds
// an exact zero. So its bits depend on the keys that it sees only (as long as the others are finite), not on which queries share the tile.
#pragma once

#include "r1/kernels/cpu/isa.h"
#include "r1/kernels/cpu/rows.h"

namespace r1::kernels {

inline constexpr int kLshLanes = 16;

// Keys begin .. end - 1 of a tile, at the places `first` and up: query j sees those at places lo[j] .. hi[j] - 1. Neither lo nor hi falls
// from one query to the next. Places are whole numbers below 2^24.
struct LshRun {
  int64_t begin, end;
  float first;
  float lo[kLshLanes], hi[kLshLanes];
};

// A row of head_dim or v_dim floats takes lsh_row(dim): what is beyond dim is zero.
static inline int64_t lsh_row(int64_t dim) {
  return (dim + 15) / 16 * 16;
}

struct LshTile {
  int64_t head_dim, v_dim;
  float scale;
  int64_t lanes;             // queries
  const float *q, *q_lanes;  // [lanes] rows; the same transposed [head_dim][16]
  int64_t keys;
  const float *k, *v;  // [keys] rows
  LshRun runs[3];
  int64_t run_count;
  // What earlier rounds found already: a key whose place there is in one of the query's ranges.
  int64_t earlier;
  const float* places;  // [keys][earlier]
  const float* ranges;  // [earlier][3][lo, hi][16]
  float* p;             // scratch [keys][16]
};

// The running softmax of a tile's queries, of the keys so far: the highest score, sum of exp(score - m), sum of exp(score - m) v.
struct LshSoftmax {
  float m[kLshLanes], l[kLshLanes];
  float* o[kLshLanes];  // rows
};

// A query by itself and the keys that it sees, stage after stage (the window, then what each round adds); to the bits what it gets in a
// tile.
struct LshLoneQuery {
  int64_t head_dim, v_dim;
  float scale;
  Float type;  // of keys and values
  const float* q;
  int64_t keys;
  const void *const *k, *const *v;  // [keys]; of k, the last one again up to a multiple of 16
  int64_t stages;
  const int64_t* ends;  // [stages]: a stage has the keys from the end of the one before it
  float* p;             // scratch [keys, up to a multiple of 16]
  float* factors;       // scratch [stages]
};

struct LshGradient {
  const float *dout, *dout_lanes;  // as q
  float lse[kLshLanes], delta[kLshLanes];
  float* dq[kLshLanes];  // rows, sums
  float* dkv;            // sums: a row of dk and a row of dv of each token
  const int32_t* token;  // [keys]
  float* ds;             // scratch [keys][16]
};

// Each set's object defines its own specialisation.
// Rows of `dim` floats, from anywhere, as fp32 one after the other.
template <Isa>
void lsh_gather_simd(Float type, const void* const* from, int64_t count, int64_t dim, float* to);
// [dim][16] of 16 rows.
template <Isa>
void lsh_transpose_simd(const float* rows, int64_t dim, float* lanes);
template <Isa>
void lsh_forward_simd(const LshTile& t, LshSoftmax& y);
// o: a row; m, l as in LshSoftmax.
template <Isa>
void lsh_lone_simd(const LshLoneQuery& t, float* o, float* m, float* l);
// o becomes the result and l the log sum exp of the scores.
template <Isa>
void lsh_finish_simd(int64_t queries, int64_t v_dim, float* o, const float* m, float* l);
// y[i] = a[i] . b[i], of rows.
template <Isa>
void lsh_dots_simd(const float* a, const float* b, int64_t count, int64_t dim, float* y);
template <Isa>
void lsh_backward_simd(const LshTile& t, LshGradient& g);

}  // namespace r1::kernels
