#include "r1/engine/ngram_lookup.h"

#include <gtest/gtest.h>

#include "r1/base/rng.h"

namespace r1::engine {
namespace {

using Ids = std::vector<TokenId>;

TEST(NgramLookup, GoesOnAsBefore) {
  EXPECT_EQ(ngram_lookup(Ids{1, 2, 3, 4, 9, 1, 2}, 3), (Ids{3, 4, 9}));
  EXPECT_EQ(ngram_lookup(Ids{1, 2, 3, 4, 9, 1, 2}, 1), (Ids{3}));
  EXPECT_EQ(ngram_lookup(Ids{7, 7, 7, 7}, 3), (Ids{7})) << "the longest run, up to the end";
  EXPECT_EQ(ngram_lookup(Ids{1, 2, 5, 9, 1, 2, 6, 9, 1, 2}, 2), (Ids{6, 9})) << "2 9 1 2 never came, 9 1 2 did";
  EXPECT_EQ(ngram_lookup(Ids{3, 1, 2, 5, 4, 1, 2, 6, 3, 1, 2}, 1), (Ids{5})) << "3 1 2 came before 4 1 2, but is longer";
}

TEST(NgramLookup, NothingWhereNothingRepeats) {
  for (const Ids& text : {Ids{}, Ids{1}, Ids{1, 2}, Ids{1, 1}, Ids{1, 2, 3, 4}, Ids{5, 2, 3, 2}})
    EXPECT_TRUE(ngram_lookup(text, 4).empty());
  EXPECT_TRUE(ngram_lookup(Ids{1, 2, 3, 1, 2}, 0).empty());
}

// Against the definition, spelled out.
TEST(NgramLookup, IsTheLongestLatestRun) {
  Rng rng(3);
  for (int round = 0; round < 2000; ++round) {
    Ids text(rng.below(30));
    for (TokenId& id : text) id = TokenId(rng.below(3));
    const size_t n = text.size();
    Ids expected;
    for (size_t length = 8; length >= 2 && expected.empty(); --length)
      for (size_t end = n ? n - 1 : 0; end >= length && expected.empty() && n > length; --end)
        if (std::equal(text.begin() + long(end - length), text.begin() + long(end), text.end() - long(length)))
          expected.assign(text.begin() + long(end), text.begin() + long(std::min(n, end + 3)));
    EXPECT_EQ(ngram_lookup(text, 3), expected);
  }
}

}  // namespace
}  // namespace r1::engine
