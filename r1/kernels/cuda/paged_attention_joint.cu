// The narrow kernel on what the joint projection gave: see PagedAttention::joint.
#include "r1/kernels/cuda/paged_attention_narrow.cuh"

namespace r1::kernels::cuda {

bool has_joint_attention(Float type, int64_t head_dim) {
  return type == Float::kBf16 && (head_dim == 64 || head_dim == 128);
}

void launch_joint(const PagedAttention& a, const PagedArgs& args, Stream stream) {
  check(has_joint_attention(a.type, a.head_dim) && a.max_rows == 1, "[cuda] joint paged attention has no heads of ", a.head_dim,
        " or sequences of ", a.max_rows, " rows");
  const int processors = processors_of(stream.device);
  const bool few = a.heads / a.kv_heads <= 8;
  if (a.head_dim == 64)
    return few ? Kernel<__nv_bfloat16, 64, 64, 1, true>::launch(args, processors, stream)
               : Kernel<__nv_bfloat16, 64, 64, 2, true>::launch(args, processors, stream);
  return few ? Kernel<__nv_bfloat16, 128, 128, 1, true>::launch(args, processors, stream)
             : Kernel<__nv_bfloat16, 128, 128, 2, true>::launch(args, processors, stream);
}

}  // namespace r1::kernels::cuda
