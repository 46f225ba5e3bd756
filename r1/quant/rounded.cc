#include "r1/quant/rounded.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "r1/base/error.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/fp8_block.h"

namespace r1::quant {

namespace {

constexpr float kLargestE4m3 = 448;

// Divides by a tensor: a device multiplies by the inverse of a plain number, which is another result.
Tensor over(const Tensor& x, float divisor) {
  return x / aten::full({1}, divisor, x.options());
}

// grid.cc's scale as the file holds it.
Tensor stored_scales(const Tensor& scale, bool half) {
  return half ? scale.clamp_max(65504).to(at::kHalf).to(at::kFloat).clamp_min(0x1p-24f) : scale.clamp_min(1e-30f);
}

// Groups [N, C] by round_to_nearest's rule without a search.
Tensor on_grid(const Tensor& w_NC, const GridOptions& o) {
  const float largest = float(o.largest());
  if (o.symmetric) {
    const float zero = float((o.largest() + 1) / 2);
    const Tensor scale_N1 = stored_scales(over(aten::abs(w_NC).amax(1, true) * 2, largest), o.half_scales);
    return (w_NC / scale_N1).add_(zero).round_().clamp_(0, largest).sub_(zero).mul_(scale_N1);
  }
  const Tensor hi_N1 = w_NC.amax(1, true).clamp_min(0), lo_N1 = w_NC.amin(1, true).clamp_max(0);
  Tensor scale_N1 = stored_scales(over(hi_N1 - lo_N1, largest), o.half_scales);
  Tensor zero_N1 = (lo_N1.neg() / scale_N1).round_().clamp_(0, largest);
  if (o.least_zero > 0) {
    const float least = float(o.least_zero);
    scale_N1 = aten::where(zero_N1 < least, stored_scales(over(hi_N1, largest - least), o.half_scales), scale_N1);
    zero_N1.clamp_min_(least);
  }
  return (w_NC / scale_N1).add_(zero_N1).round_().clamp_(0, largest).sub_(zero_N1).mul_(scale_N1);
}

// A matrix by tensor/fp8_block's rule.
Tensor in_fp8_blocks(const Tensor& w_OI) {
  constexpr int64_t kBlock = tensor::kFp8Block;
  const std::vector<int64_t> count = tensor::fp8_scale_shape(w_OI.size(0), w_OI.size(1));
  const int64_t rows = count[0] * kBlock, columns = count[1] * kBlock;
  const Tensor w_RKCK =
      aten::constant_pad_nd(w_OI, {0, columns - w_OI.size(1), 0, rows - w_OI.size(0)}).view({count[0], kBlock, count[1], kBlock});
  const Tensor largest = aten::abs(w_RKCK).amax({1, 3}, true);
  const Tensor scale = over(largest, kLargestE4m3).masked_fill_(largest == 0, 1);
  const Tensor codes = (w_RKCK / scale).clamp_(-kLargestE4m3, kLargestE4m3).to(at::kFloat8_e4m3fn);
  return codes.to(at::kFloat).mul_(scale).view({rows, columns}).narrow(0, 0, w_OI.size(0)).narrow(1, 0, w_OI.size(1));
}

// Calls work(part) for parts of whole rows: on the CPU small ones, which stay in a core's cache from one operator to the next.
template <class Work>
void in_parts(const Tensor& w_RX, int64_t rows_at_once, const Work& work) {
  const int64_t rows = w_RX.size(0);
  if (!w_RX.is_cpu()) return work(w_RX);
  const int64_t parts = (rows + rows_at_once - 1) / rows_at_once;
  at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    const at::NoGradGuard no_grad;  // each thread has its own mode
    for (int64_t part = begin; part < end; ++part)
      work(w_RX.narrow(0, part * rows_at_once, std::min(rows_at_once, rows - part * rows_at_once)));
  });
}

}  // namespace

void round_to_grid(const Tensor& weight, int64_t group, const GridOptions& options) {
  constexpr int64_t kNumbersAtOnce = 32768;
  const at::NoGradGuard no_grad;
  in_parts(weight.view({-1, group}), std::max<int64_t>(1, kNumbersAtOnce / group),
           [&](const Tensor& part_NC) { part_NC.copy_(on_grid(part_NC.to(at::kFloat), options)); });
}

void round_to_fp8_blocks(const Tensor& weight_OI) {
  const at::NoGradGuard no_grad;
  in_parts(weight_OI, tensor::kFp8Block, [](const Tensor& part_OI) { part_OI.copy_(in_fp8_blocks(part_OI.to(at::kFloat))); });
}

}  // namespace r1::quant
