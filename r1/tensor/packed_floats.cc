#include <ATen/Parallel.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Float8_e4m3fn.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "r1/base/error.h"
#include "r1/base/huge_pages.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/packed.h"

namespace r1::tensor {

namespace {

FloatForm form_of(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return FloatForm::kF32;
    case at::kBFloat16:
      return FloatForm::kBf16;
    case at::kHalf:
      return FloatForm::kF16;
    case at::kFloat8_e4m3fn:
      return FloatForm::kE4m3;
    default:
      fail("[packed] expected float32, bfloat16, float16 or float8_e4m3fn, got ", type);
  }
}

// f(T()) with the unsigned type of an element's bits.
template <class F>
void with_bits(FloatForm form, const F& f) {
  switch (size_of(form)) {
    case 1:
      return f(uint8_t());
    case 2:
      return f(uint16_t());
    default:
      return f(uint32_t());
  }
}

template <class T>
bool is_zero(T bits) {
  return T(bits << 1) == 0;  // of either sign
}

// The two places of a four that are stored, ascending: those that are not zero, and as many others as that takes.
template <class T>
std::array<int, 2> places_of(const T* four) {
  int at[2] = {}, found = 0;
  for (int i = 0; i < 4 && found < 2; ++i)
    if (!is_zero(four[i])) at[found++] = i;
  if (found == 0) return {0, 1};
  if (found == 1) return at[0] < 3 ? std::array<int, 2>{at[0], at[0] + 1} : std::array<int, 2>{2, 3};
  return {at[0], at[1]};
}

template <class T>
bool rows_are_sparse24(const T* rows, int64_t fours) {
  for (int64_t i = 0; i < fours; ++i) {
    int others = 0;
    for (int c = 0; c < 4; ++c) others += !is_zero(rows[4 * i + c]);
    if (others > 2) return false;
  }
  return true;
}

template <class T>
void put_dense(const T* const (&rows)[kFloatGroup], int64_t columns, T* to) {
  for (int64_t k0 = 0; k0 < columns; k0 += kFloatGroup)
    for (int64_t r = 0; r < kFloatGroup; ++r)
      for (int64_t k = k0; k < std::min(columns, k0 + kFloatGroup); ++k) to[k * kFloatGroup + r] = rows[r] ? rows[r][k] : T(0);
}

template <class T>
void put_sparse(const T* const (&rows)[kFloatGroup], int64_t columns, T* to, uint32_t* places) {
  for (int64_t r = 0; r < kFloatGroup; ++r)
    for (int64_t k = 0; k < columns && rows[r]; k += 4) {
      const auto at = places_of(rows[r] + k);
      const int64_t step = k / 2;
      for (int64_t s = 0; s < 2; ++s) to[(step + s) * kFloatGroup + r] = rows[r][k + at[size_t(s)]];
      places[k / kPlacesUnit * kFloatGroup + r] |= uint32_t(at[0] | at[1] << 2) << (2 * (step % (kPlacesUnit / 2)));
    }
}

struct Part {
  Tensor values, places, scales;  // bytes; int32 or undefined; fp32 or undefined
  FloatRows view;
};

Part make_part(const Tensor& weight_OI, bool sparse, const Tensor& scales) {
  const Tensor weight = weight_OI.detach().contiguous();
  const int64_t rows = weight.size(0), columns = weight.size(1), groups = (rows + kFloatGroup - 1) / kFloatGroup;
  Part part{.values = {}, .places = {}, .scales = scales.defined() ? scales.contiguous() : scales, .view = {}};
  FloatRows& view = part.view;
  view.form = form_of(weight.scalar_type()), view.columns = columns;
  if (sparse) {
    part.places = aten::zeros({groups, (columns + kPlacesUnit - 1) / kPlacesUnit, kFloatGroup}, at::kInt);
    view.places = reinterpret_cast<const uint32_t*>(part.places.const_data_ptr<int32_t>());
  }
  part.values = sparse ? aten::zeros({groups, view.value_bytes()}, at::kByte) : aten::empty({groups, view.value_bytes()}, at::kByte);
  uint8_t* to = part.values.mutable_data_ptr<uint8_t>();
  if (!sparse) prefer_huge_pages(to, size_t(part.values.nbytes()));
  uint32_t* places = sparse ? reinterpret_cast<uint32_t*>(part.places.mutable_data_ptr<int32_t>()) : nullptr;
  with_bits(view.form, [&]<class T>(T) {
    const auto* from = static_cast<const T*>(weight.const_data_ptr());
    at::parallel_for(0, groups, std::max<int64_t>(1, 8192 / columns), [&](int64_t begin, int64_t end) {
      for (int64_t g = begin; g < end; ++g) {
        const T* at[kFloatGroup];
        for (int64_t r = 0; r < kFloatGroup; ++r) at[r] = g * kFloatGroup + r < rows ? from + (g * kFloatGroup + r) * columns : nullptr;
        auto* values = reinterpret_cast<T*>(to + g * view.value_bytes());
        sparse ? put_sparse(at, columns, values, places + g * view.place_words()) : put_dense(at, columns, values);
      }
    });
  });
  view.values = reinterpret_cast<const std::byte*>(part.values.const_data_ptr<uint8_t>());
  if (part.scales.defined()) view.scales = part.scales.const_data_ptr<float>();
  return part;
}

float widened(FloatForm form, const std::byte* values, int64_t at) {
  const std::byte* p = values + at * size_of(form);
  const auto as = [&]<class T>(T value) {
    std::memcpy(static_cast<void*>(&value), p, sizeof(T));
    return float(value);
  };
  switch (form) {
    case FloatForm::kF32:
      return as(float());
    case FloatForm::kBf16:
      return as(c10::BFloat16());
    case FloatForm::kF16:
      return as(c10::Half());
    case FloatForm::kE4m3:
      return as(c10::Float8_e4m3fn());
  }
  return 0;
}

class PackedFloats : public PackedMatrix {
 public:
  PackedFloats(std::string format, std::vector<Part> parts, int64_t part_rows, bool multiplies)
      : format_(std::move(format)), part_rows_(part_rows), multiplies_(multiplies), parts_(std::move(parts)) {}

  std::string format() const override { return format_; }
  int64_t rows() const override { return int64_t(parts_.size()) * part_rows_; }
  int64_t columns() const override { return parts_[0].view.columns; }
  int64_t part_rows() const override { return part_rows_; }
  const FloatRows* floats(int64_t part) const override { return multiplies_ ? &parts_.at(size_t(part)).view : nullptr; }
  std::vector<std::pair<std::string, Tensor>> slots() const override {
    std::vector<std::pair<std::string, Tensor>> all;
    for (const Part& part : parts_) {
      all.emplace_back("values", part.values);
      if (part.places.defined()) all.emplace_back("places", part.places);
      if (part.scales.defined()) all.emplace_back("scales", part.scales);
    }
    return all;
  }

 private:
  void unpack_checked(int64_t first, int64_t count, const Tensor& out) const override {
    const int64_t n = columns();
    const bool in_place = out.scalar_type() == at::kFloat;
    const Tensor wide = in_place ? out : aten::empty({count, n}, at::kFloat);
    float* to = wide.mutable_data_ptr<float>();
    at::parallel_for(0, count, std::max<int64_t>(1, 65536 / n), [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) unpack_row(parts_[size_t((first + o) / part_rows_)].view, (first + o) % part_rows_, to + o * n);
    });
    if (!in_place) out.copy_(wide);
  }

  static void unpack_row(const FloatRows& w, int64_t row, float* to) {
    const int64_t group = row / kFloatGroup, r = row % kFloatGroup;
    const std::byte* values = w.values + group * w.value_bytes();
    if (w.places) {
      std::fill_n(to, w.columns, 0.0f);
      const uint32_t* places = w.places + group * w.place_words();
      for (int64_t step = 0; step < w.columns / 2; ++step) {
        const uint32_t word = places[step / (kPlacesUnit / 2) * kFloatGroup + r];
        to[step / 2 * 4 + (word >> (2 * (step % (kPlacesUnit / 2))) & 3)] = widened(w.form, values, step * kFloatGroup + r);
      }
      return;
    }
    const float* scales = w.scales ? w.scales + row / kScaleBlock * w.scale_columns() : nullptr;
    for (int64_t k = 0; k < w.columns; ++k) {
      const float value = widened(w.form, values, k * kFloatGroup + r);
      to[k] = scales ? value * scales[k / kScaleBlock] : value;
    }
  }

  std::string format_;
  int64_t part_rows_;
  bool multiplies_;
  std::vector<Part> parts_;
};

bool has_nan(const Tensor& values) {
  const auto* at = static_cast<const uint8_t*>(values.const_data_ptr());
  return std::any_of(at, at + values.numel(), [](uint8_t bits) { return (bits & 0x7F) == 0x7F; });
}

}  // namespace

std::shared_ptr<const PackedMatrix> pack_fp8_blocks(std::vector<Fp8Blocks> blocks) {
  check(!blocks.empty(), "[packed] expected at least one matrix");
  const std::vector<int64_t> shape = blocks[0].values_OI.sizes().vec();
  std::vector<Part> parts;
  bool multiplies = true;
  for (Fp8Blocks& b : blocks) {
    check(b.values_OI.sizes() == at::IntArrayRef(shape), "[packed] expected matrices of one shape ", at::IntArrayRef(shape), ", got ",
          b.values_OI.sizes());
    check(b.scale_inv_RC.sizes() == at::IntArrayRef(fp8_scale_shape(shape[0], shape[1])), "[packed] expected scales ",
          at::IntArrayRef(fp8_scale_shape(shape[0], shape[1])), ", got ", b.scale_inv_RC.sizes());
    const Tensor values = b.values_OI.contiguous();
    multiplies = multiplies && !has_nan(values);
    parts.push_back(make_part(values, false, b.scale_inv_RC.to(at::kFloat)));
    b = {};
  }
  return std::make_shared<PackedFloats>("fp8 in blocks of 128 x 128", std::move(parts), shape[0], multiplies);
}

bool is_sparse24(const Tensor& weight_OI) {
  if (weight_OI.dim() != 2 || weight_OI.size(1) % 4 != 0) return false;
  const Tensor weight = weight_OI.contiguous();
  bool sparse = true;
  with_bits(form_of(weight.scalar_type()),
            [&]<class T>(T) { sparse = rows_are_sparse24(static_cast<const T*>(weight.const_data_ptr()), weight.numel() / 4); });
  return sparse;
}

std::shared_ptr<const PackedMatrix> pack_floats(std::vector<Tensor> weights) {
  check(!weights.empty(), "[packed] expected at least one matrix");
  const at::ScalarType type = weights[0].scalar_type();
  const std::vector<int64_t> shape = weights[0].sizes().vec();
  bool sparse = true;
  for (const Tensor& weight : weights) {
    check(weight.is_cpu() && weight.dim() == 2 && weight.sizes() == at::IntArrayRef(shape) && weight.scalar_type() == type,
          "[packed] expected matrices of one shape ", at::IntArrayRef(shape), " on the CPU, got ", weight.sizes());
    check(size_of(form_of(type)) > 1, "[packed] expected 16 or 32 bits, got ", type);
    sparse = sparse && is_sparse24(weight);
  }
  std::vector<Part> parts;
  for (Tensor& weight : weights) {
    parts.push_back(make_part(weight, sparse, {}));
    weight = Tensor();
  }
  const std::string form = type == at::kFloat ? "float32" : type == at::kHalf ? "float16" : "bfloat16";
  return std::make_shared<PackedFloats>(sparse ? "2:4 in " + form : form, std::move(parts), shape[0], true);
}

}  // namespace r1::tensor
