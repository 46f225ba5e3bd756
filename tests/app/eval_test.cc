// r1 eval, eval show and compare from the command line, on a model that says what it is forced to.
#include "r1/base/interrupt.h"
#include "tests/app/program.h"
#include "tests/app/scripted_model.h"
#include "tests/environment_variable.h"
#include "tests/temporary_folder.h"

namespace r1::app {
namespace {

using testing::json_lines;
using testing::ProgramResult;
using testing::run_r1;

struct EvalCommandLine : ::testing::Test {
  TemporaryFolder folder{"eval_command"};
  std::string model = path("model");

  EvalCommandLine() {
    testing::ScriptedModel m;
    m.vocab_size = 258;
    m.chain({'}', 256});
    m.write(model);
    text::TokenizerParts parts = testing::byte_parts({{.content = "<eos>", .special = true}, {.content = "<tool>", .special = true}});
    parts.eos = "<eos>";
    text::Tokenizer::from_parts(parts).save(model);
    write_file_atomic(path("test.jsonl"),
                      "{\"question\": \"3 + 4?\", \"answer\": \"7\\n#### 7\"}\n{\"question\": \"4 + 4?\", \"answer\": \"8\\n#### 8\"}\n");
  }
  void TearDown() override { clear_interrupt(); }
  std::string path(const std::string& name) const { return (folder.path() / name).string(); }
  ProgramResult eval(Arguments more) const {
    Arguments all = {"eval", model, "--task", "gsm8k", "--data", path("test.jsonl"), "--max_completion_length", "12", "--prompt_format",
                     "plain"};
    all.insert(all.end(), more.begin(), more.end());
    return run_r1(all);
  }
};

TEST_F(EvalCommandLine, NumbersForPeopleAndForPrograms) {
  const ProgramResult r = eval({"--forced", "\\boxed{7}", "--json", "--quiet", "--no-save"});
  ASSERT_EQ(r.code, 0) << r.err;
  const auto lines = json_lines(r.out);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["task"], "gsm8k");
  EXPECT_EQ(lines[0]["n"], 2);
  EXPECT_EQ(lines[0]["accuracy"], 0.5);
  EXPECT_EQ(lines[0]["pass@1"], 0.5);
  EXPECT_EQ(lines[0]["verdicts"], (Json{{"right", 1}, {"wrong", 1}}));
  EXPECT_FALSE(lines[0].contains("output_dir"));
  const std::string text = eval({"--forced", "\\boxed{8}", "--limit", "1", "--quiet", "--no-save"}).out;
  EXPECT_TRUE(text.starts_with("gsm8k: 1 problem\n  accuracy      0.000  (95 % interval 0.000 to 0.793)\n")) << text;
  EXPECT_NE(text.find("  verdicts      1 wrong\n"), std::string::npos) << text;
}

TEST_F(EvalCommandLine, WhatIsKeptSaysWhereItIsFrom) {
  const std::string out = path("out");
  const ProgramResult first = eval({"--forced", "\\boxed{7}", "--output_dir", out});
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_NE(first.err.find("gsm8k: 2 problems from " + path("test.jsonl")), std::string::npos) << first.err;
  EXPECT_NE(first.err.find("r1 eval show " + out + " --wrong"), std::string::npos) << first.err;
  const Json result = parse_json_file(out + "/result.json");
  EXPECT_EQ(result["accuracy"], 0.5);
  EXPECT_EQ(result["model"]["path"], model);
  EXPECT_EQ(result["model"]["files"]["model.safetensors"], sha256_file(model + "/model.safetensors"));
  EXPECT_EQ(result["data"], Json::array({Json{{"path", path("test.jsonl")}, {"sha256", sha256_file(path("test.jsonl"))}}}));
  EXPECT_EQ(result["sampling"]["temperature"], 0.0);
  EXPECT_EQ(result["seed"], 0);
  EXPECT_EQ(result["complete"], true);
  EXPECT_EQ(result["config"]["task"], "gsm8k");
  for (const char* key : {"date", "version", "command"}) EXPECT_FALSE(result[key].get<std::string>().empty()) << key;
  const auto samples = json_lines(read_file(out + "/samples.jsonl"));
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_EQ(samples[0]["question"], "3 + 4?");
  EXPECT_TRUE(samples[0]["prompt"].get<std::string>().starts_with("Question: 3 + 4?"));
  EXPECT_EQ(samples[1]["gold"], "8");
  EXPECT_EQ(samples[1]["extracted"], "7");
  EXPECT_EQ(samples[1]["rule"], "boxed");
  EXPECT_EQ(samples[1]["reason"], "7 is not 8");
  EXPECT_EQ(samples[1]["rewards"]["accuracy"], 0.0);

  // The same once more is the same result; another one is refused, or meant.
  const ProgramResult again = eval({"--forced", "\\boxed{7}", "--output_dir", out, "--json"});
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_NE(again.err.find("has the result of this evaluation already"), std::string::npos) << again.err;
  EXPECT_EQ(json_lines(again.out)[0]["date"], result["date"]);
  const ProgramResult other = eval({"--forced", "\\boxed{8}", "--output_dir", out});
  EXPECT_EQ(other.code, 2);
  EXPECT_NE(other.err.find("holds the evaluation of another config:\nforced: "), std::string::npos) << other.err;
  EXPECT_NE(other.err.find("--overwrite_output_dir"), std::string::npos);
  EXPECT_EQ(parse_json_file(out + "/result.json"), result);
  EXPECT_EQ(eval({"--forced", "\\boxed{8}", "--output_dir", out, "--overwrite_output_dir"}).code, 0);
  EXPECT_NE(parse_json_file(out + "/result.json")["config"]["forced"], result["config"]["forced"]);
  const auto forced = [&] { return eval({"--forced", "\\boxed{8}", "--output_dir", out}); };
  EXPECT_EQ(forced().code, 0) << "there already";
  write_file_atomic(path("test.jsonl"), "{\"question\": \"1 + 7?\", \"answer\": \"8\\n#### 8\"}\n");
  EXPECT_NE(forced().err.find("which has changed since"), std::string::npos);
  make_folder(path("foreign"));
  write_file_atomic(path("foreign/config.yaml"), "{}");
  EXPECT_EQ(eval({"--output_dir", path("foreign")}).code, 2);
}

TEST_F(EvalCommandLine, ShownAndCompared) {
  ASSERT_EQ(eval({"--forced", "\\boxed{7}", "--output_dir", path("seven"), "--quiet"}).code, 0);
  ASSERT_EQ(eval({"--forced", "\\boxed{8}", "--output_dir", path("eight"), "--quiet"}).code, 0);
  const ProgramResult all = run_r1({"eval", "show", path("seven")});
  EXPECT_EQ(all.code, 0) << all.err;
  EXPECT_NE(all.out.find("accuracy      0.500"), std::string::npos) << all.out;
  EXPECT_NE(all.out.find("--- gsm8k/test/0: right\n"), std::string::npos) << all.out;
  for (const Arguments& words :
       {Arguments{"eval", "show", path("seven"), "--wrong", "3"}, Arguments{"eval", "show", path("seven"), "3", "--wrong"}}) {
    const ProgramResult wrong = run_r1(words);
    EXPECT_EQ(wrong.out.find("gsm8k/test/0"), std::string::npos) << wrong.out;
    EXPECT_NE(wrong.out.find("--- gsm8k/test/1: wrong\n"), std::string::npos) << wrong.out;
    EXPECT_NE(wrong.out.find("verdict     wrong: 7 is not 8\n"), std::string::npos) << wrong.out;
  }
  const ProgramResult one = run_r1({"eval", "show", path("seven"), "1", "--json"});
  EXPECT_EQ(json_lines(one.out).size(), 1u);
  EXPECT_NE(one.err.find("1 of 2 samples shown; --n=2 shows all"), std::string::npos) << one.err;
  EXPECT_EQ(run_r1({"eval", "show", model}).code, 2);
  EXPECT_EQ(run_r1({"eval", "show"}).code, 2);

  const ProgramResult compared = run_r1({"compare", path("seven"), path("eight")});
  EXPECT_EQ(compared.code, 0) << compared.err;
  for (const char* part : {"the same weights\n", "forced: ", "2 problems in both\n", "McNemar, exact: p = 1.00: no difference",
                           "lost in B: 1\n  gsm8k/test/0\n", "gained in B: 1\n  gsm8k/test/1\n"})
    EXPECT_NE(compared.out.find(part), std::string::npos) << part << "\n" << compared.out;
  EXPECT_EQ(json_lines(run_r1({"compare", path("seven"), path("eight"), "--json"}).out)[0]["problems"], 2);
  EXPECT_EQ(run_r1({"compare", path("seven"), path("none")}).code, 2);
}

TEST_F(EvalCommandLine, TasksAreExplained) {
  const std::string all = run_r1({"eval", "--list_tasks"}).out;
  EXPECT_NE(all.find("\nmbpp "), std::string::npos) << all;
  EXPECT_NE(all.find("  example  r1 eval MODEL --task gsm8k --data gsm8k --limit 100\n"), std::string::npos) << all;
  for (const Arguments& words : {Arguments{"eval", "--list_tasks", "gsm8k"}, Arguments{"eval", "--help", "gsm8k"}}) {
    const ProgramResult one = run_r1(words);
    EXPECT_EQ(one.code, 0) << one.err;
    EXPECT_NE(one.out.find("--task_options.prompt_style"), std::string::npos) << one.out;
  }
  EXPECT_EQ(run_r1({"eval", "--list_tasks", "gsm8q"}).code, 2);
  EXPECT_NE(run_r1({"eval", "--help"}).out.find("max_completion_length"), std::string::npos);
}

TEST_F(EvalCommandLine, WrongUseIsRefusedAndAnInterruptIsNoResult) {
  const EnvironmentVariable none("R1_DATA", "");
  const ProgramResult typo = run_r1({"eval", model, "--task", "gsm8q"});
  EXPECT_EQ(typo.code, 2);
  EXPECT_NE(typo.err.find("gsm8k"), std::string::npos) << typo.err;
  EXPECT_EQ(run_r1({"eval", model}).code, 2);
  EXPECT_EQ(eval({"--pass_at", "2", "--no-save"}).code, 2);
  EXPECT_EQ(eval({"--split", "train", "--no-save"}).code, 2);
  EXPECT_EQ(eval({"--split", "dev", "--no-save"}).code, 2);
  EXPECT_EQ(eval({"--reward_funcs", "accuracie", "--no-save"}).code, 2);
  request_interrupt();
  const ProgramResult r = eval({"--forced", "\\boxed{7}", "--output_dir", path("out"), "--json", "--quiet"});
  EXPECT_EQ(r.code, 130);
  EXPECT_EQ(r.out, "");
  clear_interrupt();
  EXPECT_EQ(eval({"--forced", "\\boxed{7}", "--output_dir", path("out"), "--quiet"}).code, 0) << "what was stopped is no earlier result";
}

// The whole table of a spreadsheet, in its own words.
TEST_F(EvalCommandLine, ATableOfOnesOwn) {
  write_file_atomic(path("own.csv"), "Frage;Antwort\n\"Was ist\n3+4?\";7\n");
  const ProgramResult r =
      run_r1({"eval", model, "--task", "math", "--data", path("own.csv"), "--columns.question=Frage", "--columns.answer=Antwort",
              "--forced", "\\boxed{7}", "--prompt_format", "plain", "--max_completion_length", "12", "--json", "--quiet", "--no-save"});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(json_lines(r.out)[0]["accuracy"], 1.0);
  const ProgramResult unnamed = run_r1({"eval", model, "--task", "math", "--data", path("own.csv"), "--quiet", "--no-save"});
  EXPECT_NE(unnamed.err.find("own.csv:2"), std::string::npos) << unnamed.err;
}

}  // namespace
}  // namespace r1::app
