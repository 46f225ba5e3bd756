#include "r1/corpus/substring_dedup.h"

#include <gtest/gtest.h>

#include <map>

#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "r1/base/threads.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace r1::corpus {
namespace {

// The definition: a window inside a document whose first occurrence begins at least its length earlier.
template <class Unit>
std::vector<Stretch> by_definition(const std::vector<Unit>& text, const std::vector<uint64_t>& ends, size_t length) {
  std::map<std::vector<Unit>, size_t> first;
  std::vector<bool> repeated(text.size(), false);
  size_t begin = 0;
  for (const uint64_t end : ends) {
    for (size_t i = begin; i + length <= end; ++i) {
      const std::vector<Unit> window(text.begin() + ptrdiff_t(i), text.begin() + ptrdiff_t(i + length));
      const size_t at = first.try_emplace(window, i).first->second;
      if (i >= at + length) std::fill(repeated.begin() + ptrdiff_t(i), repeated.begin() + ptrdiff_t(i + length), true);
    }
    begin = end;
  }
  std::vector<Stretch> out;
  for (size_t i = 0; i < text.size(); ++i)
    if (repeated[i]) {
      if (!out.empty() && out.back().end == i)
        ++out.back().end;
      else
        out.push_back({i, i + 1});
    }
  return out;
}

// Text that repeats itself: random pieces, copies of earlier ones with changes, runs of one unit, short periods.
template <class Unit>
std::vector<Unit> made_up(Rng& random, size_t n, uint64_t alphabet) {
  std::vector<Unit> text;
  while (text.size() < n) {
    const uint64_t kind = random.below(5);
    const size_t length = 1 + random.below(80);
    if (kind == 0) {
      text.insert(text.end(), length, Unit(random.below(alphabet)));
    } else if (kind == 1) {
      const size_t period = 1 + random.below(6), at = text.size();
      for (size_t i = 0; i < length; ++i) text.push_back(i < period ? Unit(random.below(alphabet)) : text[at + i - period]);
    } else if (kind == 2 || text.empty()) {
      for (size_t i = 0; i < length; ++i) text.push_back(Unit(random.below(alphabet)));
    } else {
      const size_t from = random.below(text.size());
      for (size_t i = 0; i < length && from + i < text.size(); ++i) {
        const Unit copy = text[from + i];
        text.push_back(random.below(60) == 0 ? Unit(random.below(alphabet)) : copy);
      }
    }
  }
  text.resize(n);
  return text;
}

template <class Unit>
void compare(uint64_t seed, int rounds) {
  Rng random(seed);
  for (int round = 0; round < rounds; ++round) {
    const size_t n = random.below(1500), length = 2 + random.below(round % 3 == 0 ? 6 : 40);
    const std::vector<Unit> text = made_up<Unit>(random, n, round % 2 == 0 ? 2 : 20);
    std::vector<uint64_t> ends;
    for (uint64_t at = 0; at < n;) ends.push_back(at = std::min<uint64_t>(n, at + random.below(round % 5 == 0 ? 30 : 2000)));
    const TemporaryFolder folder("repeats");
    const RepeatOptions options{.length = int64_t(length), .memory_bytes = round % 7 == 0 ? 1 : int64_t{1} << 30, .folder = folder.path()};
    ASSERT_EQ(repeats(std::span<const Unit>(text), ends, options), by_definition(text, ends, length))
        << "round " << round << " length " << length;
    EXPECT_TRUE(fs::is_empty(folder.path()));
  }
}

TEST(Repeats, AreThoseOfTheDefinitionInBytes) {
  compare<uint8_t>(1, 200);
}
TEST(Repeats, AreThoseOfTheDefinitionInTokens) {
  compare<uint32_t>(2, 100);
}

std::vector<Stretch> repeats_of(const std::string& text, int64_t length) {
  const std::vector<uint64_t> ends{text.size()};
  return repeats(std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()), ends, {.length = length});
}

TEST(Repeats, ARunKeepsItsBeginning) {
  EXPECT_EQ(repeats_of(std::string(1000, 'a'), 100), (std::vector<Stretch>{{100, 1000}}));
  EXPECT_EQ(repeats_of(std::string(199, 'a'), 100), (std::vector<Stretch>{}));
  EXPECT_EQ(repeats_of("", 100), (std::vector<Stretch>{}));
}

// google-research/deduplicate-text-datasets issue 26: short repeats at the ends of documents were missed, both copies went.
TEST(Repeats, AtTheEndsOfDocuments) {
  const std::string text = "aaaaaaaaaaaabbbcccccaaaaaaaaaaaaccccc";
  const std::vector<uint64_t> ends{20, 37};
  // "ccccc" of the first document keeps its three, for its windows overlap; all of the second document is repeated.
  EXPECT_EQ(repeats(std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()), ends, {.length = 3}),
            (std::vector<Stretch>{{3, 12}, {20, 37}}));
}

// One ruled line among a thousand different texts: more contexts than are compared with each other.
TEST(Repeats, ManyContextsOfOneGram) {
  Rng random(4);
  std::vector<uint8_t> text;
  for (int i = 0; i < 150; ++i) {
    text.insert(text.end(), 30 + random.below(20), '-');
    for (int k = 0; k < 30; ++k) text.push_back(uint8_t('a' + random.below(26)));
  }
  const std::vector<uint64_t> ends{text.size()};
  for (const int64_t length : {34, 40, 48})
    EXPECT_EQ(repeats(std::span<const uint8_t>(text), ends, {.length = length}), by_definition(text, ends, size_t(length)));
}

std::vector<std::string> run(const std::vector<std::string>& texts, const SubstringOptions& options, const fs::path& folder,
                             int64_t workers, std::vector<std::string>* marks = nullptr, const text::Tokenizer* tokenizer = nullptr) {
  for (int64_t w = 0; w < workers; ++w) {
    SubstringShard shard(options, folder, w, workers, tokenizer);
    for (size_t i = 0; i < texts.size(); ++i)
      if (int64_t(i) % workers == w) shard.add(i, texts[i]);
    shard.finish();
  }
  const SubstringRows rows(merge_substring(options, folder, workers));
  std::vector<std::string> out;
  for (size_t i = 0; i < texts.size(); ++i) {
    Document d;
    d.text = texts[i];
    const std::string reason = rows.apply(i, d);
    out.push_back(reason.empty() ? d.text : reason);
    if (marks) marks->push_back(d.marks.empty() ? "" : d.marks[0]);
  }
  return out;
}

TEST(Substring, CutsAllButTheFirst) {
  const TemporaryFolder one("substring_one"), two("substring_two");
  const std::string licence = "Permission is hereby granted, free of charge, to any person who has a copy of it.";
  const std::vector<std::string> texts = {"First. " + licence + " The end.", "Second: " + licence, licence, "nothing of it",
                                          "Zürich: ü" + licence + "ü"};
  SubstringOptions options{.length = 40};
  std::vector<std::string> marks;
  const auto out = run(texts, options, one.path(), 1, &marks);
  EXPECT_EQ(out, (std::vector<std::string>{texts[0], "Second:", "substring:nothing_left", "nothing of it", "Zürich: üü"}));
  EXPECT_EQ(marks[1], "substring:1," + std::to_string(licence.size() + 1));  // with the blank before, which is in the first text too
  EXPECT_EQ(run(texts, options, two.path(), 2), out);
  EXPECT_EQ(r1::read_file(one.path() / "substring.rows"), r1::read_file(two.path() / "substring.rows"));
}

TEST(Substring, CutsNoCharacterInTwo) {
  const TemporaryFolder folder("substring_characters");
  // "é" is C3 A9 and "è" C3 A8: their first byte is common.
  const std::string common = "0123456789012345678901234567890123456789";
  const auto out = run({"a" + common + "é", "b" + common + "è"}, {.length = 20}, folder.path(), 1);
  EXPECT_EQ(out[1], "bè");
}

TEST(Substring, ByTokens) {
  const TemporaryFolder one("substring_tokens"), two("substring_tokens_two");
  std::vector<std::string> words;
  for (int i = 0; i < 40; ++i) words.push_back("word" + std::string(1, char('a' + i % 26)) + std::to_string(i) + " ");
  std::vector<std::string> vocabulary = words;
  vocabulary.push_back("<unk>");
  const auto tokenizer = text::Tokenizer::from_words(vocabulary, {});
  std::string a, b = words[39] + words[38];
  for (int i = 0; i < 30; ++i) a += words[size_t(i)];
  for (int i = 5; i < 20; ++i) b += words[size_t(i)];
  b += words[37];
  const SubstringOptions options{.unit = "tokens", .length = 10};
  const auto out = run({a, b}, options, one.path(), 1, nullptr, &tokenizer);
  EXPECT_EQ(out, (std::vector<std::string>{a, words[39] + words[38] + words[37]}));
  EXPECT_EQ(run({a, b}, options, two.path(), 2, nullptr, &tokenizer), out);
  EXPECT_NE(message_of([&] { SubstringShard(options, two.path(), 0, 3); }).find("needs a tokenizer"), std::string::npos);
}

}  // namespace
}  // namespace r1::corpus
