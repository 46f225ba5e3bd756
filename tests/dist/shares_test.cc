#include "r1/dist/shares.h"

#include <gtest/gtest.h>

#include "r1/dist/shard_exchange.h"
#include "r1/tensor/aten.h"
#include "tests/dist/processes.h"
#include "tests/message_of.h"

namespace r1::dist {
namespace {

// One row that is most of the model, small ones, a matrix of Muon's, stacked ones, fewer stacked ones than ranks.
const std::vector<RowSize> kRows{{100'000, 0}, {7, 0}, {1200, 1}, {1200, 0}, {6000, 6}, {1, 0}, {600, 2}, {900, 1}};

// Every element of every row has one owner, in pieces that follow the ranks' order.
void expect_whole(const Shares& shares, std::span<const RowSize> rows) {
  for (size_t row = 0; row < rows.size(); ++row) {
    std::vector<int> owners(size_t(rows[row].elements), 0);
    for (int64_t r = 0; r < shares.ranks(); ++r)
      for (int64_t i = shares.part(row, r).begin; i < shares.part(row, r).end; ++i) ++owners[size_t(i)];
    EXPECT_EQ(owners, std::vector<int>(size_t(rows[row].elements), 1)) << "row " << row << " of " << shares.ranks();
  }
}

TEST(Shares, EveryElementHasOneOwnerAndEachAsMany) {
  for (const int64_t ranks : {1, 2, 3, 4, 7}) {
    for (const int64_t bucket : {1, 1000, 1'000'000}) {
      const Shares shares(kRows, ranks, bucket);
      expect_whole(shares, kRows);
      int64_t all = 0;
      for (const auto& b : shares.buckets()) all += b.elements();
      EXPECT_EQ(all, 109'908);
      std::vector<RowSize> cut = kRows;
      for (RowSize& row : cut) row.matrices = 0;
      const Shares even(cut, ranks, bucket);
      expect_whole(even, cut);
      for (int64_t r = 0; r < ranks; ++r) EXPECT_NEAR(double(even.elements(r)), 109'908.0 / double(ranks), double(even.buckets().size()));
    }
  }
}

TEST(Shares, MatricesStayWholeAndGoToWhoHasLeast) {
  const Shares shares(kRows, 3, 1'000'000);
  EXPECT_EQ(shares.part(2, 0), (Range{0, 1200}));  // the largest single one
  EXPECT_EQ(shares.part(7, 1), (Range{0, 900}));
  EXPECT_EQ(shares.part(6, 2), (Range{0, 600}));  // two matrices, fewer than ranks: one owner
  for (int64_t r = 0; r < 3; ++r) EXPECT_EQ(shares.part(4, r), (Range{2000 * r, 2000 * (r + 1)}));  // two of six each
}

TEST(Shares, BucketsBeginWithTheLastRow) {
  const Shares shares(kRows, 2, 1'500);
  ASSERT_EQ(shares.buckets().size(), 4u);
  EXPECT_EQ(shares.buckets()[0].rows, (std::vector<size_t>{7, 6}));
  EXPECT_EQ(shares.buckets()[1].rows, (std::vector<size_t>{5, 4}));
  EXPECT_EQ(shares.buckets()[3].rows, (std::vector<size_t>{1, 0}));
  EXPECT_EQ(shares.bucket_of(3), 2u);
}

// Rank r's gradient of element i of a row.
Tensor gradient(size_t row, int64_t rank) {
  const int64_t n = kRows[row].elements;
  return aten::remainder(aten::arange(n, at::kFloat) * 0.37 + double(row), 1.7) * double(rank + 1);
}

std::vector<Tensor> gradients(int64_t rank) {
  std::vector<Tensor> rows;
  for (size_t row = 0; row < kRows.size(); ++row) rows.push_back(gradient(row, rank));
  rows[5].reset();                 // nobody has it
  if (rank == 0) rows[2].reset();  // who has it is another
  return rows;
}

SCENARIO(shard_exchange) {
  in_group(ranks, {.timeout = 20}, [&](Group& group) {
    const int64_t rank = group.rank(), size = group.size();
    for (const int64_t bucket_elements : {int64_t{1'500}, int64_t{1'000'000}}) {
      const Shares shares(kRows, size, bucket_elements);
      ShardExchange exchange(group, shares, argument);
      const int64_t width = argument == "bf16" ? 2 : 4;
      std::vector<Tensor> parts(kRows.size()), weights(kRows.size());
      int64_t before = group.bytes_sent(), want = 0;
      const auto mine = gradients(rank);
      for (size_t b = 0; b < shares.buckets().size(); ++b) {
        exchange.part_by_rows(b, exchange.reduce(b, exchange.lay(b, mine, at::kCPU)), parts);
        want += (shares.buckets()[b].elements() - shares.buckets()[b].counts[size_t(rank)]) * width;
      }
      EXPECT_EQ(group.bytes_sent() - before, want);
      for (size_t row = 0; row < kRows.size(); ++row) {
        const Range part = shares.part(row, rank);
        EXPECT_EQ(parts[row].defined(), part.size() > 0) << row;
        Tensor sum = aten::zeros({kRows[row].elements});
        for (int64_t r = 0; r < size; ++r)
          if (const auto theirs = gradients(r)[row]; theirs.defined())
            sum.add_(argument == "bf16" ? theirs.to(at::kBFloat16).to(at::kFloat) : theirs);
        EXPECT_TRUE(part.size() == 0 || parts[row].equal(sum.narrow(0, part.begin, part.size()))) << row;
        // What each has of the weights is its rank; the rest is wrong until it comes.
        weights[row] = aten::full({kRows[row].elements}, -1, at::kBFloat16);
        weights[row].narrow(0, part.begin, part.size()).fill_(rank);
      }
      before = group.bytes_sent();
      for (size_t b = 0; b < shares.buckets().size(); ++b) exchange.gather(b, weights);
      EXPECT_EQ(group.bytes_sent() - before, (size - 1) * shares.elements(rank) * 2);
      for (size_t row = 0; row < kRows.size(); ++row)
        for (int64_t r = 0; r < size; ++r) {
          const Range part = shares.part(row, r);
          EXPECT_TRUE(weights[row].narrow(0, part.begin, part.size()).eq(r).all().item<bool>()) << row << " of rank " << r;
        }
    }
  });
}

TEST(ShardExchange, SumsToTheOwnersAndBringsWeightsToAllInTheBytesOfItsFormula) {
  for (const int64_t size : {2, 4}) {
    for (const char* how : {"plain", "bf16"}) {
      const Outcome outcome = run_ranks("shard_exchange", size, {}, how);
      EXPECT_EQ(outcome.code, 0) << size << " " << how << ": " << outcome.said;
    }
  }
  Group alone;
  const Shares shares(kRows, 1, 1000);
  EXPECT_NE(message_of([&] { ShardExchange(alone, shares, "sign"); }).find("expected plain or bf16, got sign"), std::string::npos);
}

}  // namespace
}  // namespace r1::dist
