// Many rows a sequence, bf16: see paged_attention.h. A block takes 64 rows (a sequence's row times a head of the group, a row's heads
// together) of one key head, 16 a warp, and goes through the keys that they see in tiles, the next one on its way while one is worked on.
// The flash attention of Dao (2023): the sums of a row stay in registers, weights go from one product to the next without leaving them.
#include <algorithm>

#include "r1/kernels/cuda/paged_attention.cuh"

namespace r1::kernels::cuda {

namespace {

constexpr int kWarps = 4, kThreads = kWarps * kWarp, kRows = 16 * kWarps;

template <int H>
struct WideShape {
  static constexpr int kKeys = H <= 128 ? 64 : 32;  // a tile
  static constexpr int kChunks = H / 8;
  using Layout = TileLayout<kChunks>;
  static constexpr int kQueries = Layout::bytes(kRows), kMatrix = Layout::bytes(kKeys);
  static constexpr int kBytes = kQueries + 4 * kMatrix;  // two stages of keys and values
  static constexpr bool kQueriesStay = H <= 128;         // in registers
};

// The tile of rows that is number blockIdx.x of those of all sequences with more than `few` rows.
struct RowTile {
  PagedRows r;
  int s, first_row;  // s: -1: there is none
};
__device__ RowTile row_tile(const PagedArgs& a) {
  __shared__ int sums[kWarps], found[2];
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, wanted = int(gridDim.x) - 1 - int(blockIdx.x);
  const int each = (a.sequences + kThreads - 1) / kThreads, from = threadIdx.x * each, to = min(a.sequences, from + each);
  const auto tiles_of = [&](int s) {
    const int rows = __ldg(a.cu + s + 1) - __ldg(a.cu + s);
    return rows > a.few ? (rows * a.group + kRows - 1) / kRows : 0;
  };
  int mine = 0;
  for (int s = from; s < to; ++s) mine += tiles_of(s);
  int ends = mine;
#pragma unroll
  for (int by = 1; by < kWarp; by *= 2) {
    const int before = __shfl_up_sync(kAllLanes, ends, by);
    if (lane >= by) ends += before;
  }
  if (lane == kWarp - 1) sums[warp] = ends;
  if (threadIdx.x == 0) found[0] = -1;
  __syncthreads();
  for (int w = 0; w < warp; ++w) ends += sums[w];
  int before = ends - mine;
  if (wanted >= before && wanted < ends) {
    for (int s = from; s < to; ++s) {
      const int tiles = tiles_of(s);
      if (wanted < before + tiles) {
        found[0] = s;
        found[1] = (wanted - before) * kRows;
        break;
      }
      before += tiles;
    }
  }
  __syncthreads();
  RowTile tile;
  tile.s = found[0];
  tile.first_row = found[1];
  if (tile.s >= 0) tile.r = rows_of(a, tile.s);
  return tile;
}

template <int H>
__global__ void __launch_bounds__(kThreads) wide(const PagedArgs a) {
  using Shape = WideShape<H>;
  using Layout = typename Shape::Layout;
  using T = __nv_bfloat16;
  constexpr int kSteps = H / 16, kKeyTiles = Shape::kKeys / 8;
  extern __shared__ __align__(128) uint8_t shared[];
  const RowTile tile = row_tile(a);
  if (tile.s < 0) return;
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, kv_head = blockIdx.y;
  const int rows = tile.r.rows * a.group;
  const uint32_t queries = shared_address(shared), stages = queries + Shape::kQueries;

  for (int i = threadIdx.x; i < kRows * Shape::kChunks; i += kThreads) {
    const int row = i / Shape::kChunks, chunk = i % Shape::kChunks, r = tile.first_row + row;
    const bool there = r < rows;
    const T* from = static_cast<const T*>(a.q);
    if (there) from += int64_t(tile.r.begin + r / a.group) * a.q_stride + (kv_head * a.group + r % a.group) * H + chunk * 8;
    copy_16_async(queries + Layout::at(row, chunk), from, there);
  }

  // Keys first .. last are seen by some row of the tile.
  const int last_row = min(tile.first_row + kRows, rows) - 1;
  const int position_0 = tile.r.context + tile.first_row / a.group, last = tile.r.context + last_row / a.group;
  const int first = first_seen(a, position_0), all_from = first_seen(a, last);
  const int first_tile = first / Shape::kKeys, tiles = last / Shape::kKeys - first_tile + 1;
  const int64_t row_bytes = int64_t(a.kv_heads) * H * 2;
  const uint8_t* heads = a.cache + kv_head * (H * 2);
  const int32_t* table = a.table + tile.s * a.table_width;
  const auto start_copies = [&](int t) {
    const int key_0 = (first_tile + t) * Shape::kKeys;
    const uint32_t stage = stages + t % 2 * 2 * Shape::kMatrix;
#pragma unroll
    for (int i = 0; i < Shape::kKeys * Shape::kChunks / kThreads; ++i) {
      const int at = int(threadIdx.x) + kThreads * i, row = at / Shape::kChunks, chunk = at % Shape::kChunks, key = key_0 + row;
      const bool seen = key >= first && key <= last;
      const uint8_t* from = a.cache;
      if (seen) from = heads + __ldg(table + key / a.block_size) * a.block_bytes + key % a.block_size * row_bytes + chunk * 16;
      copy_16_async(stage + Layout::at(row, chunk), from, seen);
      copy_16_async(stage + Shape::kMatrix + Layout::at(row, chunk), from + (seen ? a.block_size * row_bytes : 0), seen);
    }
  };
  static_assert(Shape::kKeys * Shape::kChunks % kThreads == 0);
  start_copies(0);
  commit_copies();

  // This lane's rows: lane / 4 and lane / 4 + 8 of the warp's.
  int position[2], from[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    position[i] = tile.r.context + min(tile.first_row + warp * 16 + lane / 4 + 8 * i, rows - 1) / a.group;
    from[i] = first_seen(a, position[i]);
  }
  const uint32_t my_queries = warp * 16 + lane % 16;  // row, for load_matrices
  uint32_t q[Shape::kQueriesStay ? kSteps : 1][4];
  float o[H / 8][4] = {}, m[2] = {-INFINITY, -INFINITY}, l[2] = {};

  for (int t = 0; t < tiles; ++t) {
    wait_copies<0>();
    __syncthreads();  // all copies of this tile are there, and all have read the stage that is filled next
    if (t + 1 < tiles) start_copies(t + 1);
    commit_copies();
    if (Shape::kQueriesStay && t == 0) {
#pragma unroll
      for (int k = 0; k < kSteps; ++k) load_matrices(q[Shape::kQueriesStay ? k : 0], queries + Layout::at(my_queries, 2 * k + lane / 16));
    }
    const uint32_t keys = stages + t % 2 * 2 * Shape::kMatrix, values = keys + Shape::kMatrix;
    float s[kKeyTiles][4] = {};
#pragma unroll
    for (int k = 0; k < kSteps; ++k) {
      uint32_t own[4];
      if (!Shape::kQueriesStay) load_matrices(own, queries + Layout::at(my_queries, 2 * k + lane / 16));
      const uint32_t(&qk)[4] = Shape::kQueriesStay ? q[Shape::kQueriesStay ? k : 0] : own;
#pragma unroll
      for (int n = 0; n < kKeyTiles; n += 2) {
        uint32_t b[4];
        load_matrices(b, keys + Layout::at(8 * n + lane % 8 + lane / 16 * 8, 2 * k + lane / 8 % 2));
        multiply_add(s[n], qk, b[0], b[1]);
        multiply_add(s[n + 1], qk, b[2], b[3]);
      }
    }
    const int key_0 = (first_tile + t) * Shape::kKeys;
    if (key_0 < all_from || key_0 + Shape::kKeys - 1 > position_0) {
#pragma unroll
      for (int n = 0; n < kKeyTiles; ++n) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int key = key_0 + 8 * n + lane % 4 * 2 + i % 2;
          if (key > position[i / 2] || key < from[i / 2]) s[n][i] = -INFINITY;
        }
      }
    }
    float most[2] = {m[0], m[1]}, shift[2];
#pragma unroll
    for (int n = 0; n < kKeyTiles; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) most[i / 2] = fmaxf(most[i / 2], s[n][i] * a.scale_log2);
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      most[i] = fmaxf(most[i], __shfl_xor_sync(kAllLanes, most[i], 1));
      most[i] = fmaxf(most[i], __shfl_xor_sync(kAllLanes, most[i], 2));
      shift[i] = finite(most[i]);
      const float shrink = exp2f(m[i] - shift[i]);
      m[i] = most[i];
      l[i] *= shrink;
#pragma unroll
      for (int d = 0; d < H / 8; ++d) o[d][2 * i] *= shrink, o[d][2 * i + 1] *= shrink;
    }
    uint32_t weights[kKeyTiles / 2][4];
#pragma unroll
    for (int n = 0; n < kKeyTiles; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const float first_weight = exp2f(fmaf(s[n][2 * i], a.scale_log2, -shift[i])),
                    second_weight = exp2f(fmaf(s[n][2 * i + 1], a.scale_log2, -shift[i]));
        l[i] += first_weight + second_weight;
        weights[n / 2][n % 2 * 2 + i] = pack_bf16(first_weight, second_weight);
      }
    }
#pragma unroll
    for (int n = 0; n < kKeyTiles / 2; ++n) {
#pragma unroll
      for (int d = 0; d < H / 8; d += 2) {
        uint32_t b[4];
        load_matrices_transposed(b, values + Layout::at(16 * n + lane % 16, d + lane / 16));
        multiply_add(o[d], weights[n], b[0], b[1]);
        multiply_add(o[d + 1], weights[n], b[2], b[3]);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    l[i] += __shfl_xor_sync(kAllLanes, l[i], 1);
    l[i] += __shfl_xor_sync(kAllLanes, l[i], 2);
    const int r = tile.first_row + warp * 16 + lane / 4 + 8 * i;
    if (r >= rows) continue;
    T* to = static_cast<T*>(a.out) + (int64_t(tile.r.begin + r / a.group) * a.heads + kv_head * a.group + r % a.group) * H + lane % 4 * 2;
    const float by = 1 / l[i];
#pragma unroll
    for (int d = 0; d < H / 8; ++d) *reinterpret_cast<uint32_t*>(to + 8 * d) = pack_bf16(o[d][2 * i] * by, o[d][2 * i + 1] * by);
  }
}

template <int H>
void launch(const PagedAttention& a, const PagedArgs& args, Stream stream) {
  using Shape = WideShape<H>;
  check_cuda(cudaFuncSetAttribute(wide<H>, cudaFuncAttributeMaxDynamicSharedMemorySize, Shape::kBytes), "paged attention's shared memory");
  // As many tiles as there may be: a sequence's last one may be anything but full.
  const int64_t tiles = a.tokens * args.group / kRows + std::min(a.sequences, a.tokens / (args.few + 1));
  wide<H><<<dim3(unsigned(tiles), unsigned(a.kv_heads)), kThreads, Shape::kBytes, handle_of(stream)>>>(args);
  check_cuda(cudaGetLastError(), "paged attention");
}

}  // namespace

void launch_wide(const PagedAttention& a, const PagedArgs& args, Stream stream) {
  check(a.type == Float::kBf16, "[cuda] paged attention takes many rows in bf16 only");
  switch (a.head_dim) {
    case 16:
      return launch<16>(a, args, stream);
    case 32:
      return launch<32>(a, args, stream);
    case 64:
      return launch<64>(a, args, stream);
    case 80:
      return launch<80>(a, args, stream);
    case 96:
      return launch<96>(a, args, stream);
    case 128:
      return launch<128>(a, args, stream);
    case 192:
      return launch<192>(a, args, stream);
    case 256:
      return launch<256>(a, args, stream);
    default:
      fail("[cuda] paged attention has no heads of ", a.head_dim);
  }
}

}  // namespace r1::kernels::cuda
