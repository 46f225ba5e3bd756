#include "r1/engine/prefix_cache.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "r1/base/error.h"
#include "r1/base/rng.h"

namespace r1::engine {

namespace {

using Tokens = std::vector<TokenId>;

}  // namespace

TEST(PrefixCache, FindsOnlyTheSameTokensBehindTheSameParent) {
  PrefixCache cache(8, 2);
  const auto root = PrefixCache::root(0);
  EXPECT_EQ(cache.find(root, Tokens{1, 2}), kNoBlock);
  const auto a = cache.insert(root, Tokens{1, 2}, 3);
  const auto b = cache.insert(a, Tokens{1, 2}, 4);
  EXPECT_EQ(cache.find(root, Tokens{1, 2}), 3);
  EXPECT_EQ(cache.find(a, Tokens{1, 2}), 4);
  EXPECT_EQ(cache.find(b, Tokens{1, 2}), kNoBlock);
  EXPECT_EQ(cache.find(root, Tokens{2, 1}), kNoBlock);
  EXPECT_EQ(cache.node(4), b);
  EXPECT_EQ(cache.size(), 2);
}

TEST(PrefixCache, SaltsDoNotMeet) {
  PrefixCache cache(8, 2);
  const auto a = cache.insert(PrefixCache::root(1), Tokens{1, 2}, 0);
  EXPECT_EQ(cache.find(PrefixCache::root(2), Tokens{1, 2}), kNoBlock);
  // A salt that looks like a serial number is no node.
  EXPECT_EQ(cache.find(PrefixCache::root(a.serial), Tokens{1, 2}), a.serial == 1 ? 0 : kNoBlock);
  cache.insert(a, Tokens{5, 6}, 1);
  EXPECT_EQ(cache.find(PrefixCache::root(a.serial), Tokens{5, 6}), kNoBlock);
}

// Tokens that stand for contents: equal ids are another block where the content, its place or its length is another.
TEST(PrefixCache, ContentsAreOfTheKey) {
  using Content = PrefixCache::Content;
  const std::vector<ContentSpan> one{{.first = 3, .tokens = 4, .hash = {7, 8}}}, other{{.first = 3, .tokens = 4, .hash = {7, 9}}},
      moved{{.first = 2, .tokens = 4, .hash = {7, 8}}};
  EXPECT_EQ(PrefixCache::content_of(one, 0, 2), Content{});
  EXPECT_EQ(PrefixCache::content_of(one, 2, 2), (Content{1, 4, 7, 8}));
  EXPECT_EQ(PrefixCache::content_of(one, 4, 2), (Content{uint64_t(-1), 4, 7, 8}));
  EXPECT_EQ(PrefixCache::content_of(one, 7, 2), Content{});
  EXPECT_EQ(PrefixCache::content_of(
                std::vector<ContentSpan>{{.first = 0, .tokens = 1, .hash = {1, 2}}, {.first = 1, .tokens = 1, .hash = {3, 4}}}, 0, 2),
            (Content{0, 1, 1, 2, 1, 1, 3, 4}));

  PrefixCache cache(8, 2);
  const auto root = PrefixCache::root(0);
  const Tokens tokens{1, 1};
  cache.insert(root, tokens, 0, PrefixCache::content_of(one, 2, 2));
  EXPECT_EQ(cache.find(root, tokens, PrefixCache::content_of(one, 2, 2)), 0);
  EXPECT_EQ(cache.find(root, tokens, PrefixCache::content_of(other, 2, 2)), kNoBlock);
  EXPECT_EQ(cache.find(root, tokens, PrefixCache::content_of(moved, 2, 2)), kNoBlock);
  EXPECT_EQ(cache.find(root, tokens), kNoBlock);
  cache.insert(root, tokens, 1);
  EXPECT_EQ(cache.find(root, tokens), 1);
  cache.forget(0);
  cache.insert(root, tokens, 0, PrefixCache::content_of(other, 2, 2));
  EXPECT_EQ(cache.find(root, tokens, PrefixCache::content_of(one, 2, 2)), kNoBlock);
  EXPECT_EQ(cache.find(root, tokens, PrefixCache::content_of(other, 2, 2)), 0);
}

TEST(PrefixCache, AForgottenParentIsNeverMetAgain) {
  PrefixCache cache(8, 2);
  const auto root = PrefixCache::root(0);
  const auto a = cache.insert(root, Tokens{1, 2}, 0);
  cache.insert(a, Tokens{3, 4}, 1);
  cache.forget(0);
  EXPECT_EQ(cache.find(root, Tokens{1, 2}), kNoBlock);
  // The same tokens again in the same block are another node: the child belonged to the old one.
  const auto again = cache.insert(root, Tokens{1, 2}, 0);
  EXPECT_NE(again, a);
  EXPECT_EQ(cache.find(again, Tokens{3, 4}), kNoBlock);
  EXPECT_THROW(cache.insert(root, Tokens{9, 9}, 0), Error);
  cache.clear();
  EXPECT_EQ(cache.size(), 0);
  EXPECT_EQ(cache.find(root, Tokens{1, 2}), kNoBlock);
}

// Chains over a tiny alphabet, so that equal pieces after different beginnings are the rule; a map from whole beginnings is the judge.
TEST(PrefixCache, AgreesWithAMapOfWholeBeginnings) {
  constexpr int kBlocks = 64, kSize = 2;
  PrefixCache cache(kBlocks, kSize);
  std::map<Tokens, BlockId> known;
  std::vector<Tokens> content(kBlocks);
  Rng rng(5);
  for (int step = 0; step < 20000; ++step) {
    Tokens beginning;
    auto node = PrefixCache::root(0);
    const int depth = int(rng.between(1, 4));
    for (int d = 0; d < depth; ++d) {
      const Tokens piece{TokenId(rng.below(3)), TokenId(rng.below(3))};
      beginning.insert(beginning.end(), piece.begin(), piece.end());
      const BlockId found = cache.find(node, piece);
      const auto it = known.find(beginning);
      ASSERT_EQ(found, it == known.end() ? kNoBlock : it->second);
      if (found != kNoBlock) {
        node = cache.node(found);
        continue;
      }
      const BlockId block = BlockId(rng.below(kBlocks));
      // The block is taken from whatever it held; what hangs below is unreachable from then on.
      if (cache.contains(block)) {
        const Tokens old = content[size_t(block)];
        cache.forget(block);
        const auto live = known.find(old);
        if (live != known.end() && live->second == block) {  // else an orphan: its place in the trie is gone or another block's
          std::erase_if(known, [&](const auto& entry) {
            return entry.first.size() >= old.size() && std::equal(old.begin(), old.end(), entry.first.begin());
          });
          if (beginning.size() > old.size() && std::equal(old.begin(), old.end(), beginning.begin())) break;  // that was our own parent
        }
      }
      node = cache.insert(node, piece, block);
      known[beginning] = block;
      content[size_t(block)] = beginning;
    }
  }
  EXPECT_GT(cache.size(), 0);
}

}  // namespace r1::engine
