// Attention over caches of other forms than the plain one (ops/cache_form.h) against the definition in fp64: as another type, and where the first
// and last tokens alone are kept. What a cache has no token in is no number here (NaN), and blocks between are lost as soon as they may be.
#include <cmath>

#include "op_test.h"
#include "r1/kernels/cpu/attention.h"
#include "r1/kernels/cpu/bf16.h"
#include "r1/ops/attention.h"
#include "r1/ops/attention_impl.h"
#include "r1/tensor/aten.h"

namespace r1::ops {
namespace {

constexpr int64_t kTokens = 130, kHeads = 6, kKvHeads = 2, kDim = 32;

struct Text {
  Tensor q, k, v;
  std::vector<int32_t> blocks;
};

Text text_of(uint64_t seed, at::ScalarType type, std::vector<int32_t> blocks) {
  const auto rounded = [&](int64_t heads, uint64_t at) { return randn({kTokens, heads, kDim}, at).to(type).to(at::kDouble); };
  return {rounded(kHeads, seed), rounded(kKvHeads, seed + 1), rounded(kKvHeads, seed + 2), std::move(blocks)};
}

// The rows of both texts, fed `chunk` tokens (the second five) at a time to a cache of `op`.
template <class Op>
Tensor rows_of(const Op& op, std::vector<Text> texts, const CacheForm& form, const Window& window, int64_t chunk, at::Device device,
               at::ScalarType type) {
  const Tensor cache = aten::full({24, paged_attention_bytes(kKvHeads, kDim, form, device, type)}, 0xFF,
                                  at::TensorOptions().dtype(at::kByte).device(device));
  std::vector<Tensors> rows(2);
  for (int64_t fed[2] = {0, 0}; fed[0] < kTokens || fed[1] < kTokens;) {
    Sequences s{.cu_seqlens = {0}, .block_size = form.block_size};
    s.cache_type = form.type, s.kept_first = form.kept_first, s.kept_last = form.kept_last;
    Tensors q, k, v;
    std::vector<int64_t> counts;
    for (int i = 0; i < 2; ++i) {
      Text& t = texts[size_t(i)];
      const int64_t count = std::min<int64_t>(i == 0 ? chunk : 5, kTokens - fed[i]), size = form.block_size;
      for (int64_t b = (form.kept_first + size - 1) / size; form.kept_last > 0 && (b + 1) * size <= fed[i] + 1 - form.kept_last; ++b) {
        if (t.blocks[size_t(b)] != t.blocks.back()) cache[t.blocks[size_t(b)]].fill_(0xFF);
        t.blocks[size_t(b)] = t.blocks.back();
      }
      const auto part = [&](const Tensor& x) { return x.narrow(0, fed[i], count).to(device, type); };
      q.push_back(part(t.q)), k.push_back(part(t.k)), v.push_back(part(t.v));
      s.context_lens.push_back(int32_t(fed[i]));
      s.block_tables.push_back(t.blocks);
      s.cu_seqlens.push_back(int32_t(s.cu_seqlens.back() + count));
      fed[i] += count;
      counts.push_back(count);
    }
    const Tensor out =
        op(aten::cat(q, 0), aten::cat(k, 0), aten::cat(v, 0), cache, sequences_on(device, s), 1 / std::sqrt(double(kDim)), window, nullptr);
    rows[0].push_back(out.narrow(0, 0, counts[0]));
    rows[1].push_back(out.narrow(0, counts[0], counts[1]));
  }
  return aten::cat({aten::cat(rows[0], 0), aten::cat(rows[1], 0)}, 0);
}

const std::vector<std::pair<int64_t, int64_t>> kKept{{0, 0}, {4, 20}, {0, 33}, {40, 7}, {1, 64}};

void test_forms(at::Device device, at::ScalarType type, const std::vector<int64_t>& chunks) {
  const c10::NoGradGuard no_grad;
  const std::vector<Text> texts{text_of(1, type, {7, 2, 19, 0, 5, 11, 22, 3, 9, 14}),
                                text_of(5, type, {1, 4, 12, 23, 6, 8, 10, 13, 15, 16})};
  for (const CacheType as : {CacheType::kModel, CacheType::kFloat32, CacheType::kBFloat16, CacheType::kInt8, CacheType::kInt4})
    for (const auto& [first, last] : kKept)
      for (const Window& window : std::vector<Window>{{}, {9, 30}}) {
        if (as == CacheType::kModel && last == 0) continue;
        const CacheForm form{16, as, first, last};
        // What it is kept as in fp64 too, but for a plain cache.
        const CacheType theirs = as == CacheType::kModel || as == CacheType::kFloat32 ? CacheType::kModel : as;
        const Tensor want = rows_of(paged_attention_ref, texts, {16, theirs, first, last}, window, kTokens, at::kCPU, at::kDouble);
        for (const int64_t chunk : chunks) {
          const Tensor got = rows_of(paged_attention, texts, form, window, chunk, device, type);
          EXPECT_LE(distance(got, want), type == at::kFloat ? 2e-5 : 2e-2)
              << int(as) << " kept " << first << " and " << last << " window " << window.tokens << " chunk " << chunk;
        }
      }
}
TEST(CacheForm, EqualsItsDefinition) {
  test_forms(at::kCPU, at::kFloat, {7, kTokens});
  test_forms(at::kCPU, at::kBFloat16, {33});
}
TEST(CacheForm, EqualsItsDefinitionCuda) {
  SKIP_WITHOUT_CUDA();
  test_forms(at::kCUDA, at::kFloat, {1, 33, kTokens});
  test_forms(at::kCUDA, at::kBFloat16, {33});
}
// fp64 and fp16 run the definition, chunk by chunk.
TEST(CacheForm, DefinitionInChunks) {
  test_forms(at::kCPU, at::kDouble, {50});
}

TEST(CacheForm, BitsDoNotDependOnChunks) {
  const c10::NoGradGuard no_grad;
  const std::vector<Text> texts{text_of(1, at::kFloat, {7, 2, 19, 0, 5, 11, 22, 3, 9, 14}),
                                text_of(5, at::kFloat, {1, 4, 12, 23, 6, 8, 10, 13, 15, 16})};
  for (const auto& [first, last] : kKept)
    for (const CacheType type : {CacheType::kInt8, CacheType::kInt4}) {
      const CacheForm form{16, type, first, last};
      const Tensor whole = rows_of(paged_attention, texts, form, {}, kTokens, at::kCPU, at::kFloat);
      for (const int64_t chunk : {1, 7, 16, 61})
        EXPECT_TRUE(aten::equal(rows_of(paged_attention, texts, form, {}, chunk, at::kCPU, at::kFloat), whole))
            << chunk << " last " << last;
    }
}

// The definition's int8 rows are the kernel's, number for number; and what it hides is what the words say.
TEST(CacheForm, DefinitionByHand) {
  const c10::NoGradGuard no_grad;
  Tensor k = randn({16, 2, 8}, 1).to(at::kFloat), v = randn({16, 2, 8}, 2).to(at::kFloat);
  k[3][1].zero_();
  k[5][0].mul_(1e-3);
  Sequences s{.cu_seqlens = {0, 16}, .context_lens = {0}, .block_tables = {{1}}};
  s.cache_type = CacheType::kInt8;
  const Tensor cache = aten::full({2, paged_attention_bytes(2, 8, s.cache_form(), at::kMeta, at::kFloat)}, 0xFF, at::kByte);
  ASSERT_EQ(cache.size(1), 16 * 2 * (16 + 8));
  const KeysAndValues got = append_and_gather(k, v, cache, sequences_on(at::kCPU, s))[0];
  for (int64_t t = 0; t < 16; ++t)
    for (int64_t h = 0; h < 2; ++h)
      for (const bool key : {true, false}) {
        int8_t whole[8];
        const Tensor row = (key ? k : v)[t][h].contiguous(), back = (key ? got.k_lKH : got.v_lKH)[t][h];
        const float scale = kernels::quantize_row(row.const_data_ptr<float>(), 8, whole);
        for (int64_t d = 0; d < 8; ++d) EXPECT_EQ(back[d].item<float>(), scale * float(whole[d])) << t << " " << h << " " << d;
      }
  const Tensor positions = aten::arange(40, at::TensorOptions().dtype(at::kLong));
  const Tensor hidden = hidden_by_form(positions, 10, 30, {16, CacheType::kModel, 4, 6});
  for (int64_t i = 0; i < 10; ++i)
    for (int64_t j = 0; j < 40; ++j) EXPECT_EQ(hidden[i][j].item<bool>(), !(j <= 30 + i && (j < 4 || j >= 30 + i - 5))) << i << " " << j;
}

// The definition's int4 groups are the kernel's, number for number; also where a group is short, of one number over and over, or hardly any.
TEST(CacheForm, DefinitionOfInt4ByHand) {
  const c10::NoGradGuard no_grad;
  for (const int64_t dim : {8, 32, 40, 96}) {
    Tensor x = randn({7, dim}, uint64_t(dim)).to(at::kFloat);
    x[1].mul_(1e-40);
    x[2].fill_(3.3);
    x[3].mul_(1e-2).add_(1000);
    x[4][dim - 1].fill_(std::numeric_limits<double>::infinity());
    x[5][0].fill_(std::numeric_limits<double>::quiet_NaN());
    const Int4Rows rows = quantized_int4(x);
    const Tensor back = from_int4(rows, dim, at::kFloat);
    for (int64_t r = 0; r < 7; ++r) {
      uint8_t whole[96];
      uint16_t scale[3], low[3];
      kernels::quantize_row_int4(x[r].const_data_ptr<float>(), dim, whole, scale, low);
      for (int64_t d = 0; d < dim; ++d) {
        const float want = std::fma(kernels::from_bf16(scale[d / 32]), float(whole[d]), kernels::from_bf16(low[d / 32]));
        const float got = back[r][d].item<float>();
        EXPECT_TRUE(got == want || (std::isnan(got) && std::isnan(want))) << r << " " << d << ": " << got << " for " << want;
      }
    }
  }
}

// A number that is none must be seen, not rounded away.
TEST(CacheForm, WholeNumbersHideNoNaN) {
  const c10::NoGradGuard no_grad;
  for (const CacheType cache_type : {CacheType::kInt8, CacheType::kInt4})
    for (const auto& [device, type] : std::vector<std::pair<at::Device, at::ScalarType>>{{at::kCPU, at::kFloat}, {at::kCPU, at::kDouble}}) {
      Tensor k = randn({3, 2, 8}, 1).to(type);
      k[0][0][3].fill_(std::numeric_limits<double>::quiet_NaN());
      Sequences s{.cu_seqlens = {0, 3}, .context_lens = {0}, .block_tables = {{0}}};
      s.cache_type = cache_type;
      const Tensor cache = aten::zeros({1, paged_attention_bytes(2, 8, s.cache_form(), device, type)}, at::kByte);
      const Tensor out = paged_attention(k, k, k, cache, sequences_on(device, s), 0.3);
      EXPECT_TRUE(aten::isnan(out.select(1, 0)).all().item<bool>());
      EXPECT_FALSE(aten::isnan(out.select(1, 1)).any().item<bool>());
    }
}

TEST(CacheForm, MostTokens) {
  EXPECT_EQ(CacheForm().most_tokens(1000, 64), 1000);
  EXPECT_EQ(CacheForm(16, CacheType::kModel, 4, 100).most_tokens(1000, 64), 4 + 100 + 64 + 32);
  EXPECT_EQ(CacheForm(16, CacheType::kModel, 4, 100).most_tokens(90, 64), 90);
  EXPECT_EQ(CacheForm(16, CacheType::kModel, 0, 0, 200).most_tokens(1000, 64), 200);
  EXPECT_EQ(CacheForm(16, CacheType::kModel, 0, 0, 200).most_tokens(90, 64), 90);
  EXPECT_EQ(CacheForm(16, CacheType::kModel, 0, 0, 64).kept_of_budget(), 48);
  EXPECT_EQ(CacheForm(16, CacheType::kModel, 0, 0, 4096).kept_of_budget(), 4096 - 256);
}

}  // namespace
}  // namespace r1::ops
