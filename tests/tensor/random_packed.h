// Matrices in ggml's blocks with random quants, for whoever multiplies them.
#pragma once

#include <c10/util/Half.h>

#include <cstring>
#include <memory>
#include <span>
#include <string>

#include "r1/base/interleaved_rows.h"
#include "r1/base/rng.h"
#include "r1/tensor/packed.h"
#include "tests/base/gguf_builder.h"

namespace r1::tensor {

inline constexpr GgmlType kPackedTypes[] = {GgmlType::kQ4_0, GgmlType::kQ4_1, GgmlType::kQ5_0, GgmlType::kQ5_1,
                                            GgmlType::kQ8_0, GgmlType::kQ4_K, GgmlType::kQ5_K, GgmlType::kQ6_K};

// A file with one matrix, "w". Any bytes are blocks, but for their fp16 scales: those are numbers of either sign below 0.01.
inline std::string random_gguf(GgmlType type, int64_t rows, int64_t columns, uint64_t seed) {
  const GgmlTypeInfo& info = *ggml_type_info(type);
  const BlockFields& fields = kBlockFields[size_t(block_form(type))];
  std::string bytes(size_t(rows * columns / info.block_elements * info.block_bytes), '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = char(256 * random_uniform(seed, 1, i));
  for (size_t at = 0; at < bytes.size(); at += info.block_bytes) {
    for (int64_t f = 0; f < (fields.d + fields.m) / 2; ++f) {
      const c10::Half scale = float(0.02 * random_uniform(seed, 2 + uint64_t(f), at) - 0.01);
      std::memcpy(bytes.data() + at + (type == GgmlType::kQ6_K ? 208 : size_t(2 * f)), &scale, sizeof(scale));
    }
  }
  return testing::GgufBuilder().tensor("w", type, {uint64_t(rows), uint64_t(columns)}, bytes).bytes();
}

inline std::shared_ptr<const PackedMatrix> random_packed(GgmlType type, int64_t rows, int64_t columns, uint64_t seed) {
  const std::string file = random_gguf(type, rows, columns, seed);
  const GgufFile gguf = GgufFile::from_bytes(std::as_bytes(std::span(file)), "m.gguf", {});
  return pack_gguf_tensor(gguf, *gguf.find("w"));
}

}  // namespace r1::tensor
