// Tokenizer: the rules one by one on a vocabulary small enough to check by eye, hand-written splitters against the regexes they stand for,
// broken files, speed of the worst cases. Equality with HF over many strings is tokenizer_golden_test.
#include "r1/text/tokenizer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <thread>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/text/piece_cache.h"
#include "r1/text/pieces.h"
#include "r1/text/stream_decoder.h"
#include "r1/text/tokenizer_parts.h"
#include "tests/base/gguf_builder.h"
#include "tests/text/tokenizer_strings.h"

namespace r1::text {
namespace {

using Ids = std::vector<TokenId>;

// All bytes, then a few merges: "he" 256, "ll" 257, "hell" 258, " w" 259; specials after.
TokenizerParts small_parts() {
  TokenizerParts parts;
  parts.where = "small";
  for (int b = 0; b < 256; ++b) {
    const char byte = char(b);
    parts.vocabulary.emplace_back(to_byte_letters({&byte, 1}), b);
  }
  const auto merge = [&](TokenId a, TokenId b) {
    const TokenId id = TokenId(parts.vocabulary.size());
    parts.vocabulary.emplace_back(parts.vocabulary[size_t(a)].first + parts.vocabulary[size_t(b)].first, id);
    parts.merges.push_back({a, b, id});
  };
  merge('h', 'e');
  merge('l', 'l');
  merge(256, 257);
  merge(' ', 'w');
  parts.added.push_back({.id = 260, .content = "<s>", .special = true});
  parts.added.push_back({.id = 261, .content = "<tool>", .special = false});
  parts.pre_tokenizer = byte_level_section(false, true);
  parts.decoder = byte_level_section(false, true);
  return parts;
}

Tokenizer small(TokenizerParts parts = small_parts()) {
  return Tokenizer::from_parts(std::move(parts));
}

template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "(no error)";
}

TEST(Tokenizer, MergesByRank) {
  const Tokenizer t = small();
  EXPECT_EQ(t.encode("hello world"), (Ids{258, 'o', 259, 'o', 'r', 'l', 'd'}));
  EXPECT_EQ(t.encode(""), Ids{});
  EXPECT_EQ(t.encode("llll"), (Ids{257, 257}));
  EXPECT_EQ(t.encode("lllll"), (Ids{257, 257, 'l'}));
  EXPECT_EQ(t.vocab_size(), 262);
  EXPECT_EQ(t.token_bytes(259), " w");
  EXPECT_EQ(t.token_id("Ġw"), 259);
  EXPECT_EQ(t.token_id("nowhere"), std::nullopt);
  EXPECT_THROW(t.token_bytes(262), Error);
  EXPECT_THROW(t.token_bytes(-1), Error);
}

TEST(Tokenizer, UserTextNeverBecomesASpecialToken) {
  const Tokenizer t = small();
  const Ids plain = t.encode("a<s>b");
  EXPECT_EQ(plain, (Ids{'a', '<', 's', '>', 'b'}));
  EXPECT_EQ(t.encode("a<s>b", {.parse_special = true}), (Ids{'a', 260, 'b'}));
  EXPECT_EQ(t.encode("a<tool>b"), (Ids{'a', 261, 'b'}));
  EXPECT_TRUE(t.is_special(260));
  EXPECT_FALSE(t.is_special(261));
  EXPECT_FALSE(t.is_special(1'000'000));
  // Not by looking whole pieces up either.
  TokenizerParts parts = small_parts();
  parts.ignore_merges = true;
  parts.vocabulary.emplace_back("<s>", 260);
  parts.pre_tokenizer = byte_level_section(false, false);
  EXPECT_EQ(small(std::move(parts)).encode("<s>"), (Ids{'<', 's', '>'}));
}

TEST(Tokenizer, NoAddedTokenBeginsAtOrReachesOverAPlainPlace) {
  TokenizerParts parts = small_parts();
  parts.added.push_back({.id = 262, .content = "<tool>x"});
  parts.added.push_back({.id = 263, .content = "w\u00e9", .normalized = true});
  parts.normalizer = {{"type", "NFC"}};
  const Tokenizer t = small(parts);
  const std::string text = "<s><s><tool>xe\u0301w\u00e9w\u00e9";
  const auto ids = [&](std::vector<size_t> places) {
    const Tokenizer::EncodeOptions options{.parse_special = true, .plain_at = places};
    EXPECT_EQ(t.encode_with_offsets(text, options).ids, t.encode(text, options));
    return t.encode(text, options);
  };
  const Ids e = {0xC3, 0xA9}, w = {'w', 0xC3, 0xA9}, s = {'<', 's', '>'};
  EXPECT_EQ(ids({}), (Ids{260, 260, 262, 0xC3, 0xA9, 263, 263}));
  EXPECT_EQ(ids({3}), (Ids{260, '<', 's', '>', 262, 0xC3, 0xA9, 263, 263}));
  EXPECT_EQ(ids({0, 16}), (Ids{'<', 's', '>', 260, 262, 0xC3, 0xA9, 'w', 0xC3, 0xA9, 263}));  // counted in the text as it was given
  EXPECT_EQ(ids({6, 19}), (Ids{260, 260, '<', 't', 'o', 'o', 'l', '>', 'x', 0xC3, 0xA9, 263, 'w', 0xC3, 0xA9}));
  EXPECT_EQ(ids({1, 2, 7, 17}), (Ids{'<', 's', '>', 260, '<', 't', 'o', 'o', 'l', '>', 'x', 0xC3, 0xA9, 'w', 0xC3, 0xA9, 263}));
  EXPECT_EQ(ids({12}), (Ids{260, 260, 261, 'x', 0xC3, 0xA9, 263, 263}));  // a shorter one ends before it
  EXPECT_EQ(ids({13, 14}), ids({}));
}

// A file may list the bytes of byte fallback among its special tokens.
TEST(Tokenizer, ByteTokensThatAreCalledSpecial) {
  TokenizerParts parts;
  parts.where = "bytes";
  parts.vocabulary = {{"<unk>", 0}, {"a", 1}, {"<0x0A>", 2}, {"<0x0B>", 3}};
  parts.unk_token = "<unk>";
  parts.byte_fallback = true;
  parts.added = {{.id = 2, .content = "<0x0A>", .special = true}};
  parts.decoder = {{"type", "ByteFallback"}};
  const Tokenizer t = small(std::move(parts));
  EXPECT_EQ(t.encode("a\n\va"), (Ids{1, 2, 3, 1}));
  EXPECT_EQ(t.decode({1, 2, 3, 1}), "a\n\va");
  EXPECT_EQ(t.encode("b"), Ids{0});
}

TEST(Tokenizer, WithoutTokens) {
  const Tokenizer t = Tokenizer::without_tokens();
  EXPECT_EQ(t.vocab_size(), 0);
  EXPECT_EQ(t.decode({0, 5, INT32_MAX}), "");
  EXPECT_EQ(t.token_id("a"), std::nullopt);
  EXPECT_EQ(t.end_ids(), Ids{});
  EXPECT_THROW((void)t.encode("a"), Error);
}

TEST(Tokenizer, IdsAboveTheVocabulary) {
  const Tokenizer t = small();
  EXPECT_TRUE(t.known(261));
  for (const TokenId id : {262, -1, INT32_MAX}) EXPECT_FALSE(t.known(id)) << id;
  EXPECT_EQ(t.decode({'a', 262, 'b'}), "ab");
  StreamDecoder stream(t);
  EXPECT_EQ(stream.push('a') + stream.push(262) + stream.push('b') + stream.finish(), "ab");
}

TEST(Tokenizer, IgnoreMergesTakesWholePieces) {
  TokenizerParts parts = small_parts();
  parts.vocabulary.emplace_back("hello", 262);
  EXPECT_EQ(small(parts).encode("hello"), (Ids{258, 'o'}));
  parts.ignore_merges = true;
  EXPECT_EQ(small(parts).encode("hello"), Ids{262});
}

TEST(Tokenizer, AddedTokensStripAndStandAlone) {
  TokenizerParts parts = small_parts();
  parts.added[1].lstrip = parts.added[1].rstrip = true;
  parts.added.push_back({.id = 262, .content = "word", .single_word = true});
  parts.added.push_back({.id = 263, .content = "<tool><s>"});
  const Tokenizer t = small(std::move(parts));
  EXPECT_EQ(t.encode("a \n<tool>\t b"), (Ids{'a', 261, 'b'}));
  EXPECT_EQ(t.encode("word,word"), (Ids{262, ',', 262}));
  EXPECT_EQ(t.encode("sword").size(), 5u);
  EXPECT_EQ(t.encode("wordé").size(), 6u);
  EXPECT_EQ(t.encode("<tool><s>"), Ids{263});  // the longest wins
}

TEST(Tokenizer, TemplateAddsBosAndEos) {
  TokenizerParts parts = small_parts();
  parts.post_processor = template_section(std::pair<std::string, TokenId>("<s>", 260), std::nullopt);
  parts.bos = "<s>";
  const Tokenizer t = small(parts);
  EXPECT_EQ(t.encode("a", {.add_special_tokens = true}), (Ids{260, 'a'}));
  EXPECT_EQ(t.encode("a"), Ids{'a'});
  EXPECT_TRUE(t.add_bos());
  EXPECT_EQ(t.bos_id(), 260);
  parts.post_processor = nullptr;
  EXPECT_FALSE(small(parts).add_bos());
  parts.add_bos = true;
  EXPECT_EQ(small(parts).encode("a", {.add_special_tokens = true}), (Ids{260, 'a'}));
}

TEST(Tokenizer, DecodeKeepsBytesOrRepairsThem) {
  const Tokenizer t = small();
  const Ids half = {0xE4, 0xBD};  // the beginning of 你
  EXPECT_EQ(t.decode_bytes(half), "\xE4\xBD");
  EXPECT_EQ(t.decode(half), "\xEF\xBF\xBD");
  EXPECT_EQ(t.decode({260, 'a', 12345, -3}), "<s>a");
  EXPECT_EQ(t.decode({260, 'a'}, true), "a");
}

TEST(Tokenizer, AnyBytesComeBack) {
  const Tokenizer t = small();
  testing::Rng rng(7);
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (uint64_t n = rng.below(60); n > 0; --n)
      text.push_back(rng.below(2) ? char(rng.below(256)) : "hel w'\n\xE4\xBD\xA0<s"[rng.below(13)]);
    const Ids ids = t.encode(text, {.parse_special = true});
    ASSERT_EQ(t.decode_bytes(ids), text);
    ASSERT_EQ(t.encode_with_offsets(text, {.parse_special = true}).ids, ids);
  }
}

TEST(StreamDecoder, NeverHalfACharacter) {
  const Tokenizer t = small();
  StreamDecoder stream(t);
  EXPECT_EQ(stream.push(0xE4), "");
  EXPECT_EQ(stream.push(0xBD), "");
  EXPECT_EQ(stream.push(0xA0), "你");
  EXPECT_EQ(stream.push(0xF0), "");
  EXPECT_EQ(stream.push('a'),
            "\xEF\xBF\xBD"
            "a");
  EXPECT_EQ(stream.push(0xC3), "");
  EXPECT_EQ(stream.push(260), "");  // a special token is skipped
  EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD");
  EXPECT_EQ(stream.finish(), "");
}

// SentencePiece's decoder takes a space from the start of a text. What follows a prompt is no start.
TEST(StreamDecoder, KeepsTheFirstSpaceOfACompletion) {
  TokenizerParts parts;
  parts.where = "pieces";
  parts.kind = ModelOptions::Kind::kWordLevel;
  parts.unk_token = "<unk>";
  parts.vocabulary = {{"<unk>", 0}, {"<s>", 1}, {"\u2581a", 2}, {"b", 3}};
  parts.added = {{.id = 1, .content = "<s>", .special = true}};
  const Json replace = {{"type", "Replace"}, {"pattern", {{"String", "\u2581"}}}, {"content", " "}};
  parts.decoder =
      sequence_section("decoders", {replace, {{"type", "Fuse"}}, {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}});
  const Tokenizer t = small(std::move(parts));
  const auto text = [&](const Ids& before, const Ids& ids, bool skip_special = true) {
    StreamDecoder stream(t, skip_special, before);
    std::string out;
    for (const TokenId id : ids) out += stream.push(id);
    return out + stream.finish();
  };
  EXPECT_EQ(text({}, {2, 3, 2}), "ab a");
  EXPECT_EQ(text({1, 2}, {2, 3, 2}), " ab a");
  EXPECT_EQ(text({1}, {2, 3}), "ab");          // nothing of the prompt shows: this is the start
  EXPECT_EQ(text({1}, {2, 3}, false), " ab");  // here <s> shows
  EXPECT_EQ(text({99}, {2}), "a");             // an id that is no token shows nothing
  for (const Ids& before : {Ids{2, 3}, Ids{1, 2}, Ids{3}})
    for (const Ids& after : {Ids{2, 2}, Ids{3, 2}, Ids{1, 2}}) {
      Ids all = before;
      all.insert(all.end(), after.begin(), after.end());
      EXPECT_EQ(t.decode(before, true) + text(before, after), t.decode(all, true));
    }
}

// ---- word lists ----

TEST(Tokenizer, WordsForSmallRecipes) {
  std::vector<std::string> words = {"<pad>", "<eos>", "<unk>", "<think>", "</think>", "<answer>", "</answer>", "start", " ", "+",
                                    "-",     "*",     "=",     ":",       "\n",       "/",        ".",         "[",     "]", "a-z"};
  for (int i = 0; i < 100; ++i) words.push_back(std::to_string(i));
  const Tokenizer t = Tokenizer::from_words(words, {.special = {"<pad>", "<eos>"}, .eos = "<eos>", .pad = "<pad>"});
  EXPECT_EQ(t.vocab_size(), int64_t(words.size()));
  const std::string text = "start 7*9+3=66:<think>63-42=21\n</think><answer>21</answer>[a-z]";
  const Ids ids = t.encode(text);
  EXPECT_EQ(t.decode(ids), text);
  EXPECT_EQ(ids[0], *t.token_id("start"));
  EXPECT_EQ(t.encode("42"), Ids{*t.token_id("42")});
  EXPECT_EQ(t.encode("100"), (Ids{*t.token_id("10"), *t.token_id("0")}));
  EXPECT_EQ(t.encode("5?"), (Ids{*t.token_id("5"), *t.token_id("<unk>")}));
  EXPECT_EQ(t.eos_id(), *t.token_id("<eos>"));
  const fs::path folder = fs::temp_directory_path() / str("r1_words_", ::getpid());
  t.save(folder);
  const Tokenizer again = Tokenizer::load(folder);
  fs::remove_all(folder);
  EXPECT_EQ(again.hash(), t.hash());
  EXPECT_EQ(again.encode(text), ids);
  EXPECT_EQ(again.eos_id(), t.eos_id());
  EXPECT_NE(error_of([&] { Tokenizer::from_words({"a", "a", "<unk>"}, {}); }).find("twice"), std::string::npos);
  EXPECT_NE(error_of([&] { Tokenizer::from_words({"a"}, {}); }).find("<unk>"), std::string::npos);
}

// ---- the splitters against the regexes they stand for ----

struct Family {
  const char* name;
  Json spec;
  PreTokenizer::Kind kind;
};

std::vector<Family> families() {
  const auto with = [](std::vector<Json> members, bool use_regex = false) {
    members.push_back(byte_level_section(false, use_regex));
    return sequence_section("pretokenizers", std::move(members));
  };
  return {{"gpt2", byte_level_section(false, true), PreTokenizer::Kind::kGpt2},
          {"qwen2", with({split_section(patterns::kQwen2)}), PreTokenizer::Kind::kQwen2},
          {"qwen35", with({split_section(patterns::kQwen35)}), PreTokenizer::Kind::kQwen35},
          {"llama3", with({split_section(patterns::kLlama3)}), PreTokenizer::Kind::kLlama3},
          {"smollm", with({{{"type", "Digits"}, {"individual_digits", true}}}, true), PreTokenizer::Kind::kSmolLm},
          {"deepseek",
           with({split_section(patterns::kDeepSeekNumbers), split_section(patterns::kDeepSeekCjk), split_section(patterns::kDeepSeekRest)}),
           PreTokenizer::Kind::kDeepSeek}};
}

TEST(Splitters, EqualTheirRegexes) {
  const testing::StringMaker maker(R1_SOURCE_DIR);
  for (const Family& family : families()) {
    const PreTokenizer pre(family.spec, family.name);
    ASSERT_EQ(pre.kind(), family.kind) << family.name;
    PreTokenizer::Scratch scratch;
    for (uint64_t i = 2'000'000; i < 2'008'000; ++i) {
      const std::string text = maker.make(i, {"<|im_end|>"});
      std::vector<std::string> fast, slow;
      for_each_piece(pre, text, scratch, [&](const Piece& p) { fast.emplace_back(p.begin, p.end); });
      for (const Piece& p : pre.run_steps(text, scratch)) slow.emplace_back(p.begin, p.end);
      ASSERT_EQ(fast, slow) << family.name << " " << i << " " << Json(text).dump(-1, ' ', true);
    }
  }
}

TEST(Splitters, EveryCodePointBetweenLetters) {
  for (const Family& family : families()) {
    const PreTokenizer pre(family.spec, family.name);
    PreTokenizer::Scratch scratch;
    std::string text;
    for (uint32_t c = 0; c < 0x110000; ++c) {
      if (c >= 0xD800 && c < 0xE000) continue;
      if (c >= 0x20000 && c % 61 != 0 && c != 0x10FFFF && (c < 0xE0000 || c >= 0xE0200)) continue;  // long stretches of one class
      text += "a ";
      append_utf8(text, c);
      append_utf8(text, c);
      if (text.size() < 60'000 && c != 0x10FFFF) continue;
      std::vector<size_t> fast, slow;
      for_each_piece(pre, text, scratch, [&](const Piece& p) { fast.push_back(size_t(p.end - text.data())); });
      for (const Piece& p : pre.run_steps(text, scratch)) slow.push_back(size_t(p.end - text.data()));
      ASSERT_EQ(fast, slow) << family.name << " up to U+" << std::hex << c;
      text.clear();
    }
  }
}

// Blocks of 64 bytes are cut by masks, so what matters is long text of the characters that the patterns tell apart, each place in a block, and
// pieces and runs that reach over its ends.
TEST(Splitters, MasksEqualTheRegexes) {
  const std::vector<std::string> parts = {
      " ",    "  ",   "\t",       "\n",       "\r\n",     "\n\n",         "a",        "the",  "Word",     "'s", "'S",     "'ll",
      "'re",  "'v",   "'",        "''",       "1",        "12",           "123456",   "(",    ").",       "--", "_",      "\x01",
      "\x1f", "\x7f", "\xC2\xA0", "\xC3\xA9", "\xCC\x81", "\xE4\xBD\xA0", "\xD9\xA3", "\xFF", "\xC5\xBF", "\v", ";\n  \n"};
  uint64_t random = 7;
  const auto draw = [&](size_t n) { return size_t((random = random * 6364136223846793005u + 1442695040888963407u) >> 33) % n; };
  for (const Family& family : families()) {
    const PreTokenizer pre(family.spec, family.name);
    PreTokenizer::Scratch scratch;
    for (int i = 0; i < 2000; ++i) {
      // Some texts of a few kinds of part only, so that there are long runs.
      const size_t kinds = i % 3 == 0 ? parts.size() : 1 + draw(6), from = draw(parts.size());
      std::string text;
      for (size_t n = draw(300); text.size() < n;) text += parts[(from + draw(kinds)) % (i % 2 ? parts.size() : 24)];
      std::vector<size_t> slow;
      if (text.find('\xFF') == std::string::npos)  // PCRE2 sees a byte that is no UTF-8 as the end of a text
        for (const Piece& p : pre.run_steps(text, scratch)) slow.push_back(size_t(p.end - text.data()));
      for (const SplitWith with : {SplitWith::kPlain, SplitWith::kSse2, SplitWith::kAvx2}) {
        if (!can_split_with(with)) continue;
        std::vector<size_t> fast;
        const char* const end = text.data() + text.size();
        const auto sink = [&](const char*, const char* q) { fast.push_back(size_t(q - text.data())); };
        if (family.kind == PreTokenizer::Kind::kGpt2) split_gpt2(text.data(), end, sink, with);
        if (family.kind == PreTokenizer::Kind::kQwen2) split_qwen<1, kLetter>(text.data(), end, sink, with);
        if (family.kind == PreTokenizer::Kind::kQwen35) split_qwen<1, kLetter | kMark>(text.data(), end, sink, with);
        if (family.kind == PreTokenizer::Kind::kLlama3) split_qwen<3, kLetter>(text.data(), end, sink, with);
        if (family.kind == PreTokenizer::Kind::kDeepSeek) split_deepseek(text.data(), end, sink, with);
        if (family.kind == PreTokenizer::Kind::kSmolLm) split_smollm(text.data(), end, sink);
        if (slow.empty()) slow = fast;
        ASSERT_EQ(fast, slow) << family.name << " " << int(with) << " " << Json(text).dump(-1, ' ', true, Json::error_handler_t::replace);
      }
    }
  }
}

// encode_with_offsets() knows no cache. Enough different pieces to make it grow, to fill it and to put pieces into the places of others.
TEST(Tokenizer, TheCacheForgetsButDoesNotErr) {
  const Tokenizer t = small();
  uint64_t random = 1;
  const auto draw = [&](size_t n) { return size_t((random = random * 6364136223846793005u + 1442695040888963407u) >> 33) % n; };
  std::vector<std::string> words;
  for (int i = 0; i < 30'000; ++i) {
    std::string word = " ";
    for (size_t n = 1 + draw(i % 50 == 0 ? 1500 : i % 5 == 0 ? 40 : 7); word.size() <= n;) word += "hello wo"[draw(5)];
    words.push_back(word);
  }
  for (int pass = 0; pass < 3; ++pass) {
    std::string text;
    for (int i = 0; i < 40'000; ++i) text += words[draw(words.size())];
    ASSERT_EQ(t.encode(text), t.encode_with_offsets(text, {}).ids);
  }
}

// What find() gives is what was stored last, if anything, through growing, taking places and forgetting all.
TEST(PieceCache, GivesWhatWasStoredOrNothing) {
  PieceCache cache;
  size_t found = 0, asked = 0;
  const auto symbols_of = [](size_t i) {
    std::vector<Model::Symbol> symbols(i % 5 == 4 ? i % 900 : i % 5);
    for (size_t k = 0; k < symbols.size(); ++k) symbols[k] = {TokenId(i * 7 + k), 1};
    return symbols;
  };
  const auto piece_of = [](size_t i) { return std::string(i % 40, 'x') + std::to_string(i); };
  const auto ask = [&](size_t i) {
    const std::string piece = piece_of(i);
    const auto key = PieceCache::key(piece.data(), piece.size(), piece.data() + piece.size());
    const PieceCache::Slot* const slot = cache.find(key, PieceCache::hash(key));
    ++asked;
    if (slot == nullptr) return;
    const TokenId* ids = slot->ids;
    size_t n = size_t(slot->ids[PieceCache::kSlotIds]);
    if (slot->ids[PieceCache::kSlotIds] == PieceCache::kElsewhere) {
      ASSERT_TRUE(cache.ids_of(*slot, piece, &ids, &n)) << piece;
    }
    const auto symbols = symbols_of(i);
    ASSERT_EQ(n, symbols.size()) << piece;
    for (size_t k = 0; k < n; ++k) ASSERT_EQ(ids[k], symbols[k].id) << piece;
    ++found;
  };
  for (size_t i = 0; i < 100'000; ++i) {
    const std::string piece = piece_of(i);
    const auto key = PieceCache::key(piece.data(), piece.size(), piece.data() + piece.size());
    cache.store(key, PieceCache::hash(key), piece, symbols_of(i));
    if (i % 3 == 0) ask(i / 2);
    ask(i);
  }
  EXPECT_GT(found, asked / 2);
  EXPECT_LT(found, asked);  // 9 million ids are more than it keeps
  const std::string other = "a piece of more bytes than a key has", twin = "another of them as long as the first";
  const auto key = PieceCache::key(other.data(), other.size(), other.data() + other.size());
  cache.store(key, PieceCache::hash(key), other, symbols_of(2));
  const TokenId* ids;
  size_t n;
  EXPECT_TRUE(cache.ids_of(*cache.find(key, PieceCache::hash(key)), other, &ids, &n));
  EXPECT_FALSE(cache.ids_of(*cache.find(key, PieceCache::hash(key)), twin, &ids, &n));  // as if their hashes were one
}

// ---- no input takes long ----

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr double kSlower = 4;
#else
constexpr double kSlower = 1;
#endif

// Processor time, as the machine may be busy, of a build without sanitizers.
double seconds_of(const Tokenizer& t, const std::string& text) {
  const std::clock_t start = std::clock();
  const Ids ids = t.encode(text);
  const double seconds = double(std::clock() - start) / CLOCKS_PER_SEC;
  EXPECT_EQ(t.decode_bytes(ids), text);
  return seconds / kSlower;
}

TEST(Tokenizer, AMegabyteOfOneCharacter) {
  for (const Family& family : families()) {
    TokenizerParts parts = small_parts();
    parts.pre_tokenizer = family.spec;
    const Tokenizer t = small(std::move(parts));
    for (const char* unit : {"l", " ", "\n", "'", "7", "\t", ".", "\xE4\xBD\xA0", "\xCC\x81", "<", "<s", "\xFF", "\r\n", "he"}) {
      std::string text;
      while (text.size() < 1 << 20) text += unit;
      EXPECT_LT(seconds_of(t, text), 1.0) << family.name << " '" << unit << "'";
    }
  }
}

// Neither the stack nor time beyond reason.
TEST(Tokenizer, AnAddedTokenMayBeLong) {
  TokenizerParts parts = small_parts();
  parts.pre_tokenizer = parts.decoder = Json();
  parts.normalizer = {{"type", "Replace"}, {"pattern", {{"String", "x"}}}, {"content", "yy"}};
  parts.decoder = {{"type", "Replace"}, {"pattern", {{"String", "yy"}}}, {"content", "x"}};
  const std::string longest(4 << 20, 'y');
  parts.added.push_back({.id = 262, .content = longest, .normalized = true});
  parts.added.push_back({.id = 263, .content = longest + "z", .special = true});
  const Tokenizer t = small(std::move(parts));
  EXPECT_EQ(t.encode(std::string(2 << 20, 'x')), Ids{262});
  EXPECT_EQ(t.encode(longest + "z", {.parse_special = true}), Ids{263});
  EXPECT_EQ(t.decode_bytes({262}), std::string(2 << 20, 'x'));
}

TEST(Tokenizer, AMegabyteThroughTheRegexEngine) {
  TokenizerParts parts = small_parts();
  parts.pre_tokenizer =
      sequence_section("pretokenizers", {split_section(std::string(patterns::kQwen2) + "|(?!)"), byte_level_section(false, false)});
  const Tokenizer t = small(std::move(parts));
  for (const char* unit : {"l", " ", "\n", "7", ".", "\xE4\xBD\xA0", "a "}) {
    std::string text;
    while (text.size() < 1 << 20) text += unit;
    EXPECT_LT(seconds_of(t, text), 2.0) << "'" << unit << "'";
  }
}

// ---- threads ----

TEST(Tokenizer, ThreadsShareOne) {
  const Tokenizer t = small();
  const testing::StringMaker maker(R1_SOURCE_DIR);
  std::vector<Ids> expected;
  for (uint64_t i = 0; i < 500; ++i) expected.push_back(t.encode(maker.make(i, {"<s>"})));
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int k = 0; k < 4; ++k)
    threads.emplace_back([&] {
      for (uint64_t i = 0; i < 500; ++i) wrong += t.encode(maker.make(i, {"<s>"})) != expected[i];
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

// ---- broken files ----

TEST(TokenizerJson, ErrorsNameTheKey) {
  const auto error = [](const std::string& json) { return error_of([&] { Tokenizer::from_parts(read_tokenizer_json(json, "t.json")); }); };
  const std::string model = R"("model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]})";
  EXPECT_EQ(error("{" + model + "}"), "(no error)");
  EXPECT_NE(error("{}").find("t.json: key 'model' is missing"), std::string::npos);
  EXPECT_NE(error("").find("t.json: expected '{'"), std::string::npos);
  EXPECT_NE(error("{" + model).find("t.json"), std::string::npos);
  EXPECT_NE(error("{" + model + "} x").find("something follows"), std::string::npos);
  EXPECT_NE(error(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["a b"]}})").find("token 'b' of a merge"), std::string::npos);
  EXPECT_NE(error(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["a  b"]}})").find("is not two tokens"), std::string::npos);
  EXPECT_NE(error(R"({"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}})").find("out of range"), std::string::npos);
  EXPECT_NE(error(R"({"model":{"type":"BPE","vocab":{"a":99999999999999999999},"merges":[]}})").find("integer"), std::string::npos);
  EXPECT_NE(error(R"({"model":{"type":"Unigram","vocab":[["a",0.5]]}})").find("only BPE and WordLevel"), std::string::npos);
  EXPECT_NE(error(R"({"normalizer":{"type":"Lowercase"},)" + model + "}").find("normalizer of type 'Lowercase' is not supported"),
            std::string::npos);
  EXPECT_NE(error(R"({"pre_tokenizer":{"type":"Metaspace"},)" + model + "}").find("'Metaspace' is not supported"), std::string::npos);
  EXPECT_NE(error(R"({"pre_tokenizer":{"type":"Split","pattern":{"Regex":"(a"},"behavior":"Isolated"},)" + model + "}").find("regex '(a'"),
            std::string::npos);
  EXPECT_NE(
      error(R"({"pre_tokenizer":{"type":"Split","pattern":{"Regex":"a"},"behavior":"Eaten"},)" + model + "}").find("unknown behavior"),
      std::string::npos);
  EXPECT_NE(error("{\"model\":\"\xff\"}").find("invalid UTF-8 at byte 10"), std::string::npos);
  EXPECT_NE(error(R"({"added_tokens":[{"content":"x"}],)" + model + "}").find("'id'"), std::string::npos);
  EXPECT_NE(error_of([] { Tokenizer::load("/nonexistent/tokenizer.json"); }).find("no such file"), std::string::npos);
}

TEST(TokenizerJson, MutatedFilesFailOrLoad) {
  const std::string good = write_tokenizer_json(small_parts());
  testing::Rng rng(3);
  for (int round = 0; round < 300; ++round) {
    std::string bad = good;
    for (uint64_t n = 1 + rng.below(4); n > 0; --n) {
      const size_t at = rng.below(bad.size());
      switch (rng.below(4)) {
        case 0:
          bad[at] = char(rng.below(256));
          break;
        case 1:
          bad.erase(at, 1 + rng.below(20));
          break;
        case 2:
          bad.insert(at, 1, "{}[]\",:\\0-"[rng.below(10)]);
          break;
        default:
          bad.resize(at);
          break;
      }
      if (bad.empty()) bad = "{";
    }
    try {
      const Tokenizer t = Tokenizer::from_parts(read_tokenizer_json(bad, "bad.json"));
      t.decode(t.encode("hello <s> world \xE4\xBD\xA0"));
    } catch (const Error&) {
    }
  }
}

TEST(TokenizerConfig, ChatTemplateAsStringListAndFile) {
  const fs::path folder = fs::temp_directory_path() / str("r1_config_", ::getpid());
  small().save(folder);
  const auto with = [&](const std::string& config) {
    write_file_atomic(folder / "tokenizer_config.json", config);
    return Tokenizer::load(folder);
  };
  EXPECT_EQ(with(R"({"chat_template":"A"})").chat_template(), "A");
  EXPECT_EQ(with(R"({"chat_template":[{"name":"tool_use","template":"T"},{"name":"default","template":"D"}]})").chat_template(), "D");
  const Tokenizer t = with(R"({"bos_token":{"content":"<s>"},"eos_token":"<s>","add_bos_token":true,
                               "added_tokens_decoder":{"300":{"content":"<new>","special":true}}})");
  EXPECT_EQ(t.bos_id(), 260);
  EXPECT_TRUE(t.add_bos());
  EXPECT_EQ(t.token_id("<new>"), 300);
  EXPECT_EQ(t.vocab_size(), 301);
  write_file_atomic(folder / "chat_template.jinja", "J");
  EXPECT_EQ(with(R"({"chat_template":"A"})").chat_template(), "J");
  fs::remove_all(folder);
}

TEST(TokenizerConfig, NamesFromTheSpecialTokensMap) {
  const fs::path folder = fs::temp_directory_path() / str("r1_map_", ::getpid());
  small().save(folder);
  write_file_atomic(folder / "special_tokens_map.json", R"({"bos_token":"<s>","eos_token":{"content":"<s>"},"pad_token":"<tool>"})");
  const auto with = [&](const std::string& config) {
    write_file_atomic(folder / "tokenizer_config.json", config);
    return Tokenizer::load(folder);
  };
  const Tokenizer t = with("{}");
  EXPECT_EQ(t.bos_id(), 260);
  EXPECT_EQ(t.eos_id(), 260);
  EXPECT_EQ(t.pad_id(), 261);
  EXPECT_EQ(t.end_ids(), Ids{260});
  EXPECT_EQ(with(R"({"eos_token":"<tool>"})").eos_id(), 261);  // the config beside it goes first
  fs::remove(folder / "tokenizer_config.json");
  EXPECT_EQ(Tokenizer::load(folder).eos_id(), 260);
  write_file_atomic(folder / "special_tokens_map.json", "[]");
  EXPECT_NE(error_of([&] { Tokenizer::load(folder); }).find("special_tokens_map.json: expected a JSON object"), std::string::npos);
  fs::remove_all(folder);
}

TEST(TokenizerConfig, ErrorsNameFileAndPlace) {
  const fs::path folder = fs::temp_directory_path() / str("r1_place_", ::getpid());
  small().save(folder);
  const std::string file = (folder / "tokenizer.json").string();
  Json json = parse_json_file(file);
  const auto error_with = [&](const char* pointer, const Json& value) {
    Json bad = json;
    bad[Json::json_pointer(pointer)] = value;
    write_file_atomic(file, dump_json(bad));
    return error_of([&] { Tokenizer::load(folder); });
  };
  EXPECT_EQ(error_with("/added_tokens/1", Json::parse(R"({"id":261})")), file + ": added_tokens[1]: key 'content' is missing");
  EXPECT_EQ(error_with("/added_tokens/0/id", -7), file + ": added_tokens[0]: token id -7 is out of range");
  const std::string long_pattern = "(" + std::string(5000, 'x');
  const std::string error = error_with("/pre_tokenizer", split_section(long_pattern));
  EXPECT_EQ(error.rfind(file + ": pre_tokenizer: regex '(xxx", 0), 0u) << error.substr(0, 300);
  EXPECT_LT(error.size(), file.size() + 200);
  EXPECT_EQ(small().chat_template_where(), "");
  write_file_atomic(folder / "tokenizer_config.json", R"({"chat_template":"A"})");
  write_file_atomic(file, dump_json(json));
  EXPECT_EQ(Tokenizer::load(folder).chat_template_where(), (folder / "tokenizer_config.json").string() + ": chat_template");
  write_file_atomic(folder / "chat_template.jinja", "J");
  EXPECT_EQ(Tokenizer::load(folder).chat_template_where(), (folder / "chat_template.jinja").string());
  fs::remove_all(folder);
}

TEST(TokenizerGguf, FoldersAndPartsAndEveryEnd) {
  const fs::path folder = fs::temp_directory_path() / str("r1_gguf_", ::getpid());
  fs::remove_all(folder);
  make_folder(folder);
  EXPECT_NE(error_of([&] { Tokenizer::load(folder); }).find("no tokenizer in this folder"), std::string::npos);
  r1::testing::GgufBuilder whole;
  whole.add("tokenizer.ggml.model", "llama").add("tokenizer.chat_template", "T");
  whole.add_list("tokenizer.ggml.tokens", std::vector<std::string>{"<unk>", "a", "<end>", "<turn>", "<more>"});
  whole.add_list("tokenizer.ggml.scores", std::vector<float>(5, 0))
      .add_list("tokenizer.ggml.token_type", std::vector<int32_t>{2, 1, 3, 3, 3});
  whole.add("tokenizer.ggml.unknown_token_id", uint32_t{0}).add("tokenizer.ggml.eos_token_id", uint32_t{2});
  whole.add("tokenizer.ggml.eot_token_id", uint32_t{3}).add("tokenizer.ggml.eom_token_id", uint32_t{4});
  whole.add("split.no", uint16_t{0}).add("split.count", uint16_t{2});
  write_file_atomic(folder / "m-00001-of-00002.gguf", whole.bytes());
  const auto second = r1::testing::GgufBuilder().add("split.no", uint16_t{1}).add("split.count", uint16_t{2}).bytes();
  write_file_atomic(folder / "m-00002-of-00002.gguf", second);
  for (const fs::path& path : {folder, folder / "m-00001-of-00002.gguf"}) {
    const Tokenizer t = Tokenizer::load(path);
    EXPECT_EQ(t.vocab_size(), 5);
    EXPECT_EQ(t.end_ids(), (Ids{2, 3, 4}));
    EXPECT_EQ(t.chat_template_where(), (folder / "m-00001-of-00002.gguf").string() + ": tokenizer.chat_template");
  }
  write_file_atomic(folder / "other.gguf", whole.bytes());
  EXPECT_NE(error_of([&] { Tokenizer::load(folder); }).find("GGUF"), std::string::npos);
  EXPECT_NE(
      error_of([&] { Tokenizer::load(folder / "m-00002-of-00002.gguf"); }).find("is part 2 of 2 of a split model; name its first part"),
      std::string::npos);
  fs::remove_all(folder);
}

TEST(Regex, ReadsRubySyntax) {
  const auto matches = [](const char* pattern, const std::string& text) {
    const Regex regex(pattern);
    Regex::Scratch scratch;
    Regex::Match m;
    return regex.find(text, 0, scratch, &m) ? text.substr(m.begin, m.end - m.begin) : "(none)";
  };
  EXPECT_EQ(matches(R"(\h+)", "xyz0aFg"), "0aF");
  EXPECT_EQ(matches(R"([a-f&&[^c]]+)", "cabcd"), "ab");
  EXPECT_EQ(matches(R"(\d{1,2}+)", "12345x"), "12345");
  EXPECT_EQ(matches("^b", "a\nb"), "b");
  EXPECT_EQ(matches(R"(\u4F60)", "你好"), "你");
  EXPECT_EQ(matches(R"([^\S\n]+)", "\n\t x"), "\t ");
  EXPECT_EQ(matches(R"((?i:'s))", "x'ſ"), "'ſ");
  EXPECT_THROW(Regex("["), Error);
  EXPECT_THROW(Regex("[[:alpha:]]"), Error);
  EXPECT_THROW(Regex("a)"), Error);
  EXPECT_THROW(Regex(R"(\q)"), Error);
}

TEST(Regex, ACatastropheGivesUp) {
  const Regex regex("(a+)+$b");
  Regex::Scratch scratch;
  Regex::Match m;
  try {
    EXPECT_FALSE(regex.find(std::string(5000, 'a'), 0, scratch, &m));
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("gave up"), std::string::npos);
  }
}

TEST(Unicode, ReplacesAsPythonDoes) {
  EXPECT_EQ(to_valid_utf8("a\xF0\x90\x80z"), "a\xEF\xBF\xBDz");
  EXPECT_EQ(to_valid_utf8("\xE0\x80\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(to_valid_utf8("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(unfinished_utf8("a\xF0\x90\x80"), 3u);
  EXPECT_EQ(unfinished_utf8("a\xF0\x90\x80\x80"), 0u);
  EXPECT_EQ(unfinished_utf8("\xE0\x80"), 0u);  // can't become valid
  EXPECT_EQ(nfc("e\u0301 \u1100\u1161\u11a8 \u212b", false).text, "\u00e9 \uac01 \u00c5");
  EXPECT_EQ(nfd("\u1e69", false).text, "s\u0323\u0307");
}

}  // namespace
}  // namespace r1::text
