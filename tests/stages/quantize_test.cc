// r1 quantize as a stage: calibrated on a task's examples, a folder or a GGUF file that later stages take as their model.
#include "tests/message_of.h"
#include "tests/stages/stage_testing.h"

namespace r1::stages {
namespace {

const std::string kSmall = ", calibration_samples: 8, calibration_length: 32, eval_samples: 4, group_size: 16";

TEST(QuantizeStage, ATasksExamplesCalibrate) {
  const TemporaryFolder folder("quantize_task");
  const Json results = run_stage("quantize", folder.path() / "q", "{" + model_setting() + kSmall + ", scheme: gptq-4}");
  EXPECT_EQ(results.at("output"), (folder.path() / "q").string());
  EXPECT_GT(results.at("mean_error").get<double>(), 0);
  // What it was trained on is what it is measured on: little is lost of little.
  EXPECT_LT(results.at("loss_before").get<double>(), 4);
  EXPECT_NEAR(results.at("loss_after").get<double>(), results.at("loss_before").get<double>(), 0.3);
  EXPECT_TRUE(fs::exists(folder.path() / "q/tokenizer.json"));
  // Other examples, other weights: the task's text is what counts.
  const std::string other =
      "{device: cpu, task: arithmetic, task_options: {style: chain, steps: 3, train_size: 60, test_size: 20}, prompt_format: plain}";
  const Json others = run_stage("quantize", folder.path() / "other", "{" + model_setting() + kSmall + ", scheme: gptq-4}", other);
  EXPECT_NE(others.at("loss_before"), results.at("loss_before"));
}

TEST(QuantizeStage, InARecipeAFolderHoldsWhateverIsMadeAndIsTakenAsItStands) {
  const TemporaryFolder folder("quantize_recipe");
  const std::string recipe =
      "output_dir: " + folder.path().string() + "\ncommon: " + kCommon +
      "\nstages:\n"
      "  packed: {stage: quantize, " +
      model_setting() + kSmall +
      ", scheme: q8_0}\n"
      "  integers: {stage: quantize, model: \"${packed}\"" +
      kSmall +
      ", scheme: int8-dynamic}\n"
      "  table: {stage: table, variants: ['packed = ${packed}', 'integers = ${integers}'], max_completion_length: 12, "
      "tasks: ['sums = arithmetic style=chain steps=1 train_size=60 test_size=20']}\n"
      "summary: {loss: \"${integers.loss_after}\"}\n";
  const auto run = [&] { return run_recipe(parse_yaml(recipe, "recipe")).summary; };
  const Json first = run();
  EXPECT_TRUE(fs::exists(folder.path() / "packed/model.gguf"));
  EXPECT_TRUE(fs::exists(folder.path() / "integers/model.safetensors"));
  // The table says what the weights take as they are held: 34 bytes for 32 of them, where a row is whole blocks.
  const Json table = parse_json_file(folder.path() / "table/table.json").at("rows");
  EXPECT_LT(table.at(0).at("weight_bytes").get<int64_t>(), 3 * table.at(0).at("parameters").get<int64_t>());
  // A vocabulary of whole words comes back from a GGUF file as it was.
  const auto words = eval::load_tokenizer(tiny_model()), packed = eval::load_tokenizer(folder.path() / "packed");
  for (const std::string text : {"start 3+4: <think></think><answer>7</answer>", "98765", "what is not known", ""})
    EXPECT_EQ(packed->encode(text), words->encode(text)) << text;
  const auto made = fs::last_write_time(folder.path() / "packed/model.gguf");
  EXPECT_EQ(run().at("loss"), first.at("loss"));
  EXPECT_EQ(fs::last_write_time(folder.path() / "packed/model.gguf"), made) << "it stood there already";
}

// Its output, its record and the end of its work are three steps: whichever it dies at, the next run goes on to the same.
TEST(QuantizeStage, ARecipesRunThatDiedAtItsEndIsGoneOnWith) {
  for (const std::string scheme : {"q8_0", "int8-static"}) {
    const auto run = [&](const fs::path& folder) {
      std::vector<Setting> settings = {{"output_dir", "test", folder.string()}};
      for (auto& s : parse_yaml(kCommon, "common"))
        if (s.key != "device") settings.push_back(s);
      for (auto& s : parse_yaml("{" + model_setting() + kSmall + ", scheme: " + scheme + "}", "test")) settings.push_back(s);
      return stage_kinds().at("quantize").run(settings, /*in_recipe=*/true).at("loss_after").get<double>();
    };
    const TemporaryFolder folder("quantize_dies");
    const auto weights = [&](const std::string& name) {
      return read_file(folder.path() / name / (scheme == "q8_0" ? "model.gguf" : kSafetensorsSingle));
    };
    int all = 0;
    set_file_fault([&](const char*) { return ++all, 0; });
    const double whole = run(folder.path() / "whole");
    set_file_fault({});
    int without_record = 0;
    for (int at = std::max(1, all - 12); at <= all; ++at) {
      const std::string name = str("died-", at);
      int calls = 0;
      set_file_fault([&](const char*) { return ++calls == at ? 28 : 0; });  // no space left
      EXPECT_NE(message_of([&] { run(folder.path() / name); }), "no error") << scheme << " " << at << " of " << all;
      set_file_fault({});
      const bool recorded = fs::exists(folder.path() / name / "quantize.json");
      without_record += fs::exists(folder.path() / name / (scheme == "q8_0" ? "model.gguf" : "config.json")) && !recorded;
      EXPECT_EQ(run(folder.path() / name), whole) << scheme << " " << at << " of " << all;
      EXPECT_TRUE(weights(name) == weights("whole")) << scheme << " " << at << " of " << all;
      EXPECT_TRUE(fs::exists(folder.path() / name / "quantize.json"));
      EXPECT_FALSE(fs::exists(folder.path() / (name + ".quantizing"))) << scheme << " " << at << " of " << all;
    }
    EXPECT_GT(without_record, 0) << scheme;
  }
  // What somebody else put there is not written over.
  const TemporaryFolder folder("quantize_others");
  make_folder(folder.path() / "q");
  write_file_atomic(folder.path() / "q/config.json", "{}");
  EXPECT_TRUE(contains(refusal([&] { run_stage("quantize", folder.path() / "q", "{" + model_setting() + kSmall + ", scheme: gptq-4}"); }),
                       "already holds a model"));
}

TEST(QuantizeStage, HowAModelIsSampledGoesOver) {
  const TemporaryFolder folder("quantize_sampling");
  fs::copy(tiny_model(), folder.path() / "model", fs::copy_options::recursive);
  const std::string sampling = R"({"temperature": 0.7, "top_p": 0.8, "repetition_penalty": 1.05})";
  write_file_atomic(folder.path() / "model/generation_config.json", sampling);
  const std::string model = "{model: " + (folder.path() / "model").string();
  run_stage("quantize", folder.path() / "q", model + kSmall + ", scheme: int8-dynamic}");
  EXPECT_EQ(read_file(folder.path() / "q/generation_config.json"), sampling);
  run_stage("prune", folder.path() / "p", model + ", ffn_channels: 96, score: l1}", kNoTask);
  EXPECT_EQ(read_file(folder.path() / "p/generation_config.json"), sampling);
}

// Two models of one shape are not one.
TEST(QuantizeStage, OtherWeightsOfTheSameSizesAreAnotherModel) {
  const TemporaryFolder folder("quantize_identity");
  const fs::path model = folder.path() / "model", out = folder.path() / "q";
  fs::copy(tiny_model(), model, fs::copy_options::recursive);
  fs::remove(model / "stage.json");
  const auto run = [&] {
    std::vector<Setting> settings = {{"output_dir", "test", out.string()}};
    for (auto& s : parse_yaml("{model: " + model.string() + ", scheme: rtn-8, group_size: 16}", "test")) settings.push_back(s);
    stage_kinds().at("quantize").run(settings, /*in_recipe=*/true);
  };
  run();
  run();  // stands there already
  std::string weights = read_file(model / "model.safetensors");
  weights[weights.size() - 4] = char(weights[weights.size() - 4] ^ 1);
  write_file_atomic(model / "model.safetensors", weights);
  const std::string other = refusal(run);
  EXPECT_TRUE(contains(other, "is the result of another config") && contains(other, "model: ")) << other;
}

TEST(QuantizeStage, RefusedWithTheReason) {
  const TemporaryFolder folder("quantize_refused");
  const auto why = [&](const std::string& more, const std::string& common = kCommon) {
    return refusal([&] { run_stage("quantize", folder.path() / "q", "{" + model_setting() + more + "}", common); });
  };
  EXPECT_TRUE(contains(why(", scheme: gptq-4", kNoTask), "give some with --data, or a --task"));
  EXPECT_TRUE(contains(why(", scheme: gptq-5"), "gptq-4")) << "what there is";
  EXPECT_TRUE(contains(why(", scheme: awq-4, group_size: 16, calibration_samples: 100000"), "give more text"));
  EXPECT_TRUE(contains(why(", scheme: awq-4, group_size: 16, data: [a.jsonl, b.jsonl]"), "takes one file or folder, got 2"));
  EXPECT_TRUE(contains(why(", scheme: awq-4, data: [" + (folder.path() / "none.jsonl").string() + "]", kNoTask), "none.jsonl"));
}

}  // namespace
}  // namespace r1::stages
