#include "r1/corpus/exact_dedup.h"

#include <gtest/gtest.h>

#include "r1/base/error.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace r1::corpus {
namespace {

struct Result {
  std::vector<std::string> texts;  // or the reason
  std::string rows;
};

Result run(const std::vector<std::string>& texts, const ExactOptions& options, int64_t workers = 1) {
  const TemporaryFolder folder("exact");
  for (int64_t w = 0; w < workers; ++w) {
    ExactShard shard(options, folder.path(), w, workers);
    for (size_t i = 0; i < texts.size(); ++i)
      if (int64_t(i) % workers == w) shard.add(i, texts[i]);
    shard.finish();
  }
  const fs::path path = merge_exact(options, folder.path(), workers);
  const ExactRows rows(path, options);
  Result r{{}, r1::read_file(path)};
  for (size_t i = 0; i < texts.size(); ++i) {
    Document d;
    d.text = texts[i];
    const std::string reason = rows.apply(i, d);
    r.texts.push_back(reason.empty() ? d.text : reason);
  }
  return r;
}

TEST(Exact, NormalisesAsAsked) {
  ExactOptions o;
  EXPECT_EQ(normalised("  Grüße\n\n AUS \u00a0 ÄÖ ", o), "grüße aus äö");
  EXPECT_EQ(normalised("a, b.c", o), "a, b.c");
  o.punctuation = true;
  EXPECT_EQ(normalised("a, b.c — $d!", o), "a b c d");
  o = {.lower = false, .blanks = false};
  EXPECT_EQ(normalised("A  b", o), "A  b");
}

TEST(Exact, TheFirstStays) {
  const std::vector<std::string> texts = {"One text", "another", "one  TEXT", "One text.", "one\ntext", ""};
  const Result r = run(texts, {});
  EXPECT_EQ(r.texts, (std::vector<std::string>{"One text", "another", "exact", "One text.", "exact", ""}));
  EXPECT_EQ(run(texts, {.punctuation = true}).texts[3], "exact");
  const auto marks = run({"!!!", "???", "!!!"}, {.punctuation = true}).texts;  // nothing is left of any of them
  EXPECT_EQ(marks, (std::vector<std::string>{"!!!", "???", "exact"}));
  EXPECT_EQ(run(texts, {.lower = false}).texts[2], "one  TEXT");
}

TEST(Exact, ParagraphsOfOtherDocuments) {
  const std::string notice = "This page uses cookies so that it works as you expect it to.";
  const std::vector<std::string> texts = {"A story.\n\n" + notice + "\n\n  Its end.\n", notice + "\n \nAnother story.", notice,
                                          "A story.\n\nA third one."};
  const ExactOptions options{.level = "paragraph"};
  const Result r = run(texts, options);
  EXPECT_EQ(r.texts,
            (std::vector<std::string>{texts[0], "Another story.", "exact_paragraph:nothing_left", texts[3]}));  // "A story." is short
  EXPECT_EQ(run(texts, {.level = "paragraph", .max_count = 2}).texts[1], texts[1]);
  EXPECT_EQ(run(texts, {.level = "paragraph", .min_length = 5}).texts[3], "A third one.");
}

TEST(Exact, LinesKeepWhatIsBetweenThem) {
  const std::string menu = "Home | News | Sport | Weather | Contact";
  const std::vector<std::string> texts = {menu + "\nfirst\n", "x\n" + menu + "\n\nsecond", "a\n" + menu};
  EXPECT_EQ(run(texts, {.level = "line"}).texts, (std::vector<std::string>{texts[0], "x\n\nsecond", "a\n"}));
}

TEST(Exact, TheSameBytesForAnyWorkersAndMemory) {
  std::vector<std::string> texts;
  for (int i = 0; i < 5000; ++i) texts.push_back("text " + std::to_string(i * i % 3001));
  const std::string expected = run(texts, {}).rows;
  EXPECT_EQ(run(texts, {}, 5).rows, expected);
  EXPECT_EQ(run(texts, {.memory_bytes = 1}, 2).rows, expected);
}

TEST(Exact, RefusesWhatDoesNotFit) {
  const TemporaryFolder folder("exact_refuses");
  ExactShard({}, folder.path(), 0, 1).finish();
  EXPECT_NE(message_of([&] { ExactShard({.lower = false}, folder.path(), 0, 1); }).find("made with other options"), std::string::npos);
  EXPECT_NE(message_of([&] { ExactShard({.level = "word"}, folder.path(), 0, 1); }).find("not word"), std::string::npos);
  EXPECT_NE(message_of([&] { ExactShard({}, folder.path(), 3, 3); }).find("numbered from 0"), std::string::npos);
  ExactShard shard({}, folder.path(), 0, 2);
  shard.add(5, "a");
  EXPECT_NE(message_of([&] { shard.add(5, "b"); }).find("rising order"), std::string::npos);
}

}  // namespace
}  // namespace r1::corpus
