#include "r1/data/thought.h"

#include <gtest/gtest.h>

namespace r1::data {

TEST(Thought, IsOpenedEndedOrLeftOut) {
  EXPECT_TRUE(ends_in_thought("<|assistant|><think>\n"));
  EXPECT_FALSE(ends_in_thought("<think>\n\n</think>\n\n"));
  EXPECT_FALSE(ends_in_thought("what does <think> mean?"));
  EXPECT_FALSE(ends_in_thought(""));
  EXPECT_EQ(thought_suffix("<|assistant|>", true), "<think>\n");
  EXPECT_EQ(thought_suffix("<|assistant|><think>\n", true), "");
  EXPECT_EQ(thought_suffix("<|assistant|>", false), "<think>\n\n</think>\n\n");
  EXPECT_EQ(thought_suffix("<|assistant|><think>\n", false), "\n</think>\n\n");
}

}  // namespace r1::data
