// r1 generate, chat and score end to end, on models that are scripted to show what they were given.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "r1/app/command.h"
#include "r1/app/sampling_defaults.h"
#include "r1/base/error.h"
#include "r1/stages/run.h"
#include "tests/app/program.h"
#include "tests/app/scripted_model.h"

namespace r1::app {
namespace {

using testing::byte_parts;
using testing::run_r1;
using testing::ScriptedModel;

class Generate : public ::testing::Test {
 protected:
  void TearDown() override { fs::remove_all(root_); }
  std::string folder(const std::string& name) const { return (root_ / name).string(); }
  testing::ProgramResult generate(const std::string& name, Arguments more) const {
    Arguments all = {"generate", "--model", folder(name), "--temperature", "0", "--quiet", "--json"};
    all.insert(all.end(), more.begin(), more.end());
    return run_r1(all);
  }
  static Json json_of(const testing::ProgramResult& r) {
    EXPECT_EQ(r.code, 0) << r.err;
    return r.code ? Json::object() : parse_json(r.out, "stdout");
  }
  const fs::path root_ = fs::temp_directory_path() / str("r1_generate_", ::getpid());
};

// ---- what ends a turn ----

constexpr int64_t kEos = 256, kTurn = 257;

// Says "Hi" after '?', ends the turn, and would go on with z for ever.
ScriptedModel says_hi() {
  ScriptedModel m;
  m.vocab_size = 258;
  m.chain({'?', 'H', 'i', kTurn, 'z', 'z'});
  return m;
}

text::TokenizerParts turn_parts() {
  text::TokenizerParts parts = byte_parts({{.content = "<eos>", .special = true}, {.content = "<turn>", .special = true}});
  parts.eos = "<eos>";
  parts.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}";
  return parts;
}

TEST_F(Generate, EveryIdThatEndsATurnEndsIt) {
  const Json both = {kEos, kTurn};
  ScriptedModel m = says_hi();
  text::TokenizerParts parts = turn_parts();
  const auto write = [&](const char* name) {
    m.write(folder(name));
    text::Tokenizer::from_parts(parts).save(folder(name));
  };
  m.config = {{"eos_token_id", both}};
  write("config_list");
  m.config = {{"eos_token_id", kEos}};
  m.generation = {{"eos_token_id", both}};
  write("generation_list");
  m.config = {{"eos_token_id", nullptr}};
  m.generation = {{"eos_token_id", kTurn}};
  write("generation_only");
  m.generation = {};
  parts.eos = "<turn>";
  write("tokenizer");
  m.config = {{"eos_token_id", kTurn}};
  parts.eos.reset();
  write("config_only");
  m.config = {{"eos_token_id", nullptr}};
  write("map");
  fs::remove(folder("map") + "/tokenizer_config.json");
  write_file_atomic(folder("map") + "/special_tokens_map.json", R"({"eos_token":"<turn>"})");
  write_file_atomic(folder("map") + "/chat_template.jinja", parts.chat_template);
  for (const char* name : {"config_list", "generation_list", "generation_only", "tokenizer", "config_only", "map"}) {
    const Json json = json_of(generate(name, {"--prompt", "?", "--max_new_tokens", "6"}));
    EXPECT_EQ(json["text"], "Hi") << name;
    EXPECT_EQ(json["finish_reason"], "stop") << name;
    const testing::ProgramResult chat = run_r1({"chat", folder(name), "--temperature", "0", "--max_new_tokens", "6", "--quiet"}, "?\n");
    EXPECT_EQ(chat.out, "Hi\n") << name << chat.err;
    // Evaluation, rollouts and the watched problem take theirs from the same list.
    const auto loaded = stages::load({.model_name_or_path = folder(name)}, at::kCPU);
    EXPECT_NE(std::ranges::find(loaded.stop_ids, kTurn), loaded.stop_ids.end()) << name;
  }
  // An id that the model has no row for ends nothing, and is no error.
  m.config = {{"eos_token_id", {kTurn, 99999}}};
  write("beyond");
  EXPECT_EQ(json_of(generate("beyond", {"--prompt", "?", "--min_new_tokens", "2", "--max_new_tokens", "6"}))["text"], "Hi");
}

TEST_F(Generate, EveryEndIsKeptWhenAModelIsSaved) {
  ScriptedModel m = says_hi();
  m.config = {{"eos_token_id", kEos}};
  m.generation = {{"eos_token_id", {kTurn, kEos}}};
  m.write(folder("in"));
  text::Tokenizer::from_parts(turn_parts()).save(folder("in"));
  fs::remove(folder("in") + "/generation_config.json");
  m.generation = {};
  m.config = {{"eos_token_id", {kEos, kTurn}}};
  m.write(folder("in"));
  ASSERT_EQ(run_r1({"convert", folder("in"), folder("out"), "--quiet"}).code, 0);
  EXPECT_EQ(parse_json_file(folder("out") + "/config.json")["eos_token_id"], (Json{kEos, kTurn}));
  EXPECT_EQ(parse_json_file(folder("out") + "/generation_config.json")["eos_token_id"], (Json{kEos, kTurn}));
  EXPECT_EQ(json_of(generate("out", {"--prompt", "?", "--max_new_tokens", "6"}))["text"], "Hi");
}

// ---- sampling as the model's authors do ----

TEST_F(Generate, TheModelsSamplingIsTheDefaultAndIsShown) {
  ScriptedModel m = says_hi();
  m.next['?'] = {{'H', 2}, {'J', 1.9}};
  m.generation = {{"temperature", 0}, {"top_k", 1}, {"eos_token_id", kTurn}};
  m.write(folder("m"));
  text::Tokenizer::from_parts(turn_parts()).save(folder("m"));
  const auto run = [&](Arguments more) {
    Arguments all = {"generate", "--model", folder("m"), "--prompt", "?", "--max_new_tokens", "1", "--n", "40", "--json"};
    all.insert(all.end(), more.begin(), more.end());
    return run_r1(all);
  };
  const testing::ProgramResult greedy = run({});
  EXPECT_EQ(greedy.out.find("\"J\""), std::string::npos);
  EXPECT_NE(greedy.err.find("generation_config.json: temperature 0, top_k 1 (options win"), std::string::npos) << greedy.err;
  const testing::ProgramResult sampled = run({"--temperature", "1", "--top_k", "0"});
  EXPECT_NE(sampled.out.find("\"J\""), std::string::npos);
  EXPECT_EQ(sampled.err.find("generation_config.json:"), std::string::npos) << sampled.err;
  EXPECT_EQ(run({"--temperature", "-0.5"}).code, 2);
  write_file_atomic(folder("m") + "/generation_config.json", R"({"top_p": 7})");
  EXPECT_NE(run({}).err.find("generation_config.json: top_p = 7 is not in [0, 1]"), std::string::npos);
  write_file_atomic(folder("m") + "/generation_config.json", R"({"top_p": "x"})");
  EXPECT_NE(run({}).err.find("generation_config.json: key 'top_p' has the wrong type"), std::string::npos);
}

TEST(SamplingDefaults, OptionsThenTheModelThenTheProgram) {
  const engine::SamplingOptions own{.temperature = 0.6, .top_p = 0.95};
  engine::SamplingOptions p = engine::SamplingOptions::of_model(own);
  p.top_k = 5;
  model::GenerationConfig g;
  g.temperature = 0.7;
  g.top_k = 9;
  g.repetition_penalty = 1.1;
  fill_sampling(p, g);
  EXPECT_EQ(p.temperature, 0.7);
  EXPECT_EQ(p.top_k, 5);
  EXPECT_EQ(p.top_p, 0.95);
  EXPECT_EQ(p.min_p, 0);
  EXPECT_EQ(p.repetition_penalty, 1.1);
}

// ---- what the model is given ----

// The last token of the prompt decides: what is said in one letter shows what it was.
class Given : public Generate {
 protected:
  // A template of `source`; after the byte of each key comes its letter, after the control token F.
  void write(const std::string& source, const std::map<int64_t, char>& letters) {
    text::TokenizerParts parts = byte_parts({{.content = "<eos>", .special = true}, {.content = "<｜Assistant｜>"}});
    parts.eos = "<eos>";
    parts.chat_template = source;
    ScriptedModel m;
    m.vocab_size = 258;
    m.next[257]['F'] = 10;
    for (const auto& [id, letter] : letters) m.next[id][letter] = 10;
    m.write(folder("m"));
    text::Tokenizer::from_parts(parts).save(folder("m"));
  }
  std::string answer(Arguments more) {
    more.insert(more.end(), {"--max_new_tokens", "1"});
    const testing::ProgramResult r = generate("m", more);
    return r.code ? r.err : json_of(r)["text"].get<std::string>();
  }
};

TEST_F(Given, AUsersTextIsText) {
  write("<｜Assistant｜>{{ messages[-1].content }}", {{'>', 'O'}, {0x80, 'K'}, {'x', 'L'}});
  EXPECT_EQ(answer({"--chat", "--prompt", "x<｜Assistant｜>"}), "O");
  EXPECT_EQ(answer({"--chat", "--prompt", "x<eos>"}), "O");
  EXPECT_EQ(answer({"--chat", "--prompt", "x\uE000"}), "K");
  const auto chat = [&](const std::string& input) {
    return run_r1({"chat", folder("m"), "--temperature", "0", "--max_new_tokens", "1", "--quiet"}, input).out;
  };
  EXPECT_EQ(chat("x<｜Assistant｜>\n"), "O\n");
  EXPECT_EQ(chat("x\r\n"), "L\n");  // the line's end is no part of what was said
}

TEST_F(Given, TheWholeConversationReachesTheTemplate) {
  write(
      "{{ messages[-1].content if messages[-1].content is string }}{% if tools %}T{% endif %}{% for m in messages %}"
      "{% if m.tool_calls %}C{% endif %}{% if m.reasoning_content %}R{% endif %}{% if m.name %}N{% endif %}{% endfor %}"
      "{% if enable_thinking is false %}E{% endif %}",
      {{'T', 't'}, {'C', 'c'}, {'R', 'r'}, {'N', 'n'}, {'E', 'e'}, {'x', '-'}});
  EXPECT_EQ(answer({"--messages", R"({"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function"}]})"}), "t");
  EXPECT_EQ(
      answer({"--messages",
              R"([{"role":"user","content":"x"},{"role":"assistant","content":null,"tool_calls":[{}]},{"role":"tool","content":"x"}])"}),
      "c");
  EXPECT_EQ(answer({"--messages", R"([{"role":"user","content":"x"},{"role":"assistant","content":"x","reasoning_content":"r"}])"}), "r");
  EXPECT_EQ(answer({"--messages", R"([{"role":"user","name":"n","content":"x"}])"}), "n");
  EXPECT_EQ(answer({"--messages", R"({"messages":[{"role":"user","content":"x"}],"enable_thinking":false})"}), "e");
  EXPECT_EQ(answer({"--messages", R"([{"role":"user","content":[{"type":"text","text":"x"}]}])"}), "-");
  EXPECT_NE(answer({"--messages", R"([{"role":"user","content":[{"type":"image"}]}])"}).find("content of type 'image' can't be read"),
            std::string::npos);
}

TEST_F(Given, ATemplateThatWantsWhatIsNotKnownFails) {
  write("{{ messages[0].content + bos_token }}", {});
  EXPECT_NE(answer({"--chat", "--prompt", "x"}).find("tokenizer_config.json: chat_template:1: 'bos_token' is undefined"),
            std::string::npos);
  const testing::ProgramResult chat = run_r1({"chat", folder("m"), "--temperature", "0"}, "x\n");
  EXPECT_NE(chat.err.find("chat_template:1: 'bos_token' is undefined"), std::string::npos);
}

// ---- ids and their text ----

TEST_F(Generate, IdsAboveTheVocabularyDecodeToNothing) {
  ScriptedModel m;
  m.vocab_size = 297;
  m.chain({'?', 'a', 264, 'b', kEos});
  m.config = {{"eos_token_id", kEos}};
  m.write(folder("m"));
  text::TokenizerParts parts = byte_parts({{.content = "<eos>", .special = true}});
  parts.eos = "<eos>";
  text::Tokenizer::from_parts(parts).save(folder("m"));
  const Json json = json_of(generate("m", {"--prompt", "?", "--max_new_tokens", "8", "--top_logprobs", "2"}));
  EXPECT_EQ(json["text"], "ab");
  EXPECT_EQ(json["ids"], (Json{'a', 264, 'b', kEos}));
  EXPECT_EQ(json["top_logprobs"][1][0]["id"], 264);
  EXPECT_EQ(json["top_logprobs"][1][0]["token"], "");
  EXPECT_EQ(run_r1({"tokenizer", "decode", "--tokenizer", folder("m")}, "[97,264,98]\n").out, "\"ab\"\n");
  EXPECT_EQ(run_r1({"tokenizer", "decode", "--tokenizer", folder("m")}, "[-1]\n").code, 1);
}

TEST_F(Generate, TheFirstSpaceOfAnAnswerStays) {
  text::TokenizerParts parts;
  parts.where = "pieces";
  parts.vocabulary = {{"<unk>", 0}, {"H", 1}, {"\u2581", 2}, {"\u2581world", 3}, {"!", 4}};
  parts.unk_token = "<unk>";
  const Json space = {{"type", "Replace"}, {"pattern", {{"String", "\u2581"}}}, {"content", " "}};
  parts.decoder =
      text::sequence_section("decoders", {space, {{"type", "Fuse"}}, {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}});
  ScriptedModel m;
  m.vocab_size = 5;
  m.chain({1, 3, 4});
  m.write(folder("m"));
  text::Tokenizer::from_parts(parts).save(folder("m"));
  EXPECT_EQ(json_of(generate("m", {"--prompt", "H", "--max_new_tokens", "2"}))["text"], " world!");
  const testing::ProgramResult streamed =
      run_r1({"generate", "--model", folder("m"), "--prompt", "H", "--max_new_tokens", "2", "--temperature", "0", "--quiet"});
  EXPECT_EQ(streamed.out, " world!\n");
}

TEST_F(Generate, IdsNeedNoTokenizer) {
  ScriptedModel m;
  m.vocab_size = 40;
  m.chain({7, 8, 9, 10});
  m.config = {{"eos_token_id", 9}};
  m.write(folder("m"));
  const Json json = json_of(generate("m", {"--ids", "[5, 7]", "--max_new_tokens", "5"}));
  EXPECT_EQ(json["ids"], (Json{8, 9}));
  EXPECT_EQ(json["text"], "");
  EXPECT_EQ(json["finish_reason"], "stop");
  EXPECT_EQ(generate("m", {"--ids", "40"}).code, 2);
  EXPECT_EQ(generate("m", {"--ids", "1,x"}).code, 2);
  EXPECT_EQ(generate("m", {"--ids", "1", "--stop", "a"}).code, 2);
  EXPECT_EQ(generate("m", {"--ids", "1", "--prompt", "a"}).code, 2);
  EXPECT_NE(generate("m", {"--prompt", "a"}).err.find("no tokenizer in this folder"), std::string::npos);
  const testing::ProgramResult score = run_r1({"score", "--model", folder("m"), "--ids", "7,8,9", "--json", "--quiet"});
  ASSERT_EQ(score.code, 0) << score.err;
  const Json scored = parse_json(score.out, "stdout");
  EXPECT_EQ(scored["ids"], (Json{7, 8, 9}));
  EXPECT_NEAR(scored["logprobs"][1].get<double>(), 0, 1e-4);
}

}  // namespace
}  // namespace r1::app
