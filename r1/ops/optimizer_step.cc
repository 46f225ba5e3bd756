#include "r1/ops/optimizer_step.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "r1/base/error.h"
#include "r1/kernels/cpu/optimizer.h"
#include "r1/kernels/cuda/optimizer.h"
#include "r1/ops/cpu_kernels.h"
#include "r1/ops/cuda_kernels.h"
#include "r1/tensor/aten.h"

namespace r1::ops {
namespace {

constexpr int64_t kSmallMatrix = 256 << 10;  // elements; fifteen products of such take a few milliseconds
constexpr int64_t kBlock = 4096;             // elements whose sum is taken in one go; fixed, so that the order of sums is

void check_state(const char* op, const Tensor& w, const Tensor& other, const char* what) {
  check(other.scalar_type() == at::kFloat && other.is_contiguous() && other.sizes() == w.sizes() && other.device() == w.device(), "[", op,
        "] expected ", what, " fp32, contiguous, of shape ", w.sizes(), " on ", w.device(), ", got ", other.scalar_type(), " ",
        other.sizes(), " on ", other.device());
}

// For gradients so large that fp32 sums overflow: finite all the same.
double squared_sum_wide(const float* x, int64_t n) {
  const int64_t blocks = (n + kBlock - 1) / kBlock;
  std::vector<double> sums(static_cast<size_t>(blocks));
  at::parallel_for(0, blocks, 16, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block) {
      double lanes[8] = {};
      const int64_t end = std::min(n, (block + 1) * kBlock);
      for (int64_t i = block * kBlock; i < end; ++i) lanes[i & 7] += double(x[i]) * double(x[i]);
      sums[size_t(block)] = ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
    }
  });
  double total = 0;
  for (double sum : sums) total += sum;
  return total;
}

namespace cuda = kernels::cuda;

// Rows on their way to the device: one copy from pinned memory, which the allocators keep until it has been made.
class StepTable {
 public:
  explicit StepTable(std::vector<cuda::StepRow> rows) : rows_(std::move(rows)) {}

  cuda::StepTable send(at::Device device) {
    const int64_t count = int64_t(rows_.size()), row_bytes = count * int64_t(sizeof(cuda::StepRow));
    const Tensor host =
        aten::empty({row_bytes + (count + 1) * int64_t(sizeof(int32_t))}, at::TensorOptions().dtype(at::kByte).pinned_memory(true));
    auto* bytes = host.mutable_data_ptr<uint8_t>();
    auto* first_part = reinterpret_cast<int32_t*>(bytes + row_bytes);
    int64_t parts = 0;
    for (int64_t i = 0; i < count; ++i) {
      cuda::StepRow& row = rows_[size_t(i)];
      row.wide = cuda::takes_wide_loads(row);
      first_part[i] = int32_t(parts);
      parts += (row.n + cuda::kStepPart - 1) / cuda::kStepPart;
    }
    check(parts <= std::numeric_limits<int32_t>::max(), "[optimizer_step] too many numbers for one step: ", parts, " parts");
    first_part[count] = int32_t(parts);
    std::copy_n(reinterpret_cast<const uint8_t*>(rows_.data()), row_bytes, bytes);
    on_device_ = aten::empty({host.numel()}, at::TensorOptions().dtype(at::kByte).device(device));
    on_device_.copy_(host, /*non_blocking=*/true);
    const uint8_t* there = on_device_.const_data_ptr<uint8_t>();
    return {.rows = reinterpret_cast<const cuda::StepRow*>(there),
            .first_part = reinterpret_cast<const int32_t*>(there + row_bytes),
            .count = count,
            .parts = parts};
  }

 private:
  std::vector<cuda::StepRow> rows_;
  Tensor on_device_;
};

cuda::StepRow row_of_gradient(const char* op, const Tensor& g) {
  check(is_kernel_float(g.scalar_type()) && g.is_contiguous(), "[", op, "] expected gradients fp32 or bf16, contiguous, got ",
        g.scalar_type(), " ", g.sizes());
  return {.gradient = g.const_data_ptr(), .n = g.numel(), .bf16_gradient = g.scalar_type() == at::kBFloat16};
}

const Tensor* first_defined(std::span<const Tensor> tensors) {
  const auto it = std::find_if(tensors.begin(), tensors.end(), [](const Tensor& t) { return t.defined(); });
  return it == tensors.end() ? nullptr : &*it;
}

void check_one_device(const char* op, std::span<const Tensor> tensors, at::Device device) {
  for (const Tensor& t : tensors) {
    if (t.defined()) check(t.device() == device, "[", op, "] expected all tensors on ", device, ", got one on ", t.device());
  }
}

void check_verdict(const char* op, const Tensor& verdict) {
  check(verdict.scalar_type() == at::kDouble && verdict.is_contiguous() && verdict.numel() == cuda::kVerdictSize, "[", op,
        "] expected a verdict double [", int(cuda::kVerdictSize), "], got ", verdict.scalar_type(), " ", verdict.sizes());
}

Tensor verdict_of(const Verdict& v, at::Device device) {
  const double values[cuda::kVerdictSize] = {v.loss, v.norm, v.scale, v.good ? 1.0 : 0.0};
  return aten::tensor(at::ArrayRef<double>(values), at::kDouble).to(device);
}

void check_row(const AdamWRow& row, at::Device device) {
  check_state("adamw_steps", row.w, row.w, "w");
  check_state("adamw_steps", row.w, row.m, "first moment");
  check_state("adamw_steps", row.w, row.v, "second moment");
  check(row.w.device() == device && row.gradient.device() == device && row.gradient.sizes() == row.w.sizes(),
        "[adamw_steps] expected a gradient of shape ", row.w.sizes(), " on ", device, ", got ", row.gradient.sizes(), " on ",
        row.gradient.device());
  check(!row.rounded.defined() || (row.rounded.scalar_type() == at::kBFloat16 && row.rounded.is_contiguous() &&
                                   row.rounded.sizes() == row.w.sizes() && row.rounded.device() == device),
        "[adamw_steps] expected a bf16 copy of shape ", row.w.sizes(), " on ", device);
}

}  // namespace

void add_gradients(std::span<Tensor> sums, std::span<const Tensor> gradients) {
  check(sums.size() == gradients.size(), "[add_gradients] expected as many sums as gradients, got ", sums.size(), " and ",
        gradients.size());
  const Tensor* first = first_defined(gradients);
  if (!first) return;
  at::NoGradGuard no_grad;
  const at::Device device = first->device();
  check_one_device("add_gradients", gradients, device);
  check_one_device("add_gradients", sums, device);
  std::vector<cuda::StepRow> rows;
  for (size_t i = 0; i < sums.size(); ++i) {
    const Tensor& g = gradients[i];
    Tensor& sum = sums[i];
    if (!g.defined()) continue;
    const bool fresh = !sum.defined();
    if (!fresh) check_state("add_gradients", g, sum, "sums");
    if (!device.is_cuda()) {
      sum = fresh ? g.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true) : sum.add_(g);
      continue;
    }
    rows.push_back(row_of_gradient("add_gradients", g));
    if (fresh) sum = aten::empty(g.sizes(), g.options().dtype(at::kFloat).requires_grad(false));
    rows.back().master = sum.mutable_data_ptr<float>();
    rows.back().fresh = fresh;
  }
  if (!device.is_cuda()) return;
  StepTable table(std::move(rows));
  cuda::add_gradients(table.send(device), kernel_stream(device));
}

Tensor judge_gradients(std::span<const Tensor> gradients, const Tensor& loss, double max_norm) {
  check(loss.scalar_type() == at::kDouble && loss.numel() == 1, "[judge_gradients] expected a loss in double, got ", loss.scalar_type(),
        " ", loss.sizes());
  at::NoGradGuard no_grad;
  const at::Device device = loss.device();
  check_one_device("judge_gradients", gradients, device);
  if (!device.is_cuda()) {  // each tensor's sum in fixed order, then the tensors in the order given
    double total = 0;
    for (const Tensor& g : gradients) total += g.defined() ? squared_sum(g).item<double>() : 0;
    return judge_squares(total, loss, max_norm);
  }
  std::vector<cuda::StepRow> rows;
  for (const Tensor& g : gradients) {
    if (g.defined()) rows.push_back(row_of_gradient("judge_gradients", g));
  }
  StepTable table(std::move(rows));
  const cuda::StepTable sent = table.send(device);
  const auto options = loss.options().requires_grad(false);
  const Tensor partial = aten::empty({std::max<int64_t>(1, sent.parts)}, options), verdict = aten::empty({cuda::kVerdictSize}, options);
  cuda::judge_gradients(sent, partial.mutable_data_ptr<double>(), loss.const_data_ptr<double>(), max_norm,
                        verdict.mutable_data_ptr<double>(), kernel_stream(device));
  return verdict;
}

Tensor judge_squares(double squares, const Tensor& loss, double max_norm) {
  const double norm = std::sqrt(squares), said = loss.item<double>();
  return verdict_of({said, norm, max_norm > 0 && norm > max_norm ? max_norm / norm : 1.0, std::isfinite(said) && std::isfinite(squares)},
                    loss.device());
}

Verdict read_verdict(const Tensor& verdict) {
  check_verdict("read_verdict", verdict);
  const Tensor host = verdict.to(at::kCPU);
  const double* v = host.const_data_ptr<double>();
  return {.loss = v[cuda::kLoss], .norm = v[cuda::kNorm], .scale = v[cuda::kScale], .good = v[cuda::kGood] != 0};
}

void adamw_steps(std::span<const AdamWRow> rows, const AdamW& o, const Tensor& verdict) {
  check_verdict("adamw_steps", verdict);
  at::NoGradGuard no_grad;
  const at::Device device = verdict.device();
  if (!device.is_cuda()) {
    const Verdict v = read_verdict(verdict);
    for (const AdamWRow& row : rows) {
      if (!v.good || !row.gradient.defined()) continue;
      check_row(row, device);
      AdamW options = o;
      options.weight_decay = row.weight_decay;
      options.gradient_scale = v.scale;
      Tensor w = row.w, m = row.m, second = row.v;
      adamw_step(w, row.gradient.to(at::kFloat), m, second, options);
      if (row.rounded.defined()) Tensor(row.rounded).copy_(w);
    }
    return;
  }
  std::vector<cuda::StepRow> table_rows;
  for (const AdamWRow& row : rows) {
    if (!row.gradient.defined()) continue;
    check_row(row, device);
    cuda::StepRow& r = table_rows.emplace_back(row_of_gradient("adamw_steps", row.gradient));
    r.master = row.w.mutable_data_ptr<float>();
    r.m = row.m.mutable_data_ptr<float>();
    r.v = row.v.mutable_data_ptr<float>();
    r.weight = row.rounded.defined() ? row.rounded.mutable_data_ptr() : nullptr;
    r.decay = float(1 - o.lr * row.weight_decay);
  }
  StepTable table(std::move(table_rows));
  cuda::adamw(table.send(device), {.lr = o.lr, .beta1 = o.beta1, .beta2 = o.beta2, .eps = o.epsilon, .step = o.t},
              verdict.const_data_ptr<double>(), kernel_stream(device));
}

void adamw_step(Tensor& w, const Tensor& g, Tensor& m, Tensor& v, const AdamW& o) {
  check_state("adamw_step", w, w, "w");
  check_state("adamw_step", w, g, "gradient");
  check_state("adamw_step", w, m, "first moment");
  check_state("adamw_step", w, v, "second moment");
  at::NoGradGuard no_grad;
  if (w.is_cpu()) {
    kernels::adamw({.weight = w.data_ptr<float>(),
                    .grad = g.data_ptr<float>(),
                    .m = m.data_ptr<float>(),
                    .v = v.data_ptr<float>(),
                    .n = w.numel(),
                    .lr = o.lr,
                    .beta1 = o.beta1,
                    .beta2 = o.beta2,
                    .eps = o.epsilon,
                    .weight_decay = o.weight_decay,
                    .step = o.t,
                    .grad_scale = float(o.gradient_scale)});
    return;
  }
  const AdamWRow row{.w = w, .gradient = g, .m = m, .v = v, .rounded = {}, .weight_decay = o.weight_decay};
  adamw_steps(std::span(&row, 1), o, verdict_of({.scale = o.gradient_scale}, w.device()));
}

Tensor newton_schulz(const Tensor& g, int steps) {
  check(g.dim() == 2, "[newton_schulz] expected a matrix, got shape ", g.sizes());
  constexpr double a = 3.4445, b = -4.7750, c = 2.0315;  // Jordan's quintic: steep at 0, and it need not converge to 1 exactly
  const bool tall = g.size(0) > g.size(1);
  Tensor x = tall ? g.t() : g;
  x = x / (aten::linalg_vector_norm(x) + 1e-7);
  for (int i = 0; i < steps; ++i) {
    const Tensor gram = aten::mm(x, x.t());
    x = aten::addmm(x, aten::addmm(gram, gram, gram, b, c), x, a, 1);
  }
  return tall ? x.t().contiguous() : x;
}

void muon_step(Tensor& w, const Tensor& g, Tensor& momentum, const Muon& o) {
  check(w.dim() == 2, "[muon_step] expected a matrix, got shape ", w.sizes());
  check_state("muon_step", w, g, "gradient");
  check_state("muon_step", w, momentum, "momentum");
  at::NoGradGuard no_grad;
  const Tensor grad = o.gradient_scale == 1 ? g : g * o.gradient_scale;
  momentum.lerp_(grad, 1 - o.momentum);
  const Tensor direction = newton_schulz(grad.lerp(momentum, o.momentum));
  const double shape = std::sqrt(std::max(1.0, double(w.size(0)) / double(w.size(1))));
  w.mul_(1 - o.lr * o.weight_decay).add_(direction, -o.lr * shape);
}

void muon_steps(const std::vector<MuonUpdate>& updates) {
  const auto step = [&](const MuonUpdate& u) {
    Tensor w = u.w, momentum = u.momentum;
    muon_step(w, u.gradient, momentum, u.options);
  };
  const auto is_small = [](const Tensor& w) { return w.is_cpu() && w.numel() <= kSmallMatrix; };
  std::vector<const MuonUpdate*> small;
  for (const MuonUpdate& u : updates) is_small(u.w) ? small.push_back(&u) : step(u);
  at::parallel_for(0, int64_t(small.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) step(*small[size_t(i)]);
  });
}

Tensor squared_sum(const Tensor& x) {
  at::NoGradGuard no_grad;
  if (x.is_cpu() && x.scalar_type() == at::kFloat && x.is_contiguous()) {
    double sum = kernels::sum_of_squares(x.data_ptr<float>(), kernels::Float::kF32, x.numel());
    if (!std::isfinite(sum)) sum = squared_sum_wide(x.data_ptr<float>(), x.numel());
    return aten::full({}, sum, x.options().dtype(at::kDouble).requires_grad(false));
  }
  return aten::linalg_vector_norm(x, 2, std::nullopt, false, at::kDouble).square();
}

}  // namespace r1::ops
