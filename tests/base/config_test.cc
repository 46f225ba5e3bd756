#include <gtest/gtest.h>

#include <cmath>

#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/rng.h"

namespace r1 {
namespace {

struct ModelArgs {
  std::string name, dtype = "float32";
  void visit(Fields& v) {
    v("name", name, "model folder or file", Required{});
    v("dtype", dtype, "type of the weights", OneOf{"float32", "bfloat16"});
  }
};

struct Config {
  double learning_rate = 2e-5;
  int64_t steps = 100;
  uint64_t seed = 42;
  bool shuffle = true, bf16 = false, no_repeat = false;
  std::string note;
  std::vector<std::string> reward_funcs = {"accuracy"};
  std::vector<double> betas = {0.9, 0.95};
  std::vector<int64_t> ids;
  std::vector<bool> flags;
  ModelArgs model, teacher;
  void visit(Fields& v) {
    v("learning_rate", learning_rate, "peak learning rate", Range{0.0, 10.0});
    v("steps", steps, "optimizer steps", Range{.lo = 0});
    v("seed", seed, "seed");
    v("shuffle", shuffle, "shuffle the data");
    v("bf16", bf16, "train in bfloat16");
    v("no_repeat", no_repeat, "a flag whose name starts with no");
    v("note", note, "free text");
    v("reward_funcs", reward_funcs, "rewards", OneOf{"accuracy", "format", "length"});
    v("betas", betas, "Adam's betas", Range{0, 1});
    v("ids", ids, "token ids");
    v("flags", flags, "flags");
    v.group("model", model, "the model to train");
    v.group("teacher", teacher);
    v.alias("lr", "learning_rate");
    v.alias("m", "model.name");
  }
};

Config filled(const std::vector<Setting>& settings) {
  Config config;
  config.model.name = config.teacher.name = "x";
  apply_settings(config, settings);
  return config;
}

Config from_arguments(const std::vector<std::string>& arguments) {
  return filled(parse_overrides(arguments));
}
Config from_yaml(std::string_view text) {
  return filled(parse_yaml(text, "r.yaml"));
}

template <class Body>
std::string usage_error(Body body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage) << error.what();
    return error.what();
  }
  return "(no error)";
}

std::string yaml_error(std::string_view text) {
  return usage_error([&] { from_yaml(text); });
}
std::string argument_error(const std::vector<std::string>& arguments) {
  return usage_error([&] { from_arguments(arguments); });
}

TEST(Config, Yaml) {
  const Config c = from_yaml(
      "# a recipe\n"
      "learning_rate: 3e-4\n"
      "steps: 1_000\n"
      "seed: 18446744073709551615\n"
      "shuffle: no\n"
      "note: 'null'\n"
      "reward-funcs: [format, length]\n"
      "betas:\n  - 0.8\n  - .5\n"
      "ids: 1, 2,3\n"
      "flags: [true, off]\n"
      "model:\n  name: a/b c\n  dtype: bfloat16\n"
      "teacher.name: t\n");
  EXPECT_EQ(c.learning_rate, 3e-4);
  EXPECT_EQ(c.steps, 1000);
  EXPECT_EQ(c.seed, UINT64_MAX);
  EXPECT_FALSE(c.shuffle);
  EXPECT_EQ(c.note, "null");
  EXPECT_EQ(c.reward_funcs, (std::vector<std::string>{"format", "length"}));
  EXPECT_EQ(c.betas, (std::vector<double>{0.8, 0.5}));
  EXPECT_EQ(c.ids, (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(c.flags, (std::vector<bool>{true, false}));
  EXPECT_EQ(c.model.name, "a/b c");
  EXPECT_EQ(c.model.dtype, "bfloat16");
  EXPECT_EQ(c.teacher.name, "t");
}

TEST(Config, YamlNullKeepsTheDefault) {
  EXPECT_EQ(from_yaml("steps: null\nlearning_rate: ~\nnote:\n").steps, 100);
  EXPECT_EQ(from_yaml("").steps, 100);
  EXPECT_EQ(from_yaml("# only a comment\n").steps, 100);
  EXPECT_EQ(from_yaml("reward_funcs: []\n").reward_funcs.size(), 0u);
}

TEST(Config, YamlErrorsNameFileAndLine) {
  EXPECT_EQ(yaml_error("steps: 1\nlearning_rat: 1\n"), "r.yaml:2: unknown key 'learning_rat', did you mean 'learning_rate'?");
  EXPECT_EQ(yaml_error("steps: 1\nsteps: 2\n"), "r.yaml:2: duplicate key 'steps'");
  EXPECT_EQ(yaml_error("lr: 1\nlearning_rate: 2\n"), "r.yaml:2: 'learning_rate' is set twice (first at r.yaml:1)");
  EXPECT_EQ(yaml_error("\n\nsteps: many\n"), "r.yaml:3: 'steps' expects int, got 'many'");
  EXPECT_EQ(yaml_error("steps: 1.5\n"), "r.yaml:1: 'steps' expects int, got '1.5'");
  EXPECT_EQ(yaml_error("seed: -1\n"), "r.yaml:1: 'seed' expects uint, got '-1'");
  EXPECT_EQ(yaml_error("learning_rate: 11\n"), "r.yaml:1: 'learning_rate' must be 0 to 10; got 11");
  EXPECT_EQ(yaml_error("learning_rate: nan\n"), "r.yaml:1: 'learning_rate' must be 0 to 10; got nan");
  EXPECT_EQ(yaml_error("steps: -1\n"), "r.yaml:1: 'steps' must be >= 0; got -1");
  EXPECT_EQ(yaml_error("model:\n  dtype: float31\n"),
            "r.yaml:2: 'model.dtype' must be one of float32, bfloat16; got 'float31', did you mean 'float32'?");
  EXPECT_EQ(yaml_error("reward_funcs: [accuracy, formt]\n"),
            "r.yaml:1: 'reward_funcs' must be one of accuracy, format, length; got 'formt', did you mean 'format'?");
  EXPECT_EQ(yaml_error("steps: [1, 2]\n"), "r.yaml:1: 'steps' takes one value, got [\"1\",\"2\"]");
  EXPECT_EQ(yaml_error("dtype: float32\n"), "r.yaml:1: unknown key 'dtype', did you mean 'model.dtype'?");
  EXPECT_EQ(yaml_error("steps:\n  x: 1\n"), "r.yaml:2: unknown key 'steps.x', did you mean 'steps'?");
  EXPECT_EQ(yaml_error("- a\n- b\n"), "r.yaml: expected 'key: value' lines");
  EXPECT_EQ(yaml_error("a: 1\n---\nb: 2\n").find("r.yaml: expected one YAML document"), 0u);
  EXPECT_EQ(yaml_error("steps: [1\n").find("r.yaml:"), 0u);
  EXPECT_EQ(yaml_error("a: b: c\n").find("r.yaml:1: not valid YAML"), 0u);
  EXPECT_EQ(yaml_error("steps: *nowhere\n").find("r.yaml:1"), 0u);
}

TEST(Config, YamlIsCapped) {
  EXPECT_NE(yaml_error(std::string(kMaxYamlBytes + 1, ' ')).find("at most"), std::string::npos);
  std::string deep;
  for (int i = 0; i < kMaxYamlDepth + 2; ++i) deep += std::string(size_t(i), ' ') + "a:\n";
  EXPECT_NE(yaml_error(deep + std::string(100, ' ') + "b: 1\n").find("deeper"), std::string::npos);
  EXPECT_EQ(yaml_error("ids: " + std::string(100'000, '[')).find("r.yaml"), 0u);
  std::string laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string last = "*a" + std::to_string(i - 1), n = std::to_string(i);
    laughs += "a" + n + ": &a" + n + " [" + last;
    for (int k = 0; k < 9; ++k) laughs += "," + last;
    laughs += "]\n";
  }
  EXPECT_NE(yaml_error(laughs).find("anchors"), std::string::npos);
}

TEST(Config, MissingFileIsUsage) {
  EXPECT_NE(usage_error([] { read_yaml("/nowhere/x.yaml"); }).find("/nowhere/x.yaml"), std::string::npos);
}

TEST(Config, YamlDocument) {
  const Json document = parse_yaml_document("stages:\n  - kind: sft\n    args: {lr: 1e-3}\n  - kind: grpo\n", "r.yaml");
  EXPECT_EQ(dump_json(document), R"({"stages":[{"kind":"sft","args":{"lr":"1e-3"}},{"kind":"grpo"}]})");
  EXPECT_EQ(filled(json_settings(Json{{"lr", 0.5}, {"model", {{"dtype", "bfloat16"}}}}, "stage 1")).model.dtype, "bfloat16");
}

TEST(Config, CommandLine) {
  const Config c = from_arguments({"--learning-rate=1e-3", "--steps", "7", "--no-shuffle", "--bf16", "--model.name=a=b", "--model.dtype",
                                   "bfloat16", "--reward_funcs", "format", "length", "--betas=[0.1,0.2]", "--ids=", "--note", "-5"});
  EXPECT_EQ(c.learning_rate, 1e-3);
  EXPECT_EQ(c.steps, 7);
  EXPECT_FALSE(c.shuffle);
  EXPECT_TRUE(c.bf16);
  EXPECT_EQ(c.model.name, "a=b");
  EXPECT_EQ(c.model.dtype, "bfloat16");
  EXPECT_EQ(c.reward_funcs, (std::vector<std::string>{"format", "length"}));
  EXPECT_EQ(c.betas, (std::vector<double>{0.1, 0.2}));
  EXPECT_TRUE(c.ids.empty());
  EXPECT_EQ(c.note, "-5");
  EXPECT_TRUE(from_arguments({"--no-repeat"}).no_repeat);
  EXPECT_FALSE(from_arguments({"--no-no-repeat"}).no_repeat);
  EXPECT_FALSE(from_arguments({"--bf16=false"}).bf16);
  EXPECT_TRUE(from_arguments({"--bf16", "true", "--steps=1"}).bf16);
  EXPECT_EQ(from_arguments({"-m", "here"}).model.name, "here");
  EXPECT_EQ(from_arguments({"--lr", "1", "--lr", "2"}).learning_rate, 2);  // the last one wins
  EXPECT_EQ(from_arguments({"--steps=1e3"}).steps, 1000);
}

TEST(Config, CommandLineErrors) {
  EXPECT_EQ(argument_error({"--lerning_rate=1"}), "--lerning_rate: unknown key 'lerning_rate', did you mean 'learning_rate'?");
  EXPECT_EQ(argument_error({"--steps"}), "--steps: needs a value (int)");
  EXPECT_EQ(argument_error({"--steps", "--bf16"}), "--steps: needs a value (int)");
  EXPECT_EQ(argument_error({"--note"}), "--note: needs a value (string)");
  EXPECT_EQ(argument_error({"oops"}), "unexpected argument 'oops': options are --key=value or --key value");
  EXPECT_EQ(argument_error({"--=1"}), "'--=1': an option needs a name");
  EXPECT_EQ(argument_error({"--no-steps"}).find("--no_steps: unknown key 'no_steps'"), 0u);
  EXPECT_EQ(argument_error({"--zzzzqqq=1"}), "--zzzzqqq: unknown key 'zzzzqqq'");
  EXPECT_EQ(argument_error({"--steps=99999999999999999999"}), "--steps: 'steps' expects int, got '99999999999999999999'");
  EXPECT_EQ(argument_error({"--bf16=maybe"}), "--bf16: 'bf16' expects bool, got 'maybe'");
  EXPECT_EQ(argument_error({"--model.name="}), "missing: --model.name (model folder or file)");
}

TEST(Config, RequiredAndPrecedence) {
  Config bare;
  EXPECT_EQ(usage_error([&] { apply_settings(bare, {}); }), "missing: --model.name (model folder or file)");
  setenv("R1_STEPS", "5", 1);
  setenv("R1_MODEL__DTYPE", "bfloat16", 1);
  setenv("R1_DATA", "elsewhere", 1);
  auto settings = parse_yaml("steps: 4\nlearning_rate: 1\n", "r.yaml");
  for (auto& s : environment_settings(bare)) settings.push_back(s);
  for (auto& s : parse_overrides({"--learning_rate=2"})) settings.push_back(s);
  const Config c = filled(settings);
  EXPECT_EQ(c.steps, 5);
  EXPECT_EQ(c.learning_rate, 2);
  EXPECT_EQ(c.model.dtype, "bfloat16");
  setenv("R1_STEPS", "x", 1);
  EXPECT_EQ(usage_error([&] { filled(environment_settings(bare)); }), "R1_STEPS: 'steps' expects int, got 'x'");
  unsetenv("R1_STEPS");
  unsetenv("R1_MODEL__DTYPE");
  unsetenv("R1_DATA");
}

// Whatever the values, YAML and JSON give back the same config.
TEST(Config, RoundTrip) {
  Rng rng(2);
  const std::vector<std::string> words = {"",      "plain", "two words", "null",  "~",           "true",  "1e5",   "a: b",
                                          "- x",   "#c",    "x #y",      "\"q\"", "a\nb",        "tab\t", " lead", "ünïcode 数",
                                          "[1,2]", "{a}",   "it's",      "a,b",   "\x01",        "*x",    "&y",    "!z",
                                          "%",     "@",     "---",       "?",     "back\\slash", ":",     "a:"};
  for (int i = 0; i < 500; ++i) {
    Config c;
    c.learning_rate = i == 0 ? 0.1 + 0.2 : rng.uniform() * 10;
    c.steps = int64_t(rng.bits() >> 1);
    c.seed = rng.bits();
    c.bf16 = rng.below(2);
    c.note = words[rng.below(words.size())];
    c.model.name = "m" + words[rng.below(words.size())];
    c.teacher.name = "t" + words[rng.below(words.size())];
    c.betas = {rng.uniform(), 1.0};
    for (uint64_t k = rng.below(4); k > 0; --k) c.ids.push_back(-int64_t(rng.below(100))), c.flags.push_back(rng.below(2));
    c.reward_funcs.resize(rng.below(2), "length");
    const Json json = config_to_json(c);
    EXPECT_EQ(config_to_json(filled(parse_yaml(config_to_yaml(c), "y"))), json) << config_to_yaml(c);
    EXPECT_EQ(config_to_json(filled(json_settings(parse_json(dump_json(json), "j"), "j"))), json);
  }
  Config c;
  EXPECT_EQ(config_to_yaml(c).find("learning_rate: 2e-05\nsteps: 100\n"), 0u) << config_to_yaml(c);
  EXPECT_NE(config_to_yaml(c).find("model:\n  name: \"\"\n  dtype: float32\n"), std::string::npos);
}

struct Stops {
  std::vector<std::string> stop = {"default"}, argv;
  std::vector<int64_t> ids;
  void visit(Fields& v) {
    v("stop", stop, "strings that end an answer");
    v("argv", argv, "a program and its arguments");
    v("ids", ids, "numbers");
  }
};
using Strings = std::vector<std::string>;

Strings stops_of(const std::vector<Setting>& settings) {
  Stops c;
  apply_settings(c, settings);
  return c.stop;
}
Strings stops_given(const std::vector<std::string>& arguments) {
  return stops_of(parse_overrides(arguments));
}
Strings stops_written(std::string_view yaml) {
  return stops_of(parse_yaml(yaml, "r.yaml"));
}

// A list of strings takes any string as it is, wherever it comes from.
TEST(ConfigStrings, AnyStringStaysWhole) {
  for (const std::string text : {"\n",         " ",          ",",        "alpha beta, gamma",
                                 "ta  ",       " a",         "[a, b]",   "[1]",
                                 "[\"a\", 1]", "{\"a\": 1}", "[",        "null",
                                 "~",          "\t\n",       "true",     "a,b",
                                 "\"q\"",      "[\"a\"",     "\xC3\xA9", "=",
                                 "a=b"}) {
    EXPECT_EQ(stops_given({"--stop", text}), Strings{text}) << text;
    EXPECT_EQ(stops_given({"--stop=" + text}), Strings{text}) << text;
    EXPECT_EQ(stops_given({"--stop", text, "zzz"}), (Strings{text, "zzz"})) << text;
    EXPECT_EQ(stops_given({"--stop", text, "--stop", "zzz"}), (Strings{text, "zzz"})) << text;
    EXPECT_EQ(stops_given({"--stop", dump_json(Json::array({text, "zzz"}))}), (Strings{text, "zzz"})) << text;
    EXPECT_EQ(stops_written("stop: " + dump_json(text) + "\n"), Strings{text}) << text;
    EXPECT_EQ(stops_written("stop: [" + dump_json(text) + "]\n"), Strings{text}) << text;
    EXPECT_EQ(stops_of(json_settings(Json{{"stop", text}}, "stage 1")), Strings{text}) << text;
    setenv("R1_STOP", text.c_str(), 1);
    Stops c;
    EXPECT_EQ(stops_of(environment_settings(c)), Strings{text}) << text;
    unsetenv("R1_STOP");
    c.stop = {text, "zzz"};
    EXPECT_EQ(stops_written(config_to_yaml(c)), c.stop) << config_to_yaml(c);
  }
}

TEST(ConfigStrings, JsonListsAreListsWhereOnlyTextCanBeGiven) {
  EXPECT_EQ(stops_given({"--stop", R"(["gamma", "z,z"])"}), (Strings{"gamma", "z,z"}));
  EXPECT_EQ(stops_given({"--stop=[]"}), Strings{});
  EXPECT_EQ(stops_given({"--stop", R"(["a"])", "b", "--stop", "c"}), (Strings{"a", "b", "c"}));
  EXPECT_EQ(stops_given({"--stop", R"(["[\"a\"]"])"}), Strings{R"(["a"])"});
  setenv("R1_STOP", R"(["\n", "b"])", 1);
  Stops c;
  EXPECT_EQ(stops_of(environment_settings(c)), (Strings{"\n", "b"}));
  unsetenv("R1_STOP");
  EXPECT_EQ(stops_written(R"(stop: '["a"]')"), Strings{R"(["a"])"}) << "YAML has lists of its own";
  EXPECT_EQ(stops_written("stop: a, b\n"), Strings{"a, b"});
  EXPECT_EQ(stops_written("stop: []\n"), Strings{});
  EXPECT_EQ(stops_written("stop:\n"), Strings{"default"});
}

TEST(ConfigStrings, ARepeatedOptionAddsAndTheCommandLineReplacesTheRecipe) {
  auto settings = parse_yaml("stop: [recipe]\nids: [1]\n", "r.yaml");
  settings.push_back({"stop", "R1_STOP", "environment"});
  EXPECT_EQ(stops_of(settings), Strings{"environment"});
  for (auto& s : parse_overrides({"--stop", "a", "--ids", "4,5", "--stop", "b", "c", "--ids=6"})) settings.push_back(s);
  Stops c;
  apply_settings(c, settings);
  EXPECT_EQ(c.stop, (Strings{"a", "b", "c"}));
  EXPECT_EQ(c.ids, (std::vector<int64_t>{4, 5, 6}));
}

TEST(ConfigStrings, AnEmptyStringIsRefusedByName) {
  const std::string refused = ": 'stop' holds an empty string; the empty list is []";
  EXPECT_EQ(usage_error([] { stops_given({"--stop", ""}); }), "--stop" + refused);
  EXPECT_EQ(usage_error([] { stops_given({"--stop="}); }), "--stop" + refused);
  EXPECT_EQ(usage_error([] { stops_given({"--stop", "a", ""}); }), "--stop" + refused);
  EXPECT_EQ(usage_error([] { stops_given({"--stop", R"(["a", ""])"}); }), "--stop" + refused);
  EXPECT_EQ(usage_error([] { stops_written("ids: [1]\nstop: ['']\n"); }), "r.yaml:2" + refused);
  EXPECT_EQ(usage_error([] { stops_of({{"stop", "R1_STOP", ""}}); }), "R1_STOP" + refused);
  EXPECT_EQ(usage_error([] { stops_given({"--stop"}); }), "--stop: needs a value (string)");
  // Another program's words are its own.
  Stops c;
  apply_settings(c, {{"argv", "--", Json::array({"program", "", "[\"a\"]"})}});
  EXPECT_EQ(c.argv, (Strings{"program", "", "[\"a\"]"}));
}

TEST(ConfigStrings, HelpSaysSo) {
  Stops stops;
  EXPECT_NE(config_help(stops).find("<list of string>: each word is one string, taken as it is"), std::string::npos);
}

// However long what a user typed, a message is at most a screen and still says what to do.
TEST(Config, MessagesOfHugeInputAreShort) {
  const std::string huge(100'000, 'x');
  for (const std::string& message :
       {argument_error({"--steps=" + huge}), argument_error({"--" + huge + "=1"}), argument_error({huge}), yaml_error(huge + ": 1\n"),
        yaml_error("steps: " + huge + "\n"), yaml_error("model: {dtype: " + huge + "}\n"), yaml_error("steps: [" + huge + "]\n"),
        yaml_error(huge + ": 1\n" + huge + ": 2\n"), usage_error([&] { read_yaml("/nowhere/" + huge); })}) {
    EXPECT_LT(message.size(), kMaxMessageLine + 60) << message.substr(0, 200);
    EXPECT_NE(message, "(no error)");
  }
  EXPECT_EQ(argument_error({"--steps=" + huge}), "--steps: 'steps' expects int, got '" + huge.substr(0, 80) + "...'");
}

struct Loose {
  double x = 0;
  void visit(Fields& v) { v("x", x, "any number"); }
};

TEST(Config, InfinityAndNan) {
  for (const char* text : {"inf", "-inf", ".inf", "+.inf", "-.INF", "nan", ".nan"}) {
    Loose a, b;
    apply_settings(a, parse_overrides({str("--x=", text)}));
    EXPECT_FALSE(std::isfinite(a.x)) << text;
    apply_settings(b, parse_yaml(config_to_yaml(a), "y"));
    EXPECT_EQ(config_to_json(a), config_to_json(b));
  }
}

TEST(Config, Diff) {
  Config a, b;
  EXPECT_EQ(config_diff(a, b), "");
  b.steps = 5;
  b.model.dtype = "bfloat16";
  EXPECT_EQ(config_diff(a, b), "steps: 100 -> 5\nmodel.dtype: \"float32\" -> \"bfloat16\"\n");
  EXPECT_EQ(json_diff(Json{{"a", 1}}, Json{{"b", 2}}), "b: (none) -> 2\na: 1 -> (none)\n");
}

TEST(Config, Help) {
  Config c;
  const std::string help = config_help(c);
  EXPECT_NE(help.find("--learning_rate, --lr <float>"), std::string::npos) << help;
  EXPECT_NE(help.find("peak learning rate (0 to 10; default 2e-05)"), std::string::npos) << help;
  EXPECT_NE(help.find("\n model: the model to train\n"), std::string::npos) << help;
  EXPECT_NE(help.find("--model.name, -m <string>"), std::string::npos) << help;
  EXPECT_NE(help.find("model folder or file (required)"), std::string::npos) << help;
  EXPECT_NE(help.find("(one of accuracy, format, length; default [accuracy])"), std::string::npos) << help;
  const auto fields = config_fields(c);
  EXPECT_EQ(fields.size(), 15u);
  EXPECT_EQ(fields[0].type, "float");
  EXPECT_EQ(fields[11].key, "model.name");
  EXPECT_TRUE(fields[11].required);
}

struct Twice {
  double x = 0, y = 0;
  void visit(Fields& v) {
    v("x", x, "");
    v("x", y, "");
  }
};

TEST(Config, AKeyListedTwiceIsABug) {
  Twice c;
  EXPECT_THROW(config_help(c), Error);
}

TEST(Config, NearestName) {
  const std::vector<std::string> names = {"pretrain", "sft", "grpo", "eval", "generate"};
  EXPECT_EQ(nearest_name("pertrain", names), "pretrain");
  EXPECT_EQ(nearest_name("gropo", names), "grpo");
  EXPECT_EQ(nearest_name("Eval", names), "eval");
  EXPECT_EQ(nearest_name("xyzzy", names), "");
  EXPECT_EQ(nearest_name(std::string(100'000, 'a'), names), "");
}

// Random edits of a good file: a config or a usage error, no other end.
TEST(Config, YamlMutations) {
  const std::string seed =
      "learning_rate: 3e-4\nmodel: &m\n  name: 'x'\n  dtype: \"float32\"\nbetas: [0.1, 0.2]\nnote: |\n  text\n  more\nids: {a: *m}\n";
  Rng rng(4);
  for (int i = 0; i < 5000; ++i) {
    std::string text = seed;
    for (uint64_t edits = 1 + rng.below(4); edits > 0 && !text.empty(); --edits) {
      const size_t at = rng.below(text.size());
      switch (rng.below(3)) {
        case 0:
          text[at] = "{}[],:\"'#&*!|>-\n \t\xff%?@~"[rng.below(23)];
          break;
        case 1:
          text.erase(at, 1 + rng.below(5));
          break;
        default:
          text.insert(at, text.substr(rng.below(text.size()), rng.below(12)));
      }
    }
    try {
      from_yaml(text);
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), ErrorKind::kUsage);
    } catch (const std::exception& error) {
      FAIL() << error.what() << " at:\n" << text;
    }
  }
}

}  // namespace
}  // namespace r1
