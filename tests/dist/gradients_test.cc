#include "r1/dist/gradients.h"

#include <gtest/gtest.h>

#include "r1/base/file.h"
#include "r1/tensor/aten.h"
#include "tests/dist/processes.h"
#include "tests/temporary_folder.h"

namespace r1::dist {
namespace {

// A long ramp that crosses zero.
Tensor ramp(int64_t n, double by) {
  return (aten::arange(n, at::kFloat) - double(n) / 3) * by;
}

TEST(Signs, AreABitAndABlocksMeanSize) {
  const Tensor x = ramp(3 * kBlock, 0.01);
  const Tensor packed = pack_signs(x);
  EXPECT_GE(double(x.nbytes()) / double(packed.nbytes()), 31.0);
  const Tensor back = unpack_signs(packed);
  for (int64_t block = 0; block < 3; ++block) {
    const Tensor part = x.narrow(0, block * kBlock, kBlock), got = back.narrow(0, block * kBlock, kBlock);
    const double scale = part.abs().mean().item<double>();
    for (const int64_t i : {int64_t(0), int64_t(7), int64_t(8), int64_t(500), kBlock - 1})
      EXPECT_NEAR(got[i].item<double>(), part[i].item<double>() >= 0 ? scale : -scale, 1e-6 * scale) << block << " " << i;
  }
}

// Rows of several sizes, one that this rank has no gradient for, one that none has.
std::vector<Tensor> rows_of(int64_t rank) {
  std::vector<Tensor> rows{ramp(700, 0.1 * double(rank + 1)).view({7, 100}), ramp(5, 1), Tensor(), Tensor(),
                           ramp(3000, 0.01).to(at::kBFloat16)};
  if (rank == 1) rows[2] = ramp(40, 2);
  return rows;
}
Tensor zeros_of(size_t i) {
  const std::vector<std::vector<int64_t>> shapes{{7, 100}, {5}, {40}, {9}, {3000}};
  return aten::zeros(shapes[i]);
}

SCENARIO(gradients) {
  in_group(ranks, {.timeout = 20}, [&](Group& group) {
    GradientExchange exchange(group, argument);
    Tensor total;
    double one_step = 0;
    int64_t before = group.bytes_sent();
    for (int step = 0; step < 50; ++step) {
      auto rows = rows_of(group.rank());
      before = group.bytes_sent();
      exchange.sum(rows, zeros_of);
      std::vector<Tensor> want;
      for (size_t i = 0; i < rows.size(); ++i) {
        want.push_back(zeros_of(i));
        for (int64_t r = 0; r < group.size(); ++r)
          if (const auto theirs = rows_of(r); theirs[i].defined()) want.back().add_(theirs[i].to(at::kFloat));
      }
      EXPECT_EQ(rows[3].defined(), argument == "sign");
      if (argument == "plain")
        for (const size_t i : {0, 1, 2, 4}) EXPECT_TRUE(rows[i].equal(want[i])) << i;
      if (argument == "bf16")
        for (const size_t i : {0, 1, 2, 4}) EXPECT_LT((rows[i] - want[i]).norm().item<double>(), 0.01 * want[i].norm().item<double>()) << i;
      const Tensor sum = rows[0] - want[0];
      one_step = want[0].norm().item<double>();
      total = total.defined() ? total + sum : sum;
    }
    // What is rounded off comes later: the error of the sum of 50 steps is that of a few (each alone is off by more than a third).
    if (argument == "sign") EXPECT_LT(total.norm().item<double>(), 5 * one_step);
    // A gradient that is no number is not hidden, and leaves nothing behind.
    auto rows = rows_of(group.rank());
    if (group.rank() == 1) rows[1].fill_(NAN);
    exchange.sum(rows, zeros_of);
    EXPECT_TRUE(rows[1].isnan().any().item<bool>());
    rows = rows_of(group.rank());
    exchange.sum(rows, zeros_of);
    for (const Tensor& row : rows) EXPECT_TRUE(!row.defined() || row.isfinite().all().item<bool>());
    // Bytes of large gradients, without the few numbers beside them.
    std::vector<Tensor> large{ramp(1 << 20, 1e-3)};
    before = group.bytes_sent();
    GradientExchange(group, argument).sum(large, [](size_t) { return aten::zeros({1 << 20}); });
    if (group.rank() == 0)
      write_file_atomic(fs::path(std::getenv("R1_TEST_FOLDER")) / argument, std::to_string(group.bytes_sent() - before));
  });
}

TEST(Gradients, AreSummedAndCounted) {
  const TemporaryFolder folder("gradients");
  const EnvironmentVariable place("R1_TEST_FOLDER", folder.path().string());
  std::map<std::string, double> bytes;
  for (const char* how : {"plain", "bf16", "sign"}) {
    const Outcome outcome = run_ranks("gradients", 4, {}, how);
    ASSERT_EQ(outcome.code, 0) << how << ": " << outcome.said;
    bytes[how] = std::stod(read_file(folder.path() / how));
  }
  EXPECT_NEAR(bytes["plain"] / (2 * 3 / 4.0 * 4 * (1 << 20)), 1, 1e-3);  // 2 (N - 1) / N of the gradients
  EXPECT_NEAR(bytes["plain"] / bytes["bf16"], 2, 1e-2);
  EXPECT_GE(bytes["plain"] / bytes["sign"], 16);
}

}  // namespace
}  // namespace r1::dist
