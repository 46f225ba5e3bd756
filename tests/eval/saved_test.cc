// Evaluations read back: what is shown of a sample, and what two of them are compared by.
#include "r1/eval/saved.h"

#include <gtest/gtest.h>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/eval/provenance.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace r1::eval {
namespace {

Json sample(int id, double accuracy, int index = 0, const std::string& question = "") {
  return {{"id", str("t/test/", id)},
          {"sample", index},
          {"question", question.empty() ? str("q", id) : question},
          {"prompt", str("<|user|>", question.empty() ? str("q", id) : question, "\n<|assistant|>")},
          {"gold", "7"},
          {"completion", "so\nit is 8"},
          {"extracted", "8"},
          {"rule", "last_number"},
          {"verdict", accuracy == 1 ? "right" : "wrong"},
          {"reason", "8 is not 7"},
          {"accuracy", accuracy},
          {"rewards", {{"accuracy", accuracy}, {"format", nullptr}}},
          {"tokens", 5},
          {"finish_reason", id == 2 ? "length" : "stop"}};
}

struct Saved : testing::Test {
  TemporaryFolder folder{"saved"};
  fs::path write(const std::string& name, const std::vector<Json>& samples, const Json& config, double accuracy,
                 const std::string& model = "m") const {
    const fs::path path = folder.path() / name;
    make_folder(path);
    std::string lines;
    for (const Json& s : samples) lines += dump_json(s) + "\n";
    write_file_atomic(path / "samples.jsonl", lines);
    const Json result{{"task", "t"},
                      {"n", samples.size()},
                      {"accuracy", accuracy},
                      {"verdicts", {{"right", 1}}},
                      {"model", {{"sha256", model}}},
                      {"data", {{{"path", "d"}, {"sha256", "1"}}}},
                      {"config", config},
                      {"complete", true}};
    write_file_atomic(path / "result.json", dump_json(result));
    return path;
  }
};

TEST_F(Saved, ASampleTellsWhatWasSentSaidTakenAndWhy) {
  EXPECT_EQ(sample_text(sample(2, 0)),
            "--- t/test/2: wrong\n"
            "prompt\n    <|user|>q2\n    <|assistant|>\n"
            "gold        7\n"
            "completion\n    so\n    it is 8\n"
            "extracted   8\n"
            "found by    the last number or formula of the text\n"
            "verdict     wrong: 8 is not 7\n"
            "rewards     accuracy 0.000  format none\n"
            "length      5 tokens, cut off\n\n");
  EXPECT_NE(sample_text(sample(1, 1, 3)).find("--- t/test/1, sample 3: right\n"), std::string::npos);
  Json other = sample(1, 0);
  other["prompt"] = "template lost it";
  EXPECT_NE(sample_text(other).find("question    q1\nprompt      template lost it\n"), std::string::npos);
}

TEST_F(Saved, ShowsWhatIsAskedFor) {
  const fs::path run = write("a", {sample(0, 1), sample(1, 0), sample(2, 0), sample(12, 1)}, {}, 0.5);
  const auto shown = [&](const ShowOptions& options) {
    std::string ids;
    const int64_t fitting = show_samples(run, options, [&](const Json& s) { ids += s["id"].get<std::string>().substr(7) + " "; });
    return ids + "of " + std::to_string(fitting);
  };
  EXPECT_EQ(shown({}), "0 1 2 12 of 4");
  EXPECT_EQ(shown({.n = 1}), "0 of 4");
  EXPECT_EQ(shown({.wrong = true}), "1 2 of 2");
  EXPECT_EQ(shown({.verdict = "right"}), "0 12 of 2");
  EXPECT_EQ(shown({.id = "2"}), "2 12 of 2");
  EXPECT_NE(message_of([&] { show_samples(folder.path(), {}, [](const Json&) {}); }).find("holds no evaluation (no samples.jsonl)"),
            std::string::npos);
}

TEST_F(Saved, ComparesConfigNumbersFlipsAndChance) {
  std::vector<Json> a, b;
  for (int i = 0; i < 20; ++i) a.push_back(sample(i, i < 5)), b.push_back(sample(i, i < 4 || i >= 11));
  a.push_back(sample(98, 1));
  a.push_back(sample(99, 1, 0, "another question"));
  b.push_back(sample(99, 0));
  const Json c =
      compare_runs(write("a", a, {{"temperature", 0.0}, {"output_dir", "a"}}, 0.25), write("b", b, {{"temperature", 0.6}}, 0.65, "other"));
  EXPECT_EQ(c["kind"], "eval");
  EXPECT_NE(c["config"].get<std::string>().find("temperature: 0.0 -> 0.6"), std::string::npos) << c["config"];
  EXPECT_EQ(c["config"].get<std::string>().find("output_dir"), std::string::npos);
  EXPECT_EQ(c["metrics"]["accuracy"], (Json{0.25, 0.65}));
  EXPECT_EQ(c["metrics"]["verdicts.right"], (Json{1, 1}));
  EXPECT_EQ(c["same_model"], false);
  EXPECT_EQ(c["same_data"], true);
  EXPECT_EQ(c["problems"], 20);
  EXPECT_EQ(c["only_a"], 1);
  EXPECT_EQ(c["different_questions"], 1);
  EXPECT_EQ(c["paired"]["test"], "McNemar, exact");
  EXPECT_EQ(c["paired"]["a_only"], 1);
  EXPECT_EQ(c["paired"]["b_only"], 9);
  EXPECT_NEAR(c["paired"]["p"].get<double>(), 22.0 / 1024, 1e-12);
  EXPECT_NEAR(c["paired"]["difference"].get<double>(), 0.4, 1e-12);
  EXPECT_EQ(c["flips"].size(), 10u);
  EXPECT_EQ(c["flips"][0], (Json{{"id", "t/test/4"}, {"a", 1.0}, {"b", 0.0}}));
  const std::string text = comparison_text(c, 2);
  for (const char* part :
       {"different weights\n", "config\n  temperature: 0.0 -> 0.6\n", "accuracy                        0.250        0.650   +0.400\n",
        "20 problems in both; 1 in A alone (left out); 1 with another question under the same id (left out)\n",
        "McNemar, exact: p = 0.021: B is better\n", "lost in B: 1\n  t/test/4\n", "gained in B: 9\n", ".. and 7 more (--flips 9)\n"})
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
}

TEST_F(Saved, SeveralSamplesAreOneProblem) {
  std::vector<Json> a, b;
  for (int i = 0; i < 12; ++i)
    for (int j = 0; j < 4; ++j) a.push_back(sample(i, j < 2, j)), b.push_back(sample(i, j < 3, j));
  const Json c = compare_runs(write("a", a, {}, 0.5), write("b", b, {}, 0.75));
  EXPECT_EQ(c["paired"]["test"], "paired bootstrap");
  EXPECT_EQ(c["problems"], 12);
  EXPECT_EQ(c["paired"]["b_only"], 12);
  EXPECT_NEAR(c["paired"]["difference"].get<double>(), 0.25, 1e-12);
  EXPECT_EQ(c["flips"].size(), 0u);
  EXPECT_LT(c["paired"]["p"].get<double>(), 0.01);
  EXPECT_NE(comparison_text(c, 5).find("the same weights\n\nthe same config\n"), std::string::npos);
  const Json self = compare_runs(folder.path() / "a", folder.path() / "a");
  EXPECT_EQ(self["paired"]["p"], 1.0);
}

TEST_F(Saved, TrainingRunsToo) {
  const auto run = [&](const std::string& name, const Json& config, const char* file, const std::string& text) {
    make_folder(folder.path() / name);
    write_file_atomic(folder.path() / name / "config.yaml", dump_json(config));
    write_file_atomic(folder.path() / name / file, text);
    return folder.path() / name;
  };
  const fs::path done = run("done", {{"seed", 1}}, "stage.json", R"({"config": {"seed": 1}, "results": {"train_loss": 0.5}})");
  const fs::path going =
      run("going", {{"seed", 2}}, "metrics.jsonl", "{\"step\": 1, \"loss\": 2}\n{\"step\": 2, \"loss\": 1.5}\n{\"step\": 3, \"lo");
  const Json c = compare_runs(done, going);
  EXPECT_EQ(c["kind"], "run");
  EXPECT_NE(c["config"].get<std::string>().find("seed: 1 -> 2"), std::string::npos);
  EXPECT_EQ(c["metrics"]["train_loss"], (Json{0.5, nullptr}));
  EXPECT_EQ(c["metrics"]["loss"], (Json{nullptr, 1.5}));
  const fs::path evaluation = write("e", {sample(0, 1)}, {}, 1);
  EXPECT_NE(message_of([&] { compare_runs(done, evaluation); }).find("compare two of a kind"), std::string::npos);
  EXPECT_NE(message_of([&] { compare_runs(done, folder.path() / "none"); }).find("none' is not there"), std::string::npos);
  EXPECT_NE(message_of([&] { compare_runs(done, folder.path()); }).find("is neither an evaluation (result.json) nor a run"),
            std::string::npos);
}

TEST_F(Saved, AModelIsWhatItsFilesAre) {
  const fs::path model = folder.path() / "model";
  make_folder(model);
  write_file_atomic(model / "config.json", "{}");
  write_file_atomic(model / "model.safetensors", "w");
  write_file_atomic(model / "optimizer.safetensors", "o");
  const Json facts = model_facts(model);
  EXPECT_EQ(facts["files"].size(), 2u);
  EXPECT_EQ(facts["files"]["model.safetensors"], sha256(std::string_view("w")));
  write_file_atomic(model / "optimizer.safetensors", "other");
  EXPECT_EQ(model_facts(model)["sha256"], facts["sha256"]);
  write_file_atomic(model / "model.safetensors", "v");
  EXPECT_NE(model_facts(model)["sha256"], facts["sha256"]);
  for (const char* part : {"m-00001-of-00002.gguf", "m-00002-of-00002.gguf", "n-00001-of-00002.gguf"})
    write_file_atomic(folder.path() / part, part);
  EXPECT_EQ(model_facts(folder.path() / "m-00001-of-00002.gguf")["files"].size(), 2u);
  const Json data = data_facts({(model / "config.json").string()});
  EXPECT_EQ(data[0]["sha256"], sha256(std::string_view("{}")));
  EXPECT_FALSE(command_line().empty());
  EXPECT_EQ(now_utc().size(), 20u);
}

TEST(Provenance, ShellWords) {
  EXPECT_EQ(shell_word("runs/sft-1"), "runs/sft-1");
  EXPECT_EQ(shell_word("my runs"), "'my runs'");
  EXPECT_EQ(shell_word("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_word("$HOME"), "'$HOME'");
  EXPECT_EQ(shell_word("~/runs"), "'~/runs'");
  EXPECT_EQ(shell_word(""), "''");
}

TEST_F(Saved, WithoutSamplesTheMissingTestIsNamed) {
  const fs::path a = write("a", {sample(0, 1)}, {}, 1), b = write("b", {sample(0, 0)}, {}, 0);
  EXPECT_EQ(comparison_text(compare_runs(a, b), 5).find("no paired test"), std::string::npos);
  fs::remove(b / "samples.jsonl");
  const Json c = compare_runs(a, b);
  EXPECT_EQ(c["without_samples"], Json::array({b.string()}));
  EXPECT_NE(comparison_text(c, 5).find("no paired test: " + b.string() + " has no samples.jsonl\n"), std::string::npos);
}

}  // namespace
}  // namespace r1::eval
