// generate, chat, score and plan from the command line to stdout, on models whose words are known: exact output, options, exit codes,
// interrupts.
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <set>
#include <thread>

#include "r1/base/interrupt.h"
#include "r1/model/footprint.h"
#include "r1/model/presets.h"
#include "tests/app/program.h"
#include "tests/app/scripted_model.h"
#include "tests/environment_variable.h"

namespace r1::app {
namespace {

using testing::json_lines;
using testing::ProgramResult;
using testing::run_r1;

constexpr int64_t kEos = 256, kTool = 257;

class Commands : public ::testing::Test {
 protected:
  void TearDown() override {
    clear_interrupt();
    fs::remove_all(root_);
  }
  std::string path(const std::string& name) const { return (root_ / name).string(); }
  static text::TokenizerParts parts(const std::string& chat_template = "") {
    text::TokenizerParts p = testing::byte_parts({{.content = "<eos>", .special = true}, {.content = "<tool>", .special = true}});
    p.eos = "<eos>";
    p.chat_template = chat_template;
    return p;
  }
  std::string write(const testing::ScriptedModel& model, const std::string& name = "m", const std::string& chat_template = "") const {
    model.write(path(name));
    text::Tokenizer::from_parts(parts(chat_template)).save(path(name));
    return path(name);
  }
  // Says `text` after '?', then ends.
  std::string write_saying(const std::string& text, const std::string& name = "m") const {
    testing::ScriptedModel m;
    m.vocab_size = 258;
    std::vector<int64_t> ids = {'?'};
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
    ids.push_back(kEos);
    m.chain(ids);
    return write(m, name);
  }
  const fs::path root_ = fs::temp_directory_path() / str("r1_commands_", ::getpid());
};

// ---- generate ----

struct GenerateCommand : Commands {
  std::string model;
  ProgramResult generate(Arguments more, const std::string& input = "") const {
    Arguments all = {"generate", model, "--temperature", "0", "--quiet", "--max_new_tokens", "12"};
    all.insert(all.end(), more.begin(), more.end());
    return run_r1(all, input);
  }
  Json json(Arguments more) const {
    more.push_back("--json");
    const ProgramResult r = generate(more);
    EXPECT_EQ(r.code, 0) << r.err;
    const auto lines = json_lines(r.out);
    return lines.size() == 1 ? lines[0] : Json::object();
  }
  void refuses(const Arguments& more, const std::string& part, int code = 2) const {
    const ProgramResult r = generate(more);
    EXPECT_EQ(r.code, code) << part;
    EXPECT_EQ(r.out, "") << part;
    EXPECT_NE(r.err.find(part), std::string::npos) << r.err;
  }
};

TEST_F(GenerateCommand, TextAndJsonAreWhatTheModelSays) {
  model = write_saying("Hi!");
  const ProgramResult text = generate({"--prompt", "?"});
  EXPECT_EQ(text.code, 0);
  EXPECT_EQ(text.out, "Hi!\n");
  EXPECT_EQ(text.err, "");
  EXPECT_EQ(generate({"--prompt", "?", "--n", "2"}).out, "--- 1 of 2 (stop)\nHi!\n--- 2 of 2 (stop)\nHi!\n");
  EXPECT_EQ(generate({"--prompt", "?", "--max_new_tokens", "2", "--n", "2"}).out, "--- 1 of 2 (length)\nHi\n--- 2 of 2 (length)\nHi\n");
  const Json one = json({"--prompt", "?"});
  EXPECT_EQ(one.size(), 4u);
  EXPECT_EQ(one["text"], "Hi!");
  EXPECT_EQ(one["ids"], (Json{'H', 'i', '!', kEos}));
  EXPECT_EQ(one["finish_reason"], "stop");
  ASSERT_EQ(one["logprobs"].size(), 4u);
  for (const Json& x : one["logprobs"]) EXPECT_NEAR(x.get<double>(), 0, 1e-6);
  EXPECT_EQ(json_lines(generate({"--prompt", "?", "--n", "3", "--json"}).out).size(), 3u);
  EXPECT_EQ(json({"--prompt", "?", "--keep_special"})["text"], "Hi!<eos>");
  EXPECT_EQ(json({"--prompt", "?", "--max_new_tokens", "2"})["finish_reason"], "length");
}

TEST_F(GenerateCommand, ThePromptComesFromWhereItIsSaid) {
  model = write_saying("Hi!");
  write_file_atomic(path("prompt.txt"), "so?");
  EXPECT_EQ(generate({"--prompt_file", path("prompt.txt")}).out, "Hi!\n");
  EXPECT_EQ(generate({"--prompt_file", "-"}, "is it?").out, "Hi!\n");
  EXPECT_EQ(generate({"--prompt", "is it", "--prompt_suffix", "?"}).out, "Hi!\n");
  EXPECT_EQ(generate({"--ids", "63"}).out, "Hi!\n");
  refuses({}, "missing: --prompt, --prompt_file, --messages or --ids");
  refuses({"--prompt", "?", "--ids", "1"}, "give one of");
  refuses({"--prompt_file", path("absent")}, "absent", 1);
  refuses({"--prompt", "?", "--chat"}, "chat template");
  model = path("nothing");
  refuses({"--prompt", "?"}, "nothing does not exist");
  EXPECT_NE(run_r1({"generate", "--prompt", "?"}).err.find("missing: --model_name_or_path"), std::string::npos);
}

TEST_F(GenerateCommand, ControlTokensSpelledOutCountOnlyWhenRaw) {
  testing::ScriptedModel m;
  m.vocab_size = 258;
  m.chain({kTool, 'T', kEos});
  m.chain({'>', 'x', kEos});
  model = write(m);
  EXPECT_EQ(generate({"--prompt", "<tool>"}).out, "x\n");
  EXPECT_EQ(generate({"--prompt", "<tool>", "--raw"}).out, "T\n");
}

TEST_F(GenerateCommand, OwnStopsEndWhatTheEndOfSequenceDoesNot) {
  testing::ScriptedModel m;
  m.vocab_size = 258;
  m.chain({'?', 'a', 'b', kTool, 'c', kEos, 'd', 'e', 'd'});
  model = write(m);
  EXPECT_EQ(json({"--prompt", "?"})["text"], "abc");
  const Json on = json({"--prompt", "?", "--ignore_eos"});
  EXPECT_EQ(on["text"], "abcdededed");
  EXPECT_EQ(on["finish_reason"], "length");
  const Json tool = json({"--prompt", "?", "--ignore_eos", "--stop", "<tool>"});
  EXPECT_EQ(tool["text"], "ab");
  EXPECT_EQ(tool["finish_reason"], "stop");
  EXPECT_EQ(json({"--prompt", "?", "--ignore_eos", "--stop", "<eos>"})["text"], "abc");
  EXPECT_EQ(json({"--prompt", "?", "--ignore_eos", "--stop", "ed"})["text"], "abcd");
}

TEST_F(GenerateCommand, NoStringEndsAnAnswerBeforeItsMinimum) {
  model = write_saying("a,b;c.");  // each once: what follows is chosen by the last alone
  EXPECT_EQ(json({"--prompt", "?", "--stop", ","})["text"], "a");
  EXPECT_EQ(json({"--prompt", "?", "--stop", ",", "--min_new_tokens", "2"})["text"], "a,b;c.");
  EXPECT_EQ(json({"--prompt", "?", "--stop", ",b", "--min_new_tokens", "2"})["text"], "a");
  EXPECT_EQ(json({"--prompt", "?", "--stop", ",b", "--stop", ".", "--min_new_tokens", "3"})["text"], "a,b;c");
  EXPECT_EQ(json({"--prompt", "?", "--stop", ",", "--stop", ";"})["text"], "a");
  EXPECT_EQ(json({"--prompt", "?", "--stop", ",", "--stop", ";", "--min_new_tokens", "3"})["text"], "a,b");
  refuses({"--prompt", "?", "--min_new_tokens", "13"}, "min_new_tokens");
}

TEST_F(GenerateCommand, SamplingIsThatOfTheOptions) {
  testing::ScriptedModel m;
  m.vocab_size = 258;
  m.next['?'] = {{'a', 4}, {'b', 3}, {'c', 2}};
  for (const int64_t c : {'a', 'b', 'c'}) m.chain({c, kEos});
  model = write(m);
  const auto heard = [&](Arguments more) {
    more.insert(more.end(), {"--prompt", "?", "--n", "64", "--json"});
    std::set<std::string> out;
    for (const Json& line : json_lines(generate(more).out)) out.insert(line["text"].get<std::string>());
    std::string all;
    for (const auto& text : out) all += text;
    return all;
  };
  EXPECT_EQ(heard({}), "a");
  EXPECT_EQ(heard({"--temperature", "1"}), "abc");
  EXPECT_EQ(heard({"--temperature", "1", "--top_k", "2"}), "ab");
  EXPECT_EQ(heard({"--temperature", "1", "--top_p", "0.7"}), "ab");
  EXPECT_EQ(heard({"--temperature", "1", "--min_p", "0.5"}), "a");
  EXPECT_EQ(heard({"--temperature", "1e-39"}), "a");
  EXPECT_EQ(heard({"--temp", "1e-39", "--top_p", "0.9"}), "a");
  EXPECT_EQ(json({"--prompt", "?", "--temperature", "1e-39"})["logprobs"][0], json({"--prompt", "?"})["logprobs"][0]);
  EXPECT_EQ(run_r1({"generate", model, "--prompt", "?", "--temp", "1", "--n", "9", "--seed", "3", "--quiet"}).out,
            run_r1({"generate", model, "--prompt", "?", "--temp", "1", "--n", "9", "--seed", "3", "--quiet"}).out);
  // Tokens of the prompt count for repetition_penalty, those of the answer for the other two.
  EXPECT_EQ(json({"--prompt", "a?", "--repetition_penalty", "2", "--max_new_tokens", "1"})["text"], "b");
  EXPECT_EQ(json({"--prompt", "a?", "--presence_penalty", "2", "--max_new_tokens", "1"})["text"], "a");
  const Json top = json({"--prompt", "?", "--top_logprobs", "2", "--max_new_tokens", "1"})["top_logprobs"];
  ASSERT_EQ(top.size(), 1u);
  ASSERT_EQ(top[0].size(), 2u);
  EXPECT_EQ(top[0][0]["token"], "a");
  EXPECT_EQ(top[0][1]["id"], 'b');
  EXPECT_NEAR(top[0][0]["logprob"].get<double>() - top[0][1]["logprob"].get<double>(), 1, 1e-4);
  for (const Arguments& wrong : std::vector<Arguments>{{"--temperature", "101"},
                                                       {"--top_p", "0"},
                                                       {"--top_p", "1.5"},
                                                       {"--min_p", "2"},
                                                       {"--top_k", "-2"},
                                                       {"--repetition_penalty", "0"},
                                                       {"--n", "0"},
                                                       {"--max_new_tokens", "0"},
                                                       {"--top_logprobs", "21"}}) {
    Arguments all = wrong;
    all.insert(all.end(), {"--prompt", "?"});
    refuses(all, wrong[0].substr(2));
  }
}

// Pressed as soon as the first words are out, in the middle of an answer that would go on for very long.
TEST_F(GenerateCommand, AnInterruptEndsItWithWhatThereIs) {
  testing::ScriptedModel m;
  m.vocab_size = 258;
  m.chain({'?', 'a', 'a'});
  m.config = {{"max_position_embeddings", 200000}};
  model = write(m);
  std::atomic<bool> over = false;
  std::thread presses([&] {
    struct stat out {};
    while (!over && (fstat(STDOUT_FILENO, &out) != 0 || !S_ISREG(out.st_mode) || out.st_size == 0))
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    request_interrupt();
  });
  const ProgramResult r = generate({"--prompt", "?", "--max_new_tokens", "190000"});
  over = true;
  presses.join();
  EXPECT_EQ(r.code, 130) << r.err;
  EXPECT_EQ(r.out.substr(0, 1), "a");
  EXPECT_LT(r.out.size(), 190000u);
  EXPECT_EQ(r.out.find_first_not_of('a'), r.out.size() - 1);
  // While the model is loaded there is nothing to show yet.
  EXPECT_EQ(generate({"--prompt", "?", "--json"}).code, 130);
}

TEST_F(GenerateCommand, ARunInProgressIsItsNewestCheckpoint) {
  write_saying("old", "run/checkpoint-3");
  write_saying("new", "run/checkpoint-12");
  write_file_atomic(path("run/config.yaml"), "{}");
  const ProgramResult r = run_r1({"generate", path("run"), "--prompt", "?", "--temperature", "0"});
  EXPECT_EQ(r.out, "new\n");
  EXPECT_NE(r.err.find("newest checkpoint is taken: checkpoint-12"), std::string::npos) << r.err;
  write_saying("done", "run");
  EXPECT_EQ(run_r1({"generate", path("run"), "--prompt", "?", "--temperature", "0"}).out, "done\n");
  make_folder(path("begun"));
  write_file_atomic(path("begun/config.yaml"), "{}");
  const ProgramResult none = run_r1({"generate", path("begun"), "--prompt", "?"});
  EXPECT_EQ(none.code, 2);
  EXPECT_NE(none.err.find("neither a final model nor a checkpoint"), std::string::npos) << none.err;
}

// ---- score ----

TEST_F(Commands, ScoreIsTheModelsProbability) {
  testing::ScriptedModel m;
  m.vocab_size = 258;
  m.next['a'] = {{'b', std::log(3.0)}, {'c', 0}};
  m.next['b'] = {{'c', 0}, {'d', 0}};
  const std::string model = write(m);
  const ProgramResult r = run_r1({"score", model, "--text", "abc", "--json", "--quiet"});
  ASSERT_EQ(r.code, 0) << r.err;
  const auto lines = json_lines(r.out);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].size(), 2u);
  EXPECT_EQ(lines[0]["ids"], (Json{'a', 'b', 'c'}));
  ASSERT_EQ(lines[0]["logprobs"].size(), 3u);
  EXPECT_TRUE(lines[0]["logprobs"][0].is_null());
  EXPECT_NEAR(lines[0]["logprobs"][1].get<double>(), std::log(0.75), 1e-5);
  EXPECT_NEAR(lines[0]["logprobs"][2].get<double>(), std::log(0.5), 1e-5);
  write_file_atomic(path("text"), "abc");
  EXPECT_EQ(run_r1({"score", model, "--file", path("text"), "--json", "--quiet"}).out, r.out);
  EXPECT_EQ(run_r1({"score", model, "--file", "-", "--json", "--quiet"}, "abc").out, r.out);
  EXPECT_EQ(run_r1({"score", model, "--ids", "97,98,99", "--json", "--quiet"}).out, r.out);
  const std::string said = run_r1({"score", model, "--text", "abc", "--quiet"}).out;
  EXPECT_EQ(said.find("3 tokens, log-probability -0.98"), 0u) << said;
  EXPECT_NE(said.find("perplexity 1.63"), std::string::npos) << said;
  const auto alone = json_lines(run_r1({"score", model, "--text", "a", "--json", "--quiet"}).out);
  EXPECT_EQ(alone[0]["logprobs"], Json::array({nullptr}));
  EXPECT_EQ(run_r1({"score", model, "--quiet"}).code, 2);
  EXPECT_EQ(run_r1({"score", model, "--text", "a", "--ids", "1"}).code, 2);
  const ProgramResult longer = run_r1({"score", model, "--text", std::string(513, 'a'), "--quiet"});
  EXPECT_EQ(longer.code, 1);
  EXPECT_EQ(longer.err, "error: the text has 513 tokens, the model's context holds 512\n");
}

// ---- chat ----

TEST_F(Commands, ChatKeepsAndGivesUpItsConversation) {
  testing::ScriptedModel m;
  m.vocab_size = 258;
  for (const char* pair : {"ab", "cd", "Ss", "\nt"}) m.chain({pair[0], pair[1], kEos});
  const std::string model = write(m, "m",
                                  "{% for x in messages %}{{ x.content }}{% endfor %}"
                                  "{% if messages|length > 2 and messages[0].role == 'user' %}c{% endif %}");
  const auto chat = [&](const std::string& input, Arguments more = {}) {
    Arguments all = {"chat", model, "--temperature", "0", "--max_new_tokens", "4", "--quiet"};
    all.insert(all.end(), more.begin(), more.end());
    return run_r1(all, input);
  };
  // The third message and on, the template ends with c: the model sees the whole conversation.
  EXPECT_EQ(chat("a\na\n").out, "b\nd\n");
  EXPECT_EQ(chat("a\n/clear\na\n").out, "b\nb\n");
  EXPECT_EQ(chat("a\n/retry\n").out, "b\nb\n");
  EXPECT_EQ(chat("\n\na\n/quit\na\n").out, "b\n");
  EXPECT_EQ(chat("\"\"\"x\na\"\"\"\n").out, "b\n");
  EXPECT_EQ(chat("a\n", {"--think", "on"}).out, "t\n");
  EXPECT_EQ(chat("/think on\na\n").out, "t\n");
  EXPECT_EQ(chat("a\n", {"--prompt_suffix", "S"}).out, "s\n");
  const ProgramResult wrong = chat("/nope\n/think maybe\n/retry\na\n");
  EXPECT_EQ(wrong.code, 0);
  EXPECT_EQ(wrong.out, "b\n");
  EXPECT_NE(wrong.err.find("unknown command /nope"), std::string::npos);
  EXPECT_NE(wrong.err.find("/think on, off or auto"), std::string::npos);
  EXPECT_NE(wrong.err.find("nothing was asked yet"), std::string::npos);
  const std::string file = path("talk.json");
  EXPECT_EQ(chat("a\n/save " + file + "\n", {"--system_prompt", "be brief"}).out, "b\n");
  EXPECT_EQ(parse_json_file(file)["messages"], (Json{{{"role", "system"}, {"content", "be brief"}},
                                                     {{"role", "user"}, {"content", "a"}},
                                                     {{"role", "assistant"}, {"content", "b"}}}));
  EXPECT_EQ(chat("/load " + file + "\n/system\na\n").out, "d\n");
  EXPECT_EQ(chat("/system\na\n", {"--load", file}).out, "d\n");
  EXPECT_EQ(chat("a\n", {"--load", path("absent")}).code, 1);
  EXPECT_EQ(chat("", {"--top_p", "0"}).code, 2);
  EXPECT_EQ(run_r1({"chat", path("absent")}).code, 2);
}

TEST_F(Commands, ChatWithoutATemplateTakesEachLineAlone) {
  const std::string model = write_saying("Hi!");
  EXPECT_EQ(run_r1({"chat", model, "--temperature", "0", "--quiet"}, "?\nagain?\n").out, "Hi!\nHi!\n");
}

TEST_F(Commands, AnInterruptLeavesAPipedChat) {
  const std::string model = write_saying("Hi!");
  request_interrupt();
  EXPECT_EQ(run_r1({"chat", model, "--temperature", "0", "--quiet"}, "?\n").code, 130);
}

// ---- what all share ----

TEST(SamplingOptions, EveryCommandHasTheSameOnes) {
  const std::vector<std::string> keys = {"temperature",       "top_k",          "top_p", "min_p", "repetition_penalty", "presence_penalty",
                                         "frequency_penalty", "min_new_tokens", "stop"};
  std::map<std::string, std::map<std::string, std::string>> of;
  for (const Command& command : commands())
    for (const FieldInfo& field : command.fields())
      if (std::find(keys.begin(), keys.end(), field.key) != keys.end()) of[command.name][field.key] = field.type + " " + field.limits;
  for (const char* name : {"chat", "eval", "generate", "grpo", "rejection", "serve"}) EXPECT_EQ(of[name].size(), keys.size()) << name;
  EXPECT_EQ(of["eval"], of["grpo"]);
  EXPECT_EQ(of["eval"], of["rejection"]);
  EXPECT_EQ(of["chat"], of["generate"]);
  EXPECT_EQ(of["serve"], of["generate"]);
}

TEST_F(Commands, AGroupThatTeachesNothingIsRefusedAtOnce) {
  const auto grpo = [&](const char* option) {
    return run_r1({"grpo", "--model", path("none"), "--task=arithmetic", "--output_dir", path("run"), option});
  };
  EXPECT_NE(grpo("--num_generations=1").err.find("num_generations is 1"), std::string::npos);
  EXPECT_EQ(grpo("--num_generations=1").code, 2);
  EXPECT_NE(grpo("--temperature=0").err.find("temperature is 0"), std::string::npos);
  EXPECT_FALSE(fs::exists(path("run")));
}

TEST(UnknownCommand, TheNearestIsNamed) {
  const std::pair<const char*, const char*> near[] = {{"genrate", "generate"},     {"gen", "generate"}, {"evaluate", "eval"},
                                                      {"pretraining", "pretrain"}, {"SFT", "sft"},      {"tokenize", "tokenizer encode"}};
  for (const auto& [typed, meant] : near) {
    const ProgramResult r = run_r1({typed});
    EXPECT_EQ(r.code, 2);
    EXPECT_EQ(r.err, str("error: unknown command '", typed, "', did you mean '", meant, "'? (r1 --help lists them)\n"));
  }
  EXPECT_EQ(run_r1({"xyzzy"}).err, "error: unknown command 'xyzzy' (r1 --help lists them)\n");
}

TEST(Launch, UnderAnotherLauncherIsRefused) {
  const EnvironmentVariable rank("RANK", "1"), size("WORLD_SIZE", "2"), host("MASTER_ADDR", "127.0.0.1"), port("MASTER_PORT", "1");
  const ProgramResult r = run_r1({"launch", "--nproc_per_node=2", "--", "pretrain", "--output_dir=none"});
  EXPECT_EQ(r.code, 2);
  EXPECT_TRUE(r.err.starts_with("error: r1 launch: this is one of 2 processes already (RANK and WORLD_SIZE)")) << r.err;
}

TEST(Launch, TheStagesWordsAreReadOnceAndAsOtherLaunchersTakeThem) {
  const auto err = [](const std::vector<std::string>& arguments) {
    const ProgramResult r = run_r1(arguments);
    EXPECT_EQ(r.code, 2);
    return r.err;
  };
  // Without "--", too; the ranks would have said it once each, behind their numbers.
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"launch", "--nproc_per_node=2", "--", "pretrain", "--lr=x"},
                                                    {"launch", "--nproc_per_node", "2", "pretrain", "--lr=x"},
                                                    {"launch", "-n", "2", "pretrain", "--lr=x"},
                                                    {"launch", "--nproc", "2", "pretrain", "--lr=x"}})
    EXPECT_EQ(err(arguments), err({"pretrain", "--lr=x"}));
  EXPECT_TRUE(err({"launch", "--nnodes=2", "--", "pretrain"}).starts_with("error: r1 launch: --nnodes: it starts ranks on this machine"));
  const ProgramResult help = run_r1({"launch", "-n", "2", "--", "pretrain", "--print_config", "--output_dir=x"});
  EXPECT_EQ(help.out, run_r1({"pretrain", "--print_config", "--output_dir=x"}).out);
  EXPECT_EQ(help.code, 0);
}

TEST_F(Commands, AStageThatRanksDoNotShareIsRefusedOnRanks) {
  const EnvironmentVariable rank("RANK", "1"), size("WORLD_SIZE", "2"), host("MASTER_ADDR", "127.0.0.1"), port("MASTER_PORT", "1");
  const std::string words = " does not share its work between ranks, and this is one of 2 processes (RANK and WORLD_SIZE)";
  const auto refused = [&](const std::vector<std::string>& arguments, const std::string& stage) {
    const ProgramResult r = run_r1(arguments);
    EXPECT_EQ(r.code, 2);
    EXPECT_TRUE(r.err.starts_with("error: " + stage + words)) << r.err;
  };
  refused({"rejection", "--model", path("none"), "--task=arithmetic", "--output_file", path("out.jsonl")}, "rejection");
  refused({"prune", "--model", path("none"), "--output_dir", path("out")}, "prune");
  refused({"quantize", "--model", path("none"), "--output", path("out"), "--scheme=int8"}, "quantize");
  make_folder(fs::path(path("recipe.yaml")).parent_path());
  write_file_atomic(path("recipe.yaml"),
                    "output_dir: " + path("out") + "\nstages:\n  ask:\n    stage: eval\n    model: none\n    task: arithmetic\n");
  refused({"run", path("recipe.yaml")}, "eval");
  EXPECT_EQ(run_r1({"env"}).code, 0);  // what only looks may run anywhere
}

TEST(Plan, CountsAndJudgesAModel) {
  const ProgramResult r = run_r1({"plan", "--model=tiny-test", "--stage=serve", "--memory=16GB", "--json"});
  ASSERT_EQ(r.code, 0) << r.err;
  const auto lines = json_lines(r.out);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["parameters"], model::parameter_count(model::preset("tiny-test")));
  EXPECT_EQ(lines[0]["memory"], 16'000'000'000);
  EXPECT_EQ(lines[0]["fits"], true);
  const ProgramResult small = run_r1({"plan", "--model=tiny-test", "--stage=serve", "--memory=1KB", "--json"});
  EXPECT_EQ(small.code, 1);
  EXPECT_EQ(json_lines(small.out)[0]["fits"], false);
  EXPECT_NE(run_r1({"plan", "--model=tiny-test", "--stage=serve", "--memory=1KB"}).out.find("does not fit"), std::string::npos);
  EXPECT_NE(run_r1({"plan", "--model=tiny-test", "--stage=serve", "--memory=16GB"}).out.find(": fits\n"), std::string::npos);
  EXPECT_NE(run_r1({"plan", "--list_presets"}).out.find("tiny-test\n"), std::string::npos);
  const ProgramResult typo = run_r1({"plan", "--model=tiny-tset"});
  EXPECT_EQ(typo.code, 2);
  EXPECT_NE(typo.err.find("tiny-test"), std::string::npos) << typo.err;
  EXPECT_EQ(run_r1({"plan"}).code, 2);
  EXPECT_EQ(run_r1({"plan", "--model=tiny-test", "--memory=lots"}).code, 2);
}

}  // namespace
}  // namespace r1::app
