// Eight rows side by side and back again, for every form.
#include "r1/base/interleaved_rows.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "r1/base/error.h"
#include "r1/base/gguf_file.h"
#include "r1/base/rng.h"

namespace r1 {
namespace {

TEST(InterleavedRows, GiveTheFilesRowsBack) {
  for (const GgmlType type : {GgmlType::kQ4_0, GgmlType::kQ4_1, GgmlType::kQ5_0, GgmlType::kQ5_1, GgmlType::kQ8_0, GgmlType::kQ4_K,
                              GgmlType::kQ5_K, GgmlType::kQ6_K}) {
    const GgmlTypeInfo& info = *ggml_type_info(type);
    ASSERT_TRUE(has_block_form(type));
    const BlockForm form = block_form(type);
    EXPECT_EQ(kBlockFields[size_t(form)].elements, int64_t(info.block_elements)) << info.name;
    EXPECT_EQ(kBlockFields[size_t(form)].bytes(), int64_t(info.block_bytes)) << info.name;
    const int64_t columns = 3 * info.block_elements, row_bytes = 3 * info.block_bytes, rows = 11;
    EXPECT_EQ(interleaved_bytes(form, rows, columns), 16 * row_bytes);
    std::vector<std::byte> file(size_t(rows * row_bytes)), matrix(size_t(16 * row_bytes), std::byte(0xAA)), row(size_t(row_bytes) + 1);
    for (size_t i = 0; i < file.size(); ++i) file[i] = std::byte(256 * random_uniform(1, 2, i));
    for (int64_t g = 0; g < 2; ++g) {
      const std::byte* from[kRowsOfGroup];
      for (int64_t r = 0; r < kRowsOfGroup; ++r) from[r] = 8 * g + r < rows ? file.data() + (8 * g + r) * row_bytes : nullptr;
      interleave_rows(form, columns, from, matrix.data() + g * group_bytes(form, columns));
    }
    for (int64_t r = 0; r < 16; ++r) {
      row.back() = std::byte(0x55);
      copy_interleaved_row(form, columns, matrix.data(), r, row.data());
      const std::vector<std::byte> want = r < rows ? std::vector(file.begin() + r * row_bytes, file.begin() + (r + 1) * row_bytes)
                                                   : std::vector<std::byte>(size_t(row_bytes));
      EXPECT_TRUE(std::equal(want.begin(), want.end(), row.begin())) << info.name << " row " << r;
      EXPECT_EQ(row.back(), std::byte(0x55)) << info.name;
    }
  }
}

TEST(InterleavedRows, OtherTypesHaveNoForm) {
  EXPECT_FALSE(has_block_form(GgmlType::kF16));
  EXPECT_THROW(block_form(GgmlType::kBF16), Error);
  EXPECT_THROW(group_bytes(BlockForm::kQ4_K, 128), Error);
}

}  // namespace
}  // namespace r1
