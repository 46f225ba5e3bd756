#include "r1/kernels/cuda/optimizer.h"

#include <cmath>

#include "r1/kernels/cuda/launch.cuh"
#include "r1/kernels/cuda/numbers.cuh"

namespace r1::kernels::cuda {

namespace {

// Threads of a block, numbers that a thread takes at once, packs of them in flight.
constexpr int kThreads = 256, kPack = 4, kFlight = 2;
constexpr int kLastThreads = 1024;  // of the block that sums the parts

// A block's numbers: those from `begin` to `end` of a row.
struct Part {
  StepRow row;
  int64_t begin, end;
};

__device__ __forceinline__ Part part_of_block(const StepTable& table) {
  const int32_t part = int32_t(blockIdx.x);
  int64_t low = 0, high = table.count - 1;  // the last row that starts at or before the part
  while (low < high) {
    const int64_t middle = (low + high + 1) / 2;
    if (table.first_part[middle] <= part)
      low = middle;
    else
      high = middle - 1;
  }
  Part p{table.rows[low], 0, 0};
  p.begin = int64_t(part - table.first_part[low]) * kStepPart;
  p.end = min(p.row.n, p.begin + kStepPart);
  return p;
}

// f.vector(i) for packs of kPack numbers at i, kFlight of them at a time and all loads before the first store; f.one(i) for what is left.
template <class F>
__device__ __forceinline__ void over_part(const Part& p, F& f) {
  int64_t i = p.begin;
  if (p.row.wide) {
    constexpr int kStride = kThreads * kPack;
    for (; i + kStride * kFlight <= p.end; i += kStride * kFlight) {
      typename F::Numbers numbers[kFlight];
#pragma unroll
      for (int j = 0; j < kFlight; ++j) f.load_pack(i + j * kStride + int64_t(threadIdx.x) * kPack, numbers[j]);
#pragma unroll
      for (int j = 0; j < kFlight; ++j) f.store_pack(i + j * kStride + int64_t(threadIdx.x) * kPack, numbers[j]);
    }
    const int64_t packs = (p.end - i) / kPack;
    for (int64_t k = threadIdx.x; k < packs; k += kThreads) {
      typename F::Numbers numbers;
      f.load_pack(i + k * kPack, numbers);
      f.store_pack(i + k * kPack, numbers);
    }
    i += packs * kPack;
  }
  for (i += threadIdx.x; i < p.end; i += kThreads) f.one(i);
}

template <class G>
struct Add {
  const G* gradient;
  float* sum;
  bool fresh;

  struct Numbers {
    float g[kPack], s[kPack];
  };
  __device__ __forceinline__ void load_pack(int64_t i, Numbers& x) const {
    load(gradient + i, x.g);
    if (!fresh) load(sum + i, x.s);
  }
  __device__ __forceinline__ void store_pack(int64_t i, Numbers& x) const {
#pragma unroll
    for (int j = 0; j < kPack; ++j) x.s[j] = fresh ? x.g[j] : x.s[j] + x.g[j];
    store(sum + i, x.s);
  }
  __device__ __forceinline__ void one(int64_t i) const {
    sum[i] = (fresh ? 0.0f : sum[i]) + to_float(gradient[i]);
  }
};

template <class G>
struct Squares {
  const G* gradient;
  double sum = 0;

  struct Numbers {
    float g[kPack];
  };
  __device__ __forceinline__ void load_pack(int64_t i, Numbers& x) const { load(gradient + i, x.g); }
  __device__ __forceinline__ void store_pack(int64_t, Numbers& x) {
    float squares = 0;
#pragma unroll
    for (int j = 0; j < kPack; ++j) squares = fmaf(x.g[j], x.g[j], squares);
    if (isfinite(squares)) {
      sum += double(squares);
    } else {
#pragma unroll
      for (int j = 0; j < kPack; ++j) sum += double(x.g[j]) * double(x.g[j]);
    }
  }
  __device__ __forceinline__ void one(int64_t i) {
    const double g = double(to_float(gradient[i]));
    sum += g * g;
  }
};

// An update's constants, as kernels/cpu/optimizer.simd.cc has them.
struct Rates {
  float rate, new1, beta2, new2, correct, eps;
};

template <class G>
struct Update {
  const StepRow& row;
  Rates r;
  float scale;

  struct Numbers {
    float g[kPack], w[kPack], m[kPack], v[kPack];
  };
  __device__ __forceinline__ void step(float g, float& w, float& m, float& v) const {
    g *= scale;
    m = fmaf(r.new1, g - m, m);
    v = fmaf(r.new2, g * g, r.beta2 * v);
    w = fmaf(-r.rate, m / fmaf(sqrtf(v), r.correct, r.eps), w * row.decay);
  }
  __device__ __forceinline__ void load_pack(int64_t i, Numbers& x) const {
    load(static_cast<const G*>(row.gradient) + i, x.g);
    load(row.master + i, x.w);
    load(row.m + i, x.m);
    load(row.v + i, x.v);
  }
  __device__ __forceinline__ void store_pack(int64_t i, Numbers& x) const {
#pragma unroll
    for (int j = 0; j < kPack; ++j) step(x.g[j], x.w[j], x.m[j], x.v[j]);
    store(row.master + i, x.w);
    store(row.m + i, x.m);
    store(row.v + i, x.v);
    if (row.weight) store(static_cast<__nv_bfloat16*>(row.weight) + i, x.w);
  }
  __device__ __forceinline__ void one(int64_t i) const {
    float w = row.master[i], m = row.m[i], v = row.v[i];
    step(to_float(static_cast<const G*>(row.gradient)[i]), w, m, v);
    row.master[i] = w, row.m[i] = m, row.v[i] = v;
    if (row.weight) static_cast<__nv_bfloat16*>(row.weight)[i] = from_float<__nv_bfloat16>(w);
  }
};

__global__ void __launch_bounds__(kThreads) add_parts(StepTable table) {
  const Part p = part_of_block(table);
  const bool fresh = p.row.fresh;
  if (p.row.bf16_gradient) {
    Add<__nv_bfloat16> f{static_cast<const __nv_bfloat16*>(p.row.gradient), p.row.master, fresh};
    over_part(p, f);
  } else {
    Add<float> f{static_cast<const float*>(p.row.gradient), p.row.master, fresh};
    over_part(p, f);
  }
}

__device__ __forceinline__ double block_sum_of(double x, double* scratch) {
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
#pragma unroll
  for (int offset = kWarp / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(kAllLanes, x, offset);
  if (lane == 0) scratch[warp] = x;
  __syncthreads();
  x = lane < blockDim.x / kWarp ? scratch[lane] : 0.0;
#pragma unroll
  for (int offset = kWarp / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(kAllLanes, x, offset);
  return x;
}

__global__ void __launch_bounds__(kThreads) square_parts(StepTable table, double* partial) {
  __shared__ double scratch[kWarp];
  const Part p = part_of_block(table);
  double sum = 0;
  if (p.row.bf16_gradient) {
    Squares<__nv_bfloat16> f{static_cast<const __nv_bfloat16*>(p.row.gradient)};
    over_part(p, f);
    sum = f.sum;
  } else {
    Squares<float> f{static_cast<const float*>(p.row.gradient)};
    over_part(p, f);
    sum = f.sum;
  }
  sum = block_sum_of(sum, scratch);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kLastThreads)
    judge(const double* partial, int64_t parts, const double* loss, double max_norm, double* verdict) {
  __shared__ double scratch[kWarp];
  double sum = 0;
  for (int64_t i = threadIdx.x; i < parts; i += kLastThreads) sum += partial[i];
  sum = block_sum_of(sum, scratch);
  if (threadIdx.x != 0) return;
  const double norm = sqrt(sum), said = loss ? *loss : 0.0;
  verdict[kLoss] = said;
  verdict[kNorm] = norm;
  verdict[kScale] = max_norm > 0 && norm > max_norm ? max_norm / norm : 1.0;
  verdict[kGood] = isfinite(norm) && isfinite(said) ? 1.0 : 0.0;
}

__global__ void __launch_bounds__(kThreads) update_parts(StepTable table, Rates rates, const double* verdict) {
  if (verdict[kGood] == 0) return;
  const float scale = float(verdict[kScale]);
  const Part p = part_of_block(table);
  if (p.row.bf16_gradient) {
    Update<__nv_bfloat16> f{p.row, rates, scale};
    over_part(p, f);
  } else {
    Update<float> f{p.row, rates, scale};
    over_part(p, f);
  }
}

bool is_multiple(const void* address, uintptr_t of) {
  return reinterpret_cast<uintptr_t>(address) % of == 0;
}

}  // namespace

bool takes_wide_loads(const StepRow& row) {
  constexpr uintptr_t kFloats = kPack * sizeof(float), kHalves = kPack * sizeof(__nv_bfloat16);
  return is_multiple(row.gradient, row.bf16_gradient ? kHalves : kFloats) && is_multiple(row.master, kFloats) &&
         is_multiple(row.m, kFloats) && is_multiple(row.v, kFloats) && is_multiple(row.weight, kHalves);
}

void add_gradients(const StepTable& table, Stream stream) {
  if (table.parts == 0) return;
  const OnDevice on(stream.device);
  add_parts<<<unsigned(table.parts), kThreads, 0, handle_of(stream)>>>(table);
  check_cuda(cudaGetLastError(), "sum of gradients");
}

void judge_gradients(const StepTable& table, double* partial, const double* loss, double max_norm, double* verdict, Stream stream) {
  const OnDevice on(stream.device);
  if (table.parts > 0) square_parts<<<unsigned(table.parts), kThreads, 0, handle_of(stream)>>>(table, partial);
  judge<<<1, kLastThreads, 0, handle_of(stream)>>>(partial, table.parts, loss, max_norm, verdict);
  check_cuda(cudaGetLastError(), "norm of gradients");
}

void adamw(const StepTable& table, const AdamWStep& a, const double* verdict, Stream stream) {
  if (table.parts == 0) return;
  const OnDevice on(stream.device);
  const Rates rates{.rate = float(a.lr / (1 - std::pow(a.beta1, double(a.step)))),
                    .new1 = float(1 - a.beta1),
                    .beta2 = float(a.beta2),
                    .new2 = float(1 - a.beta2),
                    .correct = float(1 / std::sqrt(1 - std::pow(a.beta2, double(a.step)))),
                    .eps = float(a.eps)};
  update_parts<<<unsigned(table.parts), kThreads, 0, handle_of(stream)>>>(table, rates, verdict);
  check_cuda(cudaGetLastError(), "AdamW");
}

}  // namespace r1::kernels::cuda
