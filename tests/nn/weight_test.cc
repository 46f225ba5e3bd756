// A weight plain, without memory yet, and packed.
#include "r1/nn/weight.h"

#include <functional>

#include "r1/nn/embedding.h"
#include "r1/nn/linear.h"
#include "r1/ops/packed_linear.h"
#include "r1/tensor/packed.h"
#include "tests/ops/op_test.h"
#include "tests/tensor/random_packed.h"

namespace r1::nn {
namespace {

std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// 8 bit matrices of `shape`, [O, I] or [E, O, I], and the same unpacked.
std::pair<std::shared_ptr<const tensor::PackedMatrix>, Tensor> packed_of(at::IntArrayRef shape) {
  const Tensor values = ops::randn(shape, 3).to(at::kFloat).view({-1, shape[shape.size() - 2], shape.back()});
  std::vector<tensor::Fp8Blocks> parts;
  for (int64_t e = 0; e < values.size(0); ++e) {
    parts.push_back(tensor::to_fp8_blocks(values.select(0, e)));
    tensor::from_fp8_blocks(parts.back(), values.select(0, e));
  }
  return {tensor::pack_fp8_blocks(parts), values.view(shape)};
}

TEST(Weight, PlainIsTheTensorItself) {
  Weight weight({4, 3}, {});
  EXPECT_FALSE(weight.packed());
  EXPECT_TRUE(weight.dense().is_same(weight.slot()));
  weight.slot().copy_(ops::randn({4, 3}, 1));
  EXPECT_TRUE(aten::equal(weight.rows(1, 2), weight.slot().narrow(0, 1, 2)));
  EXPECT_EQ(weight.rows(1, 2).const_data_ptr(), weight.slot().narrow(0, 1, 2).const_data_ptr());
  EXPECT_FALSE(Weight().defined());
  EXPECT_FALSE(Weight().dense().defined());
}

TEST(Weight, DeferredHasAShapeAndNoMemory) {
  Weight weight({4, 3}, {.dtype = at::kBFloat16, .deferred = true});
  EXPECT_EQ(weight.sizes(), at::IntArrayRef({4, 3}));
  EXPECT_TRUE(weight.slot().is_meta());
  EXPECT_NE(error_of([&] { weight.dense(); }).find("[4, 3] was never loaded"), std::string::npos);
  weight.make_plain();
  EXPECT_TRUE(weight.dense().is_cpu());
  EXPECT_EQ(weight.dense().scalar_type(), at::kBFloat16);
}

TEST(Weight, PackedGivesWhatItUnpacksTo) {
  for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{{150, 20}, {3, 40, 20}}) {
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      const auto [packed, values] = packed_of(shape);
      const Tensor want = values.to(dtype);
      Weight weight(shape, {.dtype = dtype});
      weight.pack(packed);
      EXPECT_TRUE(weight.packed());
      EXPECT_TRUE(weight.slot().is_meta());
      EXPECT_EQ(weight.sizes(), at::IntArrayRef(shape));
      EXPECT_TRUE(aten::equal(weight.dense(), want));
      EXPECT_TRUE(aten::equal(weight.rows(1, 2), want.narrow(0, 1, 2)));
      weight.make_plain();
      EXPECT_FALSE(weight.packed());
      EXPECT_TRUE(weight.dense().is_cpu());
    }
  }
}

TEST(Weight, IsPackedOnlyWhereItFits) {
  Weight weight({150, 21}, {});
  EXPECT_NE(error_of([&] {
              weight.pack(packed_of({150, 20}).first);
            }).find("expected a packed matrix of [150, 21], got 150 rows of 20"),
            std::string::npos);
  Weight trained({150, 20}, {});
  trained.slot().set_requires_grad(true);
  EXPECT_NE(error_of([&] { trained.pack(packed_of({150, 20}).first); }).find("no gradient"), std::string::npos);
}

// ggml's blocks are multiplied as they lie: by rows of a matrix, expert by expert, as logits.
TEST(Weight, GgmlBlocksAreMultipliedAsTheyAre) {
  const auto packed = tensor::random_packed(GgmlType::kQ4_0, 36, 64, 3);
  const Tensor x = ops::randn({5, 64}, 4).to(at::kFloat), bias = ops::randn({36}, 5).to(at::kFloat);
  Weight matrix({36, 64}, {}), experts({3, 12, 64}, {});
  matrix.pack(packed);
  experts.pack(packed);
  const Tensor want = ops::packed_linear_ref(x, *packed, 0, 36);
  EXPECT_TRUE(aten::equal(matrix.product(x), want));
  EXPECT_TRUE(aten::equal(matrix.logits(x), want));
  EXPECT_TRUE(aten::equal(matrix.product(x, bias), want + bias));
  EXPECT_TRUE(aten::equal(matrix.product(x, 10, 7, bias.narrow(0, 10, 7)), (want + bias).narrow(1, 10, 7)));
  for (int64_t e = 0; e < 3; ++e) EXPECT_TRUE(aten::equal(experts.product(x, e, 1), want.narrow(1, 12 * e, 12)));
  EXPECT_NE(error_of([&] {
              matrix.product(ops::randn({5, 64}, 4).to(at::kFloat).requires_grad_());
            }).find("no gradient"),
            std::string::npos);
}

// The layers' own weights, packed and not.
TEST(Weight, LayersGiveTheSameBits) {
  const auto [packed, values] = packed_of({150, 20});
  Linear plain(20, 150, true, {}), other(20, 150, true, {});
  Embedding embedding(150, 20, {}, 2), other_embedding(150, 20, {}, 2);
  std::vector<Parameter> from, to;
  for (Module* layer : std::vector<Module*>{&plain, &embedding}) layer->parameters(ParameterList(from));
  for (Module* layer : std::vector<Module*>{&other, &other_embedding}) layer->parameters(ParameterList(to));
  for (size_t i = 0; i < from.size(); ++i) {
    if (!from[i].weight) {
      from[i].tensor->copy_(ops::randn(from[i].tensor->sizes(), 5));
      to[i].tensor->copy_(*from[i].tensor);
    } else {
      from[i].tensor->copy_(values);
      to[i].weight->pack(packed);
    }
  }
  const Tensor x = ops::randn({7, 20}, 6).to(at::kFloat), ids = ops::random_ids(30, 150, 7);
  EXPECT_TRUE(aten::equal(other(x), plain(x)));
  EXPECT_TRUE(aten::equal(other.rows(x, 130, 9), plain.rows(x, 130, 9)));
  EXPECT_TRUE(aten::equal(other.matrix(), plain.matrix()));
  EXPECT_TRUE(aten::equal(other_embedding(ids), embedding(ids)));
  EXPECT_THROW(other_embedding(aten::full({1}, 150, at::kLong)), Error);
}

}  // namespace
}  // namespace r1::nn
