// A few lanes take a head of a token, eight numbers each: four pairs that rotate together. A warp has several heads.
#include <algorithm>

#include "r1/kernels/cuda/launch.cuh"
#include "r1/kernels/cuda/numbers.cuh"
#include "r1/kernels/cuda/qkv_heads.h"

namespace r1::kernels::cuda {

namespace {

constexpr int kThreads = 256, kPairs = 4;

enum Kind { kQ, kK, kV, kNone };

// The head of a token that a group of lanes works on; `lane` of the group has pairs 4 lane .. 4 lane + 3.
struct Place {
  Kind kind;
  int64_t token;
  int head;  // of its kind
  int lane;
  bool here;  // the lane has numbers of it
};
template <int Lanes>
__device__ __forceinline__ Place place_of(const HeadsShape& s, int64_t group, int q_heads) {
  const int all = q_heads + 2 * int(s.kv_heads);
  Place p;
  p.lane = threadIdx.x % Lanes;
  p.token = s.tokens * all < (int64_t(1) << 32) ? int64_t(uint32_t(group) / uint32_t(all)) : group / all;
  const int head = int(group - p.token * all);
  p.kind = p.token >= s.tokens ? kNone : head < q_heads ? kQ : head < q_heads + s.kv_heads ? kK : kV;
  p.head = p.kind == kQ ? head : p.kind == kK ? head - q_heads : head - q_heads - int(s.kv_heads);
  p.here = p.kind != kNone && p.lane * 2 * kPairs < s.head_dim;
  return p;
}

// The first and the second numbers of this lane's pairs.
struct Numbers {
  float first[kPairs], second[kPairs];
};
// Where they lie in a head: `first` from at(0), `second` from at(1); interleaved they alternate from at(0) on.
struct Ends {
  int at_0, at_1;
  bool interleaved;
};
__device__ __forceinline__ Ends ends_of(int lane, int head_dim, bool interleaved) {
  return interleaved ? Ends{2 * kPairs * lane, 2 * kPairs * lane + kPairs, true} : Ends{kPairs * lane, head_dim / 2 + kPairs * lane, false};
}
__device__ __forceinline__ Numbers sorted(const float (&a)[kPairs], const float (&b)[kPairs], bool interleaved) {
  if (interleaved) return {{a[0], a[2], b[0], b[2]}, {a[1], a[3], b[1], b[3]}};
  return {{a[0], a[1], a[2], a[3]}, {b[0], b[1], b[2], b[3]}};
}
template <class T>
__device__ __forceinline__ Numbers load_numbers(const T* head, const Ends& e) {
  float a[kPairs], b[kPairs];
  load<T, kPairs>(head + e.at_0, a);
  load<T, kPairs>(head + e.at_1, b);
  return sorted(a, b, e.interleaved);
}
template <class T>
__device__ __forceinline__ void store_numbers(T* head, const Ends& e, const Numbers& x) {
  if (e.interleaved) {
    const float a[kPairs]{x.first[0], x.second[0], x.first[1], x.second[1]}, b[kPairs]{x.first[2], x.second[2], x.first[3], x.second[3]};
    store<T, kPairs>(head + e.at_0, a);
    store<T, kPairs>(head + e.at_1, b);
  } else {
    store<T, kPairs>(head + e.at_0, x.first);
    store<T, kPairs>(head + e.at_1, x.second);
  }
}
template <class T>
__device__ __forceinline__ void round_to(Numbers& x) {
#pragma unroll
  for (int i = 0; i < kPairs; ++i) x.first[i] = to_float(from_float<T>(x.first[i])), x.second[i] = to_float(from_float<T>(x.second[i]));
}

template <int Lanes>
__device__ __forceinline__ float group_sum(float x) {
#pragma unroll
  for (int by = Lanes / 2; by > 0; by /= 2) x += __shfl_xor_sync(kAllLanes, x, by);
  return x;
}
template <int Lanes>
__device__ __forceinline__ float reciprocal_root(const Numbers& x, int64_t head_dim, float eps) {
  float squares = 0;
#pragma unroll
  for (int i = 0; i < kPairs; ++i) squares = fmaf(x.first[i], x.first[i], fmaf(x.second[i], x.second[i], squares));
  return rsqrtf(group_sum<Lanes>(squares) / float(head_dim) + eps);
}
__device__ __forceinline__ Numbers weights_of(const ConstRows& weight, const Ends& e, float offset) {
  Numbers w = weight.type == Float::kF32 ? load_numbers(static_cast<const float*>(weight.data), e)
                                         : load_numbers(static_cast<const __nv_bfloat16*>(weight.data), e);
#pragma unroll
  for (int i = 0; i < kPairs; ++i) w.first[i] += offset, w.second[i] += offset;
  return w;
}

struct Turn {
  float4 cos, sin;
};
__device__ __forceinline__ Turn turn_of(const HeadsRotation& r, const Place& p, int64_t head_dim) {
  const int64_t at = int64_t(__ldg(r.positions + p.token)) * (head_dim / 2) + kPairs * p.lane;
  return {*reinterpret_cast<const float4*>(r.cos + at), *reinterpret_cast<const float4*>(r.sin + at)};
}
// Turned back with sign -1.
__device__ __forceinline__ void turn(Numbers& x, const Turn& by, float sign) {
  const float c[kPairs]{by.cos.x, by.cos.y, by.cos.z, by.cos.w}, s[kPairs]{by.sin.x, by.sin.y, by.sin.z, by.sin.w};
#pragma unroll
  for (int i = 0; i < kPairs; ++i) {
    const float first = x.first[i], second = x.second[i];
    x.first[i] = first * c[i] - sign * second * s[i];
    x.second[i] = second * c[i] + sign * first * s[i];
  }
}

// The cache's row of a new token: block and place in it.
struct CacheRow {
  int64_t block;
  int row;
};
__device__ __forceinline__ CacheRow cache_row(const HeadsCache& c, int64_t token) {
  int low = 0;
  if (c.one_row_each) {
    low = int(token);
  } else {
    int high = int(c.sequences) - 1;
    while (low < high) {
      const int middle = (low + high) / 2;
      if (__ldg(c.cu + middle + 1) <= token)
        low = middle + 1;
      else
        high = middle;
    }
  }
  const int position = __ldg(c.context + low) + int(token) - (c.one_row_each ? low : __ldg(c.cu + low));
  return {__ldg(c.table + low * c.table_width + position / c.block_size), position % c.block_size};
}

template <class T, int Lanes>
__global__ void __launch_bounds__(kThreads) forward(const QkvHeads a) {
  wait_for_launch_before();
  const int64_t thread = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  for (int64_t i = thread; i < a.zeroed_count; i += int64_t(gridDim.x) * kThreads) a.zeroed[i] = 0;
  const Place p = place_of<Lanes>(a.shape, thread / Lanes, a.q.data ? int(a.shape.heads) : 0);
  const int h = int(a.shape.head_dim);
  const Ends ends = ends_of(p.lane, h, a.rotation.interleaved);
  Numbers x{};
  if (p.here) {
    const ConstHeadRows& from = p.kind == kQ ? a.q : p.kind == kK ? a.k : a.v;
    x = load_numbers(static_cast<const T*>(from.data) + p.token * from.token_stride + p.head * h, ends);
  }
  if (a.norm.q_weight.data) {
    const float root = reciprocal_root<Lanes>(x, h, a.norm.eps);
    if (p.here && p.kind != kV) {
      const Numbers w = weights_of(p.kind == kQ ? a.norm.q_weight : a.norm.k_weight, ends, a.norm.offset);
#pragma unroll
      for (int i = 0; i < kPairs; ++i) x.first[i] = x.first[i] * root * w.first[i], x.second[i] = x.second[i] * root * w.second[i];
      round_to<T>(x);
    }
  }
  if (!p.here) return;
  if (a.rotation.cos && p.kind != kV) turn(x, turn_of(a.rotation, p, h), 1);
  if (p.kind != kQ && a.cache.cache) {
    const CacheRow row = cache_row(a.cache, p.token);
    const int64_t rows = row.block * 2 * a.cache.block_size + (p.kind == kV ? a.cache.block_size : 0) + row.row;
    store_numbers(static_cast<T*>(a.cache.cache) + (rows * a.shape.kv_heads + p.head) * h, ends, x);
  }
  const HeadRows& out = p.kind == kQ ? a.q_out : p.kind == kK ? a.k_out : a.v_out;
  if (out.data) store_numbers(static_cast<T*>(out.data) + p.token * out.token_stride + p.head * h, ends, x);
}

// Blocks of the backward where weights have gradients: each leaves a partial sum.
int backward_blocks(const HeadsShape& s, int lanes, int device) {
  int processors = 0;
  check_cuda(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device), "number of multiprocessors");
  const int64_t all = int64_t(blocks_for(s.tokens * (s.heads + 2 * s.kv_heads) * lanes, kThreads));
  return int(std::min<int64_t>(all, int64_t(processors) * 4));
}

template <class T, int Lanes>
__global__ void __launch_bounds__(kThreads) backward(const QkvHeadsBackward a) {
  const int h = int(a.shape.head_dim), lane = threadIdx.x % Lanes;
  const int64_t groups = a.shape.tokens * (a.shape.heads + 2 * a.shape.kv_heads), step = int64_t(gridDim.x) * (kThreads / Lanes);
  const Ends ends = ends_of(lane, h, a.rotation.interleaved);
  Numbers dw[2]{};                                                                              // of q's and k's weight
  for (int64_t base = int64_t(blockIdx.x) * (kThreads / Lanes); base < groups; base += step) {  // the block's threads go round together
    const Place p = place_of<Lanes>(a.shape, base + threadIdx.x / Lanes, int(a.shape.heads));
    Numbers d{}, x{};
    const ConstHeadRows& from = p.kind == kQ ? a.dq_out : p.kind == kK ? a.dk_out : a.dv_out;
    if (p.here && from.data) d = load_numbers(static_cast<const T*>(from.data) + p.token * from.token_stride + p.head * h, ends);
    if (a.rotation.cos && p.here && p.kind != kV) {
      turn(d, turn_of(a.rotation, p, h), -1);
      round_to<T>(d);
    }
    if (a.norm.q_weight.data) {
      const bool normed = p.here && p.kind != kV;
      if (normed) {
        const ConstHeadRows& in = p.kind == kQ ? a.q : a.k;
        x = load_numbers(static_cast<const T*>(in.data) + p.token * in.token_stride + p.head * h, ends);
      }
      const float root = reciprocal_root<Lanes>(x, h, a.norm.eps);
      Numbers g{};
      float along = 0;
      if (normed) {
        const Numbers w = weights_of(p.kind == kQ ? a.norm.q_weight : a.norm.k_weight, ends, a.norm.offset);
#pragma unroll
        for (int i = 0; i < kPairs; ++i) {
          x.first[i] *= root, x.second[i] *= root;
          g.first[i] = d.first[i] * w.first[i], g.second[i] = d.second[i] * w.second[i];
          along = fmaf(g.first[i], x.first[i], fmaf(g.second[i], x.second[i], along));
          const float first = d.first[i] * x.first[i], second = d.second[i] * x.second[i];
          dw[0].first[i] += p.kind == kQ ? first : 0.0f, dw[0].second[i] += p.kind == kQ ? second : 0.0f;
          dw[1].first[i] += p.kind == kK ? first : 0.0f, dw[1].second[i] += p.kind == kK ? second : 0.0f;
        }
      }
      along = group_sum<Lanes>(along) / float(h);
      if (normed) {
#pragma unroll
        for (int i = 0; i < kPairs; ++i) {
          d.first[i] = root * (g.first[i] - x.first[i] * along);
          d.second[i] = root * (g.second[i] - x.second[i] * along);
        }
      }
    }
    const HeadRows& to = p.kind == kQ ? a.dq : p.kind == kK ? a.dk : a.dv;
    if (p.here) store_numbers(static_cast<T*>(to.data) + p.token * to.token_stride + p.head * h, ends, d);
  }
  if (!a.workspace) return;
  __shared__ alignas(16) float sums[kThreads * 2 * kPairs];  // [groups, head_dim]
  for (int which = 0; which < 2; ++which) {
    if (lane * 2 * kPairs < h) store_numbers(sums + threadIdx.x / Lanes * h, ends, dw[which]);
    __syncthreads();
    for (int i = threadIdx.x; i < h; i += kThreads) {
      float sum = 0;
      for (int group = 0; group < kThreads / Lanes; ++group) sum += sums[group * h + i];
      a.workspace[(int64_t(blockIdx.x) * 2 + which) * h + i] = sum;
    }
    __syncthreads();
  }
}

// Adds up what the blocks left: [blocks, 2, head_dim]; a block of this has 32 dimensions of one weight.
__global__ void add_up(const float* partial, int blocks, int h, Rows dq_weight, Rows dk_weight) {
  __shared__ float sums[kThreads / kWarp][kWarp];
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, i = blockIdx.x * kWarp + lane;
  const Rows& to = blockIdx.y == 0 ? dq_weight : dk_weight;
  float sum = 0;
  if (i < h) {
#pragma unroll 4
    for (int b = warp; b < blocks; b += kThreads / kWarp) sum += partial[(int64_t(b) * 2 + blockIdx.y) * h + i];
  }
  sums[warp][lane] = sum;
  __syncthreads();
  if (warp > 0 || i >= h || !to.data) return;
  for (int w = 1; w < kThreads / kWarp; ++w) sum += sums[w][lane];
  if (to.type == Float::kF32)
    static_cast<float*>(to.data)[i] = sum;
  else
    static_cast<__nv_bfloat16*>(to.data)[i] = from_float<__nv_bfloat16>(sum);
}

int lanes_of(int64_t head_dim) {
  return head_dim <= 32 ? 4 : head_dim <= 64 ? 8 : head_dim <= 128 ? 16 : 32;
}
// f(T*, std::integral_constant<int, Lanes>)
template <class F>
void with_lanes(const HeadsShape& s, const F& f) {
  check(has_qkv_heads(s.head_dim), "[cuda] expected heads of a multiple of 8 up to 256, got ", s.head_dim);
  with_type(s.type, [&](auto* type) {
    switch (lanes_of(s.head_dim)) {
      case 4:
        return f(type, std::integral_constant<int, 4>());
      case 8:
        return f(type, std::integral_constant<int, 8>());
      case 16:
        return f(type, std::integral_constant<int, 16>());
      default:
        return f(type, std::integral_constant<int, 32>());
    }
  });
}

}  // namespace

bool has_qkv_heads(int64_t head_dim) {
  return head_dim > 0 && head_dim % 8 == 0 && head_dim <= 256;
}

void qkv_heads(const QkvHeads& a, Stream stream) {
  const int64_t groups = a.shape.tokens * ((a.q.data ? a.shape.heads : 0) + 2 * a.shape.kv_heads);
  if (groups == 0) return;
  const OnDevice on(stream.device);
  with_lanes(a.shape, [&](auto* type, auto lanes) {
    using T = std::remove_pointer_t<decltype(type)>;
    constexpr int kLanes = decltype(lanes)::value;
    launch(forward<T, kLanes>, blocks_for(groups * kLanes, kThreads), kThreads, 0, stream, a);
  });
}

int64_t qkv_heads_workspace(const HeadsShape& shape, int device) {
  return 2 * shape.head_dim * backward_blocks(shape, lanes_of(shape.head_dim), device);
}

void qkv_heads_backward(const QkvHeadsBackward& a, Stream stream) {
  const OnDevice on(stream.device);
  const int64_t groups = a.shape.tokens * (a.shape.heads + 2 * a.shape.kv_heads);
  const int lanes = lanes_of(a.shape.head_dim);
  const int blocks = a.workspace ? backward_blocks(a.shape, lanes, stream.device) : int(blocks_for(groups * lanes, kThreads));
  if (groups > 0) {
    with_lanes(a.shape, [&](auto* type, auto size) {
      using T = std::remove_pointer_t<decltype(type)>;
      backward<T, decltype(size)::value><<<unsigned(blocks), kThreads, 0, handle_of(stream)>>>(a);
    });
    check_cuda(cudaGetLastError(), "gradients of q's, k's and v's heads");
  }
  if (!a.workspace) return;
  const int h = int(a.shape.head_dim);
  add_up<<<dim3(blocks_for(h, kWarp), 2), kThreads, 0, handle_of(stream)>>>(a.workspace, blocks, h, a.dq_weight, a.dk_weight);
  check_cuda(cudaGetLastError(), "gradients of the heads' norms");
}

}  // namespace r1::kernels::cuda
