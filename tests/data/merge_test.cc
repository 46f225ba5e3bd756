#include "r1/data/merge.h"

#include <gtest/gtest.h>

#include "r1/base/error.h"

namespace r1::data {
namespace {

Batch row(std::vector<int32_t> ids, std::vector<int32_t> cu) {
  Batch b;
  b.ids = ids;
  b.targets = ids;
  b.loss_weight.assign(ids.size(), 1);
  b.positions.assign(ids.size(), 0);
  b.cu_seqlens = cu;
  b.document.assign(cu.size() - 1, 7);
  return b;
}

TEST(MergeRows, KeepsEveryTokenAndShiftsDocuments) {
  const std::vector<Batch> rows = {row({1, 2, 3}, {0, 1, 3}), row({4, 5}, {0, 2}), row({6}, {0, 1})};
  const Batch all = merge_rows(rows);
  EXPECT_EQ(all.ids, (std::vector<int32_t>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(all.cu_seqlens, (std::vector<int32_t>{0, 1, 3, 5, 6}));
  EXPECT_EQ(all.documents(), 4);
  EXPECT_EQ(all.document.size(), 4u);
}

TEST(MergeRows, RefusesMixedRows) {
  std::vector<Batch> rows = {row({1}, {0, 1}), row({2}, {0, 1})};
  rows[1].advantage = {0.5f};
  EXPECT_THROW(merge_rows(rows), Error);
  EXPECT_THROW(merge_rows({}), Error);
}

}  // namespace
}  // namespace r1::data
