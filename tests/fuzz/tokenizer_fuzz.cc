// libFuzzer target: a tokenizer.json made of the input must load or throw r1::Error; a tokenizer of known rules must give every byte string
// back.
//   clang++-14 -std=c++20 -g -O1 -fsanitize=fuzzer,address -I. tests/fuzz/tokenizer_fuzz.cc r1/text/*.cc r1/base/*.cc -lpcre2-8 -lyaml-cpp
//   -lcrypto
#include <cstdint>
#include <cstdlib>
#include <string>

#include "r1/base/error.h"
#include "r1/text/bpe_train.h"
#include "r1/text/stream_decoder.h"
#include "r1/text/tokenizer.h"
#include "r1/text/tokenizer_parts.h"

namespace {

using namespace r1::text;

Tokenizer known(const r1::Json& pre_tokenizer) {
  TokenizerParts parts;
  parts.where = "fuzz";
  for (int b = 0; b < 256; ++b) {
    const char byte = char(b);
    parts.vocabulary.emplace_back(to_byte_letters({&byte, 1}), b);
  }
  for (int i = 0; i < 64; ++i) {  // merges of merges, of all kinds of bytes
    const TokenId a = TokenId(i * 37 % (256 + i)), b = TokenId(i * 101 % (256 + i)), id = TokenId(256 + i);
    parts.vocabulary.emplace_back(parts.vocabulary[size_t(a)].first + parts.vocabulary[size_t(b)].first, id);
    parts.merges.push_back({a, b, id});
  }
  parts.added.push_back({.id = 320, .content = "<s>", .special = true});
  parts.added.push_back({.id = 321, .content = "<<"});
  parts.pre_tokenizer = pre_tokenizer;
  parts.decoder = byte_level_section(false, true);
  return Tokenizer::from_parts(std::move(parts));
}

void round_trip(const Tokenizer& tokenizer, const std::string& text) {
  const auto ids = tokenizer.encode(text, {.parse_special = true});
  if (tokenizer.decode_bytes(ids) != text) std::abort();
  if (tokenizer.encode_with_offsets(text, {.parse_special = true}).ids != ids) std::abort();
  StreamDecoder stream(tokenizer, false);
  std::string shown;
  for (const TokenId id : ids) shown += stream.push(id);
  if (shown + stream.finish() != tokenizer.decode(ids)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Tokenizer tokenizers[] = {known(byte_level_section(false, true)), known(pre_tokenizer_of("qwen2")),
                                         known(pre_tokenizer_of("deepseek-v3")), known(pre_tokenizer_of("smollm"))};
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const Tokenizer& tokenizer : tokenizers) round_trip(tokenizer, text);
  try {
    const Tokenizer loaded = Tokenizer::from_parts(read_tokenizer_json(text, "fuzz.json"));
    loaded.decode(loaded.encode("hello <s> world"));
  } catch (const r1::Error&) {
  }
  return 0;
}
