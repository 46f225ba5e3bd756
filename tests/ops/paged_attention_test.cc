// Attention over the blocks of a cache on CUDA, and heads from a joint projection on both devices. What a cache has no token in is no number
// here (NaN): nobody may read it.
#include <cmath>
#include <limits>
#include <numeric>

#include "op_test.h"
#include "r1/ops/attention.h"
#include "r1/ops/norm.h"
#include "r1/ops/qkv_heads.h"
#include "r1/tensor/aten.h"

namespace r1::ops {
namespace {

struct Case {
  HeadsShape heads;
  std::vector<std::pair<int32_t, int32_t>> batch;  // context, rows of each sequence
  int32_t block_size = 16;
  Window window = {};
  int32_t spare = 0;  // further blocks of every sequence's table
};

Sequences listed(const Case& c, uint64_t seed) {
  Sequences s{.cu_seqlens = {0}, .block_size = c.block_size};
  int32_t blocks = 0;
  for (const auto& [context, rows] : c.batch) {
    s.cu_seqlens.push_back(s.cu_seqlens.back() + rows);
    s.context_lens.push_back(context);
    const int32_t own = std::max(1, (context + rows + c.block_size - 1) / c.block_size) + c.spare;
    s.block_tables.emplace_back(size_t(own));
    std::iota(s.block_tables.back().begin(), s.block_tables.back().end(), blocks);
    blocks += own;
  }
  std::vector<int32_t> ids(size_t(blocks) + 3);  // scattered, and not all are used
  std::iota(ids.begin(), ids.end(), 0);
  Rng rng(seed);
  for (size_t i = ids.size() - 1; i > 0; --i) std::swap(ids[i], ids[size_t(rng.between(0, int64_t(i)))]);
  for (auto& table : s.block_tables)
    for (int32_t& block : table) block = ids[size_t(block)];
  s.block_bound = int32_t(ids.size());
  return s;
}

// Rows of the cache, seen as [blocks * 2 * block_size, ...], that have the contexts' keys and values.
Tensor context_slots(const Sequences& s) {
  std::vector<int64_t> slots;
  for (size_t i = 0; i < s.context_lens.size(); ++i) {
    for (int64_t p = 0; p < s.context_lens[i]; ++p) {
      const int64_t key = 2 * int64_t(s.block_size) * s.block_tables[i][size_t(p / s.block_size)] + p % s.block_size;
      slots.push_back(key);
      slots.push_back(key + s.block_size);
    }
  }
  return aten::tensor(slots, at::kLong);
}

// A cache with random contexts, rows [.., K, H] in fp64 that are numbers of `type`.
Tensor filled_cache(const Case& c, const Sequences& s, at::ScalarType type, uint64_t seed) {
  const int64_t rows = int64_t(s.block_bound) * 2 * c.block_size;
  const Tensor all = aten::full({rows, c.heads.kv_heads, c.heads.head_dim}, std::numeric_limits<double>::quiet_NaN(), at::kDouble);
  const Tensor slots = context_slots(s);
  if (slots.numel() > 0)
    all.index_copy_(0, slots, randn({slots.numel(), c.heads.kv_heads, c.heads.head_dim}, seed).to(type).to(at::kDouble));
  return all;
}
Tensor as_blocks(const Tensor& rows, int64_t blocks) {
  return rows.clone().view({blocks, -1}).view(at::kByte);
}

double tolerance(at::ScalarType type) {
  return type == at::kFloat ? 3e-5 : 2e-2;
}

// paged_attention on the device against its definition in fp64 on the CPU: result, what was appended, and that nothing else was written.
void test_case(const Case& c, at::ScalarType type, const std::string& what) {
  const c10::NoGradGuard no_grad;
  const Sequences lists = listed(c, 5);
  const Sequences here = sequences_on(at::kCPU, lists), there = sequences_on(at::kCUDA, lists);
  const int64_t tokens = here.tokens(), n = c.heads.heads, k = c.heads.kv_heads, h = c.heads.head_dim, blocks = lists.block_bound;
  const auto rounded = [&](at::IntArrayRef shape, uint64_t seed) { return randn(shape, seed).to(type).to(at::kDouble); };
  const Tensor q = rounded({tokens, n, h}, 1), keys = rounded({tokens, k, h}, 2), values = rounded({tokens, k, h}, 3);
  const Tensor start = filled_cache(c, lists, type, 4), ours = as_blocks(start.to(type), blocks).to(at::kCUDA),
               theirs = as_blocks(start, blocks);
  const double scale = 1 / std::sqrt(double(h));
  const Tensor want = paged_attention_ref(q, keys, values, theirs, here, scale, c.window);
  const auto sent = [&](const Tensor& t) { return t.to(at::kCUDA, type); };
  const Tensor got = paged_attention(sent(q), sent(keys), sent(values), ours, there, scale, c.window);
  EXPECT_LE(distance(got, want), tolerance(type)) << what << " " << type;

  const Tensor rows = ours.view(type).view({-1, k, h}).to(at::kCPU, at::kDouble), expected = theirs.view(at::kDouble).view({-1, k, h});
  EXPECT_TRUE(aten::equal(aten::isnan(rows), aten::isnan(expected))) << what;
  const Tensor zero = aten::zeros({}, at::kDouble);
  EXPECT_TRUE(aten::equal(aten::where(aten::isnan(rows), zero, rows), aten::where(aten::isnan(expected), zero, expected))) << what;
}

void test_both(const Case& c, const std::string& what) {
  test_case(c, at::kFloat, what);
  test_case(c, at::kBFloat16, what);
}

const std::vector<HeadsShape> kGroups{{2, 2, 64}, {4, 2, 64}, {14, 2, 64}, {16, 2, 64}, {16, 1, 64}, {12, 2, 128}, {16, 8, 128}};
const std::vector<int64_t> kSizes{16, 32, 64, 80, 96, 128, 192, 256};

TEST(PagedKernels, DecodeOfAllContextsCuda) {
  SKIP_WITHOUT_CUDA();
  for (const HeadsShape& heads : kGroups)
    for (const int32_t block_size : {16, 32})
      test_both({heads, {{0, 1}, {1, 1}, {15, 1}, {16, 1}, {17, 1}, {63, 1}, {64, 1}, {300, 1}}, block_size},
                str("group ", heads.heads, "/", heads.kv_heads));
}
TEST(PagedKernels, DecodeAloneCuda) {
  SKIP_WITHOUT_CUDA();
  for (const int32_t context : {0, 1, 15, 16, 17, 160, 5000}) {
    test_both({{14, 2, 64}, {{context, 1}}}, str("context ", context));
    test_both({{16, 8, 128}, {{context, 1}}, 32}, str("context ", context));
  }
}
TEST(PagedKernels, EveryHeadSizeCuda) {
  SKIP_WITHOUT_CUDA();
  for (const int64_t size : kSizes) {
    test_both({{6, 2, size}, {{100, 1}, {7, 1}, {33, 1}}}, str("size ", size));
    test_both({{20, 2, size}, {{100, 1}, {7, 1}, {33, 1}}}, str("size ", size, ", groups of 10"));
    test_both({{6, 2, size}, {{40, 1}, {0, 90}, {129, 70}, {5, 2}}}, str("size ", size, " with prompts"));
  }
}
TEST(PagedKernels, BatchOfHundredsCuda) {
  SKIP_WITHOUT_CUDA();
  Rng rng(9);
  Case c{{14, 2, 64}, {}};
  for (int i = 0; i < 300; ++i) c.batch.push_back({int32_t(i % 7 == 0 ? 0 : rng.between(0, 200)), 1});
  c.batch[150].first = 3000;
  test_both(c, "300 sequences");
  c.heads = {4, 4, 32};
  test_both(c, "300 sequences, 4 key heads");
}
TEST(PagedKernels, FewRowsCuda) {
  SKIP_WITHOUT_CUDA();
  for (const HeadsShape& heads : kGroups)
    test_both({heads, {{30, 2}, {0, 1}, {100, 4}, {15, 3}, {5, 0}, {500, 2}}}, str("group ", heads.heads, "/", heads.kv_heads));
}
TEST(PagedKernels, ChunksAfterContextsCuda) {
  SKIP_WITHOUT_CUDA();
  for (const HeadsShape& heads : kGroups)
    test_both({heads, {{30, 64}, {200, 65}, {16, 33}, {5, 0}, {1, 200}}, 32}, str("group ", heads.heads, "/", heads.kv_heads));
}
TEST(PagedKernels, MixedBatchesCuda) {
  SKIP_WITHOUT_CUDA();
  for (const HeadsShape& heads : kGroups)
    test_both({heads, {{30, 1}, {0, 130}, {77, 1}, {300, 50}, {2, 3}, {0, 1}, {5, 0}, {0, 64}}},
              str("group ", heads.heads, "/", heads.kv_heads));
}
TEST(PagedKernels, PromptsAloneCuda) {
  SKIP_WITHOUT_CUDA();
  test_both({{14, 2, 64}, {{0, 130}, {0, 7}, {0, 1}, {0, 300}}}, "prompts");
}
TEST(PagedKernels, WindowsCuda) {
  SKIP_WITHOUT_CUDA();
  for (const Window& window : {Window(1), Window(16), Window(33), Window(64), Window(100), Window(4, 40)}) {
    const std::string what = str("window ", window.tokens, " to ", window.grows_to);
    test_both({{4, 2, 64}, {{0, 1}, {20, 1}, {63, 1}, {64, 1}, {65, 1}, {500, 1}}, 16, window}, what);
    test_both({{14, 2, 128}, {{30, 1}, {0, 130}, {100, 3}, {300, 50}, {150, 1}}, 16, window}, what + ", mixed");
  }
}
// More heads of a group than a product has columns; and odd sizes that the kernels leave to the other way.
TEST(PagedKernels, ManyHeadsOfOneKeyCuda) {
  SKIP_WITHOUT_CUDA();
  test_both({{71, 1, 64}, {{100, 1}, {0, 20}, {50, 40}, {3, 1}}}, "71 heads");
  test_both({{4, 2, 24}, {{100, 1}, {0, 20}, {50, 40}, {3, 1}}}, "size 24");
  test_both({{4, 2, 64}, {{100, 1}, {0, 20}, {50, 40}, {3, 1}}, 24}, "blocks of 24");
}

// What a replayed launch meets: the same addresses and host lists, other lengths on the device.
TEST(PagedKernels, LengthsAreReadOnTheDeviceCuda) {
  SKIP_WITHOUT_CUDA();
  const c10::NoGradGuard no_grad;
  const HeadsShape heads{14, 2, 64};
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const Case first{heads, {{3, 1}, {0, 1}, {40, 1}}, 16, {}, 30};
    const Sequences there = sequences_on(at::kCUDA, listed(first, 5));
    Sequences longer = listed(first, 5);
    longer.context_lens = {300, 17, 0};
    const Sequences here = sequences_on(at::kCPU, longer);
    const auto rounded = [&](at::IntArrayRef shape, uint64_t seed) { return randn(shape, seed).to(type).to(at::kDouble); };
    const Tensor q = rounded({3, 14, 64}, 1), k = rounded({3, 2, 64}, 2), v = rounded({3, 2, 64}, 3);
    const Tensor start = filled_cache(first, longer, type, 4), ours = as_blocks(start.to(type), longer.block_bound).to(at::kCUDA),
                 theirs = as_blocks(start, longer.block_bound);
    const Tensor want = paged_attention_ref(q, k, v, theirs, here, 0.125);
    there.context_lens_dev.copy_(here.context_lens_dev);
    const Tensor got = paged_attention(q.to(at::kCUDA, type), k.to(at::kCUDA, type), v.to(at::kCUDA, type), ours, there, 0.125);
    EXPECT_LE(distance(got, want), tolerance(type)) << type;
  }
}

// ---- heads from a joint projection

struct Making {
  bool normed, rotated, interleaved;
  double offset;
};
const std::vector<Making> kMakings{
    {false, false, false, 0}, {false, true, false, 0}, {true, true, false, 0}, {true, true, true, 1}, {true, false, false, 0}};
const std::vector<HeadsShape> kHeads{{14, 2, 64}, {4, 4, 16}, {6, 2, 80}, {16, 8, 128}, {3, 1, 8}, {2, 1, 256}, {6, 3, 24}};

RotaryTable table_on(at::Device device, int64_t head_dim, bool interleaved) {
  return rotary_table(rotary_frequencies(head_dim, 10000, {}), 600, device, interleaved, 1.25);
}

// inputs: rows with some columns beside them, q's and k's weight. The three results beside each other.
Op split_op(const HeadsShape& shape, const Making& making, int64_t skipped, bool by_definition) {
  return [=](const Tensors& t) {
    const Tensor qkv_TE = t[0].narrow(1, skipped, (shape.heads + 2 * shape.kv_heads) * shape.head_dim);
    const HeadNorms norms{t[1], t[2], 1e-5, making.offset};
    const RotaryTable table = table_on(t[0].device(), shape.head_dim, making.interleaved);
    std::vector<int32_t> position;
    for (int64_t i = 0; i < t[0].size(0); ++i) position.push_back(int32_t(i * 37 % 600));
    const Tensor positions = aten::tensor(position, at::kInt).to(t[0].device());
    const auto split = by_definition ? split_heads_ref : split_heads;
    const Qkv h = split(qkv_TE, shape, making.normed ? &norms : nullptr, making.rotated ? &table : nullptr, positions);
    Tensor all = aten::cat({h.q_TNH.flatten(1), h.k_TKH.flatten(1), h.v_TKH.flatten(1)}, 1);
    if (!making.normed) all = all + (t[1].sum() + t[2].sum()) * 0;  // they have a gradient all the same
    return all;
  };
}

void test_split(at::Device device) {
  for (const HeadsShape& shape : kHeads) {
    for (const Making& making : kMakings) {
      const int64_t e = (shape.heads + 2 * shape.kv_heads) * shape.head_dim;
      for (const int64_t tokens : {1, 7, 300}) {
        if (tokens == 300 && shape.head_dim != 64 && shape.head_dim != 128) continue;
        const int64_t skipped = tokens == 7 ? 8 : tokens == 300 ? 3 : 0;  // in the middle of wider rows; at an address that is no multiple
        expect_op_equals_ref(split_op(shape, making, skipped, false), split_op(shape, making, skipped, true),
                             {randn({tokens, e + 2 * skipped}, 1), randn({shape.head_dim}, 2), randn({shape.head_dim}, 3)}, device);
      }
    }
  }
}
TEST(SplitHeads, EqualsItsDefinition) {
  test_split(at::kCPU);
}
TEST(SplitHeads, EqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_split(at::kCUDA);
}
TEST(SplitHeads, GradientOfTheDefinition) {
  for (const Making& making : kMakings)
    expect_ref_gradient(split_op({2, 1, 8}, making, 1, true), {randn({3, 34}, 1), randn({8}, 2), randn({8}, 3)});
}

// A part that nobody uses sends nothing.
void test_parts(at::Device device) {
  const HeadsShape shape{4, 2, 64};
  const RotaryTable table = table_on(device, 64, false);
  const Tensor positions = aten::arange(5, at::kInt).to(device);
  for (int used = 0; used < 3; ++used) {
    const auto grads = [&](bool by_definition) {
      const Tensor x = randn({5, 8 * 64}, 1).to(device, at::kFloat).requires_grad_(),
                   w = randn({64}, 2).to(device, at::kFloat).requires_grad_();
      const HeadNorms norms{w, w, 1e-6, 0};
      const Qkv h = (by_definition ? split_heads_ref : split_heads)(x, shape, &norms, &table, positions);
      const Tensor one = used == 0 ? h.q_TNH : used == 1 ? h.k_TKH : h.v_TKH;
      return gradients({one}, {randn(one.sizes(), 3).to(device, at::kFloat)}, {x, w});
    };
    const Tensors got = grads(false), want = grads(true);
    EXPECT_LE(distance(got[0], want[0]), 2e-5) << used;
    if (want[1].defined()) {
      EXPECT_LE(distance(got[1], want[1]), 5e-5) << used;
    }
  }
}
TEST(SplitHeads, PartsByThemselves) {
  test_parts(at::kCPU);
}
TEST(SplitHeads, PartsByThemselvesCuda) {
  SKIP_WITHOUT_CUDA();
  test_parts(at::kCUDA);
}
TEST(SplitHeads, WeightsGradientsAreTheSameAgainCuda) {
  SKIP_WITHOUT_CUDA();
  const HeadsShape shape{16, 8, 128};
  const Tensor x = randn({700, 32 * 128}, 1).to(at::kCUDA, at::kBFloat16).requires_grad_();
  const Tensor w = randn({128}, 2).to(at::kCUDA, at::kFloat).requires_grad_();  // of a type of its own
  const HeadNorms norms{w, w, 1e-6, 0};
  Tensors first;
  for (int i = 0; i < 3; ++i) {
    const Qkv h = split_heads(x, shape, &norms, nullptr, {});
    const Tensors grads = gradients({h.q_TNH, h.k_TKH}, {h.q_TNH.detach(), h.k_TKH.detach()}, {x, w});
    if (i == 0) first = grads;
    EXPECT_TRUE(aten::equal(grads[0], first[0]) && aten::equal(grads[1], first[1]));
  }
}
TEST(SplitHeads, SaysWhatItExpected) {
  const Tensor x = aten::zeros({2, 32}), positions = aten::zeros({2}, at::kInt);
  const HeadNorms norms{aten::ones({4}), aten::ones({8}), 1e-6, 0};
  const RotaryTable table = table_on(at::kCPU, 16, false);
  EXPECT_NO_THROW(split_heads(x, {2, 1, 8}, nullptr, nullptr, {}));
  EXPECT_THROW(split_heads(x, {3, 1, 8}, nullptr, nullptr, {}), Error);
  EXPECT_THROW(split_heads(x, {3, 2, 8}, nullptr, nullptr, {}), Error);
  EXPECT_THROW(split_heads(x, {2, 1, 8}, &norms, nullptr, {}), Error);
  EXPECT_THROW(split_heads(x, {2, 1, 8}, nullptr, &table, positions), Error);
  EXPECT_THROW(split_heads(x, {1, 1, 10}, nullptr, &table, positions), Error);
  EXPECT_THROW(split_heads(aten::zeros({32, 2}).t(), {2, 1, 8}, nullptr, nullptr, {}), Error);
}

// The joint form is the ops one after another: to the bit on the CPU, whose layout is its own; within rounding on CUDA.
TEST(PagedQkvAttention, IsTheOpsOneAfterAnother) {
  const c10::NoGradGuard no_grad;
  const HeadsShape shape{4, 2, 16};
  const Case c{shape, {{0, 20}, {0, 3}}};
  const Sequences s = sequences_on(at::kCPU, listed(c, 5));
  for (const auto type : {at::kFloat, at::kBFloat16, at::kDouble}) {
    const Tensor x = randn({23, 8 * 16}, 1).to(type), w = randn({16}, 2).to(type);
    const Tensor start = aten::zeros({s.block_bound, paged_attention_bytes(2, 16, 16, at::kCPU, type)}, at::kByte), a = start.clone(),
                 b = start.clone();
    const HeadNorms norms{w, w, 1e-6, 0};
    const RotaryTable table = table_on(at::kCPU, 16, false);
    const Qkv h = split_heads(x, shape, &norms, &table, s.positions_T);
    EXPECT_TRUE(aten::equal(h.q_TNH, rotary(rms_norm(x.narrow(1, 0, 64).view({23, 4, 16}), w, 1e-6), table, s.positions_T)));
    EXPECT_TRUE(aten::equal(paged_qkv_attention(x, shape, &norms, &table, a, s, 0.25, 7),
                            paged_attention(h.q_TNH, h.k_TKH, h.v_TKH, b, s, 0.25, 7)));
    EXPECT_TRUE(aten::equal(a, b));
  }
}
TEST(PagedQkvAttention, EqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  const c10::NoGradGuard no_grad;
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    for (const HeadsShape& shape : std::vector<HeadsShape>{{14, 2, 64}, {16, 8, 128}, {16, 1, 128}, {20, 1, 64}, {6, 2, 80}, {4, 2, 24}}) {
      for (const Making& making : kMakings) {
        for (const auto& batch :
             std::vector<std::vector<std::pair<int32_t, int32_t>>>{{{0, 1}, {1, 1}, {300, 1}, {15, 1}, {16, 1}, {128, 1}},
                                                                   {{0, 70}, {0, 33}, {0, 1}},
                                                                   {{30, 1}, {0, 130}, {100, 50}, {16, 2}}}) {
          const Case c{shape, batch};
          const Sequences lists = listed(c, 5), here = sequences_on(at::kCPU, lists), there = sequences_on(at::kCUDA, lists);
          const auto rounded = [&](at::IntArrayRef size, uint64_t seed) { return randn(size, seed).to(type).to(at::kDouble); };
          const Tensor x = rounded({here.tokens(), (shape.heads + 2 * shape.kv_heads) * shape.head_dim}, 1);
          const Tensor q_weight = rounded({shape.head_dim}, 2), k_weight = rounded({shape.head_dim}, 3);
          const Tensor start = filled_cache(c, lists, type, 4), ours = as_blocks(start.to(type), lists.block_bound).to(at::kCUDA),
                       theirs = as_blocks(start, lists.block_bound);
          const double scale = 1 / std::sqrt(double(shape.head_dim));
          const auto result = [&](const auto& op, at::Device device, at::ScalarType of, const Tensor& cache, const Sequences& s) {
            const HeadNorms norms{q_weight.to(device, of), k_weight.to(device, of), 1e-5, making.offset};
            const RotaryTable table = table_on(device, shape.head_dim, making.interleaved);
            return op(x.to(device, of), shape, making.normed ? &norms : nullptr, making.rotated ? &table : nullptr, cache, s, scale,
                      Window());
          };
          const Tensor want = result(paged_qkv_attention_ref, at::kCPU, at::kDouble, theirs, here);
          const Tensor got = result(paged_qkv_attention, at::kCUDA, type, ours, there);
          const auto appended = [&](const Tensor& cache, at::ScalarType of, const Tensor& slots) {
            return cache.view(of).view({-1, shape.kv_heads, shape.head_dim}).index_select(0, slots);
          };
          EXPECT_LE(distance(appended(ours, type, there.new_k_slots()), appended(theirs, at::kDouble, here.new_k_slots())),
                    type == at::kFloat ? 3e-5 : 2e-2)
              << "keys";
          EXPECT_TRUE(aten::equal(appended(ours, type, there.new_v_slots()).to(at::kCPU, at::kDouble),
                                  appended(theirs, at::kDouble, here.new_v_slots())))
              << "values";
          EXPECT_LE(distance(got, want), type == at::kFloat ? 3e-5 : 3e-2)
              << type << " size " << shape.head_dim << " normed " << making.normed << " rotated " << making.rotated << " rows "
              << batch[0].second;
        }
      }
    }
  }
}

}  // namespace
}  // namespace r1::ops
