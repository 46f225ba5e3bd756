// What the shell sees: bare words, pipes, ids that come back, exit codes, names of models, completion.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "r1/tasks/registry.h"
#include "tests/app/program.h"
#include "tests/app/scripted_model.h"
#include "tests/environment_variable.h"
#include "tests/sandbox_lacking.h"
#include "tests/temporary_folder.h"

namespace r1::app {
namespace {

using testing::json_lines;
using testing::ProgramResult;
using testing::run_r1;

class Shell : public ::testing::Test {
 protected:
  // Says "Hi!" after '?'.
  void write_model(const std::string& name) const {
    testing::ScriptedModel m;
    m.vocab_size = 257;
    m.chain({'?', 'H', 'i', '!', 256});
    m.write(path(name));
    text::TokenizerParts parts = testing::byte_parts({{.content = "<eos>", .special = true}});
    parts.eos = "<eos>";
    text::Tokenizer::from_parts(parts).save(path(name));
  }
  fs::path path(const std::string& name) const { return folder_.path() / name; }

  const TemporaryFolder folder_{"shell"};
  const EnvironmentVariable models_{"R1_MODELS", path("models").string()}, hub_{"HF_HUB_CACHE", path("hub").string()};
};

TEST_F(Shell, AModelByItsName) {
  write_model("models/talker");
  const std::string listed = run_r1({"models"}).out;
  EXPECT_NE(listed.find("  talker  safetensors"), std::string::npos) << listed;
  EXPECT_NE(listed.find("(HF_HOME): none"), std::string::npos) << listed;
  EXPECT_NE(listed.find("tiny-test"), std::string::npos);
  EXPECT_EQ(run_r1({"models", "--names"}).out, "talker\n");
  const Json json = json_lines(run_r1({"models", "--json"}).out)[0];
  EXPECT_EQ(json["models"][0]["path"], path("models/talker").string());
  EXPECT_EQ(run_r1({"generate", "talker", "--prompt", "?", "--temperature", "0", "--quiet"}).out, "Hi!\n");
  EXPECT_EQ(run_r1({"chat", "talker", "--temperature", "0", "--quiet"}, "?\n").out, "Hi!\n");
  EXPECT_EQ(run_r1({"score", "talker", "--text", "?Hi", "--quiet"}).code, 0);
  EXPECT_EQ(run_r1({"tokenizer", "encode", "talker", "Hi"}).out, "[72,105]\n");
  EXPECT_EQ(run_r1({"plan", "serve", "talker", "--json"}).code, 0);
  EXPECT_EQ(run_r1({"convert", "talker", path("out").string(), "--quiet"}).code, 0);
  const ProgramResult near = run_r1({"generate", "talkre", "--prompt", "?"});
  EXPECT_EQ(near.code, 2);
  EXPECT_NE(near.err.find("did you mean 'talker'?"), std::string::npos) << near.err;
  EXPECT_EQ(std::count(near.err.begin(), near.err.end(), '\n'), 1);
  EXPECT_NE(run_r1({"chat", "org/none"}, "").err.find("`hf download org/none` does"), std::string::npos);
}

TEST_F(Shell, WhatIsPipedInIsThePrompt) {
  write_model("m");
  const std::string model = path("m").string();
  EXPECT_EQ(run_r1({"generate", model, "--temperature", "0", "--quiet"}, "well?").out, "Hi!\n");
  EXPECT_EQ(run_r1({"score", model, "--json", "--quiet"}, "?Hi").out, run_r1({"score", model, "--text", "?Hi", "--json", "--quiet"}).out);
  EXPECT_EQ(run_r1({"generate", model, "--quiet"}).code, 2);  // nothing there, and nobody to ask
}

TEST_F(Shell, TokenizersTakePlainText) {
  write_model("m");
  const std::string model = path("m").string();
  EXPECT_EQ(run_r1({"tokenizer", "encode", model, "a b"}).out, "[97,32,98]\n");
  EXPECT_EQ(run_r1({"tokenizer", "encode", model, "--plain"}, "a\n\"b\"\n").out, "[97]\n[34,98,34]\n");
  EXPECT_EQ(run_r1({"tokenizer", "encode", model}, "\"a\"\n").out, "[97]\n");
  EXPECT_EQ(run_r1({"tokenizer", "decode", model, "97,32,98"}).out, "a b\n");
  EXPECT_EQ(run_r1({"tokenizer", "decode", model}, "[97]\n").out, "\"a\"\n");
  const ProgramResult plain = run_r1({"tokenizer", "encode", model}, "[1]\n");
  EXPECT_EQ(plain.code, 1);
  EXPECT_NE(plain.err.find("--plain takes lines as they stand"), std::string::npos) << plain.err;
}

TEST(ShellVerify, IdsComeBackAndTheExitCodeSaysTheVerdict) {
  const auto out = json_lines(run_r1({"verify", "--jsonl"},
                                     "{\"id\":\"q7\",\"gold\":\"2\",\"answer\":\"2\"}\n{\"gold\":\"2\",\"answer\":\"3\"}\n{\"id\":[1],"
                                     "\"gold\":\"2\",\"answer\":\"\"}\n")
                                  .out);
  ASSERT_EQ(out.size(), 3u);
  EXPECT_EQ(json_lines(run_r1({"verify", "--jsonl"}, "{\"gold\":4,\"answer\":\"so 4\"}\n").out)[0]["verdict"], "right");
  EXPECT_EQ(out[0]["id"], "q7");
  EXPECT_EQ(out[0].begin().key(), "id");
  EXPECT_FALSE(out[1].contains("id"));
  EXPECT_EQ(out[2]["id"], Json::array({1}));
  const auto code = [](const Arguments& more, const std::string& input = "") {
    Arguments all = {"verify"};
    all.insert(all.end(), more.begin(), more.end());
    return run_r1(all, input).code;
  };
  EXPECT_EQ(code({"--gold=2", "--answer=3"}), 0);
  EXPECT_EQ(code({"--gold=2", "--answer=3", "--exit_code=verdict"}), 1);
  EXPECT_EQ(code({"--gold=2", "--answer=2", "--exit_code=verdict"}), 0);
  EXPECT_EQ(code({"--jsonl", "--exit_code=verdict"}, "{\"gold\":\"2\",\"answer\":\"2\"}\n"), 0);
  EXPECT_EQ(code({"--jsonl", "--exit_code=verdict"}, "{\"gold\":\"2\",\"answer\":\"2\"}\n{\"gold\":\"2\",\"answer\":\"3\"}\n"), 1);
}

TEST(ShellVerify, ABadLineLeavesTheOthersTheirVerdicts) {
  const ProgramResult r =
      run_r1({"verify", "--jsonl"},
             "{\"gold\":\"2\",\"answer\":\"2\"}\n{\"id\":8,\"gold\":\"2\"}\nnot json\n\n{\"gold\":\"2\",\"answer\":\"3\"}\n");
  EXPECT_EQ(r.code, 1);
  const auto out = json_lines(r.out);
  ASSERT_EQ(out.size(), 4u);
  EXPECT_EQ(out[0]["verdict"], "right");
  EXPECT_EQ(out[1]["id"], 8);
  EXPECT_NE(out[1]["error"].get<std::string>().find("stdin:2"), std::string::npos);
  EXPECT_NE(out[1]["error"].get<std::string>().find("answer"), std::string::npos);
  EXPECT_NE(out[2]["error"].get<std::string>().find("stdin:3"), std::string::npos);
  EXPECT_EQ(out[3]["verdict"], "wrong");
  EXPECT_NE(r.err.find("stdin:2"), std::string::npos) << r.err;
  EXPECT_NE(r.err.find("and 1 more"), std::string::npos) << r.err;
}

TEST(ShellJudge, ABadLineLeavesTheOthersTheirReports) {
  if (const std::string why = verify::sandbox::lacking_any(); !why.empty()) GTEST_SKIP() << why;
  const std::string good = "{\"language\":\"python\",\"completion\":\"no code\",\"tests\":[{\"input\":\"\",\"output\":\"\"}]}\n";
  const ProgramResult r = run_r1({"judge", "--jsonl"}, good + "{\"id\":3}\n" + good);
  EXPECT_EQ(r.code, 1);
  const auto out = json_lines(r.out);
  ASSERT_EQ(out.size(), 3u);
  EXPECT_EQ(out[0]["verdict"], "no_code");
  EXPECT_EQ(out[1]["id"], 3);
  EXPECT_TRUE(out[1].contains("error"));
  EXPECT_EQ(out[2]["verdict"], "no_code");
  EXPECT_NE(r.err.find("stdin:2"), std::string::npos) << r.err;
}

TEST(ShellJudge, IdsComeBack) {
  if (const std::string why = verify::sandbox::lacking_any(); !why.empty()) GTEST_SKIP() << why;
  const ProgramResult r = run_r1(
      {"judge", "--jsonl"}, "{\"id\":7,\"language\":\"python\",\"completion\":\"no code\",\"tests\":[{\"input\":\"\",\"output\":\"\"}]}\n");
  EXPECT_EQ(r.code, 0) << r.err;
  const auto out = json_lines(r.out);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0]["id"], 7);
}

TEST(ShellCommands, FamiliarOnesAreAnswered) {
  const std::pair<const char*, const char*> known[] = {
      {"llama-quantize", "r1 quantize"}, {"export", "r1 convert"},       {"train", "r1 sft"}, {"finetune", "r1 sft"},
      {"download", "hf download"},       {"dpo", "does not exist here"}, {"ls", "r1 models"}, {"lm_eval", "r1 eval"},
      {"llama-server", "r1 serve"}};
  for (const auto& [typed, answer] : known) {
    const ProgramResult r = run_r1({typed, "model.gguf"});
    EXPECT_EQ(r.code, 2) << typed;
    EXPECT_EQ(r.out, "") << typed;
    EXPECT_EQ(r.err.find(str("error: no command '", typed, "' here: ")), 0u) << r.err;
    EXPECT_NE(r.err.find(answer), std::string::npos) << r.err;
  }
}

// What bash offers after these words; '=' stands alone, as bash breaks words there.
std::string completed(const std::vector<std::string>& words) {
  const TemporaryFolder folder("completion");
  write_file_atomic(folder.path() / "r1.bash", run_r1({"completion", "bash"}).out);
  write_file_atomic(folder.path() / "recipe.yaml", "");
  std::string list;
  for (const std::string& word : words) list += " '" + word + "'";
  const std::string script = str("cd ", folder.path().string(), "\n. ./r1.bash\nCOMP_WORDS=(", list, ")\nCOMP_CWORD=", words.size() - 1,
                                 "\n_r1\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n");
  write_file_atomic(folder.path() / "ask.sh", script);
  std::string out;
  FILE* pipe = ::popen(str("bash ", (folder.path() / "ask.sh").string(), " 2>&1").c_str(), "r");
  char buffer[4096];
  for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) out.append(buffer, n);
  ::pclose(pipe);
  return out;
}

TEST(ShellCompletion, OffersValuesWhereThereAreSome) {
  EXPECT_EQ(completed({"r1", "gen"}), "generate\n");
  EXPECT_EQ(completed({"r1", "tokenizer", "enc"}), "encode\n");
  EXPECT_EQ(completed({"r1", "grpo", "--loss_type", "=", "da"}), "dapo\n");
  EXPECT_EQ(completed({"r1", "grpo", "--loss_type", "da"}), "dapo\n");
  EXPECT_EQ(completed({"r1", "eval", "--task", "=", "gsm"}), "gsm8k\n");
  std::string tasks;
  for (const auto& name : r1::tasks::task_names()) tasks += name + "\n";
  EXPECT_EQ(completed({"r1", "eval", "--task", "="}), tasks);
  EXPECT_EQ(completed({"r1", "pretrain", "--preset", "=", "tiny-1"}), "tiny-1m\ntiny-10m\n");
  EXPECT_EQ(completed({"r1", "run", "rec"}), "recipe.yaml\n");
  EXPECT_EQ(completed({"r1", "sft", "--config", "=", "rec"}), "recipe.yaml\n");
  EXPECT_EQ(completed({"r1", "sft", "--max_steps", "="}), "\n");  // a number: nothing, and no files
  EXPECT_EQ(completed({"r1", "completion", ""}), "bash\nzsh\n");
  EXPECT_EQ(completed({"r1", "eval", "sh"}), "show\n");
  EXPECT_EQ(completed({"r1", "plan", "qwen2.5-0"}), "qwen2.5-0.5b\n");
  EXPECT_EQ(completed({"r1", "verify", "--json", "--go"}), "--gold=\n");
}

}  // namespace
}  // namespace r1::app
