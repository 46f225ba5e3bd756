// Synonyms, filling in, and the stage that makes copies: what it may touch, where copies go, and that nothing but seed and document decides.
#include "r1/corpus/augment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/rng.h"
#include "r1/base/threads.h"
#include "r1/corpus/document_file.h"
#include "r1/corpus/pipeline.h"
#include "r1/corpus/survey.h"
#include "r1/data/token_shards.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace r1::corpus {
namespace {

// ---- synonyms

std::string replaced(const std::string& table, const std::string& text, double rate = 1) {
  Rng rng(1);
  return Synonyms::parse(table, "t.tsv").replace(text, rate, rng).text;
}

TEST(Synonyms, EnglishIsWholeWordsInTheirCase) {
  const std::string table = "quick\tfast\nbig\tenormous\nusually\tas a rule\nhour\tmoment\na lot of\tplenty of\neager\tkeen\n";
  EXPECT_EQ(replaced(table, "A quick fox, quickly. Quick foxes!"), "A fast fox, quickly. Fast foxes!");
  EXPECT_EQ(replaced(table, "a big dog, A big cat, an hour, an eager boy"), "an enormous dog, An enormous cat, a moment, a keen boy");
  EXPECT_EQ(replaced(table, "It is usually so. Usually not."), "It is as a rule so. As a rule not.");
  EXPECT_EQ(replaced(table, "There is a lot of rain. A lot of it."), "There is plenty of rain. Plenty of it.");
  // names, compounds, and what has letters at it
  for (const char* text : {"the Big Ben", "Big Ben rang", "we saw Big here", "BIG", "big-endian", "un-quick", "quick's", "quick_sort",
                           "bigé", "x.quick.y", "#quick", "@quick"})
    EXPECT_EQ(replaced(table, text), text);
  EXPECT_EQ(replaced(table, "quick", 0), "quick");
}

TEST(Synonyms, CodeMarkupFormulasAndQuotesAreLeftAlone) {
  const std::string table = "big\tlarge\n非常\t十分\n";
  for (const char* text : {"```\nbig\n```",
                           "`big`",
                           "see https://a.b/big/x",
                           "mail big@a.b",
                           "/usr/big",
                           "$big$",
                           "\\(big\\)",
                           "\\[ big \\]",
                           "\\big",
                           "\\begin{a}big\\end{a}",
                           "<think>\nbig\n</think>",
                           "<think>big",
                           "<|im_start|>",
                           "<big>",
                           "\"big\"",
                           "“big”",
                           "'big'",
                           "「非常」",
                           "《非常》",
                           "    big = 1",
                           "\tbig",
                           "{big}",
                           "[big]",
                           "f(x)=big",
                           "<pre>big</pre>",
                           "<｜big｜>"})
    EXPECT_EQ(replaced(table, text), text);
  EXPECT_EQ(replaced(table, "`big` big `big`"), "`big` large `big`");
  EXPECT_EQ(replaced(table, "It costs $5, a big sum, or $6."), "It costs $5, a large sum, or $6.");
  EXPECT_EQ(replaced(table, "don't be big, can't you"), "don't be large, can't you");
  EXPECT_EQ(replaced(table, "<think>big</think>big"), "<think>big</think>large");
}

TEST(Synonyms, ChineseIsTheLongestWord) {
  const std::string table = "非常\t十分\n并非\n常见\t多见\n";
  EXPECT_EQ(replaced(table, "他非常好，并非常见。"), "他十分好，并非多见。");
  EXPECT_EQ(replaced(table, "非常big非常"), "十分big十分");
}

TEST(Synonyms, TablesAreChecked) {
  const auto wrong = [](const std::string& table) { return message_of([&] { Synonyms::parse(table, "t.tsv"); }); };
  EXPECT_NE(wrong("a\tb\na\tc\n").find("t.tsv:2"), std::string::npos);
  EXPECT_NE(wrong("a1\tb\n").find("no word"), std::string::npos);
  EXPECT_NE(wrong("big\t大\n").find("t.tsv:1"), std::string::npos);
  EXPECT_NE(wrong("big\tbig\n").find("own synonym"), std::string::npos);
  EXPECT_NE(wrong("# nothing\n\n").find("holds no words"), std::string::npos);
  EXPECT_GT(Synonyms::built_in().size(), 350u);
}

TEST(Synonyms, TheRateIsThatOfTheWords) {
  std::string text;
  for (int i = 0; i < 4000; ++i) text += "it is often so. ";
  Rng rng(5);
  const auto out = Synonyms::built_in().replace(text, 0.25, rng);
  EXPECT_NEAR(double(out.words.size()), 1000, 110);  // four standard deviations
}

// ---- filling in

const FimSentinels kQwen = fim_sentinels({.family = "qwen"});

TEST(Fim, PartsGiveTheDocumentAgain) {
  const std::string text = "def f(x):\n    return x + 1  # 加一\n";
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed);
    const bool spm = seed % 2;
    const auto fim = make_fim(text, spm, kQwen, rng);
    ASSERT_TRUE(fim);
    ASSERT_EQ(fim->control.size(), 3u);
    const auto part = [&](size_t from, size_t to) { return fim->text.substr(from, to - from); };
    const auto& c = fim->control;
    const std::string a = part(c[0].end, c[1].begin), b = part(c[1].end, c[2].begin), rest = part(c[2].end, fim->text.size());
    EXPECT_EQ(part(c[0].begin, c[0].end) + part(c[1].begin, c[1].end) + part(c[2].begin, c[2].end),
              "<|fim_prefix|><|fim_suffix|><|fim_middle|>");
    EXPECT_EQ(spm ? rest + b : a + rest + b, text);
    EXPECT_TRUE(!spm || a.empty());
  }
}

// Both places uniform over the 5 of a text of 4 characters, and no character cut in two.
TEST(Fim, PlacesAreUniform) {
  const std::string text = "aé中b";
  const size_t places[] = {0, 1, 3, 6, 7};
  std::map<std::pair<size_t, size_t>, int> counts;
  const int n = 20'000;
  for (uint64_t seed = 0; seed < n; ++seed) {
    Rng rng(seed);
    const auto fim = *make_fim(text, false, kQwen, rng);
    const size_t first = fim.control[1].begin - fim.control[0].end, second = first + fim.text.size() - fim.control[2].end;
    ++counts[{first, second}];
  }
  EXPECT_EQ(counts.size(), 15u);
  for (const auto& [cut, count] : counts) {
    EXPECT_NE(std::ranges::find(places, cut.first), std::end(places));
    EXPECT_NE(std::ranges::find(places, cut.second), std::end(places));
    const double p = cut.first == cut.second ? 1 / 25.0 : 2 / 25.0;
    EXPECT_NEAR(count, n * p, 5 * std::sqrt(n * p)) << cut.first << " " << cut.second;
  }
}

TEST(Fim, ASentinelOfTheTextIsNone) {
  Rng rng(1);
  EXPECT_FALSE(make_fim("says <|fim_suffix|> itself", false, kQwen, rng));
  EXPECT_FALSE(make_fim("a", false, kQwen, rng));
  EXPECT_FALSE(make_fim("", false, kQwen, rng));
  // parts that would spell one with a sentinel's beginning
  const FimSentinels odd{"aa", "ab", "ba"};
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Rng r(seed);
    if (const auto fim = make_fim("xaya", false, odd, r)) {
      int found = 0;
      for (const char* s : {"aa", "ab", "ba"})
        for (size_t at = fim->text.find(s); at != std::string::npos; at = fim->text.find(s, at + 1)) ++found;
      EXPECT_EQ(found, 3) << fim->text;
    }
  }
  EXPECT_NE(message_of([] { fim_sentinels({.prefix = "a"}); }).find("together"), std::string::npos);
  EXPECT_NE(message_of([] { fim_sentinels({.prefix = "aa", .suffix = "a", .middle = "b"}); }).find("differ"), std::string::npos);
}

text::Tokenizer letters(bool sentinels) {
  std::vector<std::string> words = {"?"};
  for (char c = 'a'; c <= 'z'; ++c) words.emplace_back(1, c);
  for (const char* c : {" ", ".", "<", ">", "|", "_", "\n"}) words.emplace_back(c);
  text::Tokenizer::WordOptions options{.unk = "?"};
  if (sentinels)
    for (const char* s : {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"}) {
      words.emplace_back(s);
      options.special.emplace_back(s);
    }
  return text::Tokenizer::from_words(words, options);
}

TEST(Fim, IdsAreThoseOfThePartsBetweenTheSentinels) {
  const text::Tokenizer t = letters(true);
  Document d{.text = "<|fim_prefix|>ab<|fim_suffix|>x<|fim_prefix|>y<|fim_middle|>c"};
  const auto spelled = encode_with_control(d, kQwen, t);
  const int32_t p = *t.token_id("<|fim_prefix|>"), s = *t.token_id("<|fim_suffix|>"), m = *t.token_id("<|fim_middle|>");
  for (const int32_t id : {p, s, m}) EXPECT_EQ(std::ranges::count(spelled, id), 0);
  d.extra["control"] = {{0, 14}, {16, 30}, {46, 60}};
  std::vector<int32_t> expected = {p};
  const auto more = [&](const char* text) { std::ranges::copy(t.encode(text), std::back_inserter(expected)); };
  more("ab"), expected.push_back(s), more("x");
  const auto own = encode_with_control({.text = "<|fim_prefix|>"}, kQwen, t);
  expected.insert(expected.end(), own.begin(), own.end());
  more("y"), expected.push_back(m), more("c");
  EXPECT_EQ(encode_with_control(d, kQwen, t), expected);
  EXPECT_EQ(t.decode_bytes(encode_with_control(d, kQwen, t)), d.text);
  for (const Json& broken : {Json{{0, 99}}, Json{{5, 5}}, Json{{3, 9}, {0, 2}}, Json{"a"}, Json{{0, 3}}}) {
    d.extra["control"] = broken;
    EXPECT_NE(message_of([&] { encode_with_control(d, kQwen, t); }), "") << broken;
  }
  EXPECT_NE(message_of([&] { check_fim_sentinels(kQwen, letters(false)); }).find("<|fim_prefix|>"), std::string::npos);
  check_fim_sentinels(kQwen, t);
}

// ---- the stage

Document problem(int64_t offset = 0) {
  Document d{.source = "gsm.jsonl", .offset = offset, .kind = "problems"};
  const std::string q = "Ann sold 48 clips in April,  and half as many in May. How many altogether?";
  const std::string a = "She sold 48/2 = <<48/2=24>>24 in May.\nShe sold 48+24 = <<48+24=72>>72.\n#### 72";
  d.extra = {{"messages", {{{"role", "user"}, {"content", q}}, {{"role", "assistant"}, {"content", a}}}}};
  d.text = "Ann sold 48 clips in April, and half as many in May. How many altogether?\n\n" + a;  // as `clean` leaves it
  return d;
}

TEST(Augment, AChangedProblemIsChangedInTextAndMessages) {
  const Augmenter augment({.transforms = {"numbers"}, .copies = 3}, nullptr);
  const auto out = augment.apply(problem());
  ASSERT_GT(out.size(), 1u);
  EXPECT_EQ(out[0].text, problem().text);
  EXPECT_TRUE(out[0].marks.empty());
  std::set<std::string> texts;
  for (const Document& d : out) {
    EXPECT_TRUE(texts.insert(d.text).second);
    EXPECT_EQ(d.id(), problem().id());
    EXPECT_EQ(is_augmented_copy(d), &d != out.data());
    const Json& m = d.extra["messages"];
    if (&d == out.data()) continue;
    EXPECT_EQ(d.text, m[0]["content"].get<std::string>() + "\n\n" + m[1]["content"].get<std::string>());
  }
  EXPECT_TRUE(out[1].marks[0].starts_with("augment:numbers 48->")) << out[1].marks[0];
}

TEST(Augment, AProblemWithItsAnswerElsewhereStays) {
  const Augmenter augment({.transforms = {"numbers"}}, nullptr);
  Document d = problem();
  d.extra["final"] = 72;
  EXPECT_EQ(augment.apply(d).size(), 1u);
  d.extra["final"] = "it is 72.";
  EXPECT_EQ(augment.apply(d).size(), 1u);
  d.extra["final"] = 172;
  EXPECT_EQ(augment.apply(d).size(), 2u);
  d.text += " cut";  // no longer what the messages say
  EXPECT_EQ(augment.apply(d).size(), 1u);
}

TEST(Augment, ReplaceChainAndParts) {
  Document code{.text = "# c\ndef f(a):\n    total = a\n    return total\n", .source = "x.py", .kind = "code"};
  code.extra = {{"code", "Python"}};
  AugmentOptions o{.transforms = {"comments", "rename"}};
  EXPECT_EQ(Augmenter(o, nullptr).apply(code)[0].text, code.text);
  o.replace = true;
  o.chain = true;
  bool both = false;
  for (o.seed = 0; o.seed < 10; ++o.seed) {
    const auto out = Augmenter(o, nullptr).apply(code);
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(out[0].text.find("# c"), std::string::npos);
    EXPECT_EQ(out[0].marks[0], "augment:comments 1");
    EXPECT_FALSE(is_augmented_copy(out[0]));
    both |= out[0].marks.size() == 2 && out[0].marks[1].starts_with("augment:rename ");
  }
  EXPECT_TRUE(both);
  code.marks = {"split:test"};
  EXPECT_EQ(Augmenter(o, nullptr).apply(code)[0].text, code.text);
  o.parts = {"test"};
  EXPECT_NE(Augmenter(o, nullptr).apply(code)[0].text, code.text);
}

TEST(Augment, FimTakesItsShareAndDropsMessages) {
  const text::Tokenizer t = letters(true);
  AugmentOptions o{.transforms = {"fim"}, .replace = true, .fim = {.rate = 0.1, .spm = 0.5, .family = "qwen"}};
  const Augmenter augment(o, &t);
  int psm = 0, spm = 0;
  for (int i = 0; i < 5000; ++i) {
    Document d = problem(i);
    d.text += " " + std::to_string(i);
    const auto out = augment.apply(d);
    ASSERT_EQ(out.size(), 1u);
    psm += mark_value(out[0], "augment") == "fim psm";
    spm += mark_value(out[0], "augment") == "fim spm";
    EXPECT_EQ(out[0].extra.contains("messages"), out[0].marks.empty());
  }
  EXPECT_NEAR(psm + spm, 500, 90);
  EXPECT_NEAR(psm, spm, 90);
  EXPECT_NE(message_of([&] { Augmenter(o, nullptr); }).find("--tokenizer"), std::string::npos);
}

class AugmentRun : public testing::Test {
 protected:
  AugmentRun() : folder_("augment_run") {
    std::string rows;
    for (int i = 0; i < 40; ++i) {
      const std::string n = std::to_string(40 + 2 * i), half = std::to_string(20 + i), all = std::to_string(60 + 3 * i);
      // Words of its own, so that no row is near another.
      Rng rng(uint64_t(i), 3);
      std::string words;
      for (int w = 0; w < 30; ++w) {
        for (int c = 0; c < 5; ++c) words += char('a' + rng.below(26));
        words += w % 9 == 8 ? ". " : " ";
      }
      rows += dump_json(Json{{"question", words + "ann often sold " + n + " clips and half as many in may. how many altogether?"},
                             {"answer", n + "/2=<<" + n + "/2=" + half + ">>" + half + "\n" + n + "+" + half + "=<<" + n + "+" + half +
                                            "=" + all + ">>" + all + "\n#### " + all}}) +
              "\n";
    }
    write_file_atomic(folder_.path() / "in.jsonl", rows);
    letters(true).save(folder_.path() / "tokenizer");
  }
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }
  PipelineConfig config(const std::string& out) const {
    PipelineConfig c;
    c.input = {path("in.jsonl")};
    c.output = path(out);
    c.stages = {"clean", "exact", "near", "split", "augment"};
    c.near.similarity = 0.99;
    c.shard_bytes = 6144;
    c.augment.transforms = {"numbers", "synonyms", "fim"};
    c.augment.parts = {"train", "validation", "test"};
    c.augment.fim.family = "qwen";
    c.augment.fim.rate = 0.5;
    c.tokenizer = path("tokenizer");
    c.formats = {"jsonl", "tokens"};
    return c;
  }
  std::vector<Document> documents(const std::string& folder) const {
    std::vector<Document> out;
    for (const std::string& file : input_files({path(folder)})) {
      DocumentReader reader(file);
      for (Document d; reader.next(d);) out.push_back(d);
    }
    return out;
  }
  std::map<std::string, std::string> hashes(const std::string& folder) const {
    std::map<std::string, std::string> out;
    for (const auto& entry : fs::recursive_directory_iterator(path(folder)))
      if (entry.is_regular_file() && !entry.path().filename().string().starts_with(".lock"))
        out[fs::relative(entry.path(), path(folder)).string()] = sha256_file(entry.path());
    return out;
  }
  TemporaryFolder folder_;
};

TEST_F(AugmentRun, CopiesAreInTheirOriginalsPart) {
  ASSERT_TRUE(run_pipeline(config("out")));
  std::map<std::string, std::string> part_of_original;
  size_t copies = 0, fim = 0;
  for (const char* part : {"train", "validation", "test"}) {
    std::vector<Document> all = documents(std::string("out/data/") + part);
    for (const Document& d : all) {
      if (is_augmented_copy(d)) continue;
      EXPECT_TRUE(part_of_original.emplace(d.id(), part).second);
    }
    for (const Document& d : all) {
      if (!is_augmented_copy(d)) continue;
      ++copies;
      fim += d.extra.contains("control");
      EXPECT_EQ(part_of_original[d.id()], part);
    }
  }
  EXPECT_EQ(part_of_original.size(), 40u);
  EXPECT_GT(copies, 60u);
  EXPECT_GT(fim, 10u);
  const RunCounts counts = read_counts(path("out"));
  EXPECT_EQ(counts.stages.back().second.documents_out(), int64_t(40 + copies));

  // Rows that were augmented go into no other part by another run.
  PipelineConfig again = config("again");
  again.input = {path("out/data")};
  again.stages = {"split"};
  ASSERT_TRUE(run_pipeline(again));
  EXPECT_EQ(read_counts(path("again")).stages.back().second.dropped().at("split:augmented_copy").documents, int64_t(copies));
}

TEST_F(AugmentRun, AnotherFolderMakesNoDifference) {
  const auto texts = [&](const std::string& out) {
    std::vector<std::string> all;
    for (const Document& d : documents(out + "/data/train")) all.push_back(d.text);
    return all;
  };
  run_pipeline(config("here"));
  fs::create_directory(path("elsewhere"));
  fs::copy_file(path("in.jsonl"), path("elsewhere/rows.jsonl"));
  PipelineConfig other = config("there");
  other.input = {path("elsewhere/rows.jsonl")};
  run_pipeline(other);
  EXPECT_EQ(texts("here"), texts("there"));
}

TEST_F(AugmentRun, ThreadsAndWorkersMakeNoDifferenceAndTokensAreTheSentinels) {
  set_num_threads(1);
  run_pipeline(config("one"));
  set_num_threads(16);
  run_pipeline(config("many"));
  set_num_threads(0);
  PipelineConfig c = config("shared");
  c.of = 2;
  for (c.worker = 1; c.worker >= 0; --c.worker) run_pipeline(c);
  merge_pipeline(path("shared"));
  const auto one = hashes("one");
  EXPECT_GT(one.size(), 10u);
  EXPECT_EQ(one, hashes("many"));
  EXPECT_EQ(one, hashes("shared"));

  const text::Tokenizer t = letters(true);
  const int32_t prefix = *t.token_id("<|fim_prefix|>");
  const auto shards = data::made_token_shards({path("one/tokens/train")}, t.hash());
  int64_t sentinels = 0, wanted = 0;
  for (int64_t i = 0; i < shards->size(); ++i) sentinels += std::ranges::count(shards->document(i).ids, prefix);
  for (const Document& d : documents("one/data/train")) wanted += d.extra.contains("control");
  EXPECT_GT(wanted, 5);
  EXPECT_EQ(sentinels, wanted);

  // The same rows read for pretraining.
  const auto maker = data::text_maker(
      "text", [&](std::string_view text) { return t.encode(text); }, -1, -1, [&](std::string_view name) { return t.token_id(name); });
  for (const Document& d : documents("one/data/train"))
    EXPECT_EQ(maker({.text = dump_json(to_json(d)), .where = "x", .row = true}).ids, encode_with_control(d, kQwen, t));
}

TEST_F(AugmentRun, MistakesAreNamed) {
  const auto wrong = [&](auto change) {
    PipelineConfig c = config("wrong");
    change(c);
    return message_of([&] { run_pipeline(c); });
  };
  EXPECT_NE(wrong([](auto& c) { c.stages = {"augment", "split"}; }).find("before split; it is the last one"), std::string::npos);
  EXPECT_NE(wrong([](auto& c) { c.augment.transforms = {}; }).find("needs augment.transforms"), std::string::npos);
  EXPECT_NE(wrong([](auto& c) { c.augment.transforms = {"number"}; }).find("'number'"), std::string::npos);
  EXPECT_NE(wrong([](auto& c) { c.augment.parts = {"all"}; }).find("'all'"), std::string::npos);
  EXPECT_NE(wrong([](auto& c) { c.tokenizer = "", c.formats = {"jsonl"}; }).find("--tokenizer"), std::string::npos);
  EXPECT_NE(wrong([](auto& c) { c.augment.fim.family = "deepseek"; }).find("fim▁begin"), std::string::npos);
  EXPECT_NE(wrong([](auto& c) { c.augment.synonyms = "none.tsv"; }).find("none.tsv"), std::string::npos);
}

}  // namespace
}  // namespace r1::corpus
