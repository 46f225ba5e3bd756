#include "r1/serve/fair_queue.h"

#include <gtest/gtest.h>

namespace r1::serve {

TEST(FairQueue, LeastServedFirstThenInOrder) {
  FairQueue<int> q;
  q.push(1, 0, "a");
  q.push(2, 0, "a");
  q.push(3, 0, "b");
  q.begin("a");
  q.charge("a", 100);
  EXPECT_EQ(q.pop(), 3);
  EXPECT_EQ(q.pop(), 1);
  EXPECT_EQ(q.pop(), 2);
  EXPECT_TRUE(q.empty());
}

TEST(FairQueue, PriorityGoesBeforeFairness) {
  FairQueue<int> q;
  q.push(1, 0, "b");
  q.push(2, -5, "a");
  q.begin("a");
  q.charge("a", 1000);
  EXPECT_EQ(q.pop(), 2);
}

// Who was away does not come back with turns saved up, nor does it wait for what it had long ago.
TEST(FairQueue, NewcomersStartLevel) {
  FairQueue<int> q;
  q.begin("a");
  q.charge("a", 1000);
  q.push(1, 0, "a");
  q.push(2, 0, "b");
  q.charge("b", 10);
  q.push(3, 0, "b");
  EXPECT_EQ(q.pop(), 1) << "b came level with a and has had ten more";
  EXPECT_EQ(q.pop(), 2);
}

TEST(FairQueue, RemoveIf) {
  FairQueue<int> q;
  for (int i = 1; i <= 5; ++i) q.push(i, 0, "a");
  EXPECT_EQ(q.remove_if([](int i) { return i == 3; }), 3);
  EXPECT_EQ(q.remove_if([](int i) { return i == 9; }), 0);
  EXPECT_EQ(q.size(), 4u);
  for (const int expected : {1, 2, 4, 5}) EXPECT_EQ(q.pop(), expected);
}

}  // namespace r1::serve
