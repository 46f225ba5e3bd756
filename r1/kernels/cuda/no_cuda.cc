// What kernels/cuda is in a build without CUDA: no devices, and an error for whoever asks for more.
#include "r1/base/error.h"
#include "r1/kernels/cuda/blocks.h"
#include "r1/kernels/cuda/device.h"
#include "r1/kernels/cuda/embedding.h"
#include "r1/kernels/cuda/gemv.h"
#include "r1/kernels/cuda/glu.h"
#include "r1/kernels/cuda/norm.h"
#include "r1/kernels/cuda/optimizer.h"
#include "r1/kernels/cuda/packed_linear.h"
#include "r1/kernels/cuda/paged_attention.h"
#include "r1/kernels/cuda/qkv_heads.h"
#include "r1/kernels/cuda/rope.h"
#include "r1/kernels/cuda/sampling.h"
#include "r1/kernels/cuda/softmax.h"

namespace r1::kernels::cuda {

namespace {

[[noreturn]] void refuse() {
  fail("[cuda] this build has no CUDA: configure it with -D R1_CUDA=ON (cmake --preset cuda)");
}

}  // namespace

int device_count() {
  return 0;
}
Memory memory_of(int) {
  refuse();
}
void synchronize(Stream) {
  refuse();
}

Buffer::Buffer(int device, size_t bytes) : device_(device), bytes_(bytes) {
  refuse();
}
Buffer::~Buffer() = default;
Buffer::Buffer(Buffer&& other) noexcept : device_(other.device_), bytes_(other.bytes_) {}
void Buffer::upload(const void*, size_t, Stream) const {
  refuse();
}
void Buffer::download(void*, size_t, Stream) const {
  refuse();
}

void copy_blocks(const BlockPool*, int64_t, const BlockCopy*, int64_t, Stream) {
  refuse();
}
void token_places(const TokenPlaces&, Stream) {
  refuse();
}
void append_rows(const TokenPlaces&, const void*, int64_t, void*, Stream) {
  refuse();
}

bool takes_gemv(const Gemv&) {
  return false;
}
void gemv(const Gemv&, Stream) {
  refuse();
}

bool takes_packed_product(const PackedProduct&) {
  return false;
}
void packed_product(const PackedProduct&, Stream) {
  refuse();
}
void packed_rows(const PackedRows&, Stream) {
  refuse();
}

bool takes_wide_loads(const StepRow&) {
  refuse();
}
void add_gradients(const StepTable&, Stream) {
  refuse();
}
void judge_gradients(const StepTable&, double*, const double*, double, double*, Stream) {
  refuse();
}
void adamw(const StepTable&, const AdamWStep&, const double*, Stream) {
  refuse();
}

bool has_paged_attention(Float, int64_t, int64_t, int32_t) {
  return false;
}
bool has_joint_attention(Float, int64_t) {
  return false;
}
int64_t narrow_rows(const PagedAttention&) {
  refuse();
}
PagedWorkspace paged_attention_workspace(const PagedAttention&, int) {
  refuse();
}
void paged_attention(const PagedAttention&, Stream) {
  refuse();
}

bool has_qkv_heads(int64_t) {
  return false;
}
void qkv_heads(const QkvHeads&, Stream) {
  refuse();
}
int64_t qkv_heads_workspace(const HeadsShape&, int) {
  refuse();
}
void qkv_heads_backward(const QkvHeadsBackward&, Stream) {
  refuse();
}

void sample(const Sampling&, Stream) {
  refuse();
}

void embedding_backward(const EmbeddingBackward&, Stream) {
  refuse();
}

void norm(const Norm&, Stream) {
  refuse();
}
int64_t norm_partials(int64_t, int64_t, Stream) {
  refuse();
}
void norm_backward(const NormBackward&, Stream) {
  refuse();
}
void column_sums(const ColumnSums&, Stream) {
  refuse();
}
void glu(const Glu&, Stream) {
  refuse();
}
void glu_backward(const GluBackward&, Stream) {
  refuse();
}
void rope(const RopeInto&, Stream) {
  refuse();
}
void log_prob(const LogProb&, Stream) {
  refuse();
}
void log_prob_gradient(const LogProbGradient&, Stream) {
  refuse();
}
void log_prob_and_gradient(const LogProbAndGradient&, Stream) {
  refuse();
}

}  // namespace r1::kernels::cuda
