// Schemas, patterns and grammars made to hurt: each ends within the limits, with an error or a grammar that still answers quickly.
#include <ctime>
#include <functional>

#include "tests/grammar/support.h"

namespace r1::grammar {

namespace {

double thread_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

constexpr bool kSlowBuild =
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    true;
#else
    false;
#endif

// The limit's 50 ms, and what leaving costs.
void expect_bounded(const std::string& what, const std::function<void()>& compile) {
  const double begin = thread_seconds();
  try {
    compile();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kUsage) << what << ": " << e.what();
  }
  EXPECT_LT(thread_seconds() - begin, kSlowBuild ? 3 : 0.4) << what;
}

std::string repeated(const std::string& text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

}  // namespace

TEST(Hostile, Patterns) {
  for (const std::string& pattern :
       {std::string("(a{1000}){1000}"), std::string("((a{100}){100}){100}"), std::string("(((a?){9999}){9999}){9999}"),
        std::string("(a|b)*a(a|b){24}"), std::string("(.*a){30}"), std::string("(x+x+)+y"), std::string("(a*)*b"), std::string("((a*)*)*"),
        repeated("(a?){1,99}", 300), repeated("(", 5'000), repeated("(?:a|", 90) + repeated(")", 90), repeated("[\\p{L}\\p{N}]", 5'000),
        std::string("a{0,10000}{0,10000}"), repeated(".{0,9999}", 100), repeated("a|", 100'000), std::string(2 << 20, 'a'),
        repeated("(.|..)*", 50), "[^" + repeated("é-日", 10'000) + "]"})
    expect_bounded(pattern.substr(0, 60), [&] { compile_regex(pattern); });
  EXPECT_NE(refusal([] { compile_regex("(a{1000}){1000}"); }).find("too complex"), std::string::npos);
  EXPECT_EQ(refusal([] { compile_regex("(x+x+)+y", unhurried()); }), "");
  EXPECT_EQ(refusal([] { compile_regex("[a-z]{1,5000}", unhurried()); }), "");
}

TEST(Hostile, Schemas) {
  const auto nested = [](const std::string& begin, const std::string& end, int depth) {
    return repeated(begin, depth) + "{}" + repeated(end, depth);
  };
  std::string any_of = "{\"type\": \"string\"}";
  for (int i = 0; i < 12; ++i)
    any_of = "{\"allOf\": [{\"anyOf\": [" + any_of + ", {\"type\": \"null\"}, {\"minLength\": " + std::to_string(i) +
             "}]}, {\"anyOf\": [{\"maxLength\": 5}, {\"maxLength\": 6}]}]}";
  std::string defs = "{\"$ref\": \"#/$defs/d0\", \"$defs\": {";
  for (int i = 0; i < 30; ++i) {
    const std::string next = "{\"$ref\": \"#/$defs/d" + std::to_string(i + 1) + "\"}";
    defs += "\"d" + std::to_string(i) + "\": {\"anyOf\": [" + next + ", " + next + "]}, ";
  }
  defs += "\"d30\": {}}}";
  std::string tuples = defs;
  for (size_t at; (at = tuples.find("anyOf")) != tuples.npos;) tuples.replace(at, 5, "prefixItems");
  std::string huge_enum = "{\"enum\": [", many = "{\"properties\": {", required = "{\"type\": \"object\", \"required\": [";
  for (int i = 0; i < 50'000; ++i) huge_enum += "\"value number " + std::to_string(i * 7919) + "\", ";
  for (int i = 0; i < 3'000; ++i) many += "\"p" + std::to_string(i) + "\": {\"type\": \"string\", \"pattern\": \"^a{1,50}$\"}, ";
  for (int i = 0; i < 9'000; ++i) required += "\"r" + std::to_string(i) + "\", ";
  huge_enum += "1]}", many += "\"z\": {}}}", required += "\"z\"]}";
  for (const std::string& text :
       {nested("{\"items\": ", "}", 100), nested("{\"properties\": {\"a\": ", "}}", 60), nested("{\"anyOf\": [", "]}", 60),
        nested("{\"allOf\": [", "]}", 60), nested("{\"not\": ", "}", 100), any_of, defs, tuples, huge_enum, many, required,
        std::string("{\"$ref\": \"#\"}"), std::string("{\"type\": \"array\", \"minItems\": 1000000000}"),
        std::string("{\"type\": \"array\", \"items\": {\"type\": \"array\", \"minItems\": 100000}, \"maxItems\": 1000000000000000}"),
        std::string("{\"type\": \"string\", \"minLength\": 100000, \"pattern\": \"a.*b\"}"),
        std::string("{\"type\": \"string\", \"pattern\": \"(a{1000}){1000}\"}"),
        std::string("{\"type\": \"integer\", \"minimum\": 1e30, \"maximum\": 1e30}"),
        std::string("{\"type\": \"number\", \"minimum\": 1e-30}")})
    expect_bounded(text.substr(0, 60), [&] { schema(text); });
  EXPECT_NE(refusal([&] { schema(any_of); }), "");
  EXPECT_NE(refusal([&] { schema(huge_enum); }).find("too complex"), std::string::npos);
  EXPECT_EQ(refusal([&] { schema(nested("{\"items\": ", "}", 100)); }), "");
  EXPECT_EQ(refusal([&] { schema("{\"type\": \"array\", \"minItems\": 1000000000}"); }), "");
}

TEST(Hostile, Grammars) {
  std::string chain, doubling, wide = "root ::= r0";
  for (int i = 0; i < 3'000; ++i) chain += "r" + std::to_string(i) + " ::= \"a\"? r" + std::to_string(i + 1) + "\n";
  for (int i = 0; i < 40; ++i) doubling += "d" + std::to_string(i) + " ::= d" + std::to_string(i + 1) + " d" + std::to_string(i + 1) + "\n";
  for (int i = 0; i < 3'000; ++i) wide += " | r" + std::to_string(i) + " root";
  for (int i = 0; i < 3'000; ++i) wide += "\nr" + std::to_string(i) + " ::= \"x\" r" + std::to_string(i) + "? \"y\"";
  for (const std::string& text : {"root ::= r0\n" + chain + "r3000 ::= \"b\"", "root ::= d0\n" + doubling + "d40 ::= \"b\"", wide,
                                  repeated("(", 100'000), "root ::= " + repeated("(", 1'000), "root ::= " + repeated("\"a\"? ", 20'000),
                                  std::string("root ::= (\"a\"{9999}){9999}"), std::string("root ::= ((\"\"*)*)*"),
                                  std::string("root ::= a\na ::= b? a | \"x\"\nb ::= \"b\""), "root ::= " + repeated("[^a]", 20'000)})
    expect_bounded(text.substr(0, 60), [&] { compile_gbnf(text); });
}

// Nobody's text may take the engine's time: masks are bounded too, and where they are not the text alone fails.
TEST(Hostile, MasksAreBounded) {
  for (const char* text : {"root ::= x x x x x x x x\nx ::= \"a\" x \"b\"? | \"a\" x? x? x?", "root ::= \"a\"? root \"b\"? \"a\"? | \"a\"",
                           "root ::= a+\na ::= b* \"a\" c?\nb ::= \"a\" b c? | \"b\"\nc ::= \"a\" c b? | \"c\" c? a?"}) {
    Grammar g;
    try {
      g = compile_gbnf(text);
    } catch (const Error&) {
      continue;
    }
    const Vocabulary v({"aa", "aaa", "aaaa", "ab", "aabb"});
    GrammarConstraint c(matcher_of(g, v), {v.stop});
    auto words = words_for(v);
    const double begin = thread_seconds();
    try {
      for (int step = 0; step < 40; ++step) {
        c.mask(words);
        c.accept('a');
      }
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find("ambiguous"), std::string::npos);
    }
    EXPECT_LT(thread_seconds() - begin, kSlowBuild ? 60 : 10) << text;
  }
}

// Any text ends in a grammar or an error, and what is a grammar can be asked for a mask.
TEST(Hostile, MutatedTexts) {
  const std::vector<std::string> schemas = {
      R"({"type": "object", "properties": {"a": {"$ref": "#/$defs/x"}, "b": {"type": ["integer", "null"], "minimum": -5, "exclusiveMaximum": 1e3}}, "required": ["a"], "$defs": {"x": {"anyOf": [{"const": 1}, {"pattern": "^a|b$"}]}}})",
      R"({"oneOf": [{"type": "array", "prefixItems": [{"enum": [1, "a"]}], "items": {"format": "date"}, "minItems": 2}, {"type": "string", "minLength": 2, "maxLength": 9}], "additionalProperties": false})"};
  const std::vector<std::string> patterns = {"^(?:a|b[^c-e]+)*?\\d{2,5}(?<n>\\p{Lu}|é)?\\u0041[\\]\\-x]$", "(?i)(x|(y|(z)){3})+\\.\\/"};
  const std::vector<std::string> grammars = {"root ::= (a | \"x\\n\" [^a-z\\]]{1,3})* # c\na ::= \"é\" root? | .\n"};
  static const std::string kBytes = "{}[]()\"\\:,.*+?|^$-_#<>=!0123456789aeuxd \n\xC3\xFF";
  Rng rng(8);
  const Vocabulary v;
  auto words = words_for(v);
  int made = 0;
  const auto attempt = [&](const std::vector<std::string>& seeds, const std::function<Grammar(const std::string&)>& compile) {
    for (int round = 0; round < 1'000; ++round) {
      std::string text = seeds[rng.below(seeds.size())];
      for (uint64_t n = 1 + rng.below(4); n > 0 && !text.empty(); --n) {
        const size_t at = rng.below(text.size());
        switch (rng.below(4)) {
          case 0:
            text.erase(at, 1 + rng.below(3));
            break;
          case 1:
            text.insert(at, 1, kBytes[rng.below(kBytes.size())]);
            break;
          case 2:
            text[at] = kBytes[rng.below(kBytes.size())];
            break;
          default:
            text.insert(at, text.substr(rng.below(text.size()), rng.below(12)));
        }
      }
      try {
        GrammarConstraint c(matcher_of(compile(text), v), {v.stop});
        c.mask(words);
        ++made;
      } catch (const Error&) {
      }
    }
  };
  attempt(schemas, [](const std::string& text) { return compile_json_schema(parse_json(text, "fuzz")); });
  EXPECT_GT(made, 60);
  attempt(patterns, [](const std::string& text) { return compile_regex(text); });
  attempt(grammars, [](const std::string& text) { return compile_gbnf(text); });
  EXPECT_GT(made, 350);
}

}  // namespace r1::grammar
