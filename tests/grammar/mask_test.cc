// Masks against their definition: a token is allowed where what it makes is the beginning of a text of the language. The languages here are
// finite and written out by the test itself.
#include <algorithm>
#include <set>

#include "tests/grammar/support.h"

namespace r1::grammar {

namespace {

using Language = std::set<std::string>;

// A random expression: as GBNF, and as the texts it stands for.
struct Made {
  std::string gbnf;
  Language texts;
};

Made made(Rng& rng, int depth, std::vector<Made>& rules) {
  const uint64_t kind = depth == 0 ? 0 : rng.below(6);
  if (kind == 0) {
    std::string text;
    for (uint64_t n = rng.below(3); n > 0; --n) text += char('a' + rng.below(3));
    return {"\"" + text + "\"", {text}};
  }
  if (kind == 1) return {"[ab]", {"a", "b"}};
  if (kind == 2 && !rules.empty()) {
    const size_t i = rng.below(rules.size());
    return {"rule-" + std::to_string(i), rules[i].texts};
  }
  const Made a = made(rng, depth - 1, rules), b = made(rng, depth - 1, rules);
  if (kind == 3) {
    Made out{"(" + a.gbnf + " | " + b.gbnf + ")", a.texts};
    out.texts.insert(b.texts.begin(), b.texts.end());
    return out;
  }
  if (kind == 4) {
    Made out{"(" + a.gbnf + "){0,2}", {""}};
    for (const auto& s : a.texts) {
      out.texts.insert(s);
      for (const auto& t : a.texts) out.texts.insert(s + t);
    }
    return out;
  }
  Made out{a.gbnf + " " + b.gbnf, {}};
  for (const auto& s : a.texts)
    for (const auto& t : b.texts) out.texts.insert(s + t);
  return out;
}

void expect_masks_by_definition(const Grammar& grammar, const Language& texts, const Vocabulary& v, const MatcherLimits& limits = {}) {
  Language beginnings;
  for (const std::string& t : texts)
    for (size_t n = 0; n <= t.size(); ++n) beginnings.insert(t.substr(0, n));
  const auto matcher = matcher_of(grammar, v, limits);
  auto words = words_for(v);
  for (const std::string& text : beginnings) {
    GrammarConstraint c(matcher, {v.stop});
    ASSERT_TRUE(c.advance(text)) << text;
    ASSERT_TRUE(c.mask(words));
    for (TokenId id = 0; id < TokenId(v.table->vocab_size()); ++id) {
      const bool expected = id == v.stop ? texts.contains(text) : v.table->ordinary(id) && beginnings.contains(text + v.table->bytes(id));
      ASSERT_EQ(bit(words, id), expected) << "after '" << text << "' token '" << v.table->bytes(id) << "'";
    }
  }
}

const std::vector<std::string> kPieces = {"aa", "ab", "ba", "bc", "abc", "aab", "cab", "bb", "bbb", "aaaa", "ccc", "b\"", "ca"};

}  // namespace

TEST(Mask, IsItsDefinitionForFiniteLanguages) {
  const Vocabulary v(kPieces);
  Rng rng(5);
  for (int round = 0; round < 250; ++round) {
    std::vector<Made> rules;
    std::string text;
    for (uint64_t n = rng.below(4); n > 0; --n) {
      Made rule = made(rng, 2, rules);
      if (rule.texts.size() > 60) continue;
      text += "rule-" + std::to_string(rules.size()) + " ::= " + rule.gbnf + "\n";
      rules.push_back(rule);
    }
    const Made root = made(rng, 3, rules);
    if (root.texts.size() > 3'000) continue;
    SCOPED_TRACE(text + "root ::= " + root.gbnf);
    expect_masks_by_definition(compile_gbnf(text + "root ::= " + root.gbnf), root.texts, v);
  }
}

// Rules that call themselves are never written out, so their texts pass through stacks: balanced brackets up to a depth.
TEST(Mask, IsItsDefinitionThroughStacks) {
  const Vocabulary v({"((", "))", "()", ")(", "))(", "((a", "a)", "a))", "a)))"});
  Language texts{"a"}, last{"a"};
  for (int depth = 0; depth < 3; ++depth) {
    Language next{"a"};
    for (const auto& s : last) {
      next.insert("(" + s + ")");
      for (const auto& t : last) next.insert("(" + s + t + ")");
    }
    last = next;
  }
  const Grammar g = compile_gbnf("root ::= \"a\" | \"(\" root root? \")\"");
  const auto matcher = matcher_of(g, v);
  // The language has no end; what begins a text is known here by counting.
  const auto begins = [](const std::string& s) {
    std::vector<int> items;  // of each open bracket
    bool done = false;
    for (char c : s) {
      if (done) return false;
      if (!items.empty() && c != ')' && items.back() == 2) return false;
      if (c == ')') {
        if (items.empty() || items.back() == 0) return false;
        items.pop_back();
      } else if (c == '(') {
        if (!items.empty()) ++items.back();
        items.push_back(0);
        continue;
      } else if (c == 'a') {
        if (!items.empty()) ++items.back();
      } else {
        return false;
      }
      done = items.empty();
    }
    return true;
  };
  Rng rng(1);
  auto words = words_for(v);
  for (int round = 0; round < 300; ++round) {
    GrammarConstraint c(matcher, {v.stop});
    std::string text;
    for (int step = 0; step < 20; ++step) {
      c.mask(words);
      std::vector<TokenId> allowed;
      for (TokenId id = 0; id < TokenId(v.table->vocab_size()); ++id) {
        if (id == v.stop) continue;
        const bool expected = v.table->ordinary(id) && begins(text + v.table->bytes(id));
        ASSERT_EQ(bit(words, id), expected) << text << " + " << v.table->bytes(id);
        if (expected) allowed.push_back(id);
      }
      ASSERT_EQ(bit(words, v.stop), allowed.empty()) << text;
      if (allowed.empty()) break;
      const TokenId id = allowed[rng.below(allowed.size())];
      c.accept(id);
      text += v.table->bytes(id);
    }
  }
}

// With memories that hold nothing for long, the same.
TEST(Mask, SmallMemoriesChangeNothing) {
  const Vocabulary v(kPieces);
  const MatcherLimits tight{.place_bytes = 2'000, .mask_bytes = 1};
  const Made root = [] {
    Rng rng(11);
    std::vector<Made> none;
    for (;;) {
      const Made m = made(rng, 4, none);
      if (m.texts.size() > 100 && m.texts.size() < 600) return m;
    }
  }();
  expect_masks_by_definition(compile_gbnf("root ::= " + root.gbnf), root.texts, v, tight);

  const Grammar g =
      schema(R"({"properties": {"a": {"type": "array", "items": {"type": "string", "maxLength": 9}, "maxItems": 7}}, "required": ["a"]})");
  const auto loose = matcher_of(g), small = matcher_of(g, json_vocabulary(), tight);
  Rng rng(3);
  auto a = words_for(json_vocabulary()), b = a;
  for (int round = 0; round < 40; ++round) {
    GrammarConstraint x(loose, {json_vocabulary().stop}), y(small, {json_vocabulary().stop});
    for (int step = 0; step < 60; ++step) {
      x.mask(a), y.mask(b);
      ASSERT_EQ(a, b);
      std::vector<TokenId> allowed;
      for (TokenId id = 0; id < json_vocabulary().stop; ++id)
        if (bit(a, id)) allowed.push_back(id);
      if (allowed.empty()) break;
      const TokenId id = allowed[rng.below(allowed.size())];
      x.accept(id), y.accept(id);
    }
  }
  EXPECT_LT(small->bytes(), 2'000'000u);
}

// The mask of any place equals trying every token there: counted items, strings, nested objects.
TEST(Mask, EqualsTryingEveryToken) {
  const Vocabulary& v = json_vocabulary();
  auto words = words_for(v);
  Rng rng(9);
  for (
      const std::string text : {
          R"({"type": "array", "items": {"type": "string", "minLength": 2, "maxLength": 40}, "minItems": 3, "maxItems": 30})",
          R"({"properties": {"name": {"type": "string"}, "n": {"type": "number"}, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}, "required": ["name"]})",
          R"({"type": "object", "additionalProperties": {"type": "array", "items": {"enum": ["name", 12, null, {"a\"": []}]}}})",
          R"(true)",
      }) {
    const auto matcher = matcher_of(schema(text));
    for (int round = 0; round < 6; ++round) {
      GrammarConstraint c(matcher, {v.stop});
      for (int step = 0; step < 80; ++step) {
        c.mask(words);
        std::vector<TokenId> allowed;
        for (TokenId id = 0; id < v.stop; ++id) {
          Matcher::Place trial(c.place());
          const bool expected = trial.advance(v.table->bytes(id));
          ASSERT_EQ(bit(words, id), expected) << text << " token '" << v.table->bytes(id) << "'";
          if (expected) allowed.push_back(id);
        }
        ASSERT_EQ(bit(words, v.stop), c.complete());
        EXPECT_FALSE(bit(words, v.stop + 1));
        if (allowed.empty()) break;
        c.accept(allowed[rng.below(allowed.size())]);
      }
    }
  }
}

TEST(Mask, LongerThanTheVocabularyIsCleared) {
  GrammarConstraint c(matcher_of(compile_json_object()), {json_vocabulary().stop});
  std::vector<uint64_t> words(40, ~uint64_t{0});
  ASSERT_TRUE(c.mask(words));
  for (size_t i = 5; i < words.size(); ++i) EXPECT_EQ(words[i], 0u);
  EXPECT_TRUE(bit(words, '{'));
  EXPECT_FALSE(bit(words, '['));
  std::vector<uint64_t> few(1, 0);
  ASSERT_TRUE(c.mask(few));
}

TEST(Constraint, EndsAloneAndStaysThere) {
  const Vocabulary v;
  GrammarConstraint c(matcher_of(compile_regex("ab?"), v), {v.stop, 'z'});
  auto words = words_for(v);
  const auto allowed = [&] {
    c.mask(words);
    std::string out;
    for (TokenId id = 0; id < TokenId(v.table->vocab_size()); ++id)
      if (bit(words, id)) out += id == v.stop ? '.' : char(id);
    return out;
  };
  EXPECT_EQ(allowed(), "a");
  c.accept('a');
  EXPECT_EQ(allowed(), "bz.");
  const auto other = c.clone();
  c.accept('b');
  EXPECT_EQ(allowed(), "z.");
  c.accept(v.stop);
  EXPECT_EQ(allowed(), "z.");
  // The copy is where it was made.
  other->mask(words);
  EXPECT_TRUE(bit(words, 'b'));
  // A token that does not fit: only the end is left.
  other->accept('q');
  other->mask(words);
  EXPECT_FALSE(bit(words, 'b'));
  EXPECT_TRUE(bit(words, v.stop));
  other->accept(-1);
  other->accept(1 << 30);
}

TEST(Constraint, WantsAStopId) {
  EXPECT_NE(refusal([] { GrammarConstraint(matcher_of(compile_json_object()), {}); }), "");
}

// A vocabulary that can't spell what must come next ends the answer instead of forbidding everything.
TEST(Constraint, AVocabularyWithoutTheBytesEnds) {
  const auto table = std::make_shared<TokenTable>(std::vector<std::string>{"a", "<end>"}, std::vector<TokenId>{1});
  GrammarConstraint c(std::make_shared<Matcher>(compile_regex("ab"), table), {1});
  std::vector<uint64_t> words(1);
  c.mask(words);
  EXPECT_EQ(words[0], 1u);
  c.accept(0);
  c.mask(words);
  EXPECT_EQ(words[0], 2u);
}

TEST(TokenTable, FindsBranches) {
  const TokenTable t({"a", "ab", "abc", "b", "ab", "", "special"}, {6});
  EXPECT_EQ(t.max_bytes(), 3u);
  EXPECT_EQ(t.trie().size(), 6u);  // root, a, ab, abc, b, end
  EXPECT_EQ(t.find("x"), 0u);
  EXPECT_EQ(t.find("special"), 0u);
  const uint32_t ab = t.find("ab");
  ASSERT_NE(ab, 0u);
  EXPECT_EQ(t.trie()[t.trie()[ab].end].first - t.trie()[ab].first, 3u);  // 1, 4 and 2
  EXPECT_EQ(t.ids()[t.trie()[ab].first], 1);
  EXPECT_FALSE(t.ordinary(5));
  EXPECT_FALSE(t.ordinary(6));
  EXPECT_FALSE(t.ordinary(-1));
  EXPECT_EQ(t.bytes(6), "special");
  EXPECT_EQ(t.bytes(77), "");
}

}  // namespace r1::grammar
