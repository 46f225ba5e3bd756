#include "r1/kernels/cuda/packed_linear.h"

#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include <algorithm>

#include "r1/kernels/cuda/launch.cuh"
#include "r1/kernels/cuda/numbers.cuh"
#include "r1/kernels/cuda/packed_kernels.h"

namespace r1::kernels::cuda {

namespace {

PackedKernels kernels_of(const PackedLayout& layout) {
  const bool whole = layout.group > 0 && layout.group % 64 == 0;
  if (!whole && layout.group != 32 && layout.group != 16) return {};
  const int subs = whole ? 1 : int(64 / layout.group);
  switch (layout.codes) {
    case PackedCodes::kInt4:
      return packed_int4(layout.shift, subs);
    case PackedCodes::kInt8:
      return packed_int8(layout.shift, subs);
    case PackedCodes::kE4m3:
      return packed_e4m3(layout.shift, subs);
  }
  return {};
}

void set_cluster(cudaLaunchConfig_t& config, cudaLaunchAttribute& attribute, int split) {
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim = {unsigned(split), 1, 1};
  config.attrs = &attribute, config.numAttrs = 1;
}

// As many parts of the columns as fill the device once, each with enough tiles to be worth its sum. A cluster lies within one part of the chip, so
// that fewer large ones fit than their blocks would.
int best_split(const PackedProduct& a, const PackedEntry& entry, int64_t blocks) {
  constexpr int64_t kLeastTiles = 4;
  int split = 1;
  for (int more = 2; more <= kMostSplit && a.layout.column_tiles() >= kLeastTiles * more; more *= 2) {
    cudaLaunchAttribute attribute{};
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(unsigned(blocks * more)), config.blockDim = dim3(unsigned(entry.threads));
    config.dynamicSmemBytes = size_t(entry.shared_bytes);
    set_cluster(config, attribute, more);
    int clusters = 0;
    check_cuda(cudaOccupancyMaxActiveClusters(&clusters, entry.kernel, &config), "clusters that fit");
    if (clusters < blocks) break;
    split = more;
  }
  return split;
}

const PackedEntry& best_entry(const PackedProduct& a, std::span<const PackedEntry> entries) {
  const auto find = [&](int tokens, int groups, int row_tiles) -> const PackedEntry& {
    for (const PackedEntry& e : entries)
      if (e.tile.tokens == tokens && e.tile.groups == groups && e.tile.row_tiles == row_tiles) return e;
    fail("[packed_product] no tile of ", tokens, " rows");
  };
  // What was fastest on an H200 for layers of 1.5B to 7B models.
  const bool many = a.layout.rows >= 8192;
  if (a.rows <= 8) return many ? find(8, -8, 2) : find(8, -16, 1);
  if (a.rows <= 16) return many ? find(16, -8, 2) : find(16, -16, 1);
  if (a.rows <= 32) return many ? find(32, 2, 1) : find(32, -8, 2);
  if (a.rows <= 64 && a.layout.rows <= 2048) return a.layout.columns <= 4096 ? find(32, -8, 2) : find(32, 2, 1);
  return a.rows <= 64 ? find(64, 4, 1) : find(128, 4, 1);
}

PackedArguments arguments_of(const PackedLayout& layout, const void* codes, const void* scales) {
  const int64_t tiles_of_group = std::max<int64_t>(1, layout.group / 64);
  return {.codes = codes,
          .scales = scales,
          .outputs = int(layout.rows),
          .columns = int(layout.columns),
          .row_tiles = int(layout.row_tiles()),
          .column_tiles = int(layout.column_tiles()),
          .groups = int(layout.groups()),
          .group_inverse = uint32_t(((int64_t{1} << 31) + tiles_of_group - 1) / tiles_of_group),
          .split = 1};
}

void launch_cluster(const PackedEntry& entry, dim3 grid, const PackedArguments& a, Stream stream) {
  cudaLaunchAttribute attributes[2]{};
  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[0].val.programmaticStreamSerializationAllowed = 1;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim = {unsigned(a.split), 1, 1};
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(unsigned(entry.threads));
  config.dynamicSmemBytes = size_t(entry.shared_bytes);
  config.stream = handle_of(stream);
  config.attrs = attributes;
  config.numAttrs = a.split > 1 ? 2 : 1;
  check_cuda(cudaLaunchKernelEx(&config, entry.kernel, a), "launch");
}

// A thread has two neighbours of a row.
template <class Y>
__global__ void unpack_rows(PackedRows a) {
  wait_for_launch_before();
  const PackedLayout& l = a.layout;
  const int64_t row = a.ids ? a.ids[blockIdx.x] : a.first + blockIdx.x;
  const auto* codes = static_cast<const uint8_t*>(a.codes);
  for (int64_t i = threadIdx.x; i < l.columns; i += blockDim.x) {
    const int64_t bit = l.code_bit(row, i), at = l.scale_place(row, i / l.group);
    const auto number = [&](int64_t n) {
      return l.half_scales() ? __half2float(static_cast<const __half*>(a.scales)[at + n]) : static_cast<const float*>(a.scales)[at + n];
    };
    const uint8_t byte = codes[bit / 8];
    float code;
    if (l.codes == PackedCodes::kInt4)
      code = float(byte >> bit % 8 & 15) - (l.shift == PackedShift::kNone ? 8.0f : 0.0f);
    else if (l.codes == PackedCodes::kInt8)
      code = float(int8_t(byte));
    else
      code = __half2float(__nv_cvt_fp8_to_halfraw(byte, __NV_E4M3));
    float value;
    if (l.shift == PackedShift::kZero)
      value = number(0) * (code - number(1));
    else if (l.shift == PackedShift::kOffset)
      value = __fadd_rn(__fmul_rn(number(0), code), number(1));
    else
      value = number(0) * code;
    static_cast<Y*>(a.out)[int64_t(blockIdx.x) * l.columns + i] = from_float<Y>(value);
  }
}

}  // namespace

bool takes_packed_product(const PackedProduct& a) {
  constexpr int64_t kMost = int64_t{1} << 30;
  return a.rows > 0 && a.rows < kMost && a.layout.rows > 0 && a.layout.rows < kMost && a.layout.columns > 0 &&
         a.layout.columns < (1 << 20) && a.layout.columns % 8 == 0 && !kernels_of(a.layout).products.empty() &&
         takes_16_bytes<__nv_bfloat16>(a.x, a.x_stride) && takes_16_bytes<float>(a.codes) && takes_16_bytes<float>(a.scales);
}

void packed_product(const PackedProduct& a, Stream stream) {
  check(takes_packed_product(a), "[packed_product] expected rows of whole 16 bytes and groups of 16, 32 or a multiple of 64 columns, got ",
        a.rows, " rows of ", a.layout.columns, " columns in groups of ", a.layout.group);
  const OnDevice on(stream.device);
  const PackedEntry& entry = best_entry(a, kernels_of(a.layout).products);
  const bool few = entry.tile.groups < 0;
  if (entry.shared_bytes > 0)
    check_cuda(cudaFuncSetAttribute(entry.kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, entry.shared_bytes), "shared memory");
  const unsigned row_blocks = blocks_for(a.layout.rows, entry.rows), token_blocks = blocks_for(a.rows, entry.tile.tokens);
  const int split = few ? 1 : best_split(a, entry, int64_t(row_blocks) * token_blocks);
  PackedArguments arguments = arguments_of(a.layout, a.codes, a.scales);
  arguments.x = a.x, arguments.x_stride = a.x_stride, arguments.rows = int(a.rows);
  arguments.bias = a.bias, arguments.y = a.y, arguments.fp32 = a.y_type == Float::kF32;
  arguments.split = split;
  launch_cluster(entry, dim3(row_blocks * unsigned(split), token_blocks), arguments, stream);
}

void packed_rows(const PackedRows& a, Stream stream) {
  if (a.count == 0) return;
  const OnDevice on(stream.device);
  // All from the beginning on to bf16: the kernel that reads and writes as memory likes it.
  if (const PackedKernel unpack = kernels_of(a.layout).unpack;
      unpack && !a.ids && a.first == 0 && a.out_type == Float::kBf16 && a.count >= kTileRows && a.layout.columns % 8 == 0) {
    PackedLayout layout = a.layout;
    layout.rows = a.count;
    PackedArguments arguments = arguments_of(layout, a.codes, a.scales);
    arguments.y = a.out;
    const unsigned columns = unsigned(std::clamp<int64_t>(layout.column_tiles() / 4, 1, 16));
    return launch(unpack, dim3(unsigned(layout.row_tiles()), columns), 256, 0, stream, arguments);
  }
  const auto kernel = a.out_type == Float::kF32 ? unpack_rows<float> : unpack_rows<__nv_bfloat16>;
  launch(kernel, dim3(unsigned(a.count)), 256, 0, stream, a);
}

}  // namespace r1::kernels::cuda
