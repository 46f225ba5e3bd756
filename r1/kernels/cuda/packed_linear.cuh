// The kernels of packed_linear.h, for the .cu files that instantiate them for one kind of codes each.
//
// Few rows of x: a warp has RowTiles tiles of 16 outputs and a part of the columns. Its codes come straight to registers and its part of x to
// shared memory that is its own, rings of both ahead of their use; products by mma.sync. The warps of a block add up through shared memory.
//
// More: a block has Groups warps of four with RowTiles tiles of 64 outputs each, and Tokens rows of x, which go through a ring in shared memory;
// products by wgmma, which run while the next codes are widened. Blocks that share their outputs (a cluster) take parts of the columns and add up
// through each other's shared memory.
//
// All sums are added up in order.
#pragma once

#include <cuda_fp16.h>

#include "r1/kernels/cuda/launch.cuh"
#include "r1/kernels/cuda/numbers.cuh"
#include "r1/kernels/cuda/packed_kernels.h"
#include "r1/kernels/cuda/tensor_cores.cuh"
#include "r1/kernels/cuda/wgmma.cuh"

namespace r1::kernels::cuda {

template <int Tokens, int Groups, int RowTiles>
struct TileSizes {
  static constexpr int kThreads = Groups * 128;
  static constexpr int kRows = Groups * RowTiles * 64;
  static constexpr int kAhead = Tokens >= 128 ? 2 : 4;  // column tiles of a stage, and of codes on their way
  static constexpr int kStages = 4;
  static constexpr int kXBytes = Tokens * 128;  // of a column tile
  static constexpr int kStride = kRows + 4;     // of a token's sums: no two lanes of a warp write to one bank
  static constexpr int kSumBytes = Tokens * kStride * 4;
  static constexpr int kRingBytes = kStages * kAhead * kXBytes;
  static constexpr int kShared = (kRingBytes > kSumBytes ? kRingBytes : kSumBytes) + 1024;
  static constexpr int kBlocks = Groups == 2 && RowTiles == 1 && Tokens <= 64 ? 2 : 1;
};

__device__ __forceinline__ uint32_t subtract_bf16(uint32_t x, uint32_t y) {
  const __nv_bfloat162 d = __hsub2(*reinterpret_cast<const __nv_bfloat162*>(&x), *reinterpret_cast<const __nv_bfloat162*>(&y));
  return *reinterpret_cast<const uint32_t*>(&d);
}
__device__ __forceinline__ uint32_t fma_bf16(uint32_t x, uint32_t y, uint32_t z) {
  const __nv_bfloat162 d = __hfma2(*reinterpret_cast<const __nv_bfloat162*>(&x), *reinterpret_cast<const __nv_bfloat162*>(&y),
                                   *reinterpret_cast<const __nv_bfloat162*>(&z));
  return *reinterpret_cast<const uint32_t*>(&d);
}
__device__ __forceinline__ uint32_t multiply_bf16(uint32_t x, uint32_t y) {
  const __nv_bfloat162 d = __hmul2(*reinterpret_cast<const __nv_bfloat162*>(&x), *reinterpret_cast<const __nv_bfloat162*>(&y));
  return *reinterpret_cast<const uint32_t*>(&d);
}

// Codes to bf16, and what of zero points is taken off on the way; `bits` has codes in the low byte (nibble) of each half.
// 0x4300 is 128 as bf16, whose last bit is worth 1: a small number put there by its bits is added.
// bits & mask | k128 in one instruction, which takes one constant: the other must look like a variable.
__device__ __forceinline__ uint32_t opaque_128() {
  uint32_t value;
  asm("mov.b32 %0, 0x43004300;" : "=r"(value));
  return value;
}
template <uint32_t Mask>
__device__ __forceinline__ uint32_t bits_on_128(uint32_t bits, uint32_t k128) {
  uint32_t value;
  asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(value) : "r"(bits), "n"(Mask), "r"(k128));
  return value;
}

__device__ __forceinline__ uint32_t widen_int8(uint32_t bits, uint32_t k128) {
  return subtract_bf16(bits_on_128<0x007f007f>(bits, k128),
                       bits_on_128<0x00800080>(bits, k128));  // 128 + low bits, 128 + 128 if it is negative
}
// Codes in the high byte; 2^-120 of the number, as e4m3's exponent has a bias of 7 and bf16's one of 127.
__device__ __forceinline__ uint32_t widen_e4m3(uint32_t bits) {
  return (bits & 0x80008000) | ((bits >> 4) & 0x07f007f0);
}
constexpr float k2To120 = 0x1p120f;

template <PackedCodes Codes, PackedShift Shift, int Subs>
struct Packed {
  static constexpr bool kFour = Codes == PackedCodes::kInt4, kHalf = kFour || Subs > 1;
  static constexpr int kLoads = kFour ? 1 : 2;                          // of 16 bytes, for a tile
  static constexpr int kNumbers = Shift == PackedShift::kNone ? 1 : 2;  // for a row and group
  static constexpr int kWords = 2 * kNumbers * (kHalf ? 2 : 4) / 4;     // for a lane's two rows and a group
  static constexpr int kSteps = 4 / Subs;                               // of 16 columns between two scales

  struct Scales {
    uint32_t word[kWords];
    // Of the row l / 4 (0) or l / 4 + 8 (1): its scale (0), its zero or offset (1).
    __device__ __forceinline__ float operator()(int row, int number) const {
      const int at = row * kNumbers + number;
      if constexpr (kHalf) {
        const __half2 pair = *reinterpret_cast<const __half2*>(&word[at / 2]);
        return at % 2 ? __high2float(pair) : __low2float(pair);
      } else {
        return __uint_as_float(word[at]);
      }
    }
  };
  struct Tile {
    uint4 codes[kLoads];
    Scales scales[Subs];
  };

  // Of tile 0 of the columns, and from one to the next.
  __device__ static __forceinline__ const uint4* codes_at(const PackedArguments& a, int row_tile, int warp, int lane) {
    return static_cast<const uint4*>(a.codes) + (int64_t(row_tile) * a.column_tiles * 4 + warp) * (kLoads * 32) + lane;
  }
  __device__ static __forceinline__ const uint32_t* scales_at(const PackedArguments& a, int row_tile, int warp, int lane) {
    return static_cast<const uint32_t*>(a.scales) + ((int64_t(row_tile) * a.groups * 4 + warp) * 8 + lane / 4) * kWords;
  }
  __device__ static __forceinline__ void load_codes(Tile& to, const uint4* from, int tile) {
#pragma unroll
    for (int v = 0; v < kLoads; ++v) to.codes[v] = __ldcs(from + tile * (4 * kLoads * 32) + v * 32);
  }
  __device__ static __forceinline__ void load_scales(Tile& to, const uint32_t* scales, int tile, uint32_t group_inverse) {
#pragma unroll
    for (int sub = 0; sub < Subs; ++sub) {
      const int group = Subs == 1 ? int(uint64_t(uint32_t(tile)) * group_inverse >> 31) : tile * Subs + sub;
      const uint32_t* from = scales + group * (4 * 8 * kWords);
      if constexpr (kWords == 1) {
        to.scales[sub].word[0] = __ldg(from);
      } else if constexpr (kWords == 2) {
        const uint2 w = __ldg(reinterpret_cast<const uint2*>(from));
        to.scales[sub].word[0] = w.x, to.scales[sub].word[1] = w.y;
      } else {
        const uint4 w = __ldg(reinterpret_cast<const uint4*>(from));
        to.scales[sub].word[0] = w.x, to.scales[sub].word[1] = w.y, to.scales[sub].word[2] = w.z, to.scales[sub].word[3] = w.w;
      }
    }
  }

  // Register `part` of step `step` as a tensor core wants it: the codes less their zero points, exactly (of e4m3 2^-120 of them).
  __device__ static __forceinline__ uint32_t code(const Tile& tile, int step, int part, const uint32_t (&zero)[2], uint32_t k128) {
    const auto word = [&](int v, int i) {
      return i == 0 ? tile.codes[v].x : i == 1 ? tile.codes[v].y : i == 2 ? tile.codes[v].z : tile.codes[v].w;
    };
    if constexpr (kFour) {
      return subtract_bf16(bits_on_128<0x000f000f>(word(0, step) >> 4 * part, k128), zero[part % 2]);
    } else {
      const uint32_t bits = word(step / 2, step % 2 * 2 + part / 2);
      if constexpr (Codes == PackedCodes::kE4m3) return widen_e4m3(part % 2 ? bits : bits << 8);
      const uint32_t wide = widen_int8(part % 2 ? bits >> 8 : bits, k128);
      return Shift == PackedShift::kZero ? subtract_bf16(wide, zero[part % 2]) : wide;
    }
  }
  // What code() subtracts, of the lane's two rows.
  __device__ static __forceinline__ void zeros(uint32_t (&zero)[2], const Scales& scales) {
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      float z = kFour ? 128.0f + (Shift == PackedShift::kNone ? 8.0f : 0.0f) : 0.0f;
      if constexpr (Shift == PackedShift::kZero) z += scales(row, 1);
      zero[row] = pack_bf16(z, z);
    }
  }

  // The steps of scale `sub` of a tile, unscaled.
  __device__ static __forceinline__ void widen(uint32_t (&a)[kSteps][4], const Tile& tile, int sub) {
    const uint32_t k128 = opaque_128();
    uint32_t zero[2];
    zeros(zero, tile.scales[sub]);
#pragma unroll
    for (int k = 0; k < kSteps; ++k)
#pragma unroll
      for (int part = 0; part < 4; ++part) {
        a[k][part] = code(tile, sub * kSteps + k, part, zero, k128);
        if constexpr (Codes == PackedCodes::kE4m3) a[k][part] = multiply_bf16(a[k][part], 0x7b807b80);
      }
  }

  // The whole tile, scaled: weights rounded once to bf16 (with an offset twice). A scale is the sum of two bf16, so that it is not rounded itself.
  __device__ static __forceinline__ void widen_scaled(uint32_t (&a)[4][4], const Tile& tile) {
    const uint32_t k128 = opaque_128();
#pragma unroll
    for (int sub = 0; sub < Subs; ++sub) {
      uint32_t zero[2], high[2], low[2], offset[2];
      zeros(zero, tile.scales[sub]);
#pragma unroll
      for (int row = 0; row < 2; ++row) {
        const float scale = tile.scales[sub](row, 0) * (Codes == PackedCodes::kE4m3 ? k2To120 : 1.0f);
        const float rounded = __bfloat162float(__float2bfloat16_rn(scale)), rest = scale - rounded;
        high[row] = pack_bf16(rounded, rounded), low[row] = pack_bf16(rest, rest);
        if constexpr (Shift == PackedShift::kOffset) {
          const float o = tile.scales[sub](row, 1);
          offset[row] = pack_bf16(o, o);
        }
      }
#pragma unroll
      for (int k = 0; k < kSteps; ++k)
#pragma unroll
        for (int part = 0; part < 4; ++part) {
          const int row = part % 2, step = sub * kSteps + k;
          const uint32_t v = code(tile, step, part, zero, k128);
          const uint32_t rest = Shift == PackedShift::kOffset ? fma_bf16(v, low[row], offset[row]) : multiply_bf16(v, low[row]);
          a[step][part] = fma_bf16(v, high[row], rest);
        }
    }
  }
};

__device__ __forceinline__ void cluster_sync() {
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}
// Two floats of another block's shared memory, at the place that `address` is here.
__device__ __forceinline__ float2 load_from_block(uint32_t address, int block) {
  uint32_t there;
  float2 v;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(address), "r"(block));
  asm volatile("ld.shared::cluster.v2.f32 {%0, %1}, [%2];" : "=f"(v.x), "=f"(v.y) : "r"(there) : "memory");
  return v;
}

template <class Y>
__device__ __forceinline__ void store_pair(Y* y, float2 v, bool both, bool aligned) {
  if (both && aligned) {
    store<Y, 2>(y, {v.x, v.y});
  } else {
    y[0] = from_float<Y>(v.x);
    if (both) y[1] = from_float<Y>(v.y);
  }
}

template <PackedCodes Codes, PackedShift Shift, int Subs, int Tokens, int Groups, int RowTiles>
__global__ void __launch_bounds__(Groups * 128, TileSizes<Tokens, Groups, RowTiles>::kBlocks)
    packed_product_kernel(const PackedArguments a) {
  using Sizes = TileSizes<Tokens, Groups, RowTiles>;
  using P = Packed<Codes, Shift, Subs>;
  constexpr int kAhead = Sizes::kAhead, kStages = Sizes::kStages, kSums = Tokens / 2, kParts = kAhead * RowTiles;
  extern __shared__ uint8_t shared_memory[];
  const uint32_t unaligned = shared_address(shared_memory), shared = (unaligned + 1023) & ~1023u;
  float* sums = reinterpret_cast<float*>(shared_memory + (shared - unaligned));

  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32 % 4, warps = threadIdx.x / 128;
  const int rank = int(blockIdx.x) % a.split, row_block = int(blockIdx.x) / a.split;
  const int begin = a.column_tiles * rank / a.split, end = a.column_tiles * (rank + 1) / a.split;
  const int first_token = int(blockIdx.y) * Tokens, tokens = min(Tokens, a.rows - first_token);
  const uint4* codes[RowTiles];
  const uint32_t* scales[RowTiles];
#pragma unroll
  for (int r = 0; r < RowTiles; ++r) {
    const int row_tile =
        min((row_block * Groups + warps) * RowTiles + r, a.row_tiles - 1);  // what is beyond is worked out twice and not kept
    codes[r] = P::codes_at(a, row_tile, warp, lane);
    scales[r] = P::scales_at(a, row_tile, warp, lane);
  }

  // Codes and scales are never written while there are products: they need not wait for the launch before.
  typename P::Tile ring[kAhead][RowTiles];
#pragma unroll
  for (int i = 0; i < kAhead; ++i)
    if (begin + i < end)
#pragma unroll
      for (int r = 0; r < RowTiles; ++r) {
        P::load_codes(ring[i][r], codes[r], begin + i);
        P::load_scales(ring[i][r], scales[r], begin + i, a.group_inverse);
      }
  wait_for_launch_before();

  const auto load_x = [&](int stage) {
    constexpr int kChunks = Tokens * kAhead * 8, kCopies = (kChunks + Sizes::kThreads - 1) / Sizes::kThreads;
    const uint32_t to = shared + stage % kStages * (kAhead * Sizes::kXBytes);
#pragma unroll
    for (int i = 0; i < kCopies; ++i) {
      const int index = i * Sizes::kThreads + threadIdx.x;
      if (kChunks % Sizes::kThreads != 0 && index >= kChunks) break;
      const int chunk = index % 8, tile = index / 8 % kAhead, token = index / (8 * kAhead);
      const int column = (begin + stage * kAhead + tile) * 64 + chunk * 8;
      const bool present = token < tokens && column < a.columns;
      const auto* from = static_cast<const __nv_bfloat16*>(a.x) + (present ? (first_token + token) * a.x_stride + column : 0);
      copy_16_async(to + tile * Sizes::kXBytes + token * 128 + ((chunk ^ (token & 7)) << 4), from, present);
    }
  };
  const int stages = (end - begin + kAhead - 1) / kAhead;
#pragma unroll
  for (int s = 0; s < kStages - 2; ++s) {
    if (s < stages) load_x(s);
    commit_copies();
  }

  float sum[RowTiles][kSums] = {};
  uint32_t wide[2][4][4];
  P::widen_scaled(wide[0], ring[0][0]);
  for (int stage = 0; stage < stages; ++stage) {
    wait_copies<kStages - 3>();
    make_visible_to_wgmma();
    __syncthreads();
    // Into the place of the stage before last, whose products are done: each warp has at most one group of them under way.
    if (stage + kStages - 2 < stages) load_x(stage + kStages - 2);
    commit_copies();
    const int first = begin + stage * kAhead;
    const uint32_t at = shared + stage % kStages * (kAhead * Sizes::kXBytes);
#pragma unroll
    for (int p = 0; p < kParts; ++p) {
      const int i = p / RowTiles, r = p % RowTiles, tile = first + i;
      if (tile >= end) break;
      const uint64_t b = wgmma_tile(at + i * Sizes::kXBytes);
      wgmma_written(sum[r]);
      wgmma_begin();
#pragma unroll
      for (int k = 0; k < 4; ++k) wgmma(sum[r], wide[p % 2][k], b + 2 * k, 1);
      wgmma_commit();
      if (tile + kAhead < end) {
        P::load_codes(ring[i][r], codes[r], tile + kAhead);
        P::load_scales(ring[i][r], scales[r], tile + kAhead, a.group_inverse);
      }
      wgmma_wait<1>();  // the registers of the products before these are free
      const int next = (p + 1) % kParts;
      if (tile + (r == RowTiles - 1) < end) P::widen_scaled(wide[(p + 1) % 2], ring[next / RowTiles][next % RowTiles]);
    }
  }
  wgmma_wait<0>();
#pragma unroll
  for (int r = 0; r < RowTiles; ++r) wgmma_written(sum[r]);
  wait_copies<0>();
  __syncthreads();
#pragma unroll
  for (int r = 0; r < RowTiles; ++r)
#pragma unroll
    for (int s = 0; s < kSums; ++s) {
      const int token = s / 4 * 8 + lane % 4 * 2 + s % 2, row = (warps * RowTiles + r) * 64 + warp * 16 + lane / 4 + s / 2 % 2 * 8;
      sums[token * Sizes::kStride + row] = sum[r][s];
    }
  const int split = a.split;
  split > 1 ? cluster_sync() : __syncthreads();

  const bool aligned = a.outputs % 2 == 0;
  for (int pair = rank * Sizes::kThreads + threadIdx.x; pair < tokens * (Sizes::kRows / 2); pair += split * Sizes::kThreads) {
    const int token = pair / (Sizes::kRows / 2), row = pair % (Sizes::kRows / 2) * 2, out = row_block * Sizes::kRows + row;
    if (out >= a.outputs) continue;
    const int place = token * Sizes::kStride + row;
    float2 total{};
    if (split == 1) {
      total = *reinterpret_cast<const float2*>(sums + place);
    } else {
      float2 v[kMostSplit];
#pragma unroll
      for (int block = 0; block < kMostSplit; ++block) v[block] = block < split ? load_from_block(shared + place * 4, block) : float2{};
#pragma unroll
      for (int block = 0; block < kMostSplit; ++block) total.x += v[block].x, total.y += v[block].y;
    }
    const bool both = out + 1 < a.outputs;
    if (a.bias) {
      const auto* bias = static_cast<const __nv_bfloat16*>(a.bias) + out;
      total.x += to_float(bias[0]);
      if (both) total.y += to_float(bias[1]);
    }
    const int64_t to = int64_t(first_token + token) * a.outputs + out;
    if (a.fp32)
      store_pair(static_cast<float*>(a.y) + to, total, both, aligned);
    else
      store_pair(static_cast<__nv_bfloat16*>(a.y) + to, total, both, aligned);
  }
  if (split > 1) cluster_sync();  // no block leaves while another reads its sums
}

template <int Eights, int RowTiles, int Warps>
struct FewSizes {
  static constexpr int kTokens = Eights * 8, kRows = RowTiles * 16;
  // A multiprocessor has registers for 16 warps that hold much, 24 that hold less, 32 with a short ring.
  static constexpr int kBlocks = (Eights * RowTiles > 2 ? 16
                                  : Eights * RowTiles > 1 || Warps < 16
                                      ? 24
                                      : 32) / Warps >
                                         0
                                     ? (Eights* RowTiles > 2                  ? 16
                                        : Eights * RowTiles > 1 || Warps < 16 ? 24
                                                                              : 32) /
                                           Warps
                                     : 1;
  static constexpr int kAhead = Warps == 16 || RowTiles > 1 ? 2 : 4;  // tiles of codes on their way
  static constexpr int kSlots = 4;                                    // of x, a tile each
  static constexpr int kSlotBytes = Eights * 1024;
  static constexpr int kSumBytes = Warps * kRows * (kTokens + 1) * 4;
  static constexpr int kRingBytes = Warps * kSlots * kSlotBytes;
  static constexpr int kShared = kRingBytes > kSumBytes ? kRingBytes : kSumBytes;
};

template <PackedCodes Codes, PackedShift Shift, int Subs, int Eights, int RowTiles, int Warps>
__global__ void __launch_bounds__(Warps * 32, FewSizes<Eights, RowTiles, Warps>::kBlocks) packed_few_kernel(const PackedArguments a) {
  using P = Packed<Codes, Shift, Subs>;
  using Sizes = FewSizes<Eights, RowTiles, Warps>;
  constexpr int kAhead = Sizes::kAhead, kTokens = Sizes::kTokens, kRows = Sizes::kRows, kSlots = Sizes::kSlots;
  extern __shared__ __align__(1024) uint8_t shared_memory[];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, begin = a.column_tiles * warp / Warps,
            end = a.column_tiles * (warp + 1) / Warps;
  const int first_token = int(blockIdx.y) * kTokens, tokens = min(kTokens, a.rows - first_token);
  const uint32_t own = shared_address(shared_memory) + warp * (kSlots * Sizes::kSlotBytes);
  const uint4* codes[RowTiles];
  const uint32_t* scales[RowTiles];
#pragma unroll
  for (int r = 0; r < RowTiles; ++r) {
    const int tile = min(int(blockIdx.x) * RowTiles + r, a.row_tiles * 4 - 1);
    codes[r] = P::codes_at(a, tile / 4, tile % 4, lane);
    scales[r] = P::scales_at(a, tile / 4, tile % 4, lane);
  }
  typename P::Tile ring[kAhead][RowTiles];
#pragma unroll
  for (int i = 0; i < kAhead; ++i)
    if (begin + i < end)
#pragma unroll
      for (int r = 0; r < RowTiles; ++r) {
        P::load_codes(ring[i][r], codes[r], begin + i);
        P::load_scales(ring[i][r], scales[r], begin + i, a.group_inverse);
      }
  wait_for_launch_before();

  // A tile of x, a row of 128 bytes for each token, chunks swizzled. Rows that are not there keep what was there: nobody keeps their sums.
  const auto load_x = [&](int tile) {
    const uint32_t to = own + tile % kSlots * Sizes::kSlotBytes;
#pragma unroll
    for (int i = 0; i < 2 * Eights; ++i) {
      const int token = i * 4 + lane / 8, chunk = lane % 8, column = tile * 64 + chunk * 8;
      if (token >= tokens) continue;
      const bool present = column < a.columns;
      copy_16_async(to + token * 128 + ((chunk ^ (token & 7)) << 4),
                    static_cast<const __nv_bfloat16*>(a.x) + (present ? (first_token + token) * a.x_stride + column : 0), present);
    }
  };
#pragma unroll
  for (int i = 0; i < kSlots - 1; ++i) {
    if (begin + i < end) load_x(begin + i);
    commit_copies();
  }

  float sum[RowTiles][Eights][4] = {};
  for (int first = begin; first < end; first += kAhead) {
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      const int tile = first + i;
      if (tile >= end) break;
      wait_copies<kSlots - 2>();
      __syncwarp();  // all lanes' copies are there, and all have read the slot that is filled next
      if (tile + kSlots - 1 < end) load_x(tile + kSlots - 1);
      commit_copies();
      uint32_t xs[Eights][2][4];
#pragma unroll
      for (int n = 0; n < Eights; ++n)
#pragma unroll
        for (int half = 0; half < 2; ++half)
          load_matrices(xs[n][half],
                        own + tile % kSlots * Sizes::kSlotBytes + n * 1024 + lane % 8 * 128 + (((half * 4 + lane / 8) ^ (lane % 8)) << 4));
#pragma unroll
      for (int sub = 0; sub < Subs; ++sub) {
        float ones_part[Eights][4] = {};
        if constexpr (Shift == PackedShift::kOffset) {
          constexpr uint32_t kOnes[4] = {0x3f803f80, 0x3f803f80, 0x3f803f80, 0x3f803f80};
#pragma unroll
          for (int k = 0; k < P::kSteps; ++k)
#pragma unroll
            for (int n = 0; n < Eights; ++n) {
              const int step = sub * P::kSteps + k;
              multiply_add(ones_part[n], kOnes, xs[n][step / 2][step % 2 * 2], xs[n][step / 2][step % 2 * 2 + 1]);
            }
        }
#pragma unroll
        for (int r = 0; r < RowTiles; ++r) {
          uint32_t wide[P::kSteps][4];
          P::widen(wide, ring[i][r], sub);
          float part[Eights][4] = {};
#pragma unroll
          for (int k = 0; k < P::kSteps; ++k)
#pragma unroll
            for (int n = 0; n < Eights; ++n) {
              const int step = sub * P::kSteps + k;
              multiply_add(part[n], wide[k], xs[n][step / 2][step % 2 * 2], xs[n][step / 2][step % 2 * 2 + 1]);
            }
#pragma unroll
          for (int c = 0; c < 4; ++c) {
            const float scale = ring[i][r].scales[sub](c / 2, 0);
#pragma unroll
            for (int n = 0; n < Eights; ++n) {
              sum[r][n][c] = fmaf(scale, part[n][c], sum[r][n][c]);
              if constexpr (Shift == PackedShift::kOffset)
                sum[r][n][c] = fmaf(ring[i][r].scales[sub](c / 2, 1), ones_part[n][c], sum[r][n][c]);
            }
          }
        }
      }
      if (tile + kAhead < end)
#pragma unroll
        for (int r = 0; r < RowTiles; ++r) {
          P::load_codes(ring[i][r], codes[r], tile + kAhead);
          P::load_scales(ring[i][r], scales[r], tile + kAhead, a.group_inverse);
        }
    }
  }

  wait_copies<0>();
  __syncthreads();  // the rings are free for the sums
  float* parts = reinterpret_cast<float*>(shared_memory);
#pragma unroll
  for (int r = 0; r < RowTiles; ++r)
#pragma unroll
    for (int n = 0; n < Eights; ++n)
#pragma unroll
      for (int c = 0; c < 4; ++c)
        parts[(warp * kRows + r * 16 + lane / 4 + c / 2 * 8) * (kTokens + 1) + n * 8 + lane % 4 * 2 + c % 2] = sum[r][n][c];
  __syncthreads();
  for (int index = threadIdx.x; index < tokens * kRows; index += Warps * 32) {
    const int row = index % kRows, token = index / kRows, out = int(blockIdx.x) * kRows + row;
    if (out >= a.outputs) continue;
    float total = 0;
#pragma unroll
    for (int w = 0; w < Warps; ++w) total += parts[(w * kRows + row) * (kTokens + 1) + token];
    if (a.bias) total += to_float(static_cast<const __nv_bfloat16*>(a.bias)[out]);
    const int64_t to = int64_t(first_token + token) * a.outputs + out;
    if (a.fp32)
      static_cast<float*>(a.y)[to] = total;
    else
      static_cast<__nv_bfloat16*>(a.y)[to] = from_float<__nv_bfloat16>(total);
  }
}

// All of it to bf16, y [outputs, columns]: a warp has 16 rows and every blockDim.y-th tile of columns. Rounded once, from fp32.
template <PackedCodes Codes, PackedShift Shift, int Subs>
__global__ void __launch_bounds__(256) packed_unpack_kernel(const PackedArguments a) {
  using P = Packed<Codes, Shift, Subs>;
  wait_for_launch_before();
  const int lane = threadIdx.x % 32, slot = threadIdx.x / 32 % 4;
  const uint4* codes = P::codes_at(a, int(blockIdx.x), slot, lane);
  const uint32_t* scales = P::scales_at(a, int(blockIdx.x), slot, lane);
  const uint32_t k128 = opaque_128();
  for (int at = int(blockIdx.y) * 2 + threadIdx.x / 128; at < a.column_tiles; at += gridDim.y * 2) {
    typename P::Tile tile;
    P::load_codes(tile, codes, at);
    P::load_scales(tile, scales, at, a.group_inverse);
#pragma unroll
    for (int sub = 0; sub < Subs; ++sub) {
      uint32_t zero[2];
      P::zeros(zero, tile.scales[sub]);
#pragma unroll
      for (int k = 0; k < P::kSteps; ++k)
#pragma unroll
        for (int part = 0; part < 4; ++part) {
          const int step = sub * P::kSteps + k, row = int(blockIdx.x) * 64 + slot * 16 + lane / 4 + part % 2 * 8;
          const int column = at * 64 + step * 16 + lane % 4 * 2 + part / 2 * 8;
          if (row >= a.outputs || column >= a.columns) continue;
          const uint32_t v = P::code(tile, step, part, zero, k128);
          const float scale = tile.scales[sub](part % 2, 0) * (Codes == PackedCodes::kE4m3 ? k2To120 : 1.0f);
          float first = __fmul_rn(__uint_as_float(v << 16), scale), second = __fmul_rn(__uint_as_float(v & 0xffff0000u), scale);
          if constexpr (Shift == PackedShift::kOffset) {
            const float offset = tile.scales[sub](part % 2, 1);
            first = __fadd_rn(first, offset), second = __fadd_rn(second, offset);
          }
          reinterpret_cast<uint32_t*>(a.y)[(int64_t(row) * a.columns + column) / 2] = pack_bf16(first, second);
        }
    }
  }
}

template <PackedCodes Codes, PackedShift Shift, int Subs, int Tokens, int Groups, int RowTiles>
PackedEntry packed_entry() {
  using Sizes = TileSizes<Tokens, Groups, RowTiles>;
  return {{Tokens, Groups, RowTiles},
          packed_product_kernel<Codes, Shift, Subs, Tokens, Groups, RowTiles>,
          Sizes::kThreads,
          Sizes::kRows,
          Sizes::kShared};
}
template <PackedCodes Codes, PackedShift Shift, int Subs, int Eights, int RowTiles, int Warps>
PackedEntry few_entry() {
  return {{Eights * 8, -Warps, RowTiles},
          packed_few_kernel<Codes, Shift, Subs, Eights, RowTiles, Warps>,
          Warps * 32,
          RowTiles * 16,
          FewSizes<Eights, RowTiles, Warps>::kShared};
}

// The tiles of one kind, smallest first.
template <PackedCodes Codes, PackedShift Shift, int Subs>
PackedKernels packed_kernels() {
  static const PackedEntry entries[] = {
      few_entry<Codes, Shift, Subs, 1, 1, 16>(),    few_entry<Codes, Shift, Subs, 1, 2, 8>(),
      few_entry<Codes, Shift, Subs, 2, 1, 16>(),    few_entry<Codes, Shift, Subs, 2, 2, 8>(),
      few_entry<Codes, Shift, Subs, 4, 2, 8>(),     packed_entry<Codes, Shift, Subs, 32, 2, 1>(),
      packed_entry<Codes, Shift, Subs, 64, 4, 1>(), packed_entry<Codes, Shift, Subs, 128, 4, 1>(),
  };
  return {entries, packed_unpack_kernel<Codes, Shift, Subs>};
}

}  // namespace r1::kernels::cuda
