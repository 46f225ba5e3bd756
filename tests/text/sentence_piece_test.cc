// The SentencePiece vocabulary of a GGUF file against sentencepiece itself, over thousands of strings (tests/oracles/
// sentence_piece_golden.py), and the rules one by one on a small vocabulary.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <set>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/gguf_file.h"
#include "r1/base/rng.h"
#include "r1/text/stream_decoder.h"
#include "r1/text/tokenizer.h"
#include "r1/text/tokenizer_parts.h"
#include "tests/text/sentence_piece_check.h"
#include "tests/text/tokenizer_strings.h"

namespace r1::text {
namespace {

const std::string kSource = R1_SOURCE_DIR;
using Ids = std::vector<TokenId>;

class SentencePiece : public ::testing::Test {
 protected:
  void SetUp() override {
    const char *models = std::getenv("R1_MODELS"), *home = std::getenv("HOME");
    file_ = (models ? fs::path(models) : fs::path(home ? home : ".") / ".cache/r1/models") / golden_["file"].get<std::string>();
    if (!fs::exists(file_)) GTEST_SKIP() << file_ << " is not here (R1_MODELS)";
  }

  void load(bool prefix) {
    TokenizerParts parts = read_gguf_vocabulary(file_);
    if (prefix) {  // as a file with add_space_prefix reads
      const Json replace = parts.normalizer;
      parts.normalizer = sequence_section("normalizers", {Json{{"type", "Prepend"}, {"prepend", "\u2581"}}, replace});
      parts.decoder["decoders"].push_back(Json{{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
    }
    tokenizer_ = std::make_unique<Tokenizer>(Tokenizer::from_parts(std::move(parts)));
    std::vector<AddedToken> added = tokenizer_->added_tokens();
    std::ranges::sort(added, {}, &AddedToken::id);
    added_.clear();
    for (const AddedToken& token : added) added_.push_back(token.content);
  }
  std::string make(uint64_t index) const {
    static const testing::StringMaker strings(kSource);
    return strings.make(index, added_);
  }

  static std::string hash_of(const std::string& bytes) { return sha256(std::as_bytes(std::span(bytes))).substr(0, 16); }
  static void append_int(std::string& out, int32_t value) { out.append(reinterpret_cast<const char*>(&value), 4); }

  void compare(const Json& entry) const {
    const auto cases = entry["cases"].get<std::vector<Ids>>();
    for (size_t i = 0; i < cases.size(); ++i)
      EXPECT_EQ(tokenizer_->encode(make(1'000'000 + i)), cases[i]) << dump_json(Json(make(1'000'000 + i)));
    const size_t size = golden_["block"].get<size_t>();
    for (size_t b = 0; b < entry["ids"].size(); ++b) {
      std::string bytes, text;
      for (size_t i = b * size; i < (b + 1) * size; ++i) {
        const Ids ids = tokenizer_->encode(make(i));
        append_int(bytes, int32_t(ids.size()));
        for (const TokenId id : ids) append_int(bytes, id);
        const std::string decoded = tokenizer_->decode(ids);
        append_int(text, int32_t(decoded.size()));
        text += decoded;
      }
      EXPECT_EQ(hash_of(bytes), entry["ids"][b].get<std::string>()) << "block " << b;
      if (b < entry["text"].size()) {
        EXPECT_EQ(hash_of(text), entry["text"][b].get<std::string>()) << "texts of block " << b;
      }
    }
  }

  const Json golden_ = parse_json_file(kSource + "/tests/golden/sentence_piece.json");
  fs::path file_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::vector<std::string> added_;
};

TEST_F(SentencePiece, IdsAndTextsOfGemma) {
  load(false);
  compare(golden_["plain"]);
  EXPECT_EQ(tokenizer_->vocab_size(), 262144);
  EXPECT_EQ(tokenizer_->bos_id(), std::optional<TokenId>(2));
  EXPECT_TRUE(tokenizer_->add_bos());
  EXPECT_EQ(tokenizer_->encode("a", {.add_special_tokens = true}).front(), 2);
  EXPECT_EQ(tokenizer_->encode("<start_of_turn>user\n", {.parse_special = true}), (Ids{105, 2364, 107}));
  // A stream gives the same text; offsets cover the text in order.
  for (uint64_t i = 0; i < 300; ++i) {
    const std::string text = make(i);
    const Encoding encoding = tokenizer_->encode_with_offsets(text, {});
    ASSERT_EQ(encoding.ids, tokenizer_->encode(text));
    StreamDecoder stream(*tokenizer_, false);
    std::string streamed;
    for (const TokenId id : encoding.ids) streamed += stream.push(id);
    ASSERT_EQ(streamed + stream.finish(), tokenizer_->decode(encoding.ids));
    uint32_t done = 0;
    for (const auto& [begin, end] : encoding.offsets) {
      ASSERT_LE(begin, end);
      ASSERT_LE(end, text.size());
      ASSERT_GE(end, done);
      done = end;
    }
  }
}

TEST_F(SentencePiece, ASpaceBeforeEachText) {
  load(true);
  compare(golden_["prefix"]);
}

// What is saved is a tokenizer.json with merges.
TEST_F(SentencePiece, SavedAndLoaded) {
  load(false);
  const fs::path folder = fs::temp_directory_path() / str("r1_sentence_piece_", ::getpid());
  tokenizer_->save(folder);
  const Tokenizer again = Tokenizer::load(folder);
  fs::remove_all(folder);
  EXPECT_EQ(again.vocab_size(), tokenizer_->vocab_size());
  for (uint64_t i = 0; i < 300; ++i) ASSERT_EQ(again.encode(make(i)), tokenizer_->encode(make(i))) << dump_json(Json(make(i)));
}

// ---- by hand

using testing::gguf_of;
using testing::Piece;
using testing::PieceFile;

std::vector<Piece> small() {
  std::vector<Piece> pieces{{"<unk>", 0, 2}, {"<s>", 0, 3},      {"a", -10, 1}, {"b", -11, 1},  {"\u2581", -12, 1}, {"ab", -2, 1},
                            {"ba", -1, 1},   {"\u2581a", -3, 1}, {"aa", -4, 1}, {"aaa", -5, 1}, {"  ", -100, 4}};
  testing::add_byte_pieces(pieces);
  return pieces;
}

TokenizerParts parts_of(const std::string& bytes) {
  return gguf_vocabulary(GgufFile::from_bytes(std::as_bytes(std::span(bytes)), "small.gguf", {}));
}

TEST(SentencePieceRules, ByHand) {
  const Tokenizer t = Tokenizer::from_parts(parts_of(gguf_of({small()})));
  EXPECT_EQ(t.encode("ab"), (Ids{5}));
  EXPECT_EQ(t.encode("aba"), (Ids{2, 6}));  // "ba" scores better than "ab"
  EXPECT_EQ(t.encode("aaa"), (Ids{9}));
  EXPECT_EQ(t.encode("aaaaa"), (Ids{8, 9}));  // aa aa a: equals merge from the left
  EXPECT_EQ(t.encode("a b"), (Ids{2, 4, 3}));
  EXPECT_EQ(t.encode("  a"), (Ids{10, 2}));   // two spaces are cut out before anything merges
  EXPECT_EQ(t.encode("c"), (Ids{11 + 'c'}));  // spelled in bytes
  EXPECT_EQ(t.encode("é"), (Ids{11 + 0xC3, 11 + 0xA9}));
  EXPECT_EQ(t.encode("<s>"), (Ids{11 + '<', 11 + 's', 11 + '>'}));
  EXPECT_EQ(t.encode("<s>", {.parse_special = true}), (Ids{1}));
  EXPECT_EQ(t.encode("<0x61>"), (Ids{11 + '<', 11 + '0', 11 + 'x', 11 + '6', 11 + '1', 11 + '>'}));
  EXPECT_EQ(t.decode({4, 2, 11 + 0xC3, 11 + 0xA9, 10}), " aé  ");
  EXPECT_EQ(t.encode(""), Ids{});
}

std::string error_of(const std::string& bytes) {
  try {
    parts_of(bytes);
  } catch (const Error& e) {
    return e.what();
  }
  return "(no error)";
}

TEST(SentencePieceRules, UserDefinedPiecesAloneStandAnywhere) {
  PieceFile file{.pieces = {{"bb", 0, 4}, {"\u2581", -1, 1}, {"b", -1, 1}}, .space_prefix = true};
  EXPECT_EQ(Tokenizer::from_parts(parts_of(gguf_of(file))).encode("bbb bb"), (Ids{1, 0, 2, 1, 0}));
}

TEST(SentencePieceRules, SaysWhatIsWrong) {
  EXPECT_EQ(error_of(gguf_of({.pieces = small(), .scores = 3})), "small.gguf: tokenizer.ggml.scores has 3 entries for 267 tokens");
  std::vector<Piece> bad = small();
  bad[2].score = NAN;
  EXPECT_EQ(error_of(gguf_of({bad})), "small.gguf: tokenizer.ggml.scores holds nan");
  bad = small();
  bad[2].text = "\xFF";
  EXPECT_EQ(error_of(gguf_of({bad})), "small.gguf: token 2 is not valid UTF-8");
  EXPECT_EQ(error_of(gguf_of({.pieces = small(), .types = 4})), "small.gguf: tokenizer.ggml.token_type has 4 entries for 267 tokens");
}

// ---- hostile files

// Each took minutes, gigabytes or the stack.
TEST(SentencePieceRules, APieceIsShort) {
  std::vector<Piece> pieces = small();
  pieces.push_back({std::string(1024, 'a'), -20, 1});
  EXPECT_EQ(error_of(gguf_of({pieces})), "(no error)");
  for (const int32_t type : {1, 3, 4, 5}) {
    pieces.back() = {std::string(1 << 20, 'a'), -20, type};
    EXPECT_EQ(error_of(gguf_of({pieces})), "small.gguf: token 267 has 1048576 bytes, at most 1024 are allowed");
  }
}

// All parts of one random text: every cut of every piece is a merge.
TEST(SentencePieceRules, MergesAreCounted) {
  Rng rng(1);
  std::string text;
  for (int i = 0; i < 600; ++i) text += char('a' + rng.below(26));
  std::set<std::string> parts;
  for (size_t i = 0; i < text.size(); ++i)
    for (size_t n = 1; n <= 150 && i + n <= text.size(); ++n) parts.insert(text.substr(i, n));
  std::vector<Piece> pieces;
  for (const std::string& part : parts) pieces.push_back({part, -float(part.size()), 1});
  EXPECT_EQ(error_of(gguf_of({pieces})), "small.gguf: the pieces can be cut into others in more than 4194304 ways");
}

// Of processor time; sanitizers take several times as long.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr double kHalfAMegabyteSeconds = 15;
#else
constexpr double kHalfAMegabyteSeconds = 1;
#endif

TEST(SentencePieceRules, HalfAMegabyteOfOneCharacter) {
  std::vector<Piece> pieces = small();
  for (int n = 4; n < 200; ++n) pieces.push_back({std::string(size_t(n), 'a'), -float(n * 7919 % 199), 1});
  pieces.push_back({std::string(100, 'b') + "c", 0, 4});  // nearly there, again and again
  pieces.push_back({std::string(31, ' '), 0, 4});
  for (const bool prefix : {false, true}) {
    const Tokenizer t = Tokenizer::from_parts(parts_of(gguf_of({.pieces = pieces, .space_prefix = prefix})));
    for (const std::string unit : {"a", "b", " ", "\u2581", "\xFF", "é", "ab", "<s>", "\n"}) {
      std::string text;
      while (text.size() < 1 << 19) text += unit;
      const std::clock_t start = std::clock();
      const Ids ids = t.encode(text);
      EXPECT_LT(double(std::clock() - start) / CLOCKS_PER_SEC, kHalfAMegabyteSeconds) << "'" << unit << "'";
      if (unit != "\u2581") {
        EXPECT_EQ(t.decode_bytes(ids), text);
      }
    }
  }
}

TEST(SentencePieceRules, OnlyHexDigitsSpellAByte) {
  std::vector<Piece> pieces = small();
  const TokenId first = TokenId(pieces.size());
  for (const char* text : {"<0x-1>", "<0x 5>", "<0x5 >", "<0xg0>", "<0x41>"}) pieces.push_back({text, -50, 1});
  pieces.erase(pieces.begin() + 11 + 0x41);  // or it would be there twice
  const Tokenizer t = Tokenizer::from_parts(parts_of(gguf_of({pieces})));
  EXPECT_EQ(t.decode_bytes({first - 1, first, first + 1, first + 2, first + 3}), "<0x-1><0x 5><0x5 ><0xg0>A");
}

// Recipes and files of the fuzzer, as they are and with bytes changed.
std::vector<std::string> seeds() {
  PieceFile plain{.pieces = {{"<unk>", 0, 2}, {"<s>", 0, 3}, {"a", -3, 1}, {"b", -4, 1}, {"ab", -1, 1}, {"  ", 0, 4}, {"<0x61>", 0, 6}},
                  .unknown = 0,
                  .bos = 1};
  PieceFile prefixed = plain;
  prefixed.space_prefix = true;
  prefixed.types = 3;
  std::string recipe{'\x3B'}, raw{'\x02'};
  Rng rng(5);
  for (int i = 0; i < 300; ++i) (i % 2 ? recipe : raw) += char(rng.below(256));
  return {gguf_of(plain), gguf_of(prefixed), recipe, raw};
}

TEST(SentencePieceRules, MutatedFilesAndRecipes) {
  Rng rng(7);
  const std::vector<std::string> all = seeds();
  for (const std::string& seed : all) EXPECT_EQ(testing::sentence_piece_fault(seed), "");
  for (int i = 0; i < 3000; ++i) {
    std::string input = all[size_t(i) % all.size()];
    for (uint64_t n = 1 + rng.below(8); n > 0; --n) input[size_t(rng.below(input.size()))] = char(rng.below(256));
    if (i % 5 == 0) input.resize(size_t(rng.below(input.size())));
    ASSERT_EQ(testing::sentence_piece_fault(input), "") << "input " << i << ": " << dump_json(Json(to_byte_letters(input)));
  }
}

// tests/fuzz/corpus/sentence_piece: where the fuzzer starts (seed_*, written with R1_FUZZ_SEEDS=1) and what it once found.
TEST(SentencePieceRules, TheFuzzersCorpus) {
  const fs::path folder = fs::path(kSource) / "tests/fuzz/corpus/sentence_piece";
  const std::vector<std::string> all = seeds();
  for (size_t i = 0; i < all.size(); ++i) {
    const fs::path file = folder / str("seed_", i);
    if (std::getenv("R1_FUZZ_SEEDS")) make_folder(folder), write_file_atomic(file, all[i]);
    EXPECT_EQ(read_file(file), all[i]) << file;
  }
  for (const auto& entry : fs::directory_iterator(folder))
    EXPECT_EQ(testing::sentence_piece_fault(read_file(entry.path())), "") << entry.path();
}

}  // namespace
}  // namespace r1::text
