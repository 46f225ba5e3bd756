// How a matrix of floats that are narrower in the file than in the product, or mostly zeros, lies in memory for products: sixteen rows side by
// side (the last sixteen filled up with zeros), a column at a time. tensor/packed_floats lays it out when it loads, kernels/cpu/packed_floats
// reads it and widens in registers.
//
//   dense   for each column sixteen values
//   2:4     (of four neighbours of a row at most two are not zero) columns filled up to a multiple of 32; for each four columns twice sixteen
//           values, and for each 32 columns sixteen words, whose bits 2 s and 2 s + 1 say where in its four the value of step s stands:
//           steps 2 j and 2 j + 1 belong to columns 4 j .. 4 j + 3, in ascending order of the column
#pragma once

#include <cstddef>
#include <cstdint>

namespace r1 {

inline constexpr int64_t kFloatGroup = 16;   // rows side by side
inline constexpr int64_t kPlacesUnit = 32;   // columns that a word of places speaks of
inline constexpr int64_t kScaleBlock = 128;  // rows and columns that share a scale (tensor/fp8_block)

enum class FloatForm : uint8_t { kF32, kBf16, kF16, kE4m3 };

inline constexpr int64_t size_of(FloatForm form) {
  return form == FloatForm::kF32 ? 4 : form == FloatForm::kE4m3 ? 1 : 2;
}

struct FloatRows {
  FloatForm form = FloatForm::kBf16;
  int64_t columns = 0;
  const std::byte* values = nullptr;
  const uint32_t* places = nullptr;  // null: dense
  const float* scales = nullptr;     // kE4m3: [rows / 128, columns / 128], rounded up

  // Columns that are stored.
  constexpr int64_t padded() const { return places ? (columns + kPlacesUnit - 1) / kPlacesUnit * kPlacesUnit : columns; }
  // Of sixteen rows.
  constexpr int64_t value_bytes() const { return kFloatGroup * (places ? padded() / 2 : columns) * size_of(form); }
  constexpr int64_t place_words() const { return kFloatGroup * (padded() / kPlacesUnit); }
  constexpr int64_t scale_columns() const { return (columns + kScaleBlock - 1) / kScaleBlock; }
};

}  // namespace r1
