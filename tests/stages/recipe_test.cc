#include "r1/stages/recipe.h"

#include <gtest/gtest.h>

#include "r1/base/error.h"

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

}  // namespace
}  // namespace r1::stages
