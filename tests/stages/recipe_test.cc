#include "r1/stages/recipe.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/rng.h"

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
  EXPECT_NE(error("  b: {stage: sft, lerning_rate: '${a.x}'}\n").find("unknown key"), std::string::npos) << "a reference hides no key";
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

TEST(Recipe, ThePublishedOnesPass) {
  for (const auto& entry : fs::directory_iterator(fs::path(R1_SOURCE_DIR) / "recipes")) {
    const auto settings = read_yaml(entry.path());
    const bool recipe = std::any_of(settings.begin(), settings.end(), [](const Setting& s) { return s.key.starts_with("stages."); });
    if (recipe) {
      EXPECT_NO_THROW(check_recipe(settings)) << entry.path();
    }
  }
}

TEST(Recipe, EveryStageKindListsItsKeysOnce) {
  for (const auto& [name, kind] : stage_kinds()) {
    auto keys = kind.known_keys();
    EXPECT_GE(keys.size(), 5u) << name;
    std::sort(keys.begin(), keys.end());
    EXPECT_EQ(std::adjacent_find(keys.begin(), keys.end()), keys.end()) << name;
  }
}

}  // namespace
}  // namespace r1::stages
