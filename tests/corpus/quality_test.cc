// The rules of quality against datatrove's decisions (tests/oracles/quality_golden.py), and their edges.
#include "r1/corpus/quality.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "r1/base/file.h"
#include "r1/base/json.h"
#include "r1/corpus/words.h"
#include "r1/data/byte_source.h"
#include "tests/corpus/reader_support.h"

namespace r1::corpus {
namespace {

const Json& golden() {
  static const Json all = parse_json_file(fs::path(R1_SOURCE_DIR) / "tests/golden/quality.json");
  return all;
}

// Of each set of rules by itself, in the order of the golden file.
std::vector<std::string> reasons_of(const std::string& text) {
  const QualityText t(text);
  C4Lines lines;
  return {repetition_reason(t, {}), gopher_reason(t, {}), c4_reason(text, {}, lines), fineweb_reason(t, {})};
}

TEST(QualityTest, DecidesAsDatatroveDoes) {
  ASSERT_GT(golden()["made_up"].size(), 100u);
  for (const Json& row : golden()["made_up"]) {
    const auto text = row["text"].get<std::string>();
    const auto got = reasons_of(text);
    for (size_t f = 0; f < got.size(); ++f) {
      auto expected = row["reasons"][f].get<std::string>();
      if (expected == "no words") expected = f == 1 ? "gopher:too_few_words" : "";
      EXPECT_EQ(got[f], expected) << "rules " << f << " on: " << text;
    }
    C4Lines lines;
    EXPECT_EQ(c4_reason(text, {}, lines).empty() ? lines.text : "", row["c4"].get<std::string>());
  }
}

std::string read_unpacked(const fs::path& path) {
  data::ByteSource source(path);
  std::string all, part(1 << 20, '\0');
  while (const size_t n = source.read(part.data(), part.size(), 0)) all.append(part, 0, n);
  return all;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> lines;
  size_t begin = 0;
  for (size_t at; (at = text.find('\n', begin)) != std::string::npos; begin = at + 1) lines.push_back(text.substr(begin, at - begin));
  lines.push_back(text.substr(begin));
  return lines;
}

std::vector<std::string> blocks(const std::vector<std::string>& lines, size_t n) {
  std::vector<std::string> out;
  for (size_t i = 0; i + n <= lines.size() && i < lines.size() - n + 1; i += n) {
    std::string block = lines[i];
    for (size_t k = 1; k < n; ++k) block += "\n" + lines[i + k];
    out.push_back(std::move(block));
  }
  return out;
}

// Cut alike in tests/oracles/quality_golden.py.
std::map<std::string, std::vector<std::string>> real_texts(const fs::path& root) {
  std::map<std::string, std::vector<std::string>> texts;
  std::vector<std::string> problems;
  for (const std::string& line : split(r1::read_file(root / "gsm8k/test.jsonl"))) {
    if (line.empty()) continue;
    const Json row = parse_json(line, "gsm8k");
    problems.push_back(row["question"].get<std::string>() + "\n" + row["answer"].get<std::string>());
  }
  texts["gsm8k"] = blocks(problems, 3);
  texts["shakespeare"] = blocks(split(r1::read_file(root / "tinyshakespeare/input.txt")), 80);
  texts["ntrex"] = blocks(split(read_unpacked(root / "ntrex/newstest2019-ref.eng-US.first1000.txt.gz")), 10);
  texts["wikitext"] = blocks(split(read_unpacked(root / "wikitext2/wiki.test.raw.gz")), 20);
  std::map<std::string, std::string> articles;
  const Json all = parse_json_file(root / "html_articles/ground-truth.json");
  for (const auto& [key, article] : all.items()) articles[key] = article["articleBody"].get<std::string>();
  for (const auto& [key, body] : articles) texts["articles"].push_back(body);
  return texts;
}

// spaCy splits words by long lists of exceptions, so that a text near a threshold may fall on its other side. It is that: one in a hundred.
TEST(QualityTest, DecidesAsDatatroveDoesOnRealTexts) {
  const std::string root = data_file("");
  for (const char* name : {"gsm8k", "tinyshakespeare", "ntrex", "wikitext2", "html_articles"})
    if (root.empty() || data_file(name).empty()) GTEST_SKIP() << "no " << name << " (set R1_DATA)";
  const auto texts = real_texts(root);
  const auto names = golden()["names"].get<std::vector<std::string>>();
  int64_t all = 0, same = 0;
  for (const auto& [set, expected] : golden()["data"].items()) {
    const auto& documents = texts.at(set);
    int64_t set_all = 0, set_same = 0;
    for (size_t i = 0; i < documents.size(); ++i) {
      const auto got = reasons_of(documents[i]);
      for (size_t f = 0; f < got.size(); ++f) {
        const auto row = expected[f].get<std::string>();
        ASSERT_EQ(row.size(), documents.size()) << set;
        const std::string& theirs = names[size_t(row[i] - '0')];
        ++set_all;
        set_same += got[f] == theirs;
        if (got[f] != theirs && std::getenv("R1_VERBOSE"))
          std::printf("%s %zu: %s, datatrove %s\n", set.c_str(), i, got[f].c_str(), theirs.c_str());
      }
    }
    EXPECT_GE(double(set_same), 0.99 * double(set_all)) << set << ": " << set_same << " of " << set_all;
    all += set_all;
    same += set_same;
  }
  RecordProperty("decisions", std::to_string(all));
  RecordProperty("same", std::to_string(same));
  EXPECT_GE(double(same), 0.995 * double(all)) << same << " of " << all;
}

TEST(WordsTest, SplitsAsWritten) {
  using Words = std::vector<std::string_view>;
  EXPECT_EQ(split_words("It isn't, they're \"here\"."), (Words{"It", "is", "n't", ",", "they", "'re", "\"", "here", "\"", "."}));
  EXPECT_EQ(split_words("Mr. Brown's well-known U.S. friend (e.g. Ann)..."),
            (Words{"Mr.", "Brown", "'s", "well", "-", "known", "U.S.", "friend", "(", "e.g.", "Ann", ")", "..."}));
  EXPECT_EQ(split_words("see https://a.b/c-d?e=f. Mail a.b@c.org, now"),
            (Words{"see", "https://a.b/c-d?e=f", ".", "Mail", "a.b@c.org", ",", "now"}));
  EXPECT_EQ(split_words("3.5 1,200 50% $20 10-20 and/or"), (Words{"3.5", "1,200", "50", "%", "$", "20", "10-20", "and", "/", "or"}));
  EXPECT_EQ(split_words(" \u00a0\u3000\n"), Words{});
  EXPECT_EQ(split_words("... -- — …"), (Words{"...", "--", "—", "…"}));
  EXPECT_EQ(split_words("猫は好き。"), (Words{"猫は好き", "。"}));
}

TEST(WordsTest, LinesAndSentences) {
  EXPECT_EQ(split_lines("a\r\nb\rc\n\nd\u2028e\n").size(), 6u);
  EXPECT_EQ(split_lines("").size(), 0u);
  EXPECT_EQ(count_sentences("One. Two! Three? \"Four.\" She said."), 5);
  EXPECT_EQ(count_sentences("Mr. Brown of the U.S. came"), 1);
  EXPECT_EQ(count_sentences(""), 0);
  EXPECT_EQ(count_chars("a猫\xff"), 3);
}

TEST(QualityTest, ThresholdsCanBeTurnedOff) {
  GopherConfig off{.min_words = -1,
                   .max_words = -1,
                   .min_word_length = -1,
                   .max_word_length = -1,
                   .max_symbol_ratio = -1,
                   .max_bullet_lines = -1,
                   .max_ellipsis_lines = -1,
                   .min_words_with_letters = -1,
                   .min_stop_words = -1};
  EXPECT_EQ(gopher_reason(QualityText("one"), off), "");
  EXPECT_EQ(gopher_reason(QualityText("one"), {}), "gopher:too_few_words");
  EXPECT_EQ(gopher_reason(QualityText("..."), off), "gopher:too_few_words");  // nothing to measure
  RepetitionConfig none{.max_duplicate_paragraphs = -1,
                        .max_duplicate_paragraph_chars = -1,
                        .max_duplicate_lines = -1,
                        .max_duplicate_line_chars = -1,
                        .max_top_ngram = {},
                        .max_duplicate_ngrams = {}};
  std::string same;
  for (int i = 0; i < 30; ++i) same += "the same line\n\n";
  EXPECT_EQ(repetition_reason(QualityText(same), none), "");
  EXPECT_EQ(repetition_reason(QualityText(same), {}), "gopher:duplicate_paragraphs");
}

TEST(QualityTest, TheFilterShortensAndMarks) {
  QualityConfig config;
  config.repetition.enabled = config.gopher.enabled = config.fineweb.enabled = false;
  const QualityFilter filter(config);
  Document d{.text =
                 "The first one is here. The second is too.\nMenu\nThe third follows it. The fourth comes next. And a fifth one ends it."};
  EXPECT_EQ(filter.apply(d), "");
  EXPECT_EQ(d.text, "The first one is here. The second is too.\nThe third follows it. The fourth comes next. And a fifth one ends it.");
  EXPECT_EQ(d.marks, std::vector<std::string>{"c4:lines=2/3"});
  Document again{.text = d.text};
  EXPECT_EQ(filter.apply(again), "");
  EXPECT_TRUE(again.marks.empty());
}

}  // namespace
}  // namespace r1::corpus
