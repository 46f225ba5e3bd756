#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <set>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/json.h"
#include "r1/base/threads.h"
#include "tests/app/program.h"

namespace r1::app {
namespace {

using Ran = testing::ProgramResult;
using testing::captured;

Ran r1_program(const Arguments& arguments) {
  return testing::run_r1(arguments);
}

struct ToyConfig {
  std::string model, device = "mine";
  int64_t steps = 1;
  void visit(Fields& v) {
    v("model", model, "the model", Required{});
    v("steps", steps, "steps", Range{0, 9});
    v("device", device, "its own device option");
  }
};

Command toy() {
  return make_command<ToyConfig>("toy", "a toy",
                                 [](const ToyConfig& c, const CommonOptions& common) {
                                   print_text(str(c.model, " ", c.steps, " ", c.device, " ", common.json, "\n"));
                                   return 0;
                                 },
                                 {"model"});
}

Ran run_toy(const Arguments& arguments) {
  return captured([&] {
    const Command command = toy();
    try {
      return command.run(command, arguments);
    } catch (const Error& error) {
      fputs(error.what(), stderr);
      return error.exit_code();
    }
  });
}

TEST(App, ExitCodesAndWhereTextGoes) {
  const Ran version = r1_program({"--version"});
  EXPECT_EQ(version.code, 0);
  EXPECT_EQ(version.out.find("r1 "), 0u);
  EXPECT_EQ(version.err, "");
  const Ran help = r1_program({"--help"});
  EXPECT_EQ(help.code, 0);
  for (const Command& command : commands()) EXPECT_NE(help.out.find("  " + command.name + " "), std::string::npos) << command.name;
  const Ran none = r1_program({});
  EXPECT_EQ(none.code, 2);
  EXPECT_EQ(none.out, "");
  const Ran typo = r1_program({"envv"});
  EXPECT_EQ(typo.code, 2);
  EXPECT_EQ(typo.err, "error: unknown command 'envv', did you mean 'env'? (r1 --help lists them)\n");
  const Ran bad = r1_program({"env", "--jsno"});
  EXPECT_EQ(bad.code, 2);
  EXPECT_EQ(bad.err, "error: --jsno: unknown key 'jsno', did you mean 'json'?\n");
  EXPECT_EQ(r1_program({"env", "--config", "/nowhere.yaml"}).err, "error: cannot open /nowhere.yaml: No such file or directory\n");
}

TEST(App, EnvIsJson) {
  const Ran env = r1_program({"env", "--json"});
  ASSERT_EQ(env.code, 0) << env.err;
  const Json report = parse_json(env.out, "env");
  EXPECT_EQ(report["build"]["libtorch"], "2.11.0");
  EXPECT_GE(report["cpu"]["usable"].get<int>(), 1);
  EXPECT_EQ(report["devices"][0], "cpu");
  EXPECT_EQ(env.err, "");
}

// Every command answers --help, names its own limits, has unique keys and refuses an unknown one before any work.
TEST(App, EveryCommand) {
  std::set<std::string> names;
  for (const Command& command : commands()) {
    EXPECT_TRUE(names.insert(command.name).second) << command.name;
    EXPECT_FALSE(command.help.empty()) << command.name;
    Arguments words;
    std::istringstream stream(command.name);
    for (std::string word; stream >> word;) words.push_back(word);
    Arguments help = words, wrong = words;
    help.push_back("--help");
    const Ran asked = r1_program(help);
    EXPECT_EQ(asked.code, 0) << command.name;
    for (const FieldInfo& field : command.fields()) {
      EXPECT_NE(asked.out.find("--" + field.key), std::string::npos);
      EXPECT_FALSE(field.help.empty()) << command.name << " --" << field.key;
    }
    for (const auto& key : command.positional) EXPECT_NE(asked.out.find("--" + key), std::string::npos) << command.name << " " << key;
    wrong.push_back("--no_such_option_anywhere=1");
    const Ran refused = r1_program(wrong);
    EXPECT_EQ(refused.code, 2) << command.name << ": " << refused.err;
    EXPECT_NE(refused.err.find("no_such_option_anywhere"), std::string::npos) << command.name << ": " << refused.err;
  }
}

TEST(App, PositionalAndOwnOptions) {
  EXPECT_EQ(run_toy({"m.gguf", "--steps=3", "--json"}).out, "m.gguf 3 mine 1\n");
  EXPECT_EQ(run_toy({"--model=m", "--device", "cuda:1"}).out, "m 1 cuda:1 0\n");
  EXPECT_EQ(run_toy({"a", "b"}).code, 2);
  EXPECT_EQ(run_toy({}).err, "missing: --model (the model)");
  EXPECT_EQ(run_toy({"m", "--steps=10"}).err, "--steps: 'steps' must be 0 to 9; got 10");
  EXPECT_EQ(run_toy({"m", "--print_config"}).out, "model: m\nsteps: 1\ndevice: mine\n");
  run_toy({"m", "--threads=3"});
  EXPECT_EQ(num_threads(), 3);
  set_num_threads(0);
}

// After "--" stand another program's words, unread: not even --help is ours.
TEST(App, SandboxRunTakesAnotherProgramsWords) {
  if (!std::filesystem::exists("/usr/bin/bwrap")) GTEST_SKIP() << "bubblewrap is not installed";
  const std::vector<std::string> run = {"sandbox", "run", "--json", "--may_miss", "seccomp", "cgroup", "landlock", "rlimits", "--"};
  Arguments words = run;
  words.insert(words.end(), {"/bin/echo", "--json", "-n", "--", "--help"});
  const Ran ran = r1_program(words);
  if (ran.err.find("namespaces:") != std::string::npos) GTEST_SKIP() << ran.err;
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(parse_json(ran.out, "out").at("stdout"), "--json -n -- --help\n");
  EXPECT_EQ(r1_program({"sandbox", "run", "--time_limit=1"}).code, 2);
  EXPECT_EQ(r1_program({"sandbox", "run", "--may_miss", "namespaces", "--", "/bin/true"}).code, 2);
  EXPECT_EQ(r1_program({"env", "--", "x"}).code, 2);
}

TEST(App, RecipeEnvironmentCommandLine) {
  const auto path = fs::temp_directory_path() / str("r1_app_test_", ::getpid(), ".yaml");
  const auto second = fs::path(path.string() + "2");
  write_file_atomic(path, "model: from_yaml\nsteps: 2\njson: true\n");
  write_file_atomic(second, "steps: 5\n");
  EXPECT_EQ(run_toy({"--config", path.string()}).out, "from_yaml 2 mine 1\n");
  EXPECT_EQ(run_toy({"--config", path.string(), second.string()}).out, "from_yaml 5 mine 1\n");
  setenv("R1_STEPS", "3", 1);
  EXPECT_EQ(run_toy({"--config", path.string()}).out, "from_yaml 3 mine 1\n");
  EXPECT_EQ(run_toy({"x", "--steps=4", "--config", path.string()}).out, "x 4 mine 1\n");
  setenv("R1_CONFIG", path.string().c_str(), 1);
  EXPECT_EQ(run_toy({}).out, "from_yaml 3 mine 1\n");
  unsetenv("R1_CONFIG");
  unsetenv("R1_STEPS");
  write_file_atomic(path, "model: m\nstesp: 2\n");
  EXPECT_EQ(run_toy({"--config", path.string()}).err, path.string() + ":2: unknown key 'stesp', did you mean 'steps'?");
  EXPECT_EQ(run_toy({"--config"}).code, 2);
  fs::remove(path);
  fs::remove(second);
}

TEST(App, PlanCountsTheShapeThatIsTrained) {
  const auto parameters = [](Arguments changes) {
    changes.insert(changes.begin(), {"plan", "--stage=pretrain", "--preset=tiny-test", "--json"});
    const Ran ran = r1_program(changes);
    EXPECT_EQ(ran.code, 0) << ran.err;
    return parse_json(ran.out, "plan")["parameters"].get<int64_t>();
  };
  const int64_t gelu = parameters({"--shape.ffn=gelu"}), normed = parameters({"--shape.ffn=norm_gelu"});
  const int64_t wider = parameters({"--shape.ffn=norm_gelu", "--shape.intermediate_size=1000"});
  const int64_t widest = parameters({"--shape.ffn=norm_gelu", "--shape.intermediate_size=1001"});
  const int64_t layers = (widest - wider) / (2 * 64 + 2);  // a neuron: its rows of up and down, its weight and bias in the norm
  EXPECT_EQ((widest - wider) % (2 * 64 + 2), 0);
  EXPECT_GT(layers, 0);
  EXPECT_EQ((normed - gelu) % (2 * layers), 0);
  EXPECT_GT(normed, gelu);
  const Ran wrong = r1_program({"plan", "--stage=pretrain", "--preset=tiny-test", "--shape.ffn=normgelu"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_NE(wrong.err.find("norm_gelu"), std::string::npos) << wrong.err;
}

// Every training stage of a recipe, what is its own before what all share.
TEST(App, ANetworkThatCannotBeLeavesNoFolder) {
  const fs::path folder = fs::temp_directory_path() / str("r1_no_folder_", ::getpid());
  const auto train = [&](const std::string& shape) {
    return r1_program({"pretrain", "--task=arithmetic", "--preset=tiny-test", "--max_steps=1", "--per_device_train_batch_size=1",
                       "--max_length=32", "--output_dir=" + folder.string(), shape});
  };
  const std::pair<std::string, std::string> wrong[] = {{"--shape.norm=max", "power"},
                                                       {"--shape.num_attention_heads=7", "num_attention_heads"}};
  for (const auto& [shape, hint] : wrong) {
    const Ran ran = train(shape);
    EXPECT_EQ(ran.code, 2) << shape;
    EXPECT_NE(ran.err.find(hint), std::string::npos) << ran.err;
    EXPECT_FALSE(fs::exists(folder)) << shape;
  }
  EXPECT_EQ(train("--shape.norm=power").code, 0);
  EXPECT_TRUE(fs::exists(folder / "model.safetensors"));
  fs::remove_all(folder);
}

TEST(App, PlanReadsWholeRecipes) {
  const auto recipe = [](const char* name) { return "--config=" + str(R1_SOURCE_DIR, "/recipes/", name); };
  for (const char* name : {"r1_zero_tiny.yaml", "tiny_v3.yaml"}) {
    const Ran ran = r1_program({"plan", recipe(name), "--json"});
    ASSERT_EQ(ran.code, 0) << name << ": " << ran.err;
    EXPECT_GE(parse_json(ran.out, name)["stages"].size(), 2u) << name;
  }
  const Ran paper = r1_program({"plan", recipe("r1_zero_paper.yaml"), "--model=qwen2.5-0.5b", "--memory=100TB", "--json"});
  EXPECT_EQ(paper.code, 0) << paper.err;
  // Of stages that hold no model in memory there is nothing to plan.
  const Ran one = r1_program({"plan", recipe("data_debian.yaml"), "--json"});
  ASSERT_EQ(one.code, 0) << one.err;
  EXPECT_EQ(parse_json(one.out, "data_debian.yaml")["stage"], "base");
}

TEST(App, CompletionAndManual) {
  const Ran bash = r1_program({"completion", "bash"});
  EXPECT_NE(bash.out.find("complete -F _r1 r1"), std::string::npos);
  EXPECT_NE(bash.out.find("'env'*)\n      options='--config= "), std::string::npos);
  EXPECT_EQ(r1_program({"completion"}).err, "error: missing: --shell (the shell to complete in)\n");
  const Ran man = r1_program({"man"});
  EXPECT_EQ(man.out.find(".TH R1 1"), 0u);
}

// The interface that users' scripts rely on. A wanted change: scripts/update_options.sh.
TEST(App, OptionsAreFrozen) {
  const fs::path golden = fs::path(R1_SOURCE_DIR) / "tests/guard/options.txt";
  const auto lines = [](const std::string& text) {
    std::set<std::string> all;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) all.insert(line);
    return all;
  };
  const auto frozen = lines(read_file(golden)), now = lines(list_options());
  for (const auto& line : frozen)
    EXPECT_TRUE(now.count(line)) << "gone or changed: r1 " << line << "\n(scripts/update_options.sh if that is wanted)";
  for (const auto& line : now) EXPECT_TRUE(frozen.count(line)) << "new: r1 " << line << "\n(scripts/update_options.sh if that is wanted)";
}

}  // namespace
}  // namespace r1::app
