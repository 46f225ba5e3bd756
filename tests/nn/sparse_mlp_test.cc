// The layer of sparse neurons: one row, one result, whatever road it took.
#include "r1/nn/sparse_mlp.h"

#include <ATen/core/grad_mode.h>

#include "r1/ops/topk_sparse.h"
#include "r1/tensor/aten.h"
#include "tests/ops/op_test.h"

namespace r1::nn {
namespace {

constexpr int64_t kDim = 48, kInner = 160;

struct Filled {
  SparseMlp mlp;
  std::vector<Parameter> parameters;

  Filled(double sparsity, at::ScalarType type)
      : mlp({.dim = kDim, .inner = kInner, .sparsity = sparsity, .min_sparsity = 0, .max_sparsity = 0.99}, {at::kCPU, type}) {
    mlp.parameters(ParameterList(parameters));
    for (size_t i = 0; i < parameters.size(); ++i)
      parameters[i].tensor->copy_(ops::randn(parameters[i].tensor->sizes(), 10 + i) * (parameters[i].name == "sparsity_shift" ? 0 : 0.4));
  }
  ops::SparseMlpWeights weights() const { return {*parameters[0].tensor, *parameters[1].tensor, *parameters[2].tensor}; }
};

// Batches below and above the limit of the sparse road, and the training form with its graph.
TEST(SparseMlp, RowsHaveTheSameBitsOnEveryRoad) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    for (const double sparsity : {0.3, 0.5, 0.8, 0.9}) {
      const Filled f(sparsity, type);
      const Tensor x = ops::randn({40, kDim}, 1).to(type);
      const Tensor all = [&] {
        const at::NoGradGuard no_grad;
        return f.mlp(x, {}, nullptr);
      }();
      ASSERT_FALSE(ops::has_sparse_mlp(x, f.weights(), f.mlp.kept()));
      ASSERT_TRUE(ops::has_sparse_mlp(x.narrow(0, 0, 1), f.weights(), f.mlp.kept())) << type << " " << sparsity;
      {
        const at::NoGradGuard no_grad;
        for (int64_t count = 1; count <= 20; ++count)
          EXPECT_TRUE(aten::equal(f.mlp(x.narrow(0, 40 - count, count), {}, nullptr), all.narrow(0, 40 - count, count)))
              << type << " sparsity " << sparsity << ", " << count << " rows";
      }
      const Tensor leaf = x.narrow(0, 3, 1).clone().requires_grad_();
      EXPECT_TRUE(aten::equal(f.mlp(leaf, {}, nullptr), all.narrow(0, 3, 1))) << type << " sparsity " << sparsity << ", with a graph";
    }
  }
}

}  // namespace
}  // namespace r1::nn
