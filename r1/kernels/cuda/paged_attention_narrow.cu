#include "r1/kernels/cuda/paged_attention_narrow.cuh"

namespace r1::kernels::cuda {

namespace {

// f(Kernel<...>)
template <class F>
void with_kernel(const PagedAttention& a, const F& f) {
  const int64_t group = a.heads / a.kv_heads, rows = std::min(a.max_rows, narrow_rows(a)) * group;
  const auto of_size = [&](auto size) {
    constexpr int kH = decltype(size)::value;
    if (a.type == Float::kF32)
      f(Kernel<float, kH, kH, 1>());
    else if (rows <= 8)
      f(Kernel<__nv_bfloat16, kH, kH, 1>());
    else
      f(Kernel<__nv_bfloat16, kH, kH, 2>());
  };
  const auto of_latents = [&](auto width, auto latent) {
    constexpr int kH = decltype(width)::value, kV = decltype(latent)::value;
    if (a.type == Float::kF32)
      f(Kernel<float, kH, kV, 1>());
    else
      f(Kernel<__nv_bfloat16, kH, kV, 1>());
  };
  const auto is = [&](int64_t head_dim, int64_t latent) { return a.head_dim == head_dim && a.latent == latent; };
  using std::integral_constant;
  if (is(16, 0)) return of_size(integral_constant<int, 16>());
  if (is(32, 0)) return of_size(integral_constant<int, 32>());
  if (is(64, 0)) return of_size(integral_constant<int, 64>());
  if (is(80, 0)) return of_size(integral_constant<int, 80>());
  if (is(96, 0)) return of_size(integral_constant<int, 96>());
  if (is(128, 0)) return of_size(integral_constant<int, 128>());
  if (is(192, 0)) return of_size(integral_constant<int, 192>());
  if (is(256, 0)) return of_size(integral_constant<int, 256>());
  if (is(48, 32)) return of_latents(integral_constant<int, 48>(), integral_constant<int, 32>());
  if (is(576, 512)) return of_latents(integral_constant<int, 576>(), integral_constant<int, 512>());
  fail("[cuda] paged attention has no heads of ", a.head_dim, " with latents of ", a.latent);
}

}  // namespace

NarrowSizes narrow_sizes(const PagedAttention& a, int device) {
  NarrowSizes sizes;
  with_kernel(a, [&](auto kernel) { sizes = kernel.sizes(processors_of(device)); });
  return sizes;
}

void launch_narrow(const PagedAttention& a, const PagedArgs& args, Stream stream) {
  if (a.joint) return launch_joint(a, args, stream);
  with_kernel(a, [&](auto kernel) { kernel.launch(args, processors_of(stream.device), stream); });
}

}  // namespace r1::kernels::cuda
