// What the grammar's tests share: vocabularies made up here, texts tried byte by byte, answers drawn at random under the masks.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "r1/grammar/grammar.h"
#include "r1/grammar/grammar_constraint.h"

namespace r1::grammar {

// For patterns that must compile, also where a sanitizer makes that many times slower.
inline Limits unhurried() {
  return {.seconds = 5};
}

inline namespace support {

// All bytes, then pieces of many, then the stop (a control token), then an id that is no token.
inline std::vector<std::string> byte_tokens(const std::vector<std::string>& pieces = {}) {
  std::vector<std::string> tokens;
  for (int b = 0; b < 256; ++b) tokens.push_back(std::string(1, char(b)));
  tokens.insert(tokens.end(), pieces.begin(), pieces.end());
  tokens.push_back("<end>");
  tokens.push_back("");
  return tokens;
}

struct Vocabulary {
  explicit Vocabulary(const std::vector<std::string>& pieces = {})
      : stop(TokenId(256 + pieces.size())), table(std::make_shared<TokenTable>(byte_tokens(pieces), std::vector<TokenId>{stop})) {}
  TokenId stop;
  std::shared_ptr<const TokenTable> table;
};

inline const Vocabulary& json_vocabulary() {
  static const Vocabulary v({"{\"",      "\":",      "\": ", ", \"", "\"}",    "\"]", "\",",    "}}",    "]}",  "},",  "true",
                             "false",    "null",     "name", "e\":", "\": \"", "  ",  "\n    ", "\n",    " \"", "é",   "日",
                             "\xF0\x9F", "\x98\x80", "12",   "0.5",  "-1",     "[]",  "{}",     "\\u00", "\\n", "a\"", "</tool_call>"});
  return v;
}

// Error's message, "" if there is none.
template <class F>
std::string refusal(F f) {
  try {
    f();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kUsage) << e.what();
    return e.what();
  }
  return "";
}

inline Json json(const std::string& text) {
  return parse_json(text, "test");
}
// A schema as text, for brevity.
inline Grammar schema(const std::string& text) {
  return compile_json_schema(json(text));
}

inline std::shared_ptr<Matcher> matcher_of(const Grammar& grammar, const Vocabulary& v = json_vocabulary(),
                                           const MatcherLimits& limits = {}) {
  return std::make_shared<Matcher>(grammar, v.table, limits);
}

enum class Fit { kNo, kPrefix, kWhole };  // kWhole: the text may end here
inline Fit fit(const std::shared_ptr<Matcher>& m, std::string_view text) {
  Matcher::Place place(m);
  if (!place.advance(text)) return Fit::kNo;
  return place.complete() ? Fit::kWhole : Fit::kPrefix;
}
inline bool matches(const Grammar& g, std::string_view text) {
  return fit(matcher_of(g), text) == Fit::kWhole;
}

inline bool bit(const std::vector<uint64_t>& words, TokenId id) {
  return words[size_t(id) / 64] >> (id % 64) & 1;
}
inline std::vector<uint64_t> words_for(const Vocabulary& v) {
  return std::vector<uint64_t>((size_t(v.table->vocab_size()) + 63) / 64, 0x5555);
}

// Tokens drawn evenly from what the masks allow; after `patience` of them, whatever closes things.
inline std::string random_answer(TokenConstraint& c, const Vocabulary& v, Rng& rng, int patience = 40) {
  std::string text;
  auto words = words_for(v);
  for (int step = 0; step < 5'000; ++step) {
    EXPECT_TRUE(c.mask(words));
    std::vector<TokenId> allowed;
    for (TokenId id = 0; id < TokenId(v.table->vocab_size()); ++id)
      if (bit(words, id)) allowed.push_back(id);
    EXPECT_FALSE(allowed.empty());
    if (allowed.empty()) return text;
    TokenId id = allowed[rng.below(allowed.size())];
    if (step >= patience) {
      if (bit(words, v.stop)) {
        id = v.stop;
      } else {
        for (char wanted : std::string("\"]}:,0e"))
          if (bit(words, uint8_t(wanted))) {
            id = uint8_t(wanted);
            break;
          }
      }
    }
    c.accept(id);
    if (id == v.stop) return text;
    text += v.table->bytes(id);
  }
  ADD_FAILURE() << "no end: " << text.substr(0, 300);
  return text;
}

}  // namespace support

}  // namespace r1::grammar
