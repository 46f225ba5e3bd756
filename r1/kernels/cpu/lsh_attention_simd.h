// One query against a list of keys, wherever they lie: the instruction-set specific part of lsh_attention.
#pragma once

#include "r1/kernels/cpu/isa.h"
#include "r1/kernels/cpu/rows.h"

namespace r1::kernels {

struct GatheredQuery {
  int64_t head_dim, v_dim;
  float scale;
  Float type;                       // of keys and values
  const float* q;                   // [head_dim]
  const void *const *k, *const *v;  // [count] rows
  int64_t count;
  float* p;  // [count rounded up to 16]
};

struct GatheredGradient {
  const float *dout, *out;  // [v_dim]
  float lse;
  float *dq, *ds;      // [head_dim], overwritten; [count rounded up to 16]
  float *dk, *dv;      // sums, rows of head_dim and v_dim floats
  const int32_t* row;  // [count] in dk, dv
};

template <Isa>
struct GatherSimd {
  // out [v_dim]; returns log sum exp of the scores.
  static float forward(const GatheredQuery& g, float* out);
  static void backward(const GatheredQuery& g, const GatheredGradient& d);
};
template <>
float GatherSimd<Isa::kScalar>::forward(const GatheredQuery&, float*);
template <>
float GatherSimd<Isa::kAvx2>::forward(const GatheredQuery&, float*);
template <>
float GatherSimd<Isa::kAvx512>::forward(const GatheredQuery&, float*);
template <>
void GatherSimd<Isa::kScalar>::backward(const GatheredQuery&, const GatheredGradient&);
template <>
void GatherSimd<Isa::kAvx2>::backward(const GatheredQuery&, const GatheredGradient&);
template <>
void GatherSimd<Isa::kAvx512>::backward(const GatheredQuery&, const GatheredGradient&);

}  // namespace r1::kernels
