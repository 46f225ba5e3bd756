// Chat templates against jinja2 (golden/jinja.json.gz by tests/oracles/jinja_golden.py), and against attacks.
#include <gtest/gtest.h>

#include <ctime>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/rng.h"
#include "r1/text/chat_template.h"

#include <zlib.h>

namespace r1::text {
namespace {

const Json& golden() {
  static const Json data = [] {
    const std::string path = std::string(R1_TEST_DIR) + "/golden/jinja.json.gz";
    gzFile in = gzopen(path.c_str(), "rb");
    if (!in) fail(path, ": cannot open");
    std::string text, chunk(1 << 20, 0);
    for (int n; (n = gzread(in, chunk.data(), unsigned(chunk.size()))) > 0;) text.append(chunk, 0, size_t(n));
    gzclose(in);
    return Json::parse(text);
  }();
  return data;
}

std::string outcome(const std::string& source, const Json& variables, Json* spans = nullptr) {
  try {
    const Rendered r = ChatTemplate(source).render(variables);
    if (spans) {
      *spans = Json::array();
      for (const auto& [a, b] : r.generation_spans) spans->push_back(Json::array({a, b}));
    }
    return r.text;
  } catch (const Error& e) {
    return std::string(
               "\x01"
               "error: ") +
           e.what();
  }
}

bool is_error(const std::string& s) {
  return s.starts_with("\x01");
}

TEST(ChatTemplate, RealTemplatesAsJinja2) {
  const Json& chats = golden()["chats"];
  ASSERT_GE(chats.size(), 40u);
  int compared = 0, differences = 0;
  for (const auto& [name, entry] : golden()["templates"].items()) {
    for (size_t i = 0; i < chats.size(); ++i) {
      Json spans;
      const std::string got = outcome(entry["source"], chats[i], &spans);
      const Json& want = entry["rendered"][i];
      ++compared;
      const bool same = want.contains("error")
                            ? is_error(got)
                            : got == want["text"].get<std::string>() && (!want.contains("spans") || spans == want["spans"]);
      if (!same && ++differences <= 10) {
        ADD_FAILURE() << name << " chat " << i << ": " << dump_json(chats[i]) << "\n got: " << got << "\nwant: " << dump_json(want)
                      << "\nspans: " << spans;
      }
    }
  }
  EXPECT_GE(compared, 200);
  EXPECT_EQ(differences, 0) << "of " << compared;
}

TEST(ChatTemplate, SnippetsAsJinja2) {
  int differences = 0;
  for (const Json& pair : golden()["snippets"]) {
    const std::string source = pair[0], got = outcome(source, golden()["variables"]);
    const bool same = pair[1].is_null() ? is_error(got) : got == pair[1].get<std::string>();
    if (!same && ++differences <= 400) ADD_FAILURE() << source << "\n got: " << got << "\nwant: " << dump_json(pair[1]);
  }
  EXPECT_EQ(differences, 0) << "of " << golden()["snippets"].size();
  EXPECT_GE(golden()["snippets"].size(), 2000u);
}

TEST(ChatTemplate, ErrorsNameTheLine) {
  EXPECT_EQ(outcome("a\n{% if x %}\n{{ 1 + }}", {}),
            "\x01"
            "error: chat template:3: unexpected end of print");
  EXPECT_EQ(outcome("\n\n{{ raise_exception('roles must alternate') }}", {}),
            "\x01"
            "error: chat template:3: roles must alternate");
  EXPECT_EQ(outcome("{{ x.y }}", {}),
            "\x01"
            "error: chat template:1: 'x' is undefined");
  EXPECT_NE(outcome("{{ x }}", Json::array()).find("as a JSON object"), std::string::npos);
}

TEST(ChatTemplate, ErrorsNameTheFile) {
  const auto error = [](const char* source, const Json& variables) -> std::string {
    try {
      return ChatTemplate(source, {}, "m/tokenizer_config.json: chat_template").render(variables).text;
    } catch (const Error& e) {
      return e.what();
    }
  };
  EXPECT_EQ(error("\n{{", {}).rfind("m/tokenizer_config.json: chat_template:2: ", 0), 0u);
  EXPECT_EQ(error("{{ x + 'a' }}", {}), "m/tokenizer_config.json: chat_template:1: 'x' is undefined");
  EXPECT_EQ(error("", Json::array()).rfind("m/tokenizer_config.json: chat_template: expected the variables", 0), 0u);
  EXPECT_EQ(error(std::string(2 << 20, 'x').c_str(), {}).rfind("m/tokenizer_config.json: chat_template: larger than", 0), 0u);
  EXPECT_LT(error("{{ raise_exception('x' * 100000) }}", {}).size(), 1200u);
}

// As Python prints them: no digit is lost, and nothing is calculated wrongly.
TEST(ChatTemplate, IntegersAbove63Bits) {
  const Json v = Json::parse(R"({"a":9223372036854775807,"b":9223372036854775808,"c":18446744073709551615,"d":-9223372036854775808})");
  EXPECT_EQ(outcome("{{ [a, b, c, d] }}", v), "[9223372036854775807, 9223372036854775808, 18446744073709551615, -9223372036854775808]");
  EXPECT_EQ(outcome("{{ [b, {'x': c}]|tojson }}", v), R"([9223372036854775808, {"x": 18446744073709551615}])");
  EXPECT_EQ(outcome("{{ b ~ '|' ~ b|string ~ '|' ~ c|int ~ '|' ~ '%s' % c }}", v),
            "9223372036854775808|9223372036854775808|18446744073709551615|18446744073709551615");
  EXPECT_EQ(
      outcome("{{ b is number }} {{ b is integer }} {{ b is float }} {{ b == b }} {{ b == c }} {{ b == a }} {{ 'y' if b else 'n' }}", v),
      "True True False True False False y");
  for (const char* source : {"{{ b + 1 }}", "{{ b < c }}", "{{ b * 2 }}", "{{ -b }}", "{{ b|abs }}", "{{ b|round }}", "{{ '%d' % b }}"})
    EXPECT_TRUE(is_error(outcome(source, v))) << source << " gave " << outcome(source, v);
}

TEST(ChatTemplate, TimeOfDay) {
  const std::string year = outcome("{{ strftime_now('%Y') }}", {});
  EXPECT_GE(std::stoi(year), 2024);
}

// Every attack ends in an error, within a second.
TEST(ChatTemplate, Attacks) {
  const auto repeat = [](std::string_view s, int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += s;
    return out;
  };
  const std::pair<const char*, std::string> attacks[] = {
      {"parentheses", "{{ " + repeat("(", 100'000) + "1" + repeat(")", 100'000) + " }}"},
      {"brackets", "{{ " + repeat("[", 100'000) + repeat("]", 100'000) + " }}"},
      {"braces", "{{ " + repeat("{1:", 100'000) + "1" + repeat("}", 100'000) + " }}"},
      {"not", "{{ " + repeat("not ", 200'000) + "1 }}"},
      {"minus", "{{ " + repeat("-", 300'000) + "1 }}"},
      {"huge", repeat("{{ 1 }}", 200'000)},
      {"sum", "{{ 1" + repeat("+1", 200'000) + " }}"},
      {"filters", "{{ 1" + repeat("|abs", 200'000) + " }}"},
      {"attributes", "{{ x" + repeat(".a", 200'000) + " }}"},
      {"calls", "{{ x" + repeat("()", 200'000) + " }}"},
      {"conditions", "{{ 1" + repeat(" if 1 else 1", 100'000) + " }}"},
      {"ifs", repeat("{% if 1 %}", 100'000)},
      {"fors", repeat("{% for a in b %}", 100'000)},
      {"targets", "{% set " + repeat("(", 100'000) + "a" + repeat(")", 100'000) + " = 1 %}"},
      {"range", "{% for i in range(100000000) %}x{% endfor %}"},
      {"range of ranges", "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}"},
      {"recursive macro", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"},
      {"mutual macros", "{% macro a() %}{{ b() }}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{{ a() }}{% endmacro %}{{ a() }}"},
      {"recursive loop", "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}"},
      {"times", "{{ 'a' * 1000000000000 }}"},
      {"list times", "{{ ([1] * 90000) * 90000 }}"},
      {"center", "{{ 'a'.center(1000000000000) }}"},
      {"ljust", "{{ 'a'.ljust(1000000000) }}"},
      {"format width", "{{ '%1000000000d' % 1 }}"},
      {"format spec", "{{ '{:1000000000}'.format(1) }}"},
      {"precision", "{{ '%.1000000000f' % 1.5 }}"},
      {"indent", "{{ 'a\nb'|indent(1000000000) }}{{ 'a\n' * 100000 |indent(1000000) }}"},
      {"doubling", "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}"},
      {"doubling list", "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}"},
      {"replace", "{{ ('a' * 1000000)|replace('a', 'a' * 1000000) }}"},
      {"join", "{{ ('a' * 1000000).join(range(90000)|map('string')|list) }}"},
      {"output", "{% for i in range(90000) %}{{ 'x' * 100 }}{% endfor %}"},
      {"nesting by namespace", "{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% set ns.l = [ns.l] %}{% endfor %}"},
      {"power", "{{ 9 ** 9 ** 9 ** 9 }}"},
      {"shift", "{{ 9223372036854775807 * 9223372036854775807 }}"},
      {"sort", "{% for i in range(99999) %}{{ range(99999)|sort|length }}{% endfor %}"},
      {"dict", "{% for i in range(9999) %}{{ dict(range(99999)|batch(2))|length }}{% endfor %}"},
      {"namespace in itself", "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}"},
      {"json bomb", "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l|tojson }}"},
      {"repr bomb", "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}"},
      {"equality bomb",
       "{% set ns = namespace(l=[1], k=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% set ns.k = [ns.k, ns.k] %}{% endfor "
       "%}{{ 'x' if ns.l == ns.k else raise_exception('no') }}"},
      {"comment", "{#" + repeat("x", 1'000'000)},
      {"raw", repeat("{% raw %}", 50'000)},
      {"open tags", repeat("{{", 300'000)},
  };
  for (const auto& [name, source] : attacks) {
    const std::clock_t start = std::clock();  // processor time: the machine may be busy
    const std::string got = outcome(source, {{"b", {1}}});
    const double seconds = double(std::clock() - start) / CLOCKS_PER_SEC;
    EXPECT_TRUE(is_error(got)) << name << ": " << got.substr(0, 100);
    EXPECT_LT(seconds, 2.0) << name;
  }
}

TEST(ChatTemplate, LimitsAreTheCallers) {
  EXPECT_THROW(ChatTemplate("{% for i in range(100) %}x{% endfor %}", {.steps = 50}).render({}), Error);
  EXPECT_THROW(ChatTemplate("{{ 'x' * 100 }}", {.output_bytes = 50}).render({}), Error);
  EXPECT_THROW(ChatTemplate("{{ range(10) }}", {.range = 5}).render({}), Error);
  EXPECT_EQ(ChatTemplate("{{ range(3)|list }}", {.range = 5}).render({}).text, "[0, 1, 2]");
}

// Mutated templates: text or an r1::Error, never anything else.
TEST(ChatTemplate, MutationsAreTextOrErrors) {
  std::vector<std::string> seeds;
  for (const auto& [name, entry] : golden()["templates"].items()) seeds.push_back(entry["source"]);
  for (size_t i = 0; i < golden()["snippets"].size(); i += 40) seeds.push_back(golden()["snippets"][i][0]);
  const char* const pieces[] = {"{{",  "}}",   "{%", "%}", "-%}",  "{%-",   "{#",    "#}",     "(",       ")",
                                "[",   "]",    "|",  ".",  "'",    "\"",    " if ",  " else ", " for ",   " in ",
                                "set", "not ", "~",  "::", "loop", "macro", "endif", "\xff",   "\xe2\x80"};
  Rng rng(7);
  for (int i = 0; i < 3000; ++i) {
    std::string s = seeds[rng.below(seeds.size())];
    for (int64_t n = rng.between(1, 5); n > 0; --n) {
      const size_t at = rng.below(s.size() + 1);
      switch (rng.below(4)) {
        case 0:
          s.insert(at, pieces[rng.below(std::size(pieces))]);
          break;
        case 1:
          s.erase(at, rng.below(20));
          break;
        case 2:
          s.insert(at, 1, char(rng.below(256)));
          break;
        default:
          s.insert(at, s.substr(rng.below(s.size() + 1), rng.below(40)));
      }
    }
    try {
      ChatTemplate(s, {.steps = 20'000, .milliseconds = 200})
          .render(i % 2 ? golden()["chats"][rng.below(golden()["chats"].size())] : golden()["variables"]);
    } catch (const Error&) {
    }
  }
}

}  // namespace
}  // namespace r1::text
