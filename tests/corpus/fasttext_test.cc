// fastText's models and predictions against fastText's own (tests/oracles/fasttext_golden.py), and files that are broken.
#include "r1/corpus/fasttext.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <fstream>

#include "r1/base/file.h"
#include "r1/base/json.h"
#include "r1/corpus/cld2.h"
#include "r1/corpus/language.h"
#include "r1/data/jsonl.h"
#include "tests/corpus/reader_support.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace r1::corpus {
namespace {

const fs::path kGolden = fs::path(R1_SOURCE_DIR) / "tests/golden/fasttext";

std::span<const std::byte> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// A published model, where this machine has one.
fs::path language_model() {
  for (const char* name : {"R1_MODELS", "R1_DEPS", "HOME"}) {
    const char* folder = std::getenv(name);
    if (!folder) continue;
    const std::string inner = std::string(name) == "HOME" ? ".cache/r1/models" : std::string(name) == "R1_DEPS" ? "models" : "";
    if (const fs::path path = fs::path(folder) / inner / "lid.176.ftz"; fs::exists(path)) return path;
  }
  return {};
}

std::optional<Cld2> cld2() {
  try {
    return Cld2();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_NE(std::string(error.what()).find("libcld2-0"), std::string::npos) << error.what();
    return std::nullopt;
  }
}

TEST(Cld2Test, SaysWhatItIsSureOf) {
  const auto second = cld2();
  if (!second) GTEST_SKIP() << "no CLD2";
  const std::pair<const char*, const char*> texts[] = {
      {"en", "The committee will meet again next week to decide whether the bridge should be repaired or replaced altogether."},
      {"de", "Der Ausschuss tritt in der nächsten Woche wieder zusammen und entscheidet, ob die Brücke repariert oder ersetzt wird."},
      {"he", "הוועדה תתכנס שוב בשבוע הבא כדי להחליט אם לתקן את הגשר או להחליף אותו לגמרי"},
      {"zh", "委員會將於下週再次開會，決定是否修復或完全更換這座橋樑，並討論所需的費用與時間。"},
      {"zh", "委员会将于下周再次开会，决定是否修复或完全更换这座桥梁，并讨论所需的费用与时间。"},
      {"el", "Η επιτροπή θα συνεδριάσει ξανά την επόμενη εβδομάδα για να αποφασίσει αν η γέφυρα θα επισκευαστεί."}};
  for (const auto& [language, text] : texts) {
    EXPECT_EQ(second->language(text), language) << text;
    EXPECT_TRUE(second->knows(language));
    // control characters, halves of characters and characters that are none are passed over
    EXPECT_EQ(second->language(std::string("\x01\x7F\xC2\x96\xEF\xBF\xBE\xFF ") + text + "\xE4"), language) << text;
  }
  EXPECT_EQ(second->language("the end"), std::nullopt) << "too short";
  EXPECT_EQ(second->language(std::string(500, '7')), std::nullopt);
  EXPECT_EQ(second->language(""), std::nullopt);
  for (const char* name : {"", "un", "iw", "xx-Grek", "ast", "br", "en es"}) EXPECT_FALSE(second->knows(name)) << name;
  EXPECT_TRUE(same_language("no", "nn") && same_language("hr", "bs") && same_language("de", "de"));
  EXPECT_FALSE(same_language("no", "da") || same_language("hr", "nn"));
}

// Single lines of Spanish are what CLD2 tells least well (docs/results/text_quality.md).
TEST(Cld2Test, ADocumentOnWhichTheyDisagreeIsDropped) {
  const fs::path model = language_model();
  if (model.empty()) GTEST_SKIP() << "no lid.176.ftz (scripts/get_language_model.sh)";
  if (!cld2()) GTEST_SKIP() << "no CLD2";
  LanguageConfig config{.model = model.string(), .threshold = 0, .second_opinion = "cld2"};
  const LanguageFilter filter(config);
  Document en{.text = "The committee will meet again next week to decide whether the bridge should be repaired or replaced altogether."};
  EXPECT_EQ(filter.apply(en), "");
  EXPECT_EQ(en.marks.back(), "second_opinion:en");
  int64_t kept = 0, disagreed = 0;
  const std::string root = data_file("ntrex");
  if (root.empty()) GTEST_SKIP() << "no ntrex below R1_DATA";
  data::LineReader spanish(fs::path(root) / "newstest2019-ref.spa.first1000.txt.gz");
  for (std::string line; spanish.next(line);) {
    Document d{.text = line};
    const std::string reason = filter.apply(d);
    kept += reason.empty();
    disagreed += reason == "language:disagree";
    EXPECT_TRUE(reason.empty() || reason == "language:disagree" || reason == "language:none") << reason;
  }
  EXPECT_GT(kept + disagreed, 990);
  EXPECT_GT(disagreed, 10);
  EXPECT_LT(disagreed, 60);
  Document small{.text = "una casa en la playa"};
  EXPECT_EQ(filter.apply(small), "");
  EXPECT_EQ(small.marks.size(), 1u) << "CLD2 was not asked";
}

TEST(FastTextTest, PredictsAsFastTextDoes) {
  const Json golden = parse_json_file(kGolden / "predictions.json");
  const auto asked = golden["asked"].get<std::vector<std::string>>();
  ASSERT_EQ(golden["models"].size(), 8u);
  for (const auto& [file, all] : golden["models"].items()) {
    const FastText model = FastText::load(kGolden / file);
    EXPECT_EQ(model.quantized(), file.ends_with(".ftz")) << file;
    for (size_t i = 0; i < asked.size(); ++i) {
      const Json& expected = all[i];
      const auto got = model.predict(asked[i], 3);
      ASSERT_EQ(got.size(), expected.size()) << file << ": " << asked[i];
      for (size_t k = 0; k < got.size(); ++k) {
        EXPECT_NEAR(got[k].probability, expected[k][1].get<double>(), 1e-5) << file << ": " << asked[i];
        // Where two are alike, either may be first.
        const bool alike = (k + 1 < got.size() && got[k].probability - got[k + 1].probability < 1e-5f) ||
                           (k > 0 && got[k - 1].probability - got[k].probability < 1e-5f) || (k > 0 && k + 1 == got.size());
        if (!alike) {
          EXPECT_EQ(model.labels()[size_t(got[k].label)], expected[k][0].get<std::string>()) << file << ": " << asked[i];
        }
      }
    }
  }
}

TEST(FastTextTest, ALineFeedIsABlank) {
  const FastText model = FastText::load(kGolden / "tree.bin");
  EXPECT_EQ(model.predict("the\ncat\n\nsat")[0].probability, model.predict("the cat  sat")[0].probability);
}

TEST(FastTextTest, ThresholdAndCount) {
  const FastText model = FastText::load(kGolden / "softmax.bin");
  EXPECT_TRUE(model.predict("the cat", 0).empty());
  EXPECT_TRUE(model.predict("the cat", 5, 1.5f).empty());
  const auto all = model.predict("the cat", 10000);
  EXPECT_EQ(all.size(), model.labels().size());
  for (size_t i = 1; i < all.size(); ++i) EXPECT_GE(all[i - 1].probability, all[i].probability);
  const float second = all[1].probability;
  EXPECT_EQ(model.predict("the cat", 10, second - 1e-6f - 1e-5f).size(), 2u);
}

// Whatever is cut or flipped is an error or a model that predicts something; never a read outside.
TEST(FastTextTest, BrokenFilesAreErrors) {
  for (const char* file : {"softmax.bin", "tree_quantized.ftz", "output_quantized.ftz"}) {
    const std::string whole = r1::read_file(kGolden / file);
    for (size_t n = 0; n < whole.size(); n += n < 400 ? 1 : whole.size() / 97) {
      const std::string cut = whole.substr(0, n);
      EXPECT_THROW(FastText::parse(bytes_of(cut), "cut.bin"), Error) << file << " " << n;
    }
    for (size_t at = 0; at < 4000 && at < whole.size(); at += at < 90 ? 1 : 13) {
      for (const char value : {'\0', '\x7f', '\xff'}) {
        std::string flipped = whole;
        flipped[at] = value;
        try {
          const FastText model = FastText::parse(bytes_of(flipped), "flipped.bin");
          model.predict("the cat кошка 猫 zzz", 3);
        } catch (const Error& e) {
          EXPECT_NE(std::string(e.what()).find("flipped.bin"), std::string::npos) << e.what();
        }
      }
    }
  }
}

TEST(FastTextTest, ErrorsNameTheWayOut) {
  const TemporaryFolder folder("fasttext");
  const fs::path text = folder.path() / "text.bin";
  write_file_atomic(text, "this is no model at all");
  EXPECT_NE(message_of([&] { FastText::load(text); }).find("is no fastText model"), std::string::npos);
  std::string whole = r1::read_file(kGolden / "softmax.bin");
  const int32_t skipgram = 2;
  std::memcpy(whole.data() + 8 + 7 * 4, &skipgram, 4);
  EXPECT_NE(message_of([&] { FastText::parse(bytes_of(whole), "vectors.bin"); }).find("holds word vectors, no classifier"),
            std::string::npos);
  const int32_t version = 13;
  std::memcpy(whole.data() + 4, &version, 4);
  EXPECT_NE(message_of([&] { FastText::parse(bytes_of(whole), "new.bin"); }).find("of version 13"), std::string::npos);
}

LanguageConfig golden_config() {
  return {.model = (kGolden / "softmax.bin").string()};
}

TEST(LanguageTest, KeepsTheWantedAndNamesTheOthers) {
  LanguageConfig config = golden_config();
  config.languages = {"en", "ru"};
  config.threshold = 0.2;
  const LanguageFilter filter(config);
  Document en{.text = "the cat sat on the mat\nwhat is the time"};
  EXPECT_EQ(filter.apply(en), "");
  EXPECT_EQ(en.language, "en");
  ASSERT_EQ(en.marks.size(), 1u);
  EXPECT_TRUE(en.marks[0].starts_with("language:en=")) << en.marks[0];
  Document de{.text = "die Katze sitzt auf der Matte wie spät ist es"};
  EXPECT_EQ(filter.apply(de), "language:de");
  EXPECT_TRUE(de.language.empty());
  Document digits{.text = "1234 5678 -- 90"};
  EXPECT_EQ(filter.apply(digits), "language:none");
  Document nothing;
  EXPECT_EQ(filter.apply(nothing), "language:none");
}

TEST(LanguageTest, ThresholdOfALanguage) {
  LanguageConfig config = golden_config();
  config.threshold = 0;
  config.thresholds = {{"en", "0.9999999"}};
  const LanguageFilter filter(config);
  Document en{.text = "the sea is not the mat Katze"}, ru{.text = "кошка сидит на коврике"};
  EXPECT_EQ(filter.apply(en), "language:unsure");
  EXPECT_EQ(filter.apply(ru), "");
}

TEST(LanguageTest, WhatTheUserMustMend) {
  LanguageConfig config;
  EXPECT_NE(message_of([&] { LanguageFilter filter(config); }).find("wants a model"), std::string::npos);
  config.model = "/nowhere/lid.176.ftz";
  EXPECT_NE(message_of([&] { LanguageFilter filter(config); }).find("is not there"), std::string::npos);
  config = golden_config();
  config.languages = {"english"};
  EXPECT_NE(message_of([&] { LanguageFilter filter(config); }).find("knows no language 'english'"), std::string::npos);
  config.languages = {};
  config.thresholds = {{"en", "much"}};
  EXPECT_NE(message_of([&] { LanguageFilter filter(config); }).find("thresholds.en is a number from 0 to 1"), std::string::npos);
}

// Two sentences of the Universal Declaration of Human Rights each.
TEST(LanguageTest, ThePublishedModelKnowsLanguages) {
  const fs::path path = language_model();
  if (path.empty()) GTEST_SKIP() << "no lid.176.ftz in R1_MODELS; scripts/get_language_model.sh fetches it";
  const LanguageIdentifier identifier({.model = path.string()});
  EXPECT_EQ(identifier.languages().size(), 176u);
  const std::pair<const char*, const char*> texts[] = {
      {"en", "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience."},
      {"de", "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt."},
      {"fr", "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et de conscience."},
      {"ru", "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью."},
      {"zh", "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。"},
      {"ja", "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。"}};
  for (const auto& [language, text] : texts) {
    const LanguageGuess guess = identifier.identify(text);
    EXPECT_EQ(guess.language, language);
    EXPECT_GT(guess.probability, 0.9f) << language;
  }
  // In capitals, what users of fastText report as Chinese, Korean or anything.
  for (const char* text : {"MY FRIEND IS A BIRD", "DANCING FOR FUN", "WHAT IS THE LOWEST ROUND FOR CB POSITION?", "HELLO THERE MY FRIEND"})
    EXPECT_EQ(identifier.identify(text).language, "en") << text;
  EXPECT_EQ(identifier.identify("КАК СООБЩАЕТ ПРЕССА").language, "ru");
  EXPECT_EQ(identifier.identify("ÊTRE OU NE PAS ÊTRE, TELLE EST LA QUESTION").language, "fr");
}

}  // namespace
}  // namespace r1::corpus
