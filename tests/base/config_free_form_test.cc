#include <gtest/gtest.h>

#include "r1/base/config_io.h"
#include "r1/base/error.h"

namespace r1 {
namespace {

struct Args {
  std::string task = "arithmetic";
  FreeForm options;
  void visit(Fields& v) {
    v("task", task, "which");
    v("task_options", options, "the task's own options");
  }
};

TEST(FreeForm, TakesAnyKeyBelowItAndComesBack) {
  Args args;
  apply_settings(args, parse_yaml("task: countdown\ntask_options:\n  numbers: 3\n  style: chain\n", "t.yaml"));
  apply_settings(args, parse_overrides({"--task_options.numbers=4"}));
  EXPECT_EQ(args.options, (FreeForm{{"numbers", "4"}, {"style", "chain"}}));
  EXPECT_EQ(config_to_json(args)["task_options"]["style"], "chain");
  Args again;
  apply_settings(again, parse_yaml(config_to_yaml(args), "again"));
  EXPECT_EQ(again.options, args.options);
  Args empty, empty_again;
  apply_settings(empty_again, parse_yaml(config_to_yaml(empty), "empty"));
  EXPECT_TRUE(empty_again.options.empty());
}

TEST(FreeForm, TheGroupItselfHasNoValueAndOtherUnknownKeysStayErrors) {
  Args args;
  EXPECT_THROW(apply_settings(args, parse_overrides({"--task_options=3"})), Error);
  EXPECT_THROW(apply_settings(args, parse_overrides({"--tsk_options.a=3"})), Error);
}

}  // namespace
}  // namespace r1
