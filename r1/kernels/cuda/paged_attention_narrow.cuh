// Few rows a sequence: see paged_attention.h.
//
// A unit is a tile of up to 8 or 16 rows (a sequence's row times a head of the group) of one sequence and key head, against all keys that
// these see. Keys are taken in tiles of 64 (fp32: 32), a quarter of each a warp. The tiles of all units stand one after the other on a line,
// sequence by sequence; before those of each unit stand up to kMostUnitCost more places, for what a unit costs whatever its length. Each of P blocks
// takes a P-th of the line, or, where that takes no longer, whole units, as many as the others. What a block has of a unit is a piece: the
// warps' sums are added up at its end, and where the unit has other pieces elsewhere, written to the workspace with their maximum and their
// sum of weights. A block has at most two such pieces: one whose unit began before it, one whose unit goes on after it.
//
// bf16: the scores are taken transposed, S^T = K Q^T and O^T = V^T P^T, so that rows are the products' 8 columns and nothing is padded to 16.
#pragma once

#include <algorithm>

#include "r1/kernels/cuda/paged_attention.cuh"

namespace r1::kernels::cuda {

namespace {

constexpr int kWarps = 4, kThreads = kWarps * kWarp;
constexpr int kMostPieces = 32;                 // of a unit, plus two: the block that adds them up must not take longer than the others
constexpr int kMostUnitCost = 4, kCutCost = 5;  // of a unit among several of a block, and of its pieces, in tiles
constexpr int kLeastTiles = 3;                  // of a block
constexpr int kShared = 227 * 1024, kScratch = 128;

// Keys of H numbers; values of V: of their own where V is H, else the first V numbers of the keys.
template <class T, int H, int V, int ColumnTiles>
struct NarrowShape {
  static constexpr bool kHalf = sizeof(T) == 2, kOwnValues = V == H;
  static constexpr int kRows = 8 * ColumnTiles;
  static constexpr int kKeys = kHalf ? 16 : 8;  // of a warp at a time
  static constexpr int kTile = kWarps * kKeys;
  static constexpr int kChunks = H * int(sizeof(T)) / 16;
  using Layout = TileLayout<kChunks>;
  static constexpr int kMatrix = Layout::bytes(kKeys);  // keys, or values, of a step
  static constexpr int kStage = (kOwnValues ? 2 : 1) * kMatrix;
  static constexpr int kSumRow = V + 4;  // floats; no bank conflicts between rows
  static constexpr int kSums = std::max(2 * kRows * kSumRow, 2 * (kMostPieces + 2) * kRows) * 4;
  static constexpr int kQueries = kHalf ? 0 : kRows * H * 4;
  static constexpr int kWeights = 2 * kWarps * kRows * 4;  // maximum and sum of weights, a warp and row
  static constexpr int kOther = kSums + kQueries + kWeights + kScratch;
  static constexpr int bytes(int stages) { return kWarps * stages * kStage + kOther; }
  static constexpr int kStages = bytes(3) <= kShared / 2 - 1024 ? 3 : 2;
  static constexpr int kBytes = bytes(kStages);
  static constexpr int kBlocks = std::min(4, kShared / (kBytes + 1024));  // of a multiprocessor
  static constexpr int kPartial = kRows * (V + 2);                        // floats
  static_assert(kBlocks >= 1);
};

// A sequence as the line of tiles sees it: units, each of tiles first .. end - 1.
struct Span {
  PagedRows r;
  int row_tiles, units, first, end;
  __device__ int tiles() const { return end - first; }
};

template <class Shape>
__device__ __forceinline__ Span span_of(const PagedArgs& a, int s) {
  Span span;
  span.r = rows_of(a, s);
  if (span.r.rows > a.few) span.r.rows = 0;
  span.row_tiles = (span.r.rows * a.group + Shape::kRows - 1) / Shape::kRows;
  span.units = a.kv_heads * span.row_tiles;
  span.first = first_seen(a, span.r.context) / Shape::kTile;
  span.end = (span.r.context + span.r.rows + Shape::kTile - 1) / Shape::kTile;
  return span;
}

// A tile of keys on the line.
template <class Shape>
struct Cursor {
  int s, unit, tile;
  Span span;

  // Only where another tile follows.
  __device__ __forceinline__ void next(const PagedArgs& a) {
    if (++tile < span.end) return;
    if (++unit == span.units) {
      unit = 0;
      do span = span_of<Shape>(a, ++s);
      while (span.units == 0);
    }
    tile = span.first;
  }
  __device__ __forceinline__ int kv_head() const { return unit / span.row_tiles; }
  __device__ __forceinline__ int first_row() const { return unit % span.row_tiles * Shape::kRows; }
};

// What this block has to do.
struct Part {
  int64_t line, blocks;  // places, and blocks that share them; of no use with whole units
  int s, unit, tile;     // the first: tile of unit of sequence
  int64_t unit_at;       // place of that unit's first tile on the line
  int count;             // tiles
  int unit_cost;         // places before a unit's tiles
  __device__ int64_t block_of(int64_t place) const { return ((place + 1) * blocks - 1) / line; }
};

// Sums over sequences.
struct Load {
  int64_t tiles = 0, units = 0;
  __device__ void add(const Span& span, int64_t by = 1) { tiles += by * span.units * span.tiles(), units += by * span.units; }
  __device__ int64_t places(int unit_cost) const { return tiles + unit_cost * units; }
};

// `scratch`: kScratch bytes of shared memory.
template <class Shape>
__device__ Part part_of(const PagedArgs& a, uint8_t* scratch) {
  struct Shared {
    int64_t tiles[kWarps], units[kWarps];
    int longest[kWarps];
    int s, unit, tile;
    int64_t unit_at, begin, end;
  };
  static_assert(sizeof(Shared) <= kScratch);
  auto& shared = *reinterpret_cast<Shared*>(scratch);
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const int each = (a.sequences + kThreads - 1) / kThreads, from = threadIdx.x * each, to = min(a.sequences, from + each);
  Load mine;
  int longest = 0;
  for (int s = from; s < to; ++s) {
    const Span span = span_of<Shape>(a, s);
    mine.add(span);
    if (span.units) longest = max(longest, span.tiles());
  }
  Load ends = mine;  // up to this thread's last sequence
#pragma unroll
  for (int by = 1; by < kWarp; by *= 2) {
    const int64_t tiles = __shfl_up_sync(kAllLanes, ends.tiles, by), units = __shfl_up_sync(kAllLanes, ends.units, by);
    if (lane >= by) ends.tiles += tiles, ends.units += units;
    longest = max(longest, __shfl_xor_sync(kAllLanes, longest, by));
  }
  if (lane == kWarp - 1) shared.tiles[warp] = ends.tiles, shared.units[warp] = ends.units, shared.longest[warp] = longest;
  __syncthreads();
  Load all;
  for (int w = 0; w < kWarps; ++w) {
    if (w == warp) ends.tiles += all.tiles, ends.units += all.units;
    all.tiles += shared.tiles[w], all.units += shared.units[w];
    longest = max(longest, shared.longest[w]);
  }
  if (all.units == 0) return {};

  Part part;
  const int64_t grid = gridDim.x;
  part.unit_cost = int(min(int64_t(kMostUnitCost), 2 * all.units / grid));
  part.line = all.places(part.unit_cost);
  const int64_t least = max(kLeastTiles, (longest + kMostPieces - 1) / kMostPieces);
  part.blocks = min(grid, max(int64_t(1), part.line / least));
  const int64_t unit_blocks = min(grid, all.units);
  const bool whole = (all.units + unit_blocks - 1) / unit_blocks * (longest + part.unit_cost) <= part.line / part.blocks + kCutCost;
  if (whole) part.blocks = unit_blocks;
  if (blockIdx.x >= part.blocks) return {};
  // Where the block begins and ends: in units, or in places of the line.
  const int64_t total = whole ? all.units : part.line;
  const int64_t begin = total * blockIdx.x / part.blocks, end = total * (blockIdx.x + 1) / part.blocks;
  if (threadIdx.x == 0 && end == total) shared.end = all.tiles;
  Load before = ends;
  before.tiles -= mine.tiles, before.units -= mine.units;
  const auto place_of = [&](const Load& load) { return whole ? load.units : load.places(part.unit_cost); };
  const bool has_begin = begin >= place_of(before) && begin < place_of(ends), has_end = end >= place_of(before) && end < place_of(ends);
  if (has_begin || has_end) {
    for (int s = from; s < to; ++s) {
      const Span span = span_of<Shape>(a, s);
      Load after = before;
      after.add(span);
      const int64_t here = place_of(before), size = whole ? 1 : span.tiles() + part.unit_cost;  // of a unit
      const auto is_here = [&](int64_t place) { return place >= here && place < place_of(after); };
      const auto tile_at = [&](int64_t place) { return whole ? 0 : max(0, int((place - here) % size) - part.unit_cost); };
      const auto tiles_before = [&](int64_t place) { return before.tiles + (place - here) / size * span.tiles() + tile_at(place); };
      if (is_here(begin)) {
        shared.s = s, shared.unit = int((begin - here) / size), shared.tile = tile_at(begin);
        shared.unit_at = before.places(part.unit_cost) + shared.unit * (span.tiles() + part.unit_cost) + part.unit_cost;
        shared.begin = tiles_before(begin);
      }
      if (is_here(end)) shared.end = tiles_before(end);
      before = after;
    }
  }
  __syncthreads();
  part.s = shared.s, part.unit = shared.unit, part.tile = shared.tile, part.unit_at = shared.unit_at;
  part.count = int(shared.end - shared.begin);
  return part;
}

// ---- A warp's sums over its keys. Of row r: maximum m of the scaled scores, sum l of the weights 2^(score - m) that this lane has seen,
// weighted sums of values.

// ---- Joint: queries, the new key and the new value come as their projection gave them (qkv_heads.h); one row a sequence.

__device__ __forceinline__ float2 both(uint32_t pair) {
  return __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(&pair));
}
__device__ __forceinline__ float rounded(float x) {
  return __bfloat162float(__float2bfloat16_rn(x));
}
__device__ __forceinline__ float weight_at(const ConstRows& weight, int i) {
  return weight.type == Float::kF32 ? __ldg(static_cast<const float*>(weight.data) + i)
                                    : __bfloat162float(static_cast<const __nv_bfloat16*>(weight.data)[i]);
}

// q[k][half] of a lane: numbers 16 k + 8 half + 2 (lane % 4) and the next of one head; four lanes have a head. Norms and rotates it. A pair
// that rotates together is in one lane either way.
template <int H>
__device__ __forceinline__ void make_queries(const PagedArgs& a, uint32_t (&q)[H / 16][2], int token) {
  constexpr int kSteps = H / 16;
  static_assert(H % 32 == 0);
  const int first = 2 * (threadIdx.x % 4);
  float2 x[kSteps][2];
  float squares = 0;
#pragma unroll
  for (int k = 0; k < kSteps; ++k) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      x[k][half] = both(q[k][half]);
      squares = fmaf(x[k][half].x, x[k][half].x, fmaf(x[k][half].y, x[k][half].y, squares));
    }
  }
  if (a.joint.norm.q_weight.data) {
    squares += __shfl_xor_sync(kAllLanes, squares, 1);
    squares += __shfl_xor_sync(kAllLanes, squares, 2);
    const float root = rsqrtf(squares / H + a.joint.norm.eps);
#pragma unroll
    for (int k = 0; k < kSteps; ++k) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int i = 16 * k + 8 * half + first;
        x[k][half].x = rounded(x[k][half].x * root * (weight_at(a.joint.norm.q_weight, i) + a.joint.norm.offset));
        x[k][half].y = rounded(x[k][half].y * root * (weight_at(a.joint.norm.q_weight, i + 1) + a.joint.norm.offset));
      }
    }
  }
  const HeadsRotation& r = a.joint.rotation;
  if (r.cos) {
    const int64_t row = int64_t(__ldg(r.positions + token)) * (H / 2);
    if (r.interleaved) {
#pragma unroll
      for (int k = 0; k < kSteps; ++k) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int64_t at = row + (16 * k + 8 * half + first) / 2;
          const float cos = __ldg(r.cos + at), sin = __ldg(r.sin + at), one = x[k][half].x, two = x[k][half].y;
          x[k][half] = {one * cos - two * sin, two * cos + one * sin};
        }
      }
    } else {
#pragma unroll
      for (int k = 0; k < kSteps / 2; ++k) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int64_t at = row + 16 * k + 8 * half + first;
          const float2 cos = __ldg(reinterpret_cast<const float2*>(r.cos + at)), sin = __ldg(reinterpret_cast<const float2*>(r.sin + at));
          const float2 one = x[k][half], two = x[k + kSteps / 2][half];
          x[k][half] = {one.x * cos.x - two.x * sin.x, one.y * cos.y - two.y * sin.y};
          x[k + kSteps / 2][half] = {two.x * cos.x + one.x * sin.x, two.y * cos.y + one.y * sin.y};
        }
      }
    }
  }
#pragma unroll
  for (int k = 0; k < kSteps; ++k) {
#pragma unroll
    for (int half = 0; half < 2; ++half) q[k][half] = pack_bf16(x[k][half].x, x[k][half].y);
  }
}

// The new key, normed and rotated, and the new value, by one warp: to their row of its stage and to their place in the cache.
template <int H, class Shape>
__device__ __forceinline__ void make_key(const PagedArgs& a, int token, int kv_head, uint8_t* stage, int row, __nv_bfloat16* place,
                                         int64_t to_value) {
  using Layout = typename Shape::Layout;
  constexpr int kPairs = H / 2 / kWarp;  // a lane; pairs lane, lane + 32, ...
  const int lane = threadIdx.x % kWarp;
  const auto* key = static_cast<const __nv_bfloat16*>(a.joint.k.data) + token * a.joint.k.token_stride + kv_head * H;
  const auto* value = static_cast<const __nv_bfloat16*>(a.joint.v.data) + token * a.joint.v.token_stride + kv_head * H;
  const HeadsRotation& r = a.joint.rotation;
  const auto index_of = [&](int pair, int second) { return r.interleaved ? 2 * pair + second : pair + second * (H / 2); };
  float x[kPairs][2], squares = 0;
#pragma unroll
  for (int i = 0; i < kPairs; ++i) {
#pragma unroll
    for (int second = 0; second < 2; ++second) {
      x[i][second] = __bfloat162float(key[index_of(lane + kWarp * i, second)]);
      squares = fmaf(x[i][second], x[i][second], squares);
    }
  }
  if (a.joint.norm.k_weight.data) {
    const float root = rsqrtf(warp_sum(squares) / H + a.joint.norm.eps);
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
#pragma unroll
      for (int second = 0; second < 2; ++second)
        x[i][second] =
            rounded(x[i][second] * root * (weight_at(a.joint.norm.k_weight, index_of(lane + kWarp * i, second)) + a.joint.norm.offset));
    }
  }
  const int64_t turns = r.cos ? int64_t(__ldg(r.positions + token)) * (H / 2) : 0;
#pragma unroll
  for (int i = 0; i < kPairs; ++i) {
    if (r.cos) {
      const float cos = __ldg(r.cos + turns + lane + kWarp * i), sin = __ldg(r.sin + turns + lane + kWarp * i);
      const float one = x[i][0], two = x[i][1];
      x[i][0] = one * cos - two * sin;
      x[i][1] = two * cos + one * sin;
    }
#pragma unroll
    for (int second = 0; second < 2; ++second) {
      const int at = index_of(lane + kWarp * i, second);
      const __nv_bfloat16 made = __float2bfloat16_rn(x[i][second]), given = value[at];
      uint8_t* here = stage + Layout::at(row, at / 8) + at % 8 * 2;
      *reinterpret_cast<__nv_bfloat16*>(here) = made;
      *reinterpret_cast<__nv_bfloat16*>(here + Shape::kMatrix) = given;
      place[at] = made;
      place[to_value + at] = given;
    }
  }
  __syncwarp();
}

// bf16: this lane has rows 8 j + 2 (lane % 4) + e of column tile j.
template <int H, int V, int ColumnTiles, bool Joint>
struct TensorSums {
  using Shape = NarrowShape<__nv_bfloat16, H, V, ColumnTiles>;
  using Layout = typename Shape::Layout;
  static constexpr int kSteps = H / 16, kValueSteps = V / 16;

  uint32_t q[ColumnTiles][kSteps][2];
  float o[ColumnTiles][kValueSteps][4];
  float m[ColumnTiles][2], l[ColumnTiles][2];
  int last[ColumnTiles][2], first[ColumnTiles][2];  // keys that the row sees
  int all_from, all_to;                             // every row sees keys all_from .. all_to

  __device__ __forceinline__ void begin(const PagedArgs& a, const Cursor<Shape>& c, float*) {
    const int lane = threadIdx.x % kWarp, column = lane / 4, pair = lane % 4;
    const int rows = c.span.r.rows * a.group;
    const auto* base = static_cast<const __nv_bfloat16*>(Joint ? a.joint.q.data : a.q);
    const int64_t stride = Joint ? a.joint.q.token_stride : a.q_stride;
#pragma unroll
    for (int j = 0; j < ColumnTiles; ++j) {
      const int r = c.first_row() + 8 * j + column;
      const bool there = r < rows;
      const auto* from = base + int64_t(c.span.r.begin + r / a.group) * stride + (c.kv_head() * a.group + r % a.group) * H + 2 * pair;
#pragma unroll
      for (int k = 0; k < kSteps; ++k) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          q[j][k][half] = there ? *reinterpret_cast<const uint32_t*>(from + 16 * k + 8 * half) : 0u;
        }
      }
      if constexpr (Joint) make_queries<H>(a, q[j], c.span.r.begin);
#pragma unroll
      for (int k = 0; k < kValueSteps; ++k) {
#pragma unroll
        for (int i = 0; i < 4; ++i) o[j][k][i] = 0;
      }
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int row = min(c.first_row() + 8 * j + 2 * pair + e, rows - 1) / a.group;
        m[j][e] = -INFINITY;
        l[j][e] = 0;
        last[j][e] = c.span.r.context + row;
        first[j][e] = first_seen(a, last[j][e]);
      }
    }
    all_to = c.span.r.context;
    all_from = first_seen(a, c.span.r.context + c.span.r.rows - 1);
  }

  // Keys `key`.. of this warp; keys and values: shared addresses.
  __device__ __forceinline__ void step(const PagedArgs& a, uint32_t keys, uint32_t values, const uint8_t*, int key) {
    const int lane = threadIdx.x % kWarp;
    float s[ColumnTiles][4] = {};
#pragma unroll
    for (int k = 0; k < kSteps; ++k) {
      uint32_t part[4];
      load_matrices(part, keys + Layout::at(lane % 16, 2 * k + lane / 16));
#pragma unroll
      for (int j = 0; j < ColumnTiles; ++j) multiply_add(s[j], part, q[j][k][0], q[j][k][1]);
    }
    const bool all_seen = key >= all_from && key + Shape::kKeys - 1 <= all_to;
    uint32_t weights[ColumnTiles][2];
#pragma unroll
    for (int j = 0; j < ColumnTiles; ++j) {
#pragma unroll
      for (int i = 0; i < 4; ++i) s[j][i] *= a.scale_log2;
      if (!all_seen) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int at = key + lane / 4 + i / 2 * 8;
          if (at > last[j][i % 2] || at < first[j][i % 2]) s[j][i] = -INFINITY;
        }
      }
      float p[4], shrink[2];
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        float most = fmaxf(s[j][e], s[j][2 + e]);
#pragma unroll
        for (int by = 4; by < kWarp; by *= 2) most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, by));
        most = fmaxf(most, m[j][e]);
        const float safe = finite(most);
        shrink[e] = exp2f(m[j][e] - safe);
        p[e] = exp2f(s[j][e] - safe);
        p[2 + e] = exp2f(s[j][2 + e] - safe);
        m[j][e] = most;
        l[j][e] = l[j][e] * shrink[e] + p[e] + p[2 + e];
      }
#pragma unroll
      for (int k = 0; k < kValueSteps; ++k) {
#pragma unroll
        for (int i = 0; i < 4; ++i) o[j][k][i] *= shrink[i % 2];
      }
      weights[j][0] = transposed(pack_bf16(p[0], p[1]));
      weights[j][1] = transposed(pack_bf16(p[2], p[3]));
    }
#pragma unroll
    for (int k = 0; k < kValueSteps; ++k) {
      uint32_t part[4];
      load_matrices_transposed(part, values + Layout::at(lane % 8 + lane / 16 * 8, 2 * k + lane / 8 % 2));
#pragma unroll
      for (int j = 0; j < ColumnTiles; ++j) multiply_add(o[j][k], part, weights[j][0], weights[j][1]);
    }
  }

  // Sums of the weights over the lanes; the warp's m and l of every row.
  __device__ __forceinline__ void end(float* m_of, float* l_of) {
    const int lane = threadIdx.x % kWarp;
#pragma unroll
    for (int j = 0; j < ColumnTiles; ++j) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
#pragma unroll
        for (int by = 4; by < kWarp; by *= 2) l[j][e] += __shfl_xor_sync(kAllLanes, l[j][e], by);
        if (lane < 4) {
          m_of[8 * j + 2 * lane + e] = m[j][e];
          l_of[8 * j + 2 * lane + e] = l[j][e];
        }
      }
    }
  }
  // visit(row, dimension, sum) for all that this lane has; most_of(row): the maximum that they are brought to.
  template <class MostOf, class Visit>
  __device__ __forceinline__ void each_sum(const MostOf& most_of, const Visit& visit) const {
    const int lane = threadIdx.x % kWarp;
#pragma unroll
    for (int j = 0; j < ColumnTiles; ++j) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int row = 8 * j + 2 * (lane % 4) + e;
        const float by = exp2f(m[j][e] - finite(most_of(row)));
#pragma unroll
        for (int k = 0; k < kValueSteps; ++k) {
          visit(row, 16 * k + lane / 4, o[j][k][e] * by);
          visit(row, 16 * k + lane / 4 + 8, o[j][k][2 + e] * by);
        }
      }
    }
  }
};

// fp32: scores of key lane % 8, a quarter of the dimensions a lane; sums of dimensions lane, lane + 32, ...
template <int H, int V>
struct PlainSums {
  using Shape = NarrowShape<float, H, V, 1>;
  using Layout = typename Shape::Layout;
  static constexpr int kRows = Shape::kRows, kDims = (V + kWarp - 1) / kWarp;

  float o[kRows][kDims], m[kRows], l[kRows];
  const float* q;  // shared [kRows, H]
  int context, rows, group, first_row;

  __device__ __forceinline__ void begin(const PagedArgs& a, const Cursor<Shape>& c, float* queries) {
    context = c.span.r.context, rows = c.span.r.rows * a.group, group = a.group, first_row = c.first_row();
    __syncthreads();  // the unit before has been read
    for (int i = threadIdx.x; i < kRows * H; i += kThreads) {
      const int r = first_row + i / H;
      const int64_t token = c.span.r.begin + r / group;
      queries[i] = r < rows ? static_cast<const float*>(a.q)[token * a.q_stride + (c.kv_head() * group + r % group) * H + i % H] : 0.0f;
    }
    __syncthreads();
    q = queries;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      m[r] = -INFINITY;
      l[r] = 0;
#pragma unroll
      for (int i = 0; i < kDims; ++i) o[r][i] = 0;
    }
  }

  __device__ __forceinline__ void step(const PagedArgs& a, uint32_t keys, uint32_t values, const uint8_t* shared, int key) {
    const int lane = threadIdx.x % kWarp, row_of_lane = lane % 8;
    const uint8_t *k = shared + (keys - shared_address(shared)), *v = shared + (values - shared_address(shared));
    float s[kRows] = {};
#pragma unroll
    for (int c = 0; c < H / 16; ++c) {
      const int chunk = lane / 8 * (H / 16) + c;
      const float4 x = *reinterpret_cast<const float4*>(k + Layout::at(row_of_lane, chunk));
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        const float4 y = *reinterpret_cast<const float4*>(q + r * H + 4 * chunk);
        s[r] = fmaf(x.x, y.x, fmaf(x.y, y.y, fmaf(x.z, y.z, fmaf(x.w, y.w, s[r]))));
      }
    }
    float p[kRows];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      s[r] += __shfl_xor_sync(kAllLanes, s[r], 8);
      s[r] += __shfl_xor_sync(kAllLanes, s[r], 16);
      const int position = context + min(first_row + r, rows - 1) / group, at = key + row_of_lane;
      const float score = at > position || at < first_seen(a, position) ? -INFINITY : s[r] * a.scale_log2;
      float most = score;
#pragma unroll
      for (int by = 1; by < 8; by *= 2) most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, by));
      most = fmaxf(most, m[r]);
      const float shrink = exp2f(m[r] - finite(most));
      p[r] = exp2f(score - finite(most));
      m[r] = most;
      l[r] = l[r] * shrink + p[r];
#pragma unroll
      for (int i = 0; i < kDims; ++i) o[r][i] *= shrink;
    }
#pragma unroll
    for (int at = 0; at < Shape::kKeys; ++at) {
      float x[kDims];
#pragma unroll
      for (int i = 0; i < kDims; ++i) {
        const int h = lane + kWarp * i;
        x[i] = h < V ? *reinterpret_cast<const float*>(v + Layout::at(at, h / 4) + h % 4 * 4) : 0.0f;
      }
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        const float weight = __shfl_sync(kAllLanes, p[r], at);
#pragma unroll
        for (int i = 0; i < kDims; ++i) o[r][i] = fmaf(weight, x[i], o[r][i]);
      }
    }
  }

  __device__ __forceinline__ void end(float* m_of, float* l_of) {
    const int lane = threadIdx.x % kWarp;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int by = 1; by < 8; by *= 2) l[r] += __shfl_xor_sync(kAllLanes, l[r], by);
      if (lane == 0) m_of[r] = m[r], l_of[r] = l[r];
    }
  }
  template <class MostOf, class Visit>
  __device__ __forceinline__ void each_sum(const MostOf& most_of, const Visit& visit) const {
    const int lane = threadIdx.x % kWarp;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const float by = exp2f(m[r] - finite(most_of(r)));
#pragma unroll
      for (int i = 0; i < kDims; ++i) {
        if (lane + kWarp * i < V) visit(r, lane + kWarp * i, o[r][i] * by);
      }
    }
  }
};

template <class T, int H, int V, int ColumnTiles, bool Joint>
struct SumsOf {
  using Type = TensorSums<H, V, ColumnTiles, Joint>;
};
template <int H, int V>
struct SumsOf<float, H, V, 1, false> {
  using Type = PlainSums<H, V>;
};

// ---- the copies of a step

// The cache block that has this warp's keys of a tile; -1: none of them is seen.
template <class Shape>
__device__ __forceinline__ int block_at(const PagedArgs& a, const Cursor<Shape>& c) {
  const int key = c.tile * Shape::kTile + int(threadIdx.x) / kWarp * Shape::kKeys;
  if (key >= c.span.r.context + c.span.r.rows) return -1;
  return __ldg(a.table + c.s * a.table_width + key / a.block_size);
}

// Keys that no row sees are zeros: what the cache holds there may be no number.
template <class T, int H, bool Joint, class Shape>
__device__ __forceinline__ void start_copies(const PagedArgs& a, const Cursor<Shape>& c, int block, uint32_t stage) {
  using Layout = typename Shape::Layout;
  const int lane = threadIdx.x % kWarp;
  const int key = c.tile * Shape::kTile + int(threadIdx.x) / kWarp * Shape::kKeys;
  const int from = first_seen(a, c.span.r.context), to = c.span.r.context + (Joint ? 0 : c.span.r.rows);
  const int64_t row_bytes = int64_t(a.kv_heads) * H * sizeof(T);
  const uint8_t* keys =
      a.cache + (block < 0 ? 0 : block * a.block_bytes + key % a.block_size * row_bytes) + c.kv_head() * int(H * sizeof(T));
  const int64_t values = a.block_size * row_bytes;
  static_assert(Shape::kKeys * Shape::kChunks % kWarp == 0);
#pragma unroll
  for (int i = 0; i < Shape::kKeys * Shape::kChunks / kWarp; ++i) {
    const int at = lane + kWarp * i, row = at / Shape::kChunks, chunk = at % Shape::kChunks;
    const bool seen = block >= 0 && key + row >= from && key + row < to;
    const uint8_t* mine = keys + (seen ? row * row_bytes + chunk * 16 : 0);
    const uint32_t place = stage + Layout::at(row, chunk);
    copy_16_async(place, mine, seen);
    if (Shape::kOwnValues) copy_16_async(place + Shape::kMatrix, mine + (seen ? values : 0), seen);
  }
}

// Brings the queries of the unit that comes next near, by one warp: nobody waits for them here.
template <class T, int H, bool Joint, class Shape>
__device__ __forceinline__ void call_queries(const PagedArgs& a, const Cursor<Shape>& c) {
  constexpr int kLines = (H * int(sizeof(T)) + 127) / 128;
  const auto* base = static_cast<const T*>(Joint ? a.joint.q.data : a.q);
  const int64_t stride = Joint ? a.joint.q.token_stride : a.q_stride;
  const int rows = min(Shape::kRows, c.span.r.rows * a.group - c.first_row());
  for (int i = threadIdx.x % kWarp; i < rows * kLines; i += kWarp) {
    const int r = c.first_row() + i / kLines;
    const T* from = base + int64_t(c.span.r.begin + r / a.group) * stride + (c.kv_head() * a.group + r % a.group) * H +
                    i % kLines * (128 / int(sizeof(T)));
    uint32_t unused;
    asm volatile("ld.global.ca.b32 %0, [%1];" : "=r"(unused) : "l"(from));
  }
}

// ---- the end of a piece

struct Piece {
  int token, kv_head, first_row, rows;  // rows of the unit that are there
  bool whole;
  int64_t slot, slots_from, slots_to;  // of the workspace; blocks that have pieces of the unit
};

template <class T, int V>
__device__ __forceinline__ void write_out(const PagedArgs& a, const Piece& piece, int row, int h, const float4& x, float l) {
  const int r = piece.first_row + row;
  const int64_t at = (int64_t(piece.token + r / a.group) * a.heads + piece.kv_head * a.group + r % a.group) * V + h;
  const float by = 1 / l;
  const float values[4]{x.x * by, x.y * by, x.z * by, x.w * by};
  store<T, 4>(static_cast<T*>(a.out) + at, values);
}

// Shared memory of a block, after its stages.
template <class Shape>
struct Desk {
  float* sums;     // [2, rows, kSumRow]
  float* weights;  // [2, warps, rows]
  float* queries;
};

// Adds up the pieces of a unit, in order. By the whole block.
template <class T, int V, class Shape>
__device__ void add_pieces(const PagedArgs& a, const Piece& piece, const Desk<Shape>& desk) {
  const int count = int(piece.slots_to - piece.slots_from + 1);
  const auto slot_of = [&](int i) { return a.partials + (2 * (piece.slots_from + i) + (i == 0)) * int64_t(Shape::kPartial); };
  float *m_of = desk.sums, *l_of = desk.sums + count * Shape::kRows;
  for (int i = threadIdx.x; i < count * piece.rows; i += kThreads) {
    const float* slot = slot_of(i / piece.rows);
    const int row = i % piece.rows;
    m_of[i / piece.rows * Shape::kRows + row] = __ldcg(slot + row);
    l_of[i / piece.rows * Shape::kRows + row] = __ldcg(slot + Shape::kRows + row);
  }
  __syncthreads();
  for (int i = threadIdx.x; i < piece.rows * (V / 4); i += kThreads) {
    const int row = i / (V / 4), h = i % (V / 4) * 4;
    float most = -INFINITY;
    for (int n = 0; n < count; ++n) most = fmaxf(most, m_of[n * Shape::kRows + row]);
    float4 sum{0, 0, 0, 0};
    float l = 0;
#pragma unroll 8
    for (int n = 0; n < count; ++n) {
      const float4 x = __ldcg(reinterpret_cast<const float4*>(slot_of(n) + 2 * Shape::kRows + row * V + h));
      const float by = exp2f(m_of[n * Shape::kRows + row] - finite(most));
      l = fmaf(by, l_of[n * Shape::kRows + row], l);
      sum.x = fmaf(by, x.x, sum.x), sum.y = fmaf(by, x.y, sum.y), sum.z = fmaf(by, x.z, sum.z), sum.w = fmaf(by, x.w, sum.w);
    }
    write_out<T, V>(a, piece, row, h, sum, l);
  }
}

template <class T, int V, class Shape, class Sums>
__device__ void end_piece(const PagedArgs& a, const Piece& piece, Sums& sums, const Desk<Shape>& desk) {
  const int warp = threadIdx.x / kWarp;
  constexpr int kRows = Shape::kRows;
  float *m_of = desk.weights, *l_of = desk.weights + kWarps * kRows;
  sums.end(m_of + warp * kRows, l_of + warp * kRows);
  __syncthreads();
  const auto most_of = [&](int row) {
    float most = m_of[row];
#pragma unroll
    for (int w = 1; w < kWarps; ++w) most = fmaxf(most, m_of[w * kRows + row]);
    return most;
  };
  float* mine = desk.sums + warp % 2 * kRows * Shape::kSumRow;
  if (warp < 2) sums.each_sum(most_of, [&](int row, int h, float x) { mine[row * Shape::kSumRow + h] = x; });
  __syncthreads();
  if (warp >= 2) sums.each_sum(most_of, [&](int row, int h, float x) { mine[row * Shape::kSumRow + h] += x; });
  __syncthreads();
  float* slot = a.partials + piece.slot * Shape::kPartial;
  for (int i = threadIdx.x; i < piece.rows * (V / 4); i += kThreads) {
    const int row = i / (V / 4), h = i % (V / 4) * 4;
    const float4 x = *reinterpret_cast<const float4*>(desk.sums + row * Shape::kSumRow + h);
    const float4 y = *reinterpret_cast<const float4*>(desk.sums + (kRows + row) * Shape::kSumRow + h);
    const float4 sum{x.x + y.x, x.y + y.y, x.z + y.z, x.w + y.w};
    float l = 0;
    const float most = most_of(row);
#pragma unroll
    for (int w = 0; w < kWarps; ++w) l += l_of[w * kRows + row] * exp2f(m_of[w * kRows + row] - finite(most));
    if (piece.whole) {
      write_out<T, V>(a, piece, row, h, sum, l);
    } else {
      *reinterpret_cast<float4*>(slot + 2 * kRows + row * V + h) = sum;
      if (h == 0) slot[row] = most, slot[kRows + row] = l;
    }
  }
  if (!piece.whole) {
    __threadfence();
    __syncthreads();
    auto* last = reinterpret_cast<int*>(desk.weights);
    if (threadIdx.x == 0) *last = atomicAdd(a.counters + piece.slots_from, 1) == int(piece.slots_to - piece.slots_from);
    __syncthreads();
    const bool adds = *last;
    if (adds) {
      __threadfence();
      add_pieces<T, V>(a, piece, desk);
      if (threadIdx.x == 0) a.counters[piece.slots_from] = 0;  // for the next launch
    }
  }
  __syncthreads();  // the desk may be used again
}

template <class T, int H, int V, int ColumnTiles, bool Joint>
__global__ void __launch_bounds__(kThreads, NarrowShape<T, H, V, ColumnTiles>::kBlocks) narrow(const PagedArgs a) {
  using Shape = NarrowShape<T, H, V, ColumnTiles>;
  wait_for_launch_before();
  extern __shared__ __align__(128) uint8_t shared[];
  uint8_t* desk_at = shared + kWarps * Shape::kStages * Shape::kStage;
  const Desk<Shape> desk{reinterpret_cast<float*>(desk_at), reinterpret_cast<float*>(desk_at + Shape::kSums),
                         reinterpret_cast<float*>(desk_at + Shape::kSums + Shape::kWeights)};
  const Part part = part_of<Shape>(a, desk_at + Shape::kOther - kScratch);
  if (part.count == 0) return;

  Cursor<Shape> use;
  use.s = part.s;
  use.span = span_of<Shape>(a, part.s);
  use.unit = part.unit;
  use.tile = use.span.first + part.tile;
  Cursor<Shape> ahead = use;
  const int count = part.count, warp = threadIdx.x / kWarp;
  int64_t unit_at = part.unit_at;
  bool begun_here = part.tile == 0;
  const uint32_t stages = shared_address(shared) + warp * Shape::kStages * Shape::kStage;
  int block = block_at(a, ahead), started = 0;
  const auto start_next = [&] {  // an empty group where nothing is left, so that groups can be counted
    if (started < count) {
      start_copies<T, H, Joint>(a, ahead, block, stages + started % Shape::kStages * Shape::kStage);
      if (++started < count) {
        ahead.next(a);
        block = block_at(a, ahead);
        if (warp == 0 && ahead.tile == ahead.span.first) call_queries<T, H, Joint>(a, ahead);
      }
    }
    commit_copies();
  };
  for (int i = 0; i < Shape::kStages - 1; ++i) start_next();

  typename SumsOf<T, H, V, ColumnTiles, Joint>::Type sums;
  for (int i = 0; i < count; ++i) {
    if (i == 0 || use.tile == use.span.first) sums.begin(a, use, desk.queries);
    wait_copies<Shape::kStages - 2>();
    __syncwarp();  // all lanes' copies are there, and all have read the stage that is filled next
    start_next();
    if constexpr (Joint) {
      const int key = use.tile * Shape::kTile + warp * Shape::kKeys, position = use.span.r.context;
      if (position >= key && position < key + Shape::kKeys) {
        const int64_t in = __ldg(a.table + use.s * a.table_width + position / a.block_size),
                      to_value = int64_t(a.block_size) * a.kv_heads * H;
        auto* place = reinterpret_cast<__nv_bfloat16*>(static_cast<uint8_t*>(a.joint.cache) + in * a.block_bytes) +
                      (int64_t(position % a.block_size) * a.kv_heads + use.kv_head()) * H;
        uint8_t* mine = shared + (warp * Shape::kStages + i % Shape::kStages) * Shape::kStage;
        make_key<H, Shape>(a, use.span.r.begin, use.kv_head(), mine, position - key, place, to_value);
      }
    }
    const uint32_t stage = stages + i % Shape::kStages * Shape::kStage;
    sums.step(a, stage, stage + (Shape::kOwnValues ? Shape::kMatrix : 0), shared, use.tile * Shape::kTile + warp * Shape::kKeys);
    const bool unit_ends = use.tile == use.span.end - 1;
    if (unit_ends || i == count - 1) {
      Piece piece{.token = use.span.r.begin,
                  .kv_head = use.kv_head(),
                  .first_row = use.first_row(),
                  .rows = min(Shape::kRows, use.span.r.rows * a.group - use.first_row()),
                  .whole = begun_here && unit_ends,
                  .slot = 2 * int64_t(blockIdx.x) + begun_here,
                  .slots_from = part.block_of(unit_at),
                  .slots_to = part.block_of(unit_at + use.span.tiles() - 1)};
      end_piece<T, V, Shape>(a, piece, sums, desk);
      unit_at += use.span.tiles() + part.unit_cost;
      begun_here = true;
    }
    if (i < count - 1) use.next(a);
  }
}

template <class T, int H, int V, int ColumnTiles, bool Joint = false>
struct Kernel {
  using Shape = NarrowShape<T, H, V, ColumnTiles>;
  static NarrowSizes sizes(int processors) { return {Shape::kBlocks * processors, Shape::kPartial}; }
  static void launch(const PagedArgs& args, int processors, Stream stream) {
    check_cuda(cudaFuncSetAttribute(narrow<T, H, V, ColumnTiles, Joint>, cudaFuncAttributeMaxDynamicSharedMemorySize, Shape::kBytes),
               "paged attention's shared memory");
    cuda::launch(narrow<T, H, V, ColumnTiles, Joint>, unsigned(Shape::kBlocks * processors), kThreads, Shape::kBytes, stream, args);
  }
};

int processors_of(int device) {
  int count = 0;
  check_cuda(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device), "number of multiprocessors");
  return count;
}

}  // namespace

}  // namespace r1::kernels::cuda
