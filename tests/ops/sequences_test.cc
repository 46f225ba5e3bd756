#include "r1/ops/sequences.h"

#include <functional>

#include "r1/ops/attention.h"
#include "r1/ops/copy_blocks.h"
#include "r1/ops/token_places.h"
#include "tests/ops/op_test.h"

namespace r1::ops {
namespace {

std::vector<int64_t> numbers(const Tensor& t) {
  const Tensor flat = t.to(at::kCPU, at::kLong).flatten().contiguous();
  return {flat.const_data_ptr<int64_t>(), flat.const_data_ptr<int64_t>() + flat.numel()};
}
using Numbers = std::vector<int64_t>;

Sequences paged_batch() {
  return {.cu_seqlens = {0, 1, 13, 13, 14}, .context_lens = {20, 0, 3, 15}, .block_tables = {{4, 0, 7}, {2}, {9}, {6, 1}}};
}

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Sequences, PositionsAreCountedOnFromTheContext) {
  EXPECT_EQ(numbers(sequences_of(at::kCPU, {3, 0, 2}).positions_T), (Numbers{0, 1, 2, 0, 1}));
  const Sequences s = sequences_on(at::kCPU, paged_batch());
  EXPECT_EQ(numbers(s.positions_T), (Numbers{20, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15}));
  EXPECT_EQ(s.positions_T.scalar_type(), at::kInt);
  EXPECT_EQ(s.max_position, 20);
  EXPECT_EQ(s.max_seqlen, 12);
  EXPECT_EQ(s.max_keylen, 21);
  EXPECT_EQ(s.block_bound, 10);
  // Queries that are the last of more keys.
  EXPECT_EQ(numbers(sequences_on(at::kCPU, {.cu_seqlens = {0, 2}, .cu_keylens = {0, 5}}).positions_T), (Numbers{3, 4}));
}

TEST(Sequences, PositionsMayHaveComponents) {
  const Sequences s = sequences_on(at::kCPU, {.cu_seqlens = {0, 2}, .positions = {0, 1, 2, 3, 4, 5}, .position_components = 3});
  EXPECT_EQ(s.positions_T.sizes(), (at::IntArrayRef{2, 3}));
  EXPECT_EQ(numbers(s.positions_T[1]), (Numbers{3, 4, 5}));
  EXPECT_EQ(s.max_position, 5);
}

TEST(Sequences, SaysWhatItExpected) {
  const auto wrong = [](Sequences s) { return message_of([&] { sequences_on(at::kCPU, s); }); };
  EXPECT_EQ(wrong({.cu_seqlens = {0}}), "[attention] expected cu_seqlens [0, ...], got 1 entries");
  EXPECT_EQ(wrong({.cu_seqlens = {0, 2}, .positions = {0}}), "[attention] expected 2 positions of 1 components, got 1 numbers");
  EXPECT_EQ(wrong({.cu_seqlens = {0, 2}, .position_components = 2}), "[attention] expected 2 positions of 2 components, got 0 numbers");
  EXPECT_EQ(wrong({.cu_seqlens = {0, 2}, .positions = {0, -1}}), "[attention] expected positions from 0, got -1");
  EXPECT_EQ(wrong({.cu_seqlens = {0, 2}, .context_lens = {3}}), "[attention] expected block tables beside context lengths, got none");
  EXPECT_EQ(wrong({.cu_seqlens = {0, 2}, .cu_keylens = {0, 1}}),
            "[attention] expected at least as many keys as queries, got 1 of 2 in sequence 0");
  EXPECT_EQ(wrong({.cu_seqlens = {0, 1}, .context_lens = {16}, .block_tables = {{0}}}),
            "[paged_attention] expected blocks for 17 tokens of sequence 0, got 1 of 16");
  SequenceBuffers buffers(at::kCPU, {.sequences = 4, .tokens = 13, .blocks = 3});
  Sequences one_too_long = paged_batch();
  EXPECT_EQ(message_of([&] { buffers.place(one_too_long); }),
            "[attention] expected up to 4 sequences, 13 tokens of 1 position components and 3 blocks a sequence, got 4, 14 of 1 and 3");
}

// What a captured graph needs: the next batch lies where the last one lay. And nothing of a batch survives into the next.
void test_buffers(at::Device device) {
  SequenceBuffers buffers(device, {.sequences = 4, .tokens = 16, .blocks = 5, .lists = 2});
  Sequences s = paged_batch();
  const Numbers ids{5, 6, 7}, rows{2};
  buffers.place(s, {ids, rows});
  const auto addresses = [&] {
    std::vector<const void*> all;
    for (const Tensor& t : {s.positions_T, s.cu_seqlens_dev, s.cu_keylens_dev, s.context_lens_dev, s.block_table_SM, buffers.list(0)})
      all.push_back(t.const_data_ptr());
    return all;
  };
  const auto first = addresses();
  EXPECT_EQ(numbers(s.cu_keylens_dev), (Numbers{0, 21, 33, 36, 52}));
  EXPECT_EQ(numbers(s.context_lens_dev), (Numbers{20, 0, 3, 15}));
  EXPECT_EQ(s.block_table_SM.sizes(), (at::IntArrayRef{4, 5}));
  EXPECT_EQ(numbers(s.block_table_SM[0].narrow(0, 0, 3)), (Numbers{4, 0, 7}));
  EXPECT_EQ(numbers(s.block_table_SM[3].narrow(0, 0, 2)), (Numbers{6, 1}));
  EXPECT_EQ(numbers(buffers.list(0)), ids);
  EXPECT_EQ(numbers(buffers.list(1)), rows);
  EXPECT_EQ(s.positions_T.device().type(), device.type());

  s.cu_seqlens = {0, 2}, s.context_lens = {1}, s.block_tables = {{3}};
  buffers.place(s, {rows});
  EXPECT_EQ(addresses(), first);
  EXPECT_EQ(numbers(s.positions_T), (Numbers{1, 2}));
  EXPECT_EQ(numbers(s.cu_keylens_dev), (Numbers{0, 3}));
  EXPECT_EQ(s.block_table_SM[0][0].item<int64_t>(), 3);
  EXPECT_EQ(numbers(buffers.list(0)), rows);
  EXPECT_EQ(buffers.list(1).numel(), 0);
  EXPECT_EQ(s.max_keylen, 3);
}
TEST(SequenceBuffers, BatchesLieAtTheSameAddresses) {
  test_buffers(at::kCPU);
}
TEST(SequenceBuffers, BatchesLieAtTheSameAddressesCuda) {
  SKIP_WITHOUT_CUDA();
  test_buffers(at::kCUDA);
}
// The host's side is not written again before the device has read it: a thousand batches without a word in between, after slow work.
TEST(SequenceBuffers, ABatchIsReadBeforeTheNextIsWrittenCuda) {
  SKIP_WITHOUT_CUDA();
  SequenceBuffers buffers(at::kCUDA, {.sequences = 1, .tokens = 4096, .lists = 1});
  const Tensor work = aten::randn({2048, 2048}).to(at::kCUDA);
  Tensors seen;
  for (int64_t step = 0; step < 1000; ++step) {
    if (step % 50 == 0) aten::matmul(work, work);
    Sequences s{.cu_seqlens = {0, 4096}};
    buffers.place(s, {Numbers(4096, step)});
    seen.push_back(buffers.list(0).clone());
  }
  for (int64_t step = 0; step < 1000; ++step) ASSERT_TRUE((seen[size_t(step)] == step).all().item<bool>()) << step;
}

// ---- places

Numbers places_by_hand(const Sequences& s, bool new_only) {
  Numbers places;
  for (int64_t i = 0; i < s.count(); ++i)
    for (int64_t p = new_only ? s.context_lens[size_t(i)] : 0; p < s.context_lens[size_t(i)] + s.rows_of(i); ++p)
      places.push_back(s.block_tables[size_t(i)][size_t(p / s.block_size)] * s.block_size + p % s.block_size);
  return places;
}

void test_places(at::Device device) {
  Sequences s = sequences_on(device, paged_batch());
  EXPECT_EQ(numbers(s.new_places()), places_by_hand(s, true));
  EXPECT_EQ(numbers(s.places()), places_by_hand(s, false));
  Numbers slots = places_by_hand(s, false);
  for (int64_t& slot : slots) slot += slot / 16 * 16;
  EXPECT_EQ(numbers(s.k_slots()), slots);
  for (int64_t& slot : slots) slot += 16;
  EXPECT_EQ(numbers(s.v_slots()), slots);

  // Many sequences of all lengths, empty ones among them, and blocks of a size that is no power of two.
  Rng rng(3);
  Sequences many{.cu_seqlens = {0}, .block_size = 12};
  for (int i = 0; i < 300; ++i) {
    const int32_t rows = int32_t(rng.below(4)), cached = int32_t(rng.below(50));
    many.cu_seqlens.push_back(many.cu_seqlens.back() + rows);
    many.context_lens.push_back(cached);
    many.block_tables.emplace_back();
    for (int32_t b = 0; b * 12 < cached + rows; ++b) many.block_tables.back().push_back(int32_t(rng.below(5000)));
  }
  many = sequences_on(device, std::move(many));
  EXPECT_EQ(numbers(many.new_places()), places_by_hand(many, true));
  EXPECT_EQ(numbers(many.places()), places_by_hand(many, false));
}
TEST(TokenPlaces, FollowTheBlockTables) {
  test_places(at::kCPU);
}
TEST(TokenPlaces, FollowTheBlockTablesCuda) {
  SKIP_WITHOUT_CUDA();
  test_places(at::kCUDA);
  const Sequences s = sequences_on(at::kCUDA, paged_batch());
  EXPECT_TRUE(aten::equal(s.places(), token_places_ref(s.block_table_SM, s.cu_keylens_dev, {}, 52, 16)));
}
TEST(TokenPlaces, SaysWhatItExpected) {
  const Sequences s = sequences_on(at::kCPU, paged_batch());
  EXPECT_THROW(token_places(s.block_table_SM, s.cu_seqlens_dev, s.cu_seqlens_dev, 14, 16), Error);
  EXPECT_THROW(token_places(s.block_table_SM.to(at::kLong), s.cu_seqlens_dev, {}, 14, 16), Error);
}

// ---- copies of blocks

void test_copies(at::Device device) {
  // Sizes that vectors of 16 bytes fit and do not fit; more caches and more copies than one launch takes; chains and blocks used again.
  Rng rng(4);
  for (const auto& sizes : std::vector<Numbers>{{64, 4096}, {48, 7, 1}, Numbers(70, 32)}) {
    Tensors ours, theirs;
    for (const int64_t bytes : sizes) {
      ours.push_back(aten::randint(256, {20, bytes}, at::kLong).to(at::kByte).to(device));
      theirs.push_back(ours.back().clone());
    }
    std::vector<kernels::BlockCopy> copies{{0, 1}, {1, 2}, {3, 0}, {4, 4}};
    for (int i = 0; i < 300; ++i) copies.push_back({int32_t(rng.below(20)), int32_t(rng.below(20))});
    copy_blocks(ours, copies);
    copy_blocks_ref(theirs, copies);
    for (size_t i = 0; i < ours.size(); ++i) EXPECT_TRUE(aten::equal(ours[i], theirs[i])) << sizes[i];
  }
}
TEST(CopyBlocks, OneAfterTheOther) {
  test_copies(at::kCPU);
}
TEST(CopyBlocks, OneAfterTheOtherCuda) {
  SKIP_WITHOUT_CUDA();
  test_copies(at::kCUDA);
}
TEST(CopyBlocks, SaysWhatItExpected) {
  const Tensor cache = aten::zeros({2, 8}, at::kByte);
  EXPECT_EQ(message_of([&] { copy_blocks({cache}, {{0, 2}}); }), "[copy_blocks] expected blocks below 2, got a copy of 0 to 2");
  EXPECT_THROW(copy_blocks({cache.t()}, {{0, 1}}), Error);
}

// ---- the window

TEST(Window, GrowsWithTheText) {
  const Window grows(4, 20);
  EXPECT_EQ(grows.at(0), 4);
  EXPECT_EQ(grows.at(18), 4);
  EXPECT_EQ(grows.at(19), 5);
  EXPECT_EQ(grows.at(39), 10);
  EXPECT_EQ(grows.at(79), 20);
  EXPECT_EQ(grows.at(1000), 20);
  EXPECT_EQ(Window(7).at(1000), 7);
  EXPECT_EQ(Window(7, 3).at(1000), 7);
  EXPECT_EQ(Window().at(1000), 0);
}

}  // namespace
}  // namespace r1::ops
