#include "r1/stages/recipe.h"

#include <gtest/gtest.h>

#include "r1/base/error.h"
#include "tests/stages/stage_testing.h"

namespace r1::stages {
namespace {

std::string error_of(const std::string& yaml) {
  try {
    run_recipe(parse_yaml(yaml, "r.yaml"));
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kUsage) << e.what();
    return e.what();
  }
  return "no error";
}

TEST(Recipe, WrongRecipesFailBeforeAnyWorkAndNameThePlace) {
  const std::string head = "output_dir: /nonexistent/never\n";
  EXPECT_NE(error_of("stages:\n  a: {stage: sft}\n").find("output_dir is missing"), std::string::npos);
  EXPECT_NE(error_of(head).find("no stages"), std::string::npos);
  EXPECT_NE(error_of(head + "stages:\n  a: {stage: pretrian}\n").find("did you mean 'pretrain'"), std::string::npos);
  EXPECT_NE(error_of(head + "stages:\n  a: {stage: sft, model: \"${b}\"}\n").find("no earlier stage is called 'b'"), std::string::npos);
  EXPECT_NE(error_of(head + "common: {lerning_rate: 3}\nstages:\n  a: {stage: sft}\n").find("did you mean 'learning_rate'"),
            std::string::npos);
  EXPECT_NE(error_of(head + "stages:\n  a: {stage: eval, lmit: 3}\n").find("limit"), std::string::npos);
  EXPECT_NE(error_of(head + "stagse: 3\n").find("unknown recipe key 'stagse'"), std::string::npos);
}

TEST(Recipe, EveryStageKindListsItsKeysOnce) {
  for (const auto& [name, kind] : stage_kinds()) {
    auto keys = kind.known_keys();
    EXPECT_GE(keys.size(), 5u) << name;
    std::sort(keys.begin(), keys.end());
    EXPECT_EQ(std::adjacent_find(keys.begin(), keys.end()), keys.end()) << name;
  }
}

// ---- a whole road ----

std::string road(const fs::path& output, const std::string& more = "") {
  return "output_dir: " + output.string() + R"(
title: A small road
seed: 3
common: {device: cpu, task: arithmetic, task_options: {style: chain, steps: 1, train_size: 60, test_size: 20}, prompt_format: plain}
stages:
  base: {stage: pretrain, preset: tiny-test, max_length: 64, per_device_train_batch_size: 4, max_steps: 6, learning_rate: 3e-3, save_steps: 0}
  test_base: {stage: eval, title: before, model: "${base}", limit: 5, max_completion_length: 8, task_options.strict: false, require: accuracy>=0}
  sft: {stage: sft, model: "${base}", num_examples: 16, max_length: 64, max_steps: 2, save_steps: 0}
  right: {stage: rejection, model: "${sft}", limit: 3, num_generations: 2, max_completion_length: 8}
tiles: {accuracy: "${test_base.accuracy} | of ${test_base.n}"}
closing: ["trained ${sft} on ${sft.num_tokens} tokens"]
summary: {n: "${test_base.n}", loss: "${sft.train_loss}", file: "${right.file}", page: "${output_dir}/report.html", words: "n is ${test_base.n}", minutes: "${minutes}"}
)" + more;
}

TEST(Recipe, RunsStageAfterStageAndSumsUp) {
  TemporaryFolder folder("recipe");
  const fs::path out = folder.path() / "road";
  set_log_level(LogLevel::kWarning);
  const RecipeResult result = run_recipe(parse_yaml(road(out), "r.yaml"));
  EXPECT_EQ(result.results.size(), 4u);
  EXPECT_EQ(result.summary.at("n"), 5) << "one reference alone keeps its type";
  EXPECT_EQ(result.summary.at("loss"), result.results.at("sft").at("train_loss"));
  EXPECT_EQ(result.summary.at("file"), (out / "right.jsonl").string());
  EXPECT_EQ(result.summary.at("page"), out.string() + "/report.html");
  EXPECT_EQ(result.summary.at("words"), "n is 5");
  EXPECT_TRUE(result.summary.at("minutes").is_number());
  // Common settings reach the stages that know them, a stage's own ones win, the seed goes everywhere.
  const Json base = parse_json_file(out / "base/config.yaml"), sft = parse_json_file(out / "sft/config.yaml");
  EXPECT_EQ(base.at("seed"), 3);
  EXPECT_EQ(sft.at("seed"), 3);
  EXPECT_EQ(sft.at("model_name_or_path"), (out / "base").string());
  EXPECT_EQ(sft.at("task_options").at("steps"), "1");
  EXPECT_EQ(sft.at("prompt_format"), "plain");
  EXPECT_FALSE(base.contains("prompt_format"));
  const std::string page = read_file(out / "report.html");
  for (const char* part : {"A small road", "before", "of 5", "Resolved config"}) EXPECT_TRUE(contains(page, part)) << part;
  // Once more: the finished training is not run again.
  const std::string stage = read_file(out / "base/stage.json"), lines = read_file(out / "base/metrics.jsonl");
  const RecipeResult again = run_recipe(parse_yaml(road(out), "r.yaml"));
  EXPECT_EQ(read_file(out / "base/stage.json"), stage);
  EXPECT_EQ(read_file(out / "base/metrics.jsonl"), lines);
  EXPECT_EQ(again.results.at("sft"), result.results.at("sft"));
  for (const char* key : {"n", "loss", "file"}) EXPECT_EQ(again.summary.at(key), result.summary.at(key)) << key;
}

TEST(Recipe, AReportThatCannotBeWrittenDoesNotFailTheRoad) {
  TemporaryFolder folder("recipe_report");
  make_folder(folder.path() / "road/report.html/in the way");
  EXPECT_EQ(run_recipe(parse_yaml(road(folder.path() / "road"), "r.yaml")).results.size(), 4u);
}

TEST(Recipe, RequirementsHoldOrStopTheRoad) {
  TemporaryFolder folder("recipe_require");
  const auto outcome = [&](const std::string& requirement) -> std::string {
    const std::string yaml = "output_dir: " + (folder.path() / "r").string() + R"(
stages:
  a: {stage: eval, device: cpu, )" +
                             model_setting() +
                             R"(, task: arithmetic, task_options: {style: chain, steps: 1, test_size: 4}, prompt_format: plain,
      max_completion_length: 4, require: ")" +
                             requirement + "\"}\n";
    try {
      run_recipe(parse_yaml(yaml, "r.yaml"));
    } catch (const Error& error) {
      return (error.kind() == ErrorKind::kUsage ? "usage: " : "failed: ") + std::string(error.what());
    }
    return "";
  };
  for (const char* holds : {"n>=4", "n<=4", "n>3", "n<5", "accuracy>=0", "accuracy<=1"}) EXPECT_EQ(outcome(holds), "") << holds;
  for (const char* fails : {"n>=5", "n<=3", "n>4", "n<4"}) {
    const std::string said = outcome(fails);
    EXPECT_EQ(said.rfind("failed: ", 0), 0u) << said;
    EXPECT_TRUE(contains(said, std::string("but ") + fails + " is required")) << said;
    EXPECT_TRUE(contains(said, "stage 'a' reached n = 4")) << said;
  }
  EXPECT_TRUE(contains(outcome("acuracy>=1"), "names no result of stage 'a'"));
  EXPECT_TRUE(contains(outcome("n=4"), "write e.g. accuracy>=0.9"));
}

TEST(Recipe, WrongReferencesNameTheNearest) {
  TemporaryFolder folder("recipe_reference");
  const auto said = [&](const std::string& closing) {
    const std::string yaml =
        "output_dir: " + (folder.path() / "r").string() + R"(
stages:
  a: {stage: eval, device: cpu, )" +
        model_setting() +
        R"(, task: arithmetic, task_options: {style: chain, steps: 1, test_size: 4}, prompt_format: plain, max_completion_length: 4}
closing: ")" +
        closing + "\"\n";
    return error_of(yaml);
  };
  EXPECT_TRUE(contains(said("${a.acuracy}"), "stage 'a' has no result 'acuracy', did you mean 'accuracy'?"));
  EXPECT_TRUE(contains(said("${b}"), "no earlier stage is called 'b'"));
  EXPECT_TRUE(contains(said("${a.n"), "has a ${ without }"));
  EXPECT_EQ(said("${a.n} and ${a}"), "no error");
}

}  // namespace
}  // namespace r1::stages
