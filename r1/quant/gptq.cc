#include "r1/quant/gptq.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "r1/base/error.h"
#include "r1/quant/inverse_factor.h"
#include "r1/tensor/aten.h"

namespace r1::quant {

namespace {

constexpr int64_t kBlock = 128;

struct Order {
  std::vector<int64_t> column;  // by place
  std::vector<int32_t> group;   // of each place; a stretch of `group` places is one
};

Order order_columns(const Tensor& diagonal_I, int64_t group, ColumnOrder how) {
  const int64_t n = diagonal_I.size(0);
  const float* size = diagonal_I.const_data_ptr<float>();
  Order order{std::vector<int64_t>(size_t(n)), std::vector<int32_t>(size_t(n))};
  std::iota(order.column.begin(), order.column.end(), 0);
  for (int64_t i = 0; i < n; ++i) order.group[size_t(i)] = int32_t(i / group);
  if (how == ColumnOrder::kFile) return order;
  const auto larger = [&](int64_t a, int64_t b) { return size[a] > size[b]; };
  if (how == ColumnOrder::kActivation) {
    std::stable_sort(order.column.begin(), order.column.end(), larger);
    return order;
  }
  std::vector<int64_t> groups(size_t(n / group));
  std::iota(groups.begin(), groups.end(), 0);
  std::vector<float> largest;
  for (const int64_t g : groups) largest.push_back(*std::max_element(size + g * group, size + (g + 1) * group));
  std::stable_sort(groups.begin(), groups.end(), [&](int64_t a, int64_t b) { return largest[size_t(a)] > largest[size_t(b)]; });
  for (size_t at = 0; at < groups.size(); ++at) {
    const auto begin = order.column.begin() + int64_t(at) * group;
    std::iota(begin, begin + group, groups[at] * group);
    std::stable_sort(begin, begin + group, larger);
    std::fill_n(order.group.begin() + int64_t(at) * group, group, int32_t(groups[at]));
  }
  return order;
}

// Columns at once in outputs_squared.
constexpr int64_t kStretch = 256;

// A block of columns [begin, end) of one row: rounded in order, the errors put behind in the block and left in `errors`.
void round_block(float* __restrict w, const float* __restrict u, int64_t n, int64_t begin, int64_t end, const GptqOptions& o,
                 const float* cost, float* scales, uint8_t* zeros, const int32_t* group_of, const int64_t* column, uint8_t* codes,
                 float* errors) {
  Grid grid;
  for (int64_t i = begin; i < end; ++i) {
    if (i % o.group == 0) {
      grid = fit_grid(w + i, o.group, cost + i, o.grid);
      scales[group_of[i]] = grid.scale, zeros[group_of[i]] = uint8_t(grid.zero);
    } else if (i == begin) {
      grid = {scales[group_of[i]], int(zeros[group_of[i]])};
    }
    const int code = code_of(w[i], grid, o.grid.largest());
    codes[column[i]] = uint8_t(code);
    const float* __restrict row = u + i * n;
    const float error = (w[i] - grid.scale * float(code - grid.zero)) / row[i];
#pragma omp simd
    for (int64_t j = i; j < end; ++j) w[j] -= error * row[j];
    errors[i - begin] = error;
  }
}

}  // namespace

GptqResult gptq(const Tensor& weight_OI, const Tensor& gram_II, const GptqOptions& o) {
  const int64_t rows = weight_OI.size(0), n = weight_OI.size(1);
  check(weight_OI.scalar_type() == at::kFloat && gram_II.scalar_type() == at::kFloat && gram_II.size(0) == n && gram_II.size(1) == n,
        "[gptq] expected fp32 weights [O, I] and H [I, I], got ", weight_OI.sizes(), " and ", gram_II.sizes());
  check(n % o.group == 0, "[gptq] expected whole groups of ", o.group, " columns, got ", n);
  const Tensor diagonal = gram_II.diagonal().contiguous();
  const Order order = order_columns(diagonal, o.group, o.order);
  const Tensor at_place = aten::tensor(order.column);
  Tensor h = aten::index_select(aten::index_select(gram_II, 0, at_place), 1, at_place);
  Tensor w = aten::index_select(weight_OI, 1, at_place).contiguous();
  const Tensor dead = h.diagonal().eq(0);
  h.diagonal().masked_fill_(dead, 1);
  w.masked_fill_(dead.unsqueeze(0), 0);
  const Tensor cost = h.diagonal().contiguous();
  GptqResult result;
  result.damping = o.damping;
  const Tensor u = inverse_factor(h, result.damping);

  const int64_t groups = n / o.group;
  tensor::IntegerMatrix& m = result.matrix;
  m.bits = o.grid.bits;
  m.codes_OI = aten::empty({rows, n}, at::kByte);
  m.scales_OG = aten::empty({rows, groups}, at::kFloat);
  m.zeros_OG = aten::empty({rows, groups}, at::kByte);
  // A group's grid is made when its first column's turn comes, from the weights as they are then; a block has whole groups, unless groups are
  // larger than a block or do not divide it (96): then a grid sees columns that wait for an update still.
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, n);
    const Tensor errors = aten::empty({rows, end - begin}, at::kFloat);
    at::parallel_for(0, rows, 16, [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r)
        round_block(w.mutable_data_ptr<float>() + r * n, u.const_data_ptr<float>(), n, begin, end, o, cost.const_data_ptr<float>(),
                    m.scales_OG.mutable_data_ptr<float>() + r * groups, m.zeros_OG.mutable_data_ptr<uint8_t>() + r * groups,
                    order.group.data(), order.column.data(), m.codes_OI.mutable_data_ptr<uint8_t>() + r * n,
                    errors.mutable_data_ptr<float>() + r * (end - begin));
    });
    if (end < n) {
      Tensor behind = w.narrow(1, end, n - end);
      behind.sub_(aten::matmul(errors, u.narrow(0, begin, end - begin).narrow(1, end, n - end)));
    }
  }
  if (o.order == ColumnOrder::kActivation) {
    std::vector<int32_t> group_of(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) group_of[size_t(order.column[size_t(i)])] = order.group[size_t(i)];
    m.group_of_I = aten::tensor(group_of, at::kInt);
  }
  return result;
}

Tensor halved_gram(const Tensor& gram_II) {
  const int64_t n = gram_II.size(0);
  Tensor halved = gram_II.clone();
  for (int64_t begin = 0; begin < n; begin += kStretch) halved.narrow(1, begin, std::min(kStretch, n - begin)).narrow(0, 0, begin).mul_(2);
  return halved;
}

double outputs_squared(const Tensor& weight_OI, const Tensor& halved_II) {
  const int64_t n = weight_OI.size(1);
  double sum = 0;
  for (int64_t begin = 0; begin < n; begin += kStretch) {
    const int64_t count = std::min(kStretch, n - begin), end = begin + count;
    const Tensor product = aten::matmul(weight_OI.narrow(1, 0, end), halved_II.narrow(0, 0, end).narrow(1, begin, count));
    sum += product.mul_(weight_OI.narrow(1, begin, count)).sum(at::kDouble).item<double>();
  }
  return sum;
}

double relative_error(const Tensor& weight_OI, const Tensor& quantized_OI, const Tensor& gram_II) {
  const Tensor halved_II = halved_gram(gram_II);
  const double all = outputs_squared(weight_OI, halved_II);
  return all > 0 ? std::max(0.0, outputs_squared(weight_OI - quantized_OI, halved_II)) / all : 0;
}

}  // namespace r1::quant
