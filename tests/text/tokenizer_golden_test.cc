// Ids and texts against HF tokenizers, for real vocabularies and for variants of their rules: hashes of blocks of 1,000 strings from
// tests/oracles/tokenizer_golden.py. With R1_ORACLE_PYTHON set, the oracle runs beside and the first string that differs is shown.
#include <gtest/gtest.h>

#include <unistd.h>
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <filesystem>
#include <map>
#include <memory>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/json.h"
#include "r1/text/stream_decoder.h"
#include "r1/text/tokenizer.h"
#include "r1/text/tokenizer_parts.h"
#include "tests/text/tokenizer_strings.h"

namespace r1::text {
namespace {

const std::string kSource = R1_SOURCE_DIR;

fs::path models_folder() {
  if (const char* folder = std::getenv("R1_MODELS")) return folder;
  const char* home = std::getenv("HOME");
  return fs::path(home ? home : ".") / ".cache/r1/models";
}

const Json& golden() {
  static const Json json = parse_json_file(kSource + "/tests/golden/tokenizer.json");
  return json;
}

const testing::StringMaker& maker() {
  static const testing::StringMaker strings(kSource);
  return strings;
}

Json variant_of(const std::string& name) {
  static const Json variants = parse_json_file(kSource + "/tests/golden/tokenizer_variants.json");
  for (const Json& v : variants)
    if (v["name"] == name) return v;
  return nullptr;
}

Tokenizer make_tokenizer(const std::string& name, const fs::path& file) {
  const Json variant = variant_of(name);
  if (variant.is_null()) return Tokenizer::load(file);
  TokenizerParts parts = read_gguf_vocabulary(file);
  if (variant.contains("normalizer")) parts.normalizer = variant["normalizer"];
  parts.pre_tokenizer = variant["pre_tokenizer"];
  parts.ignore_merges = variant.value("ignore_merges", false);
  return Tokenizer::from_parts(std::move(parts));
}

// Loading one takes longer than most tests with it.
const Tokenizer& tokenizer_of(const std::string& name, const fs::path& file) {
  static std::map<std::string, std::unique_ptr<const Tokenizer>> all;
  std::unique_ptr<const Tokenizer>& kept = all[name];
  if (!kept) kept = std::make_unique<const Tokenizer>(make_tokenizer(name, file));
  return *kept;
}

std::string hash_of(const std::string& bytes) {
  return sha256(std::as_bytes(std::span(bytes))).substr(0, 16);
}

void append_int(std::string& out, int32_t value) {
  out.append(reinterpret_cast<const char*>(&value), 4);
}

class GoldenTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    entry_ = golden()["vocabularies"][GetParam()];
    const fs::path file = models_folder() / entry_["file"].get<std::string>();
    if (!fs::exists(file)) GTEST_SKIP() << file << " is not here (scripts/setup.sh brings it, or set R1_MODELS)";
    tokenizer_ = &tokenizer_of(GetParam(), file);
    std::vector<AddedToken> added = tokenizer_->added_tokens();
    std::ranges::sort(added, {}, &AddedToken::id);
    for (const AddedToken& token : added) added_.push_back(token.content);
  }

  std::string make(uint64_t index) const { return maker().make(index, added_); }
  std::vector<TokenId> encode(uint64_t index, bool special) const { return tokenizer_->encode(make(index), {.parse_special = special}); }

  // The first string of a block whose ids the oracle gives otherwise.
  std::string locate(size_t block, size_t size, bool special) const {
    const char* python = std::getenv("R1_ORACLE_PYTHON");
    if (!python) return " (set R1_ORACLE_PYTHON to see which string)";
    const std::string command = str("cd '", kSource, "/tests/oracles' && '", python, "' tokenizer_golden.py ids ", GetParam(),
                                    special ? " 1 " : " 0 ", block * size, " ", size);
    FILE* const pipe = popen(command.c_str(), "r");
    std::string line, out;
    uint64_t index = block * size;
    for (int c; pipe && (c = std::fgetc(pipe)) != EOF;) {
      if (c != '\n') {
        line.push_back(char(c));
        continue;
      }
      const auto theirs = parse_json(line, "oracle").get<std::vector<TokenId>>();
      const auto ours = encode(index, special);
      if (ours != theirs && out.empty())
        out = str(" string ", index, " ", Json(make(index)).dump(-1, ' ', true), "\n ours   ", Json(ours).dump(), "\n theirs ",
                  Json(theirs).dump());
      line.clear();
      ++index;
    }
    if (pipe) pclose(pipe);
    return out.empty() ? " but the oracle now agrees on every string: the golden file is stale" : out;
  }

  void compare(const char* key, bool special) const {
    const size_t size = golden()["block"].get<size_t>();
    size_t bad = 0;
    for (size_t b = 0; b < entry_[key].size(); ++b) {
      std::string bytes;
      for (size_t i = b * size; i < (b + 1) * size; ++i) {
        const auto ids = encode(i, special);
        append_int(bytes, int32_t(ids.size()));
        for (const TokenId id : ids) append_int(bytes, id);
      }
      if (hash_of(bytes) == entry_[key][b].get<std::string>()) continue;
      if (++bad == 1) ADD_FAILURE() << GetParam() << " " << key << ": block " << b << " differs" << locate(b, size, special);
    }
    EXPECT_EQ(bad, 0u) << "blocks that differ";
  }

  void compare_text(const char* key, bool skip) const {
    const size_t size = golden()["block"].get<size_t>();
    for (size_t b = 0; b < entry_[key].size(); ++b) {
      std::string bytes;
      for (size_t i = b * size; i < (b + 1) * size; ++i) {
        const std::string text = tokenizer_->decode(encode(i, true), skip);
        append_int(bytes, int32_t(text.size()));
        bytes += text;
      }
      EXPECT_EQ(hash_of(bytes), entry_[key][b].get<std::string>()) << GetParam() << " " << key << " block " << b;
    }
  }

  Json entry_;
  const Tokenizer* tokenizer_ = nullptr;
  std::vector<std::string> added_;
};

TEST_P(GoldenTest, Cases) {
  const auto cases = entry_["cases"].get<std::vector<std::vector<TokenId>>>();
  ASSERT_GE(cases.size(), 50u);
  for (size_t i = 0; i < cases.size(); ++i) EXPECT_EQ(encode(1'000'000 + i, true), cases[i]) << dump_json(Json(make(1'000'000 + i)));
}

TEST_P(GoldenTest, IdsWithoutSpecial) {
  compare("ids", false);
}

TEST_P(GoldenTest, IdsWithSpecial) {
  compare("ids_special", true);
}

TEST_P(GoldenTest, Texts) {
  compare_text("text", false);
  compare_text("text_skip", true);
}

// The stream of pieces is the decoded text; offsets cut the text where the tokens do.
TEST_P(GoldenTest, StreamAndOffsets) {
  const bool exact = variant_of(GetParam()).is_null();
  for (uint64_t i = 0; i < 3000; ++i) {
    const std::string text = make(i);
    const auto ids = tokenizer_->encode(text, {.parse_special = true});
    StreamDecoder stream(*tokenizer_, i % 2);
    std::string streamed;
    for (const TokenId id : ids) {
      const std::string piece = stream.push(id);
      ASSERT_EQ(to_valid_utf8(piece), piece);
      streamed += piece;
    }
    ASSERT_EQ(streamed + stream.finish(), tokenizer_->decode(ids, i % 2));

    const Encoding encoding = tokenizer_->encode_with_offsets(text, {.parse_special = true});
    ASSERT_EQ(encoding.ids, ids) << dump_json(Json(text));
    uint32_t done = 0;
    for (size_t k = 0; k < ids.size(); ++k) {
      const auto [begin, end] = encoding.offsets[k];
      ASSERT_LE(begin, end);
      ASSERT_LE(end, text.size());
      if (!exact || nfc_may_change(text) || tokenizer_->decode_bytes(ids) != text) continue;  // SmolLM2 lacks tokens for some bytes
      ASSERT_EQ(text.substr(begin, end - begin), tokenizer_->token_bytes(ids[k]));
      ASSERT_GE(begin, done);
      done = end;
    }
  }
}

TEST_P(GoldenTest, SaveAndLoad) {
  const fs::path folder = fs::temp_directory_path() / str("r1_tokenizer_", GetParam(), "_", ::getpid());
  tokenizer_->save(folder);
  const Tokenizer again = Tokenizer::load(folder);
  EXPECT_EQ(again.hash(), tokenizer_->hash());
  EXPECT_EQ(again.vocab_size(), tokenizer_->vocab_size());
  EXPECT_EQ(again.bos_id(), tokenizer_->bos_id());
  EXPECT_EQ(again.eos_id(), tokenizer_->eos_id());
  EXPECT_EQ(again.add_bos(), tokenizer_->add_bos());
  EXPECT_EQ(again.chat_template(), tokenizer_->chat_template());
  const Tokenizer::EncodeOptions options{.parse_special = true, .add_special_tokens = true};
  for (uint64_t i = 0; i < 500; ++i) ASSERT_EQ(again.encode(make(i), options), tokenizer_->encode(make(i), options));
  fs::remove_all(folder);
}

std::vector<std::string> names() {
  std::vector<std::string> out;
  for (const auto& [name, entry] : golden()["vocabularies"].items()) out.push_back(name);
  return out;
}

INSTANTIATE_TEST_SUITE_P(Hf, GoldenTest, ::testing::ValuesIn(names()), [](const auto& info) {
  std::string name = info.param;
  std::ranges::replace_if(
      name, [](char c) { return !std::isalnum(uint8_t(c)); }, '_');
  return name;
});

}  // namespace
}  // namespace r1::text
