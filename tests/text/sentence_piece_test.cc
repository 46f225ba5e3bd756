// The SentencePiece vocabulary of a GGUF file against sentencepiece itself, over thousands of strings (tests/oracles/
// sentence_piece_golden.py), and the rules one by one on a small vocabulary.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/gguf_file.h"
#include "r1/text/stream_decoder.h"
#include "r1/text/tokenizer.h"
#include "r1/text/tokenizer_parts.h"
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

void put(std::string& out, const void* data, size_t size) {
  out.append(static_cast<const char*>(data), size);
}
template <class T>
void put(std::string& out, T value) {
  put(out, &value, sizeof value);
}
void put_string(std::string& out, const std::string& s) {
  put(out, uint64_t(s.size()));
  out += s;
}

struct Piece {
  std::string text;
  float score;
  int32_t type;
};

// A GGUF file (version 3) with nothing but this vocabulary.
std::string gguf(const std::vector<Piece>& pieces, size_t scores) {
  std::string out = "GGUF";
  put(out, uint32_t(3));
  put(out, uint64_t(0));
  put(out, uint64_t(5));
  const auto key = [&](const std::string& name, uint32_t kind) { put_string(out, name), put(out, kind); };
  const auto array = [&](const std::string& name, uint32_t kind, size_t count) { key(name, 9), put(out, kind), put(out, uint64_t(count)); };
  key("tokenizer.ggml.model", 8), put_string(out, "llama");
  key("tokenizer.ggml.add_space_prefix", 7), out += '\0';
  array("tokenizer.ggml.tokens", 8, pieces.size());
  for (const Piece& p : pieces) put_string(out, p.text);
  array("tokenizer.ggml.scores", 6, scores);
  for (size_t i = 0; i < scores; ++i) put(out, pieces[i].score);
  array("tokenizer.ggml.token_type", 5, pieces.size());
  for (const Piece& p : pieces) put(out, p.type);
  return out;
}

std::vector<Piece> small() {
  std::vector<Piece> pieces{{"<unk>", 0, 2}, {"<s>", 0, 3},      {"a", -10, 1}, {"b", -11, 1},  {"\u2581", -12, 1}, {"ab", -2, 1},
                            {"ba", -1, 1},   {"\u2581a", -3, 1}, {"aa", -4, 1}, {"aaa", -5, 1}, {"  ", -100, 4}};
  for (int b = 0; b < 256; ++b) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", b);
    pieces.push_back({name, 0, 6});
  }
  return pieces;
}

TokenizerParts parts_of(const std::string& bytes) {
  return gguf_vocabulary(GgufFile::from_bytes(std::as_bytes(std::span(bytes)), "small.gguf", {}));
}

TEST(SentencePieceRules, ByHand) {
  const Tokenizer t = Tokenizer::from_parts(parts_of(gguf(small(), small().size())));
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

TEST(SentencePieceRules, SaysWhatIsWrong) {
  const auto error = [](const std::string& bytes) -> std::string {
    try {
      parts_of(bytes);
    } catch (const Error& e) {
      return e.what();
    }
    return "(no error)";
  };
  EXPECT_EQ(error(gguf(small(), 3)), "small.gguf: tokenizer.ggml.scores has 3 entries for 267 tokens");
  std::vector<Piece> bad = small();
  bad[2].score = NAN;
  EXPECT_EQ(error(gguf(bad, bad.size())), "small.gguf: tokenizer.ggml.scores holds nan");
  bad = small();
  bad[2].text = "\xFF";
  EXPECT_EQ(error(gguf(bad, bad.size())), "small.gguf: token 2 is not valid UTF-8");
}

}  // namespace
}  // namespace r1::text
