// Training, ARPA files and scores of n-gram models against KenLM's (tests/oracles/ngram_golden.py), and what must hold of any model.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>

#include "r1/base/file.h"
#include "r1/base/json.h"
#include "r1/base/rng.h"
#include "r1/corpus/ngram_arpa.h"
#include "r1/corpus/ngram_lm.h"
#include "r1/corpus/ngram_train.h"
#include "r1/data/jsonl.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace r1::corpus {
namespace {

const fs::path kGolden = fs::path(R1_SOURCE_DIR) / "tests/golden/ngram";
constexpr size_t kFewLines = 60;

struct Training {
  const char* name;
  NgramTrainOptions options;
};
std::vector<Training> runs() {
  return {{"order1", {.order = 1}},
          {"order2", {.order = 2}},
          {"order3", {.order = 3}},
          {"order4_pruned", {.order = 4, .prune = {0, 0, 1}}},
          {"order3_pruned2", {.order = 3, .prune = {0, 1, 2}}},
          {"order6_fallback", {.order = 6, .discount_fallback = true}}};
}

const std::vector<std::string>& lines() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> read;
    std::string line;
    for (data::LineReader reader(kGolden / "text.gz"); reader.next(line);) read.push_back(line);
    return read;
  }();
  return all;
}

NgramTable train(const Training& run) {
  NgramTrainer trainer(run.options);
  for (size_t i = 0; i < lines().size(); ++i)
    if (!run.options.discount_fallback || i < kFewLines) trainer.add_sentence(lines()[i]);
  return trainer.finish();
}

// Without waiting for the disk.
void write(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

using Rows = std::map<std::string, std::pair<float, float>>;
Rows rows_of(const NgramTable& table, int n) {
  Rows rows;
  const auto& order = table.orders[size_t(n - 1)];
  for (size_t row = 0; row < order.size(); ++row) {
    std::string words;
    for (int i = 0; i < n; ++i) words += (i ? " " : "") + table.words[order.ids[row * size_t(n) + size_t(i)]];
    rows[words] = {order.probabilities[row], order.backoffs.empty() ? 0 : order.backoffs[row]};
  }
  return rows;
}

void expect_equal(const NgramTable& got, const NgramTable& expected, float tolerance, const std::string& what) {
  ASSERT_EQ(got.order(), expected.order());
  for (int n = 1; n <= got.order(); ++n) {
    const Rows a = rows_of(got, n), b = rows_of(expected, n);
    ASSERT_EQ(a.size(), b.size()) << what << " order " << n;
    for (const auto& [words, values] : b) {
      const auto at = a.find(words);
      ASSERT_NE(at, a.end()) << what << ": no '" << words << "'";
      EXPECT_NEAR(at->second.first, values.first, tolerance) << what << ": " << words;
      EXPECT_NEAR(at->second.second, values.second, tolerance) << what << ": backoff of " << words;
    }
  }
}

TEST(NgramTrainTest, ProbabilitiesAreThoseOfLmplz) {
  for (const Training& run : runs()) expect_equal(train(run), read_arpa(kGolden / (std::string(run.name) + ".arpa.gz")), 1e-5f, run.name);
}

TEST(NgramTrainTest, TemporaryFilesChangeNothing) {
  NgramTrainOptions options{.order = 3};
  options.memory = 1 << 16;  // two thousand n-grams
  NgramTrainer trainer(options);
  for (const std::string& line : lines()) trainer.add_sentence(line);
  const NgramTable small = trainer.finish();
  EXPECT_GE(trainer.statistics().runs, 2);
  expect_equal(small, train({"", {.order = 3}}), 0, "in runs");
}

// Of every word, after contexts that are there and that are not.
TEST(NgramTrainTest, ProbabilitiesSumToOne) {
  for (const Training& run : runs()) {
    const NgramTable table = train(run);
    const NgramModel model(table);
    Rng rng(1);
    for (int trial = 0; trial < 30; ++trial) {
      NgramModel::State state = trial % 2 ? model.begin_sentence() : NgramModel::State{};
      const std::string& line = lines()[rng.below(kFewLines)];
      size_t at = 0;
      for (int words = int(rng.below(5)); words > 0 && at < line.size(); --words) {
        const size_t end = std::min(line.find(' ', at), line.size());
        model.score(state, model.id(line.substr(at, end - at)), state);
        at = end + 1;
      }
      double sum = 0;
      for (uint32_t word = 0; word < table.words.size(); ++word) {
        NgramModel::State after;
        if (word != kSentenceBegin) sum += std::pow(10.0, double(model.score(state, word, after).log10));
      }
      EXPECT_NEAR(sum, 1, 1e-4) << run.name;
    }
  }
}

TEST(NgramTrainTest, WhatTheUserMustMend) {
  EXPECT_NE(message_of([] { NgramTrainer t({.order = 11}); }).find("order 11 is not one from 1 to 10"), std::string::npos);
  EXPECT_NE(message_of([] { NgramTrainer t({.order = 3, .prune = {0, 2, 1}}); }).find("prune never falls"), std::string::npos);
  EXPECT_NE(message_of([] { NgramTrainer t({.order = 3, .prune = {1}}); }).find("prune begins with 0"), std::string::npos);
  EXPECT_NE(message_of([] { NgramTrainer t({.order = 2, .prune = {0, 0, 0}}); }).find("prune has 3 values"), std::string::npos);
  EXPECT_NE(message_of([] { NgramTrainer({}).finish(); }).find("no text"), std::string::npos);
  EXPECT_NE(message_of([] {
              NgramTrainer trainer({.order = 2});
              trainer.add_sentence("the same words");
              trainer.finish();
            }).find("Remove duplicates, or set discount_fallback"),
            std::string::npos);
}

// A text shorter than the order leaves orders empty; markers in the text are no words.
TEST(NgramTrainTest, SmallTexts) {
  NgramTrainer trainer({.order = 5, .discount_fallback = true});
  trainer.add_document("a\n\n  \n<s> a </s> <unk>\r\nb");
  const NgramTable table = trainer.finish();
  EXPECT_EQ(trainer.statistics().sentences, 3);
  EXPECT_EQ(trainer.statistics().words, 3);
  EXPECT_EQ(trainer.statistics().markers_left_out, 3);
  EXPECT_EQ(table.words, (std::vector<std::string>{"<unk>", "<s>", "</s>", "a", "b"}));
  EXPECT_EQ(table.orders[3].size(), 0u);
  const NgramModel model(table);
  EXPECT_GT(model.sentence("a").log10, model.sentence("b").log10);
  EXPECT_GT(model.sentence("b").log10, model.sentence("c").log10);
}

TEST(NgramModelTest, ScoresAreKenlms) {
  const TemporaryFolder folder("ngram");
  const Json golden = parse_json_file(kGolden / "scores.json");
  const auto asked = golden["asked"].get<std::vector<std::string>>();
  ASSERT_EQ(golden["models"].size(), 5u);
  for (const auto& [name, expected] : golden["models"].items()) {
    const NgramModel from_arpa = NgramModel::load(kGolden / (name + ".arpa.gz"));
    from_arpa.write(folder.path() / "model.bin");
    const NgramModel mapped = NgramModel::load(folder.path() / "model.bin");
    for (const NgramModel* model : {&from_arpa, &mapped}) {
      for (size_t i = 0; i < asked.size(); ++i) {
        const Json& words = expected["with_ends"][i];
        double sum = 0;
        int64_t unknown = 0;
        NgramModel::State state = model->begin_sentence();
        size_t at = 0;
        for (size_t w = 0; w < words.size(); ++w) {
          at = std::min(asked[i].find_first_not_of(" \t\r\n", at), asked[i].size());
          const size_t end = std::min(asked[i].find_first_of(" \t\r\n", at), asked[i].size());
          const uint32_t id = w + 1 == words.size() ? kSentenceEnd : model->id(asked[i].substr(at, end - at));
          at = end;
          const NgramModel::Score score = model->score(state, id, state);
          EXPECT_NEAR(score.log10, words[w][0].get<double>(), 1e-5) << name << ": " << asked[i];
          EXPECT_EQ(score.length, words[w][1].get<int>()) << name << ": " << asked[i];
          EXPECT_EQ(id == kUnknownWord, words[w][2].get<bool>());
          sum += words[w][0].get<double>();
          unknown += words[w][2].get<bool>();
        }
        const NgramModel::Total total = model->sentence(asked[i]);
        EXPECT_NEAR(total.log10, sum, 1e-4) << name << ": " << asked[i];
        EXPECT_EQ(total.words, int64_t(words.size()));
        EXPECT_EQ(total.unknown, unknown);
        EXPECT_NEAR(model->sentence(asked[i], false).log10, expected["without"][i].get<double>(), 1e-4) << name << ": " << asked[i];
      }
    }
  }
}

TEST(NgramModelTest, PerplexityOfADocument) {
  const NgramModel model = NgramModel::load(kGolden / "order3.arpa.gz");
  const auto one = model.sentence(lines()[0]), two = model.sentence(lines()[1]);
  const auto both = model.document("\n" + lines()[0] + "\n \n" + lines()[1] + "\n");
  EXPECT_DOUBLE_EQ(both.log10, one.log10 + two.log10);
  EXPECT_EQ(both.words, one.words + two.words);
  EXPECT_NEAR(both.perplexity(), std::pow(10.0, -both.log10 / double(both.words)), 1e-9);
  EXPECT_TRUE(std::isinf(model.document("").perplexity()));
}

std::string arpa(const std::string& unigrams, const std::string& bigrams, int n = 3, int m = 1, const std::string& end = "\\end\\\n") {
  return "\\data\\\nngram 1=" + std::to_string(n) + "\nngram 2=" + std::to_string(m) + "\n\n\\1-grams:\n" + unigrams + "\n\\2-grams:\n" +
         bigrams + "\n" + end;
}
const std::string kUnigrams = "-1 <s> -0.3\n-0.5 </s>\n-0.4\ta\t-0.2\n";

NgramTable read(const std::string& text) {
  const TemporaryFolder folder("arpa");
  write(folder.path() / "x.arpa", text);
  return read_arpa(folder.path() / "x.arpa");
}

TEST(ArpaTest, WrittenFilesReadBackTheSame) {
  const TemporaryFolder folder("arpa");
  const NgramTable table = train(runs()[3]);
  for (const char* name : {"a.arpa", "a.arpa.gz"}) {
    write_arpa(table, folder.path() / name);
    expect_equal(read_arpa(folder.path() / name), table, 0, name);
  }
  EXPECT_EQ(r1::read_file(folder.path() / "a.arpa").substr(0, 7), "\\data\\\n");
  EXPECT_LT(fs::file_size(folder.path() / "a.arpa.gz") * 2, fs::file_size(folder.path() / "a.arpa"));
}

// What SRILM, IRSTLM and hand-made files have.
TEST(ArpaTest, FormsOfOtherTools) {
  const NgramTable plain = read("some header\n\n" + arpa(kUnigrams, "-0.1 <s> a\n"));
  EXPECT_EQ(plain.orders[0].probabilities[kUnknownWord], kMissingUnknown);
  EXPECT_EQ(plain.orders[0].backoffs[kSentenceBegin], -0.3f);
  EXPECT_EQ(read(arpa(kUnigrams + "-2 <UNK>\n", "-0.1 <s> a\n", 4)).orders[0].probabilities[kUnknownWord], -2);
  std::string crlf = arpa(kUnigrams, "-0.1 <s> a\n");
  for (size_t at = 0; (at = crlf.find('\n', at)) != std::string::npos; at += 2) crlf.insert(at, "\r");
  expect_equal(read(crlf), plain, 0, "CRLF");
  EXPECT_EQ(read(arpa(kUnigrams, "1e-6 <s> a\n")).orders[1].probabilities[0], 0);  // rounding
  EXPECT_LT(read(arpa(kUnigrams, "-inf <s> a\n")).orders[1].probabilities[0], -99);
}

// "b a" was pruned, "<s> b a" was not: a search from the right must come by.
TEST(ArpaTest, AMissingSuffixIsPutIn) {
  const std::string text =
      "\\data\\\nngram 1=4\nngram 2=1\nngram 3=1\n\n\\1-grams:\n-1 <s> -0.3\n-0.5 </s>\n-0.4 a -0.2\n-0.6 b -0.7\n\n\\2-grams:\n-0.1 <s> b "
      "-0.05\n\n"
      "\\3-grams:\n-0.01 <s> b a\n\n\\end\\\n";
  const NgramModel model(read(text));
  EXPECT_NEAR(model.sentence("b a", true).log10, -0.1 - 0.01 + (-0.2 - 0.5), 1e-5);
  // Elsewhere it is what backing off makes of it.
  EXPECT_NEAR(model.sentence("b a", false).log10, -0.6 + (-0.7 - 0.4), 1e-5);
}

TEST(ArpaTest, WhatIsWrongIsNamed) {
  const auto says = [](const std::string& text, const std::string& words) {
    const std::string message = message_of([&] { read(text); });
    EXPECT_NE(message.find(words), std::string::npos) << message;
  };
  says("", "no line \\data\\");
  says("hello\nworld\n", "no line \\data\\");
  says("\\data\\\n", "no counts");
  says("\\data\\\nngram 2=1\n", "the count of 2-grams comes after that of 0-grams");
  says("\\data\\\nngram 1=-4\n", "expected \"ngram N=COUNT\"");
  says("\\data\\\nngram 1=3x\n", "expected \"ngram N=COUNT\"");
  says("\\data\\\nngram 1=3\n", "expected \\1-grams:, got the end of the file");
  says(arpa(kUnigrams, "-0.1 <s> a\n", 4), "3 1-grams, but \\data\\ says 4");
  says(arpa(kUnigrams, "-0.1 <s> a\n", 2), ":8: more 1-grams than the 2");
  says(arpa(kUnigrams, "-0.1 <s> x\n"), "'x' is no unigram");
  says(arpa(kUnigrams, "0.1 <s> a\n"), "above 0");
  says(arpa(kUnigrams, "nan <s> a\n"), "'nan' is no log10");
  says(arpa(kUnigrams, "-0,1 <s> a\n"), "'-0,1' is no log10");
  says(arpa(kUnigrams, "-0.1 <s>\n"), "a 2-gram of 1 words");
  says(arpa(kUnigrams, "-0.1 <s> a -1 -1\n"), "more than 2 words and a backoff");
  says(arpa(kUnigrams, "-0.1 <s> a inf\n"), "backoff is inf");
  says(arpa(kUnigrams, "-0.1 <s> a\n-0.1 <s> a\n", 3, 2), "given twice");
  says(arpa(kUnigrams + "-1 a\n", "-0.1 <s> a\n", 4), "'a' is given twice");
  says(arpa(kUnigrams + "-1 <s>\n", "-0.1 <s> a\n", 4), "'<s>' is given twice");
  says(arpa("-0.4 a\n-1 </s>\n", "", 2, 0), "has no <s>");
  says(arpa(kUnigrams, "-0.1 <s> a\n", 3, 1, ""), "expected \\end\\");
  says(
      "\\data\\\n" +
          [] {
            std::string counts;
            for (int n = 1; n <= 11; ++n) counts += "ngram " + std::to_string(n) + "=1\n";
            return counts;
          }(),
      "10 is the most");
}

TEST(ArpaTest, MoreThanMayBeReadIsAnError) {
  EXPECT_NE(message_of([] { read_arpa(kGolden / "order3.arpa.gz", 1000); }).find("larger than the 1000 bytes"), std::string::npos);
}

TEST(NgramModelTest, BrokenFilesAreErrors) {
  const TemporaryFolder folder("ngram");
  const fs::path path = folder.path() / "model.bin";
  NgramModel::load(kGolden / "order3_pruned2.arpa.gz").write(path);
  const std::string whole = r1::read_file(path);
  for (size_t n = 0; n < whole.size(); n += n < 300 ? 7 : whole.size() / 31) {
    write(path, whole.substr(0, n));
    EXPECT_THROW(NgramModel::load(path), Error) << n;
  }
  for (size_t at = 8; at < 250; ++at) {
    for (const char value : {'\0', '\x01', '\xff'}) {
      std::string flipped = whole;
      flipped[at] = value;
      write(path, flipped);
      try {
        NgramModel::load(path).sentence("bal never one");
      } catch (const Error&) {
      }
    }
  }
  // Tables without an empty place: a search must end.
  std::string full = whole;
  for (size_t at = 256; at < full.size(); ++at)
    if (full[at] == 0) full[at] = 1;
  write(path, full);
  NgramModel::load(path).sentence("bal never one");
}

}  // namespace
}  // namespace r1::corpus
