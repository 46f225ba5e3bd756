#include "r1/corpus/minhash.h"

#include <gtest/gtest.h>

#include "r1/base/error.h"
#include "r1/base/json.h"
#include "r1/base/rng.h"
#include "r1/base/threads.h"
#include "r1/corpus/split.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace r1::corpus {
namespace {

// Made with datatrove by tests/oracles/minhash_golden.py.
const Json& golden() {
  static const Json made = parse_json_file(fs::path(R1_SOURCE_DIR) / "tests/golden/minhash.json");
  return made;
}

std::vector<std::string> words_of(std::string_view text, bool characters) {
  Words words;
  words.assign(text, {.characters = characters});
  std::vector<std::string> out;
  for (size_t i = 0; i < words.size(); ++i) out.emplace_back(words[i]);
  return out;
}

TEST(Words, AreDatatroves) {
  for (const Json& row : golden()["words"]) {
    const auto text = row["text"].get<std::string>();
    EXPECT_EQ(words_of(text, false), row["words"].get<std::vector<std::string>>()) << text;
  }
}

TEST(Words, CharactersOfScriptsWithoutBlanks) {
  EXPECT_EQ(words_of("我爱GPU，2024年！", true), (std::vector<std::string>{"我", "爱", "gpu", "0", "年"}));
  EXPECT_EQ(words_of("がんばる ภาษา", true), (std::vector<std::string>{"か", "ん", "は", "る", "ภ", "า", "ษ", "า"}));
}

TEST(Words, KnowWhereTheyCameFrom) {
  const std::string text = "  Dont, 12.5km - Éa 我!";
  Words words;
  words.assign(text, {.sources = true});
  std::vector<std::string> from;
  for (size_t i = 0; i < words.size(); ++i)
    from.push_back(text.substr(words.source(i).first, words.source(i).second - words.source(i).first));
  EXPECT_EQ(from, (std::vector<std::string>{"Dont", "Dont", "12.5km", "12.5km", "Éa", "我"}));
  EXPECT_EQ(words.stretch(0, 5), "do nt 0 km ea");
}

// Words of every length at every place of a look at 32 bytes give the same as one by one behind a character that keeps the short road shut.
TEST(Words, ManyAtOnceAreTheSameAsOneByOne) {
  Rng random(8);
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    std::vector<std::string> expected;
    for (int i = 0; i < 12; ++i) {
      std::string word;
      for (uint64_t k = 1 + random.below(round % 2 == 0 ? 8 : 40); k > 0; --k)
        word += char((random.below(2) ? 'a' : 'A') + random.below(26));
      const std::vector<std::string> alone = words_of(word, true);
      expected.insert(expected.end(), alone.begin(), alone.end());
      text += word;
      for (uint64_t k = 1 + random.below(round % 3 == 0 ? 40 : 3); k > 0; --k) text += " ,.\n\t-[@`{~"[random.below(11)];
    }
    ASSERT_EQ(words_of(text, true), expected) << text;
  }
}

TEST(Words, AnyBytes) {
  Rng random(3);
  Words words;
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (int i = 0; i < 40; ++i) text += char(random.below(3) == 0 ? random.below(256) : 'a' + random.below(26));
    words.assign(text, {.characters = round % 2 == 0, .sources = true});
    for (size_t i = 0; i < words.size(); ++i) {
      EXPECT_FALSE(words[i].empty());
      EXPECT_EQ(words[i].find(' '), std::string_view::npos);
      EXPECT_LE(words.source(i).first, words.source(i).second);
      EXPECT_LE(words.source(i).second, text.size());
    }
  }
}

TEST(MinhashSigner, HasNumpysConstants) {
  const MinhashSigner signer(112, 1);
  for (size_t i = 0; i < 112; ++i) {
    EXPECT_EQ(std::to_string(signer.a()[i]), golden()["a"][i]);
    EXPECT_EQ(std::to_string(signer.b()[i]), golden()["b"][i]);
  }
}

TEST(MinhashSigner, VectorsGiveTheSameBits) {
  Rng random(5);
  for (const int64_t permutations : {1, 7, 16, 17, 96, 97, 112, 113, 130, 225}) {
    const MinhashSigner signer(permutations, 1);
    for (const size_t n : {1, 2, 15, 16, 17, 100, 1000}) {
      std::vector<uint64_t> shingles(n);
      for (uint64_t& s : shingles) s = random.bits();
      if (n == 17) std::fill(shingles.begin(), shingles.end(), shingles[0]);
      std::vector<uint64_t> plain(static_cast<size_t>(permutations)), vector(plain.size());
      signer.sign(shingles, plain.data(), SignWith::kPlain);
      for (const SignWith with : {SignWith::kBest, SignWith::kAvx2, SignWith::kAvx512}) {
        if (!MinhashSigner::can_sign_with(with)) continue;
        signer.sign(shingles, vector.data(), with);
        EXPECT_EQ(vector, plain) << n << " shingles, " << permutations << " permutations";
      }
    }
  }
}

// Blocks have numbers of 16 bits, and the least value may be in any part of more than those.
TEST(MinhashSigner, MoreShinglesThanBlocksHaveNumbers) {
  Rng random(6);
  const MinhashSigner signer(3, 1);
  std::vector<uint64_t> shingles((size_t{4} << 16) + 5);
  for (uint64_t& s : shingles) s = random.bits();
  for (int round = 0; round < 4; ++round) {
    uint64_t plain[3], vector[3];
    signer.sign(shingles, plain, SignWith::kPlain);
    for (const SignWith with : {SignWith::kAvx2, SignWith::kAvx512}) {
      if (!MinhashSigner::can_sign_with(with)) continue;
      signer.sign(shingles, vector, with);
      for (int i = 0; i < 3; ++i) EXPECT_EQ(vector[i], plain[i]);
    }
    std::rotate(shingles.begin(), shingles.begin() + 70'000, shingles.end());
  }
}

// Shingles whose products end at the edges where upper halves mislead: just under and over multiples of 2^61, of the prime, and with carries.
TEST(MinhashSigner, EdgesOfTheModulus) {
  const MinhashSigner signer(16, 1);
  const auto inverse = [](uint64_t a) {  // mod 2^64, of an odd number, by Newton
    uint64_t x = a;
    for (int i = 0; i < 6; ++i) x *= 2 - a * x;
    return x;
  };
  Rng random(9);
  int seen = 0;
  for (size_t p = 0; p < 16; ++p) {
    if (signer.a()[p] % 2 == 0) continue;
    ++seen;
    for (uint64_t top = 0; top < 8; ++top) {
      std::vector<uint64_t> shingles;
      for (int64_t d = -10; d <= 10; ++d) shingles.push_back(((top << 61) + uint64_t(d) - signer.b()[p]) * inverse(signer.a()[p]));
      // Alone, and among others; and without those that would be least.
      for (int round = 0; round < 4; ++round) {
        std::vector<uint64_t> plain(16), vector(16);
        signer.sign(shingles, plain.data(), SignWith::kPlain);
        signer.sign(shingles, vector.data());
        EXPECT_EQ(vector, plain) << p << " " << top << " " << round;
        if (round == 0) shingles.erase(shingles.begin() + 10, shingles.end());
        if (round == 1) shingles.resize(5);
        if (round == 2)
          for (int i = 0; i < 40; ++i) shingles.push_back(random.bits());
      }
    }
  }
  EXPECT_GT(seen, 4);
}

TEST(Minhash, SignaturesAreDatatroves) {
  for (const Json& set : golden()["signatures"]) {
    MinhashOptions options;
    options.hash = set["hash"];
    options.characters = false;
    const MinhashText text(options);
    Words words;
    std::vector<uint64_t> shingles, signature(112);
    for (const Json& row : set["rows"]) {
      const size_t number = row["text"];
      text.shingles(golden()["words"][number]["text"].get<std::string>(), words, shingles);
      ASSERT_FALSE(shingles.empty());
      text.signer().sign(shingles, signature.data());
      for (size_t i = 0; i < 112; ++i) ASSERT_EQ(std::to_string(signature[i]), row["signature"][i]) << options.hash << " text " << number;
    }
  }
}

fs::path run(const std::vector<std::string>& documents, const MinhashOptions& options, const fs::path& folder, int64_t workers = 1) {
  for (int64_t w = 0; w < workers; ++w) {
    MinhashShard shard(options, folder, w, workers);
    for (size_t i = 0; i < documents.size(); ++i)
      if (int64_t(i) % workers == w) shard.add(i, documents[i]);
    shard.finish();
  }
  return merge_minhash(options, folder, workers);
}

TEST(Minhash, ClustersAreDatatroves) {
  const TemporaryFolder folder("minhash_clusters");
  const auto documents = golden()["clusters"]["documents"].get<std::vector<std::string>>();
  MinhashOptions options;
  options.similarity = 0;
  options.keep = "first";
  const MinhashRows rows(run(documents, options, folder.path()));
  ASSERT_EQ(rows.size(), documents.size());
  int64_t dropped = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].stays, golden()["clusters"]["least"][i].get<uint64_t>()) << i;
    EXPECT_EQ(rows[i].dropped, rows[i].stays != i);
    dropped += rows[i].dropped;
  }
  EXPECT_GT(dropped, 10);
}

std::string sentence(Rng& random, int n) {
  std::string text;
  for (int i = 0; i < n; ++i)
    text += "w" + std::string(1, char('a' + random.below(26))) + std::string(1, char('a' + random.below(26))) + " ";
  return text;
}

std::vector<std::string> planted() {
  Rng random(11);
  std::vector<std::string> documents;
  for (int i = 0; i < 60; ++i) documents.push_back(sentence(random, 150));
  documents.push_back(documents[3]);                        // the same
  documents.push_back(documents[7] + "and one more word");  // 0.97 alike
  documents.push_back(documents[9].substr(0, 500));         // 0.83 alike: in a cluster perhaps, but both stay
  documents.push_back("too short");
  documents.push_back("too short");
  return documents;
}

TEST(Minhash, DropsWhatIsCloserThanTheThreshold) {
  for (const char* verify : {"signature", "shingles"}) {
    const TemporaryFolder folder("minhash_drop");
    MinhashOptions options;
    options.verify = verify;
    const MinhashRows rows(run(planted(), options, folder.path()));
    std::vector<Place> dropped;
    for (size_t i = 0; i < rows.size(); ++i)
      if (rows[i].dropped) dropped.push_back(i);
    EXPECT_EQ(dropped, (std::vector<Place>{7, 60})) << verify;  // the longer of 7 and 61 stays
    EXPECT_EQ(rows.at(7).stays, 61u);
    EXPECT_EQ(rows.at(60).stays, 3u);
    EXPECT_EQ(rows[63].cluster, rows[64].cluster);  // the same text, though it has no signature
  }
}

// OpenDCAI/DataFlow pull request 526: texts shorter than a shingle were all one cluster.
TEST(Minhash, ShortTextsAreNoCopiesOfEachOther) {
  const TemporaryFolder folder("minhash_short");
  const MinhashRows rows(run({"cat", "dog", "", "one two three four"}, {}, folder.path()));
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i].dropped, 0u);
}

// ChenghaoMou/text-dedup issue 103: Chinese has no blanks, so whole sentences were words and nothing was found.
TEST(Minhash, FindsCopiesInChinese) {
  const TemporaryFolder folder("minhash_chinese");
  const std::string text =
      "世界经济史是一部基于假象和谎言的连续剧。要获得财富，做法就是认清其假象，投入其中，然后在假象被公众认识之前退出游戏。";
  const MinhashRows rows(run({text, text + "！", "完全不同的一句话，没有任何重复的内容在里面。"}, {}, folder.path()));
  EXPECT_EQ(rows[0].dropped, 1u);
  EXPECT_EQ(rows[1].dropped, 0u);
  EXPECT_EQ(rows[2].dropped, 0u);
}

TEST(Minhash, KeepsTheFirstIfAsked) {
  const TemporaryFolder folder("minhash_first");
  MinhashOptions options;
  options.keep = "first";
  const MinhashRows rows(run(planted(), options, folder.path()));
  EXPECT_EQ(rows.at(61).dropped, 1u);
  EXPECT_EQ(rows.at(61).stays, 7u);
  EXPECT_EQ(rows.at(7).dropped, 0u);
}

TEST(Minhash, TheSameBytesForAnyWorkersThreadsAndMemory) {
  const TemporaryFolder one("minhash_one"), many("minhash_many"), small("minhash_small");
  const std::vector<std::string> documents = planted();
  MinhashOptions options;
  const std::string expected = r1::read_file(run(documents, options, one.path()));
  set_num_threads(3);
  EXPECT_EQ(r1::read_file(run(documents, options, many.path(), 4)), expected);
  set_num_threads(0);
  options.memory_bytes = 1;  // every bucket by itself
  EXPECT_EQ(r1::read_file(run(documents, options, small.path(), 2)), expected);
}

TEST(Minhash, AShardThatIsThereIsNotMadeAgain) {
  const TemporaryFolder folder("minhash_again");
  const MinhashOptions options;
  run(planted(), options, folder.path(), 2);
  EXPECT_TRUE(MinhashShard(options, folder.path(), 0, 2).done());
  MinhashOptions other;
  other.ngram = 4;
  EXPECT_NE(message_of([&] { MinhashShard(other, folder.path(), 0, 2); }).find("made with other options"), std::string::npos);
  fs::remove(shard_path(folder.path(), "minhash", 1, 2));
  EXPECT_NE(message_of([&] { merge_minhash(options, folder.path(), 2); }).find("no shard of worker 1 of 2"), std::string::npos);
}

TEST(MinhashWindow, ForgetsWhatIsFarBack) {
  Rng random(2);
  MinhashWindow window({}, 3);
  const std::string a = sentence(random, 50);
  EXPECT_EQ(window.seen(a), -1);
  EXPECT_EQ(window.seen(a), 0);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(window.seen(sentence(random, 50)), -1);
  EXPECT_EQ(window.seen(a), 0);  // what is dropped takes no room
  EXPECT_EQ(window.seen(sentence(random, 50)), -1);
  EXPECT_EQ(window.seen(a), -1);
}

TEST(Split, SharesComeOutAndCopiesStayTogether) {
  std::map<Part, int> counts;
  const SplitOptions options = SplitOptions::preset("small");
  for (uint64_t i = 0; i < 20000; ++i) ++counts[part_of(random_bits(1, 2, i), options)];
  EXPECT_NEAR(counts[Part::kTrain], 14000, 300);
  EXPECT_NEAR(counts[Part::kValidation], 3000, 200);
  EXPECT_NEAR(counts[Part::kTest], 3000, 200);
  counts.clear();
  for (uint64_t i = 0; i < 200000; ++i) ++counts[part_of(random_bits(1, 2, i), SplitOptions::preset("large"))];
  EXPECT_NEAR(counts[Part::kTest], 100, 40);

  const TemporaryFolder folder("split");
  MinhashOptions minhash;
  const MinhashRows rows(run(planted(), minhash, folder.path()));
  EXPECT_EQ(rows[7].cluster, rows[61].cluster);
  EXPECT_EQ(rows[3].cluster, rows[60].cluster);
  // More input changes no part.
  std::vector<std::string> more = planted();
  Rng random(99);
  more.insert(more.begin(), sentence(random, 80));
  const TemporaryFolder second("split_more");
  const MinhashRows again(run(more, minhash, second.path()));
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(part_of(rows[i].cluster, options), part_of(again[i + 1].cluster, options));
  SplitOptions large{.preset_name = "large"};
  large.resolve();
  EXPECT_EQ(large.train, 0.999);
  large.resolve();  // as a merge does with what a run wrote
  EXPECT_EQ(large.test, 0.0005);
  EXPECT_NE(message_of([] {
              SplitOptions{.preset_name = "large", .train = 0.8, .validation = 0.1, .test = 0.1}.resolve();
            }).find("leave one of the two"),
            std::string::npos);
  EXPECT_NE(message_of([] { SplitOptions{.train = 0.5}.resolve(); }).find("add up to 1"), std::string::npos);
}

}  // namespace
}  // namespace r1::corpus
