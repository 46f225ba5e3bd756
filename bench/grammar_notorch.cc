// What do masks cost? One JSON object a line: the vocabulary's table, then for each grammar the time to compile, the first mask of a text,
// the slowest and the median mask while a text is written for the first time, and the median when all has been met before. CPU time of one
// thread.
//   bench_grammar_notorch TOKENIZER
#include <ctime>

#include "bench/bench.h"
#include "r1/grammar/grammar.h"
#include "r1/grammar/grammar_constraint.h"

namespace {

using namespace r1::grammar;

double now_us() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return 1e6 * double(t.tv_sec) + 1e-3 * double(t.tv_nsec);
}

struct Text {
  const char* name;
  std::function<Grammar()> compile;
  std::string text;
};

const char* const kSchema = R"({"type": "object", "properties": {
  "id": {"type": "integer", "minimum": 1, "maximum": 99999}, "name": {"type": "string", "minLength": 1, "maxLength": 200},
  "email": {"type": "string", "format": "email"}, "created": {"type": "string", "format": "date-time"},
  "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 20}, "score": {"type": "number", "minimum": 0, "maximum": 1},
  "kind": {"enum": ["person", "company", "robot"]},
  "address": {"type": "object", "properties": {"street": {"type": "string"}, "city": {"type": "string"}, "zip": {"type": "string", "pattern": "^[0-9]{5}$"}}, "required": ["street", "city"]},
  "children": {"type": "array", "items": {"$ref": "#"}}}, "required": ["id", "name", "kind"]})";

const char* const kAnswer =
    R"x({"id": 4711, "name": "Ada Lovelace, née Byron (数学家)", "email": "ada@example.org", "created": "1843-09-05T12:00:00Z", )x"
    R"x("tags": ["analyst", "metaphysician", "first programmer", "mother of three"], "score": 0.997, "kind": "person", )x"
    R"x("address": {"street": "12 St James's Square, in the very middle of London", "city": "London", "zip": "12345"}, )x"
    R"x("children": [{"id": 2, "name": "Byron King-Noel, Viscount Ockham", "kind": "person", "children": []}, {"id": 3, "name": "Anne Blunt", "kind": "person"}]})x";

std::vector<Text> texts() {
  const r1::Json schema = r1::parse_json(kSchema, "bench");
  const std::string object =
      R"({"answer": "Forty-two, as everybody knows; see \"The Hitchhiker's Guide\".", "steps": [1, 2.5e3, {"deep": [[["x"]]]}], "ok": true})";
  return {
      {"json_object", [] { return compile_json_object(); }, object},
      {"json_schema", [schema] { return compile_json_schema(schema); }, kAnswer},
      {"tool_calls",
       [schema] {
         return compile_tool_calls({{"store", schema}, {"find", nullptr}});
       },
       std::string("<tool_call>\n{\"name\": \"store\", \"arguments\": ") + kAnswer + "}\n</tool_call>"},
      {"regex", [] { return compile_regex("(?:[A-Z][a-z]+ )+is [^.]{1,200}\\."); },
       "The Quick Brown Fox is what jumps over the lazy dog, as the saying goes."},
      {"gbnf_json",
       [] {
         return compile_gbnf(R"(root ::= object
value ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws (string ":" ws value ("," ws string ":" ws value)*)? "}" ws
array ::= "[" ws (value ("," ws value)*)? "]" ws
string ::= "\"" ([^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}))* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\n" [ \t]{0,20})");
       },
       object},
  };
}

// Microseconds of each mask while the text's own tokens are said.
std::vector<double> masks(GrammarConstraint& c, const std::vector<r1::text::TokenId>& ids, std::vector<uint64_t>& words, double* accept) {
  std::vector<double> times;
  for (r1::text::TokenId id : ids) {
    const double begin = now_us();
    c.mask(words);
    const double masked = now_us();
    times.push_back(masked - begin);
    r1::check(words[size_t(id) / 64] >> (id % 64) & 1, "the mask forbids a token of its own text");
    c.accept(id);
    *accept += now_us() - masked;
  }
  r1::check(c.complete(), "the text is not complete");
  return times;
}

void run(const r1::bench::Arguments& a) {
  if (a.words().empty()) r1::fail_usage("usage: bench_grammar_notorch TOKENIZER");
  const auto tokenizer = r1::text::Tokenizer::load(a.words()[0]);
  double begin = now_us();
  const auto table = std::make_shared<const TokenTable>(tokenizer);
  r1::bench::print({{"bench", "token_table"},
                    {"ms", (now_us() - begin) / 1e3},
                    {"vocab_size", table->vocab_size()},
                    {"trie_nodes", table->trie().size()},
                    {"longest", table->max_bytes()}});
  std::vector<uint64_t> words((size_t(table->vocab_size()) + 63) / 64);
  for (const Text& t : texts()) {
    begin = now_us();
    const Grammar g = t.compile();
    const double compile_ms = (now_us() - begin) / 1e3;
    const auto matcher = std::make_shared<Matcher>(g, table);
    const auto ids = tokenizer.encode(t.text);
    const std::vector<r1::text::TokenId> stops{tokenizer.eos_id().value_or(0)};
    double accept = 0;
    GrammarConstraint first(matcher, stops), again(matcher, stops);
    const std::vector<double> cold = masks(first, ids, words, &accept);
    accept = 0;
    std::vector<double> warm = masks(again, ids, words, &accept);
    r1::bench::print({{"bench", "grammar_mask"},
                      {"grammar", t.name},
                      {"compile_ms", compile_ms},
                      {"states", g->states.size()},
                      {"tokens", ids.size()},
                      {"first_us", cold[0]},
                      {"cold_max_us", *std::max_element(cold.begin(), cold.end())},
                      {"cold_median_us", r1::bench::median(cold)},
                      {"warm_max_us", *std::max_element(warm.begin(), warm.end())},
                      {"warm_median_us", r1::bench::median(warm)},
                      {"accept_us", accept / double(ids.size())},
                      {"matcher_mb", double(matcher->bytes()) / 1e6}});
  }
}

}  // namespace

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] { run({argc, argv, {}, 1}); });
}
