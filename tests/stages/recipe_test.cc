#include "r1/stages/recipe.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/interrupt.h"
#include "r1/base/rng.h"
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

// From raw files to a model of them.
TEST(Recipe, DataIsAStage) {
  const fs::path folder = fs::path(testing::TempDir()) / str("r1_recipe_data_", getpid());
  fs::remove_all(folder);
  std::string rows;
  for (int i = 0; i < 60; ++i)
    rows += dump_json(Json{{"text", str("note ", i % 50, ": ", std::string(size_t(20 + i % 50), char('a' + i % 50 % 26)))}}) + "\n";
  make_folder(folder / "raw");
  write_file_atomic(folder / "raw/notes.jsonl", rows);
  const std::string output = (folder / "out").string();
  const std::string yaml =
      "output_dir: " + output + R"(
common: {device: cpu}
stages:
  corpus: {stage: data, input: )" +
      (folder / "raw").string() +
      R"(, stages: [length, exact, split], length.min_characters: 1, split: {train: 0.8, validation: 0.1, test: 0.1}, require: documents>=50}
  words: {stage: tokenizer, train_files: "${corpus}/data", vocab_size: 300}
  base: {stage: pretrain, tokenizer: "${words}", preset: tiny-test, train_files: "${corpus}/data", eval_files: "${corpus}/data", max_length: 64, per_device_train_batch_size: 2, max_steps: 2, save_steps: 0}
summary: {documents: "${corpus.documents}", "in": "${corpus.documents_in}", train: "${corpus.documents/train}", loss: "${base.eval_loss}"}
)";
  const auto settings = parse_yaml(yaml, "r.yaml");
  const RecipeResult first = run_recipe(settings), again = run_recipe(settings);
  EXPECT_EQ(first.summary["documents"], 50);
  EXPECT_EQ(first.summary["in"], 60);
  EXPECT_GT(first.summary["train"], 30);
  EXPECT_LT(first.summary["train"], 50);
  EXPECT_TRUE(first.summary["loss"].is_number());
  EXPECT_EQ(first.summary, again.summary);
  EXPECT_TRUE(fs::exists(output + "/corpus/report.html"));
  EXPECT_NE(error_of("output_dir: " + output + "x\nstages:\n  a: {stage: data, input: /nowhere/at/all}\n").find("/nowhere/at/all"),
            std::string::npos);
  EXPECT_NE(error_of("output_dir: " + output + "x\nstages:\n  a: {stage: data, input: " + (folder / "raw").string() + ", stages: [nera]}\n")
                .find("did you mean 'near'"),
            std::string::npos);
  fs::remove_all(folder);
}

// Hours of a first stage are not spent on a recipe whose second stage cannot run.
TEST(Recipe, LaterStagesAreCheckedBeforeTheFirstRuns) {
  const fs::path folder = fs::path(testing::TempDir()) / str("r1_recipe_", getpid());
  const std::string head =
      str("output_dir: ", folder.string(), "\ncommon: {task: arithmetic}\nstages:\n  a: {stage: pretrain, max_steps: 1}\n");
  const auto error = [&](const std::string& rest) {
    const std::string message = error_of(head + rest);
    EXPECT_FALSE(fs::exists(folder)) << "a stage ran before: " << message;
    return message;
  };
  EXPECT_EQ(error("  b: {stage: sft, lerning_rate: 3}\n"), "r.yaml:5: unknown key 'lerning_rate', did you mean 'learning_rate'?");
  EXPECT_EQ(error("  b: {stage: sft, learning_rate: fast}\n"), "r.yaml:5: 'learning_rate' expects float, got 'fast'");
  EXPECT_NE(error("  b: {stage: sft, learning_rate: -1}\n").find("'learning_rate' must be"), std::string::npos);
  EXPECT_NE(error("  b: {stage: sft, model: '${c}'}\n  c: {stage: sft}\n").find("${c}: no earlier stage is called 'c'"), std::string::npos);
  EXPECT_NE(error("  b: {stage: sft, model: '${a'}\n").find("has a ${ without }"), std::string::npos);
  EXPECT_NE(error("  b: {stage: sft, lerning_rate: '${a.train_loss}'}\n").find("unknown key"), std::string::npos)
      << "a reference hides no key";
  EXPECT_EQ(error("  b: {stage: sft, require: accuracy}\n"),
            "r.yaml:5: require 'accuracy' is no bound of a result; write e.g. accuracy>=0.9");
  EXPECT_NE(error("  b: {stage: sft, require: ['accuracy>=high']}\n").find("is no bound"), std::string::npos);
  EXPECT_NE(error("summary: {x: '${d.loss}'}\n").find("no earlier stage is called 'd'"), std::string::npos);
  EXPECT_NE(error("tiles: {x: ['${d}']}\n").find("no earlier stage is called 'd'"), std::string::npos);
  EXPECT_NE(error("closing: '${d}'\n").find("no earlier stage is called 'd'"), std::string::npos);
  EXPECT_NE(error("closing: [{a: b}]\n").find("'closing' takes one text"), std::string::npos);
  EXPECT_NE(error("title: [a, b]\n").find("'title' takes one text"), std::string::npos);
}

TEST(Recipe, AStageStaysBelowItsFolder) {
  for (const char* name : {"../x", "/tmp/x", "a/b", "", "..", "a b", "output_dir"}) {
    const std::string message = error_of(str("output_dir: /nonexistent/never\nstages:\n  \"", name, "\": {stage: sft}\n"));
    EXPECT_TRUE(message.find("stage name") != std::string::npos || message.find("stage can't be called") != std::string::npos ||
                message.find("unknown recipe key") != std::string::npos)
        << name << ": " << message;
  }
}

// Random edits of the published recipes: a recipe or a usage error, no other end.
TEST(Recipe, Mutations) {
  Rng rng(6);
  for (const auto& entry : fs::directory_iterator(fs::path(R1_SOURCE_DIR) / "recipes")) {
    if (!entry.is_regular_file()) continue;  // a folder holds what is no recipe
    const std::string good = read_file(entry.path());
    std::vector<std::string> lines;
    for (size_t at = 0; at < good.size();) {
      const size_t end = std::min(good.find('\n', at), good.size() - 1) + 1;
      lines.push_back(good.substr(at, end - at));
      at = end;
    }
    for (int i = 0; i < 300; ++i) {
      std::string text = good;
      for (uint64_t edits = 1 + rng.below(3); edits > 0 && !text.empty(); --edits) {
        const size_t at = rng.below(text.size());
        switch (rng.below(5)) {
          case 0:
            text[at] = "{}[],:\"'#&*!|>-\n \t\xff%?@~$"[rng.below(24)];
            break;
          case 1:
            text.erase(at, 1 + rng.below(9));
            break;
          case 2:
            text.insert(at,
                        std::vector<std::string>{"[]", "{}", "null", "~", "${", "${a.b}", "1e999", "-1", "../", "[[x]]"}[rng.below(10)]);
            break;
          case 3:
            text.insert(text.rfind('\n', at) + 1, lines[rng.below(lines.size())]);  // a line of its own in another place
            break;
          default:
            text.insert(at, text.substr(rng.below(text.size()), rng.below(30)));
        }
      }
      try {
        check_recipe(parse_yaml(text, "r.yaml"));
      } catch (const Error& error) {
        ASSERT_EQ(error.kind(), ErrorKind::kUsage) << error.what();
        ASSERT_LE(std::string(error.what()).size(), kMaxMessageLine + 60);
      } catch (const std::exception& error) {
        FAIL() << error.what() << " at:\n" << text;
      }
    }
  }
}

TEST(Recipe, ThePublishedOnesPassInAMoment) {
  for (const auto& entry : fs::directory_iterator(fs::path(R1_SOURCE_DIR) / "recipes")) {
    if (!entry.is_regular_file()) continue;  // a folder holds what is no recipe
    const auto settings = read_yaml(entry.path());
    const bool recipe = std::any_of(settings.begin(), settings.end(), [](const Setting& s) { return s.key.starts_with("stages."); });
    if (!recipe) continue;
    const auto start = std::chrono::steady_clock::now();
    try {
      check_recipe(settings);
    } catch (const Error& error) {
      // Their text may not be on this machine; nothing else may be wrong.
      EXPECT_TRUE(contains(error.what(), "no file 'tinyshakespeare/input.txt'")) << entry.path() << ": " << error.what();
    }
    EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), 5) << "a second, on a machine at rest";
  }
}

// Recipe text with a stage that is wrong where only a look at the disk, or at all of its settings, shows it.
TEST(Recipe, FilesModelsShapesAndBatchesAreCheckedBeforeTheFirstStage) {
  TemporaryFolder folder("recipe_preflight");
  const fs::path out = folder.path() / "out";
  write_file_atomic(folder.path() / "bad.jsonl", "{\"question\": \"x\"}\n");
  const std::string head = "output_dir: " + out.string() + R"(
common: {device: cpu, task: arithmetic}
stages:
  base: {stage: pretrain, preset: tiny-test, max_steps: 1}
)";
  const auto error = [&](const std::string& rest) {
    const std::string message = error_of(head + rest);
    EXPECT_FALSE(fs::exists(out)) << "a stage ran before: " << message;
    return message;
  };
  const std::string bad = (folder.path() / "bad.jsonl").string();
  for (const auto& [stage, parts] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"  b: {stage: sft, model: /nowhere/m}", {"r.yaml:5: stage 'b': ", "/nowhere/m"}},
           {"  b:\n    stage: sft\n    model: ${base}\n    train_files: [/nowhere/x.jsonl]", {"r.yaml:8: stage 'b': ", "/nowhere/x.jsonl"}},
           {"  b:\n    stage: pretrain\n    max_steps: 1\n    preset: tiny-test\n    shape.num_attention_heads: 7",
            {"r.yaml:9: stage 'b': ", "heads"}},
           {"  b:\n    stage: grpo\n    model: ${base}\n    num_generations: 3", {"r.yaml:8: stage 'b': ", "multiple of num_generations"}},
           {"  b: {stage: grpo, model: '${base}', reward_funcs: [acuracy]}", {"r.yaml:5: ", "accuracy"}},
           {"  b: {stage: grpo, model: '${base}', task: gsm8k, data: " + bad + "}", {"r.yaml:5: stage 'b': ", "bad.jsonl:1"}},
           {"  b: {stage: eval, model: '${base}', task_options.test_size: 0}", {"r.yaml:5: stage 'b': ", "test split"}},
           {"  b: {stage: sft, model: '${base}', bf16: true, dtype: float32}", {"contradict"}},
           {"  b: {stage: eval, model: '${base}', pass_at: [4]}", {"r.yaml:5: stage 'b': ", "num_samples is 1"}}}) {
    const std::string message = error(stage + "\n");
    for (const auto& part : parts) EXPECT_TRUE(contains(message, part)) << part << " in: " << message;
  }
}

TEST(Recipe, NamesOfResultsAreKnownBeforeTheFirstStage) {
  const std::string head = R"(output_dir: /nonexistent/never
common: {task: arithmetic}
stages:
  base: {stage: pretrain, max_steps: 1}
  test: {stage: eval, model: "${base}", num_samples: 4, pass_at: [4]}
  right: {stage: rejection, model: "${base}"}
)";
  const auto error = [&](const std::string& rest) { return error_of(head + rest); };
  EXPECT_EQ(error("  b: {stage: sft, model: '${base}', require: 'trian_loss<3'}\n"),
            "r.yaml:7: require 'trian_loss<3' names no number among the results of stage 'b' (sft), did you mean 'train_loss'?");
  EXPECT_TRUE(contains(error("  b: {stage: sft, model: '${base}', require: 'eval_loss<3'}\n"), "names no number")) << "no eval_files";
  EXPECT_TRUE(
      contains(error("summary: {x: '${test.acuracy}'}\n"), "stage 'test' (eval) has no result 'acuracy', did you mean 'accuracy'?"));
  EXPECT_TRUE(contains(error("summary: {x: '${test.pass@8}'}\n"), "has no result 'pass@8', did you mean 'pass@4'?"));
  EXPECT_TRUE(contains(error("  b: {stage: sft, model: '${test}'}\n"), "stage 'test' is of kind eval, which makes no model"));
  EXPECT_TRUE(contains(error("  b: {stage: sft, model: '${base}', train_files: ['${right}']}\n"), "write ${right.file}"));
}

TEST(Recipe, WrittenOutInFullItIsTheSameRecipe) {
  const std::string text = road("/nonexistent/never", "subtitle: 'two: words'\n");
  const std::string full = resolved_recipe(parse_yaml(text, "r.yaml"));
  EXPECT_TRUE(contains(full, "  sft:\n    stage: \"sft\"\n")) << full;
  EXPECT_TRUE(contains(full, "model_name_or_path: \"${base}\"")) << full;
  EXPECT_TRUE(contains(full, "learning_rate: 2e-05")) << "defaults are written out";
  EXPECT_EQ(resolved_recipe(parse_yaml(full, "full.yaml")), full);
  EXPECT_FALSE(fs::exists("/nonexistent/never"));
}

TEST(Recipe, AFailedGateLeavesAReportAndSaysWhichItWas) {
  TemporaryFolder folder("recipe_gate");
  const fs::path out = folder.path() / "r";
  std::string text = road(out);
  text.replace(text.find("accuracy>=0"), 11, "accuracy>2");
  const RecipeResult result = run_recipe(parse_yaml(text, "r.yaml"));
  ASSERT_TRUE(result.failed.has_value());
  EXPECT_EQ(result.failed->stage, "test_base");
  EXPECT_EQ(result.failed->require, "accuracy>2");
  EXPECT_EQ(result.failed->result, "accuracy");
  EXPECT_EQ(result.failed->value, result.results.at("test_base").at("accuracy"));
  EXPECT_TRUE(contains(result.failed->message, "r.yaml:")) << result.failed->message;
  EXPECT_EQ(result.results.count("sft"), 0u);
  const std::string page = read_file(out / "report.html");
  for (const char* part : {"A small road", "before", "accuracy&gt;2 is required"}) EXPECT_TRUE(contains(page, part)) << part;
}

TEST(Recipe, AReportIsThereHoweverItEnds) {
  TemporaryFolder folder("recipe_end");
  const fs::path out = folder.path() / "r";
  std::string text = road(out);
  text.replace(text.find("max_steps: 6"), 12, "max_steps: 60000");
  clear_interrupt();
  {
    const Watcher watcher([&] { return lines_of(out / "base/metrics.jsonl") >= 2; }, request_interrupt);
    EXPECT_THROW(run_recipe(parse_yaml(text, "r.yaml")), Error);
  }
  clear_interrupt();
  EXPECT_TRUE(contains(read_file(out / "report.html"), "stopped at step"));
  EXPECT_TRUE(fs::exists(out / "base/report.html"));
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
      const RecipeResult result = run_recipe(parse_yaml(yaml, "r.yaml"));
      return result.failed ? "failed: " + result.failed->message : "";
    } catch (const Error& error) {
      return (error.kind() == ErrorKind::kUsage ? "usage: " : "failed: ") + std::string(error.what());
    }
  };
  for (const char* holds : {"n>=4", "n<=4", "n>3", "n<5", "accuracy>=0", "accuracy<=1"}) EXPECT_EQ(outcome(holds), "") << holds;
  for (const char* fails : {"n>=5", "n<=3", "n>4", "n<4"}) {
    const std::string said = outcome(fails);
    EXPECT_EQ(said.rfind("failed: ", 0), 0u) << said;
    EXPECT_TRUE(contains(said, std::string("but ") + fails + " is required")) << said;
    EXPECT_TRUE(contains(said, "stage 'a' reached n = 4")) << said;
  }
  EXPECT_TRUE(contains(outcome("acuracy>=1"), "names no number among the results of stage 'a'"));
  EXPECT_TRUE(contains(outcome("n=4"), "is no bound of a result"));
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
  EXPECT_TRUE(contains(said("${a.acuracy}"), "stage 'a' (eval) has no result 'acuracy', did you mean 'accuracy'?"));
  EXPECT_TRUE(contains(said("${b}"), "no earlier stage is called 'b'"));
  EXPECT_TRUE(contains(said("${a.n"), "has a ${ without }"));
  EXPECT_EQ(said("${a.n} and ${a}"), "no error");
}

}  // namespace
}  // namespace r1::stages
