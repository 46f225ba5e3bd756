#include "r1/corpus/decontaminate.h"

#include <gtest/gtest.h>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace r1::corpus {
namespace {

Document document(const std::string& text, int64_t offset = 0) {
  Document d;
  d.text = text;
  d.source = "train";
  d.offset = offset;
  return d;
}

class DecontaminateTest : public testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& bytes) {
    write_file_atomic(folder_.path() / name, bytes);
    return (folder_.path() / name).string();
  }
  TemporaryFolder folder_{"decontaminate"};
};

const std::string kQuestion = "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May.";

TEST_F(DecontaminateTest, TenWordsAreEnoughNineAreNot) {
  DecontaminateOptions options;
  options.files = {file("test.jsonl", Json{{"question", kQuestion}, {"answer", "The answer is 72"}, {"id", 3}}.dump() + "\n")};
  const Decontaminate stage(options);
  EXPECT_EQ(stage.items(), 2u);
  Document d = document("It is known that NATALIA sold clips to 52 of her -- friends in April. Well.");
  EXPECT_EQ(stage.apply(d), "decontaminate");
  d = document("Natalia sold clips to 48 of her friends in 1990");  // "0" stands for every number, so "april" is missing: nine
  EXPECT_EQ(stage.apply(d), "");
  d = document("well, the ANSWER is 5!");  // all of a short item
  EXPECT_EQ(stage.apply(d), "decontaminate");
  d = document("the answer was 72");
  EXPECT_EQ(stage.apply(d), "");

  options.ngram = 8;
  d = document("Natalia sold clips to 48 of her friends");
  EXPECT_EQ(Decontaminate(options).apply(d), "decontaminate");
}

TEST_F(DecontaminateTest, ReportsBothDirections) {
  DecontaminateOptions options;
  options.files = {file("a.csv", "question,answer\n\"" + kQuestion + "\",\"yes, it is\"\n")};
  options.fields = {"question"};
  const Decontaminate stage(options);
  std::vector<Json> lines(2);
  for (const int64_t i : {1, 2}) {
    Document d = document("x " + kQuestion.substr(0, 60 + size_t(i)) + " y", i);
    EXPECT_EQ(stage.apply(d, &lines[size_t(i) - 1]), "decontaminate");
  }
  for (const Json& item : by_item(lines)) lines.push_back(item);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0]["document"], "train#1");
  EXPECT_EQ(lines[0]["items"][0]["runs"], 3);
  EXPECT_EQ(lines[0]["items"][0]["of"], 11);
  EXPECT_EQ(lines[0]["items"][0]["text"], "Natalia sold clips to 48 of her friends in April, and then");
  const std::string item = lines[2]["item"];
  EXPECT_TRUE(item.ends_with("a.csv:2 question")) << item;
  EXPECT_EQ(lines[2]["count"], 2);
  EXPECT_EQ(lines[2]["documents"][1]["document"], "train#2");
}

// Of many documents the first ten, of a long text the beginning.
TEST_F(DecontaminateTest, ItemsHaveTheirFirstDocuments) {
  std::vector<Json> rows;
  for (int i = 0; i < 12; ++i)
    rows.push_back({{"document", str("d", i)},
                    {"items", {{{"item", "b"}, {"text", std::string(5000, 'x')}}, {{"item", str("a", i)}, {"text", "y"}}}}});
  const std::vector<Json> items = by_item(rows);
  ASSERT_EQ(items.size(), 13u);
  EXPECT_EQ(items[0], Json({{"item", "a0"}, {"count", 1}, {"documents", {{{"document", "d0"}, {"text", "y"}}}}}));
  EXPECT_EQ(items.back()["count"], 12);
  EXPECT_EQ(items.back()["documents"].size(), kReportDocuments);
  EXPECT_LT(items.back()["documents"][9]["text"].get<std::string>().size(), 500u);
}

TEST_F(DecontaminateTest, CutsOnlyWhatIsShared) {
  DecontaminateOptions options;
  options.files = {file("a.txt", kQuestion + "\nshort one here\n")};
  options.action = "cut";
  const Decontaminate stage(options);
  Document d = document("Before. " + kQuestion + " After; Short one here... and again short one here");
  EXPECT_EQ(stage.apply(d), "");
  EXPECT_EQ(d.text, "Before. . After; ... and again ");
  EXPECT_EQ(d.marks, (std::vector<std::string>{"decontaminate:3," + std::to_string(kQuestion.size() - 1 + 28)}));
  d = document(kQuestion.substr(0, kQuestion.size() - 1));
  EXPECT_EQ(stage.apply(d), "decontaminate:nothing_left");
}

TEST_F(DecontaminateTest, CharactersOfChineseAreWords) {
  DecontaminateOptions options;
  options.files = {file("a.jsonl", "{\"q\": \"小明有三个苹果，他又买了五个苹果，一共有几个？\"}\n")};
  const Decontaminate stage(options);
  Document d = document("题目：小明有三个苹果他又买了两个");
  EXPECT_EQ(stage.apply(d), "decontaminate");
  d = document("小明有三个梨，他又买了四个");
  EXPECT_EQ(stage.apply(d), "");
}

TEST_F(DecontaminateTest, Thresholds) {
  DecontaminateOptions options;
  options.files = {file("a.txt", kQuestion + "\n")};
  options.ngram = 8;
  options.min_share = 0.5;
  const Decontaminate half(options);
  Document d = document("Natalia sold clips to 48 of her friends in April");  // 3 of 13 runs
  EXPECT_EQ(half.apply(d), "");
  d = document(kQuestion);
  EXPECT_EQ(half.apply(d), "decontaminate");
  options.min_share = 0;
  options.min_matches = 4;
  d = document("Natalia sold clips to 48 of her friends in April");
  EXPECT_EQ(Decontaminate(options).apply(d), "");
  options.min_matches = 3;
  EXPECT_EQ(Decontaminate(options).apply(d), "decontaminate");
}

TEST_F(DecontaminateTest, SaysWhenNothingWouldBeFound) {
  DecontaminateOptions options;
  EXPECT_NE(message_of([&] { Decontaminate{options}; }).find("no evaluation files"), std::string::npos);
  options.files = {file("a.jsonl", "{\"q\": 3, \"a\": \"yes\"}\n")};
  EXPECT_NE(message_of([&] { Decontaminate{options}; }).find("nothing would be found"), std::string::npos);
}

}  // namespace
}  // namespace r1::corpus
