#include <ATen/Parallel.h>

#include <algorithm>
#include <numeric>

#include "r1/base/error.h"
#include "r1/base/huge_pages.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/integers.h"

namespace r1::tensor {

namespace {

int64_t up_to_blocks(int64_t columns) {
  return (columns + kIntegerBlock - 1) / kIntegerBlock * kIntegerBlock;
}

// How a matrix's columns are stored (base/integer_rows).
struct Columns {
  std::vector<int32_t> groups;  // of each stored column
  std::vector<int32_t> order;   // empty: as they come
  int64_t group = 0;            // stored columns of each; 0: of several sizes, or no whole blocks

  explicit Columns(const IntegerMatrix& m) : groups(groups_of(m)) {
    const int64_t n = m.columns();
    if (!std::ranges::is_sorted(groups)) {
      order.resize(size_t(n));
      std::iota(order.begin(), order.end(), 0);
      std::ranges::stable_sort(order, {}, [&](int32_t i) { return groups[size_t(i)]; });
      std::ranges::sort(groups);
    }
    const int64_t each = m.groups() == 1 ? up_to_blocks(n) : n / m.groups();
    const auto fits = [&](size_t i) { return groups[i] == int32_t(int64_t(i) / each); };
    bool even = each > 0 && each % kIntegerBlock == 0;
    for (size_t i = 0; even && i < groups.size(); ++i) even = fits(i);
    if (even) group = each;
  }
};

struct Part {
  Tensor codes, scales, zeros, order;  // uint8, fp32, uint8, int32 or undefined
  std::vector<int32_t> groups;         // of each stored column, where they are uneven
  IntegerRows view;
};

// Eight rows' codes, a row at a time, as base/integer_rows has them.
void put_row(const uint8_t* row, int bits, int64_t padded, int64_t r, uint8_t* to) {
  for (int64_t k = 0; k < padded; k += kIntegerBlock, to += 32 * bits) {
    uint8_t* at = to + 4 * r;
    if (bits == 8) {
      for (int64_t i = 0; i < kIntegerBlock; i += 4, at += 32) std::copy_n(row + k + i, 4, at);
    } else {
      for (int64_t i = 0; i < 16; i += 4, at += 32)
        for (int64_t c = 0; c < 4; ++c) at[c] = uint8_t(row[k + i + c] | row[k + i + c + 16] << 4);
    }
  }
}

Part make_part(const IntegerMatrix& m, InputRounding rounding, float input_scale) {
  Columns columns(m);
  const int64_t rows = m.rows(), n = m.columns(), padded = up_to_blocks(n), groups = m.groups();
  const int64_t eights = (rows + kRowsOfGroup - 1) / kRowsOfGroup;
  Part part{.codes = aten::empty({eights, kRowsOfGroup * padded * m.bits / 8}, at::kByte),
            .scales = aten::zeros({eights, groups, kRowsOfGroup}, at::kFloat),
            .zeros = aten::zeros({eights, groups, kRowsOfGroup}, at::kByte),
            .order = columns.order.empty() ? Tensor() : aten::tensor(columns.order, at::kInt),
            .groups = columns.group ? std::vector<int32_t>() : columns.groups,
            .view = {}};
  const Tensor codes = m.codes_OI.contiguous(), scales = m.scales_OG.to(at::kFloat).contiguous(), zeros = m.zeros_OG.contiguous();
  const uint8_t *from = codes.const_data_ptr<uint8_t>(), *zero = zeros.const_data_ptr<uint8_t>();
  const float* scale = scales.const_data_ptr<float>();
  auto *to = part.codes.mutable_data_ptr<uint8_t>(), *to_zero = part.zeros.mutable_data_ptr<uint8_t>();
  auto* to_scale = part.scales.mutable_data_ptr<float>();
  prefer_huge_pages(to, size_t(part.codes.nbytes()));
  at::parallel_for(0, eights, std::max<int64_t>(1, 16384 / padded), [&](int64_t begin, int64_t end) {
    std::vector<uint8_t> row(static_cast<size_t>(padded));
    for (int64_t o = begin * kRowsOfGroup; o < end * kRowsOfGroup; ++o) {
      const int64_t eight = o / kRowsOfGroup, r = o % kRowsOfGroup;
      if (o >= rows) {
        std::ranges::fill(row, 0);
      } else if (columns.order.empty()) {
        std::copy_n(from + o * n, n, row.begin());
      } else {
        for (int64_t k = 0; k < n; ++k) row[size_t(k)] = from[o * n + columns.order[size_t(k)]];
      }
      put_row(row.data(), m.bits, padded, r, to + eight * part.codes.size(1));
      for (int64_t g = 0; o < rows && g < groups; ++g) {
        const int64_t at = (eight * groups + g) * kRowsOfGroup + r;
        to_scale[at] = scale[o * groups + g], to_zero[at] = zero[o * groups + g];
      }
    }
  });
  part.view = {.bits = m.bits,
               .columns = n,
               .padded = padded,
               .group = columns.group,
               .rounding = rounding,
               .input_scale = input_scale,
               .codes = part.codes.const_data_ptr<uint8_t>(),
               .scales = part.scales.const_data_ptr<float>(),
               .zeros = part.zeros.const_data_ptr<uint8_t>(),
               .order = part.order.defined() ? part.order.const_data_ptr<int32_t>() : nullptr};
  return part;
}

class PackedIntegers : public PackedMatrix {
 public:
  PackedIntegers(std::vector<IntegerMatrix> parts, InputRounding rounding, const std::vector<float>& input_scales) {
    check(!parts.empty(), "[integers] expected at least one matrix");
    check(rounding != InputRounding::kFixed || input_scales.size() == parts.size(),
          "[integers] expected a scale of the inputs for each of ", parts.size(), " matrices, got ", input_scales.size());
    bits_ = parts[0].bits, part_rows_ = parts[0].rows(), columns_ = parts[0].columns();
    for (IntegerMatrix& m : parts) {
      check(m.bits == bits_ && m.rows() == part_rows_ && m.columns() == columns_, "[integers] expected matrices of one shape");
      parts_.push_back(make_part(m, rounding, rounding == InputRounding::kFixed ? input_scales[parts_.size()] : 0));
      const IntegerRows& view = parts_.back().view;
      multiplies_ = multiplies_ && view.group > 0 && view.stretch() <= kLongestStretch;
      m = {};
    }
  }

  std::string format() const override { return str("integers of ", bits_, " bits"); }
  int64_t rows() const override { return int64_t(parts_.size()) * part_rows_; }
  int64_t columns() const override { return columns_; }
  int64_t part_rows() const override { return part_rows_; }
  const IntegerRows* integers(int64_t part) const override { return multiplies_ ? &parts_.at(size_t(part)).view : nullptr; }
  std::vector<std::pair<std::string, Tensor>> slots() const override {
    std::vector<std::pair<std::string, Tensor>> all;
    for (const Part& part : parts_) {
      all.emplace_back("codes", part.codes);
      all.emplace_back("scales", part.scales);
      all.emplace_back("zeros", part.zeros);
      if (part.order.defined()) all.emplace_back("order", part.order);
    }
    return all;
  }
  BlockCodes codes(int64_t first, int64_t count) const override;

 private:
  // f(stored column, code, scale, zero) of a row of a part.
  template <class F>
  void walk(const Part& part, int64_t row, const F& f) const {
    const IntegerRows& w = part.view;
    const int64_t eight = row / kRowsOfGroup, r = row % kRowsOfGroup, groups = part.scales.size(1);
    const uint8_t* codes = w.codes + eight * w.code_bytes();
    for (int64_t k = 0; k < columns_; ++k) {
      const uint8_t byte = codes[integer_byte(bits_, k, r)];
      const int64_t g = part.groups.empty() ? k / w.group : part.groups[size_t(k)], at = (eight * groups + g) * kRowsOfGroup + r;
      f(k, bits_ == 8 ? int(byte) : integer_is_high(k) ? byte >> 4 : byte & 15, w.scales[at], int(w.zeros[at]));
    }
  }

  void unpack_checked(int64_t first, int64_t count, const Tensor& out) const override {
    const bool in_place = out.scalar_type() == at::kFloat;
    const Tensor wide = in_place ? out : aten::empty({count, columns_}, at::kFloat);
    float* to = wide.mutable_data_ptr<float>();
    at::parallel_for(0, count, std::max<int64_t>(1, 65536 / columns_), [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) {
        const Part& part = parts_[size_t((first + o) / part_rows_)];
        const int32_t* order = part.view.order;
        float* row = to + o * columns_;
        walk(part, (first + o) % part_rows_,
             [&](int64_t k, int code, float scale, int zero) { row[order ? order[k] : k] = scale * float(code - zero); });
      }
    });
    if (!in_place) out.copy_(wide);
  }

  int bits_;
  int64_t part_rows_, columns_;
  bool multiplies_ = true;
  std::vector<Part> parts_;
};

BlockCodes PackedIntegers::codes(int64_t first, int64_t count) const {
  const Part& part = parts_.at(size_t(first / part_rows_));
  const IntegerRows& w = part.view;
  check(multiplies_ && first % part_rows_ + count <= part_rows_, "[integers] expected rows of one part that has a product");
  const int64_t stretch = w.stretch();
  BlockCodes codes{.elements = stretch,
                   .code_OI = aten::zeros({count, w.padded}, at::kFloat),
                   .scale_OB = aten::zeros({count, w.padded / stretch}, at::kFloat),
                   .offset_code_OI = {},
                   .offset_OB = {},
                   .order_I = part.order.defined() ? part.order.to(at::kLong) : Tensor(),
                   .rounding = w.rounding,
                   .input_scale = w.input_scale};
  for (int64_t o = 0; o < count; ++o) {
    float *code_I = codes.code_OI.mutable_data_ptr<float>() + o * w.padded,
          *scale_B = codes.scale_OB.mutable_data_ptr<float>() + o * (w.padded / stretch);
    walk(part, first % part_rows_ + o,
         [&](int64_t k, int code, float scale, int zero) { code_I[k] = float(code - zero), scale_B[k / stretch] = scale; });
  }
  return codes;
}

}  // namespace

std::shared_ptr<const PackedMatrix> pack_integers(std::vector<IntegerMatrix> parts, InputRounding rounding,
                                                  const std::vector<float>& input_scales) {
  return std::make_shared<PackedIntegers>(std::move(parts), rounding, input_scales);
}

}  // namespace r1::tensor
