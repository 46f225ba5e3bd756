#include <algorithm>

#include "r1/kernels/cuda/paged_attention.cuh"

namespace r1::kernels::cuda {

namespace {

constexpr double kLog2E = 1.4426950408889634;

int64_t counter_bytes(int blocks) {
  return (int64_t(blocks) * 4 + 15) / 16 * 16;
}

}  // namespace

bool has_paged_attention(Float, int64_t head_dim, int64_t latent, int32_t block_size) {
  constexpr int64_t kSizes[] = {16, 32, 64, 80, 96, 128, 192, 256};
  const bool has_size = std::find(std::begin(kSizes), std::end(kSizes), head_dim) != std::end(kSizes);
  const bool has_latents = (head_dim == 48 && latent == 32) || (head_dim == 576 && latent == 512);
  return block_size > 0 && block_size % 16 == 0 && (latent == 0 ? has_size : has_latents);
}

int64_t narrow_rows(const PagedAttention& a) {
  if (a.type == Float::kF32 || a.latent > 0) return a.max_rows;
  return std::max<int64_t>(1, 32 / (a.heads / a.kv_heads));
}

PagedWorkspace paged_attention_workspace(const PagedAttention& a, int device) {
  if (!a.has_few) return {};
  const NarrowSizes sizes = narrow_sizes(a, device);
  return {.bytes = counter_bytes(sizes.blocks) + 2 * int64_t(sizes.blocks) * sizes.partial_floats * 4, .counters = sizes.blocks};
}

void paged_attention(const PagedAttention& a, Stream stream) {
  if (a.tokens == 0) return;
  const OnDevice on(stream.device);
  const int few = int(std::min(narrow_rows(a), a.max_rows));
  PagedArgs args{.q = a.q,
                 .cache = static_cast<const uint8_t*>(a.cache),
                 .out = a.out,
                 .q_stride = a.q_stride,
                 .block_bytes = (a.latent > 0 ? 1 : 2) * a.kv_heads * a.head_dim * a.block_size * size_of(a.type),
                 .sequences = int(a.sequences),
                 .heads = int(a.heads),
                 .kv_heads = int(a.kv_heads),
                 .group = int(a.heads / a.kv_heads),
                 .block_size = a.block_size,
                 .table = a.table,
                 .cu = a.cu,
                 .context = a.context,
                 .table_width = a.table_width,
                 .scale_log2 = float(double(a.scale) * kLog2E),
                 .window = int(std::min<int64_t>(a.window, 1 << 30)),
                 .grows_to = int(std::min<int64_t>(a.window_grows_to, 1 << 30)),
                 .few = few,
                 .counters = a.counters ? a.counters : static_cast<int*>(a.workspace),
                 .partials = nullptr};
  if (a.max_rows > few) launch_wide(a, args, stream);
  if (!a.has_few) return;
  args.partials = reinterpret_cast<float*>(static_cast<uint8_t*>(a.workspace) + counter_bytes(narrow_sizes(a, stream.device).blocks));
  if (a.joint) args.joint = {a.joint->q, a.joint->k, a.joint->v, a.joint->norm, a.joint->rotation, a.joint->cache.cache};
  launch_narrow(a, args, stream);
}

}  // namespace r1::kernels::cuda
