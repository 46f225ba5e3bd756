// r1 prune, training on after it, and r1 table: on the tiny model of stage_testing.h.
#include "r1/model/weights_io.h"
#include "r1/tensor/aten.h"
#include "tests/stages/stage_testing.h"

namespace r1::stages {
namespace {

const std::string kText = ", num_examples: 40, max_length: 64";

std::map<std::string, Tensor> zeros_of(const fs::path& folder) {
  const auto model = model::load_model(folder, at::kCPU, at::kFloat);
  std::map<std::string, Tensor> out;
  for (const model::WeightRow& row : model->weights())
    if (row.kind == model::WeightKind::kMatrix && row.quantizable) out[row.name] = *row.tensor == 0;
  return out;
}

TEST(Prune, MakesASmallerModel) {
  const TemporaryFolder folder("prune_small");
  const auto out = folder.path() / "small";
  const Json results = run_stage("prune", out, "{" + model_setting() + kText + ", drop_layers: 1, kv_heads: 1, ffn_channels: 96}");
  EXPECT_EQ(results.at("layers"), 1);
  EXPECT_EQ(results.at("kv_heads"), 1);
  EXPECT_EQ(results.at("ffn_channels"), 96);
  EXPECT_LT(results.at("parameters").get<int64_t>(), results.at("parameters_before").get<int64_t>());
  EXPECT_GT(results.at("loss").get<double>(), results.at("loss_before").get<double>());
  const auto model = model::load_model(out, at::kCPU, at::kFloat);
  EXPECT_EQ(model->config().num_attention_heads, 2);
  EXPECT_TRUE(fs::exists(out / "tokenizer.json"));
  const Json record = parse_json_file(out / "prune.json").at("results");
  EXPECT_EQ(record.at("dropped_layers").size(), 1u);
  EXPECT_EQ(record.at("angular_distances").size(), 2u);
  // The same again is there already; another config is refused.
  const auto written = fs::last_write_time(out / "model.safetensors");
  run_stage("prune", out, "{" + model_setting() + kText + ", drop_layers: 1, kv_heads: 1, ffn_channels: 96}");
  EXPECT_EQ(fs::last_write_time(out / "model.safetensors"), written);
  const std::string other = refusal([&] { run_stage("prune", out, "{" + model_setting() + kText + ", drop_layers: 1}"); });
  EXPECT_TRUE(contains(other, "is the result of another config") && contains(other, "kv_heads: 1 -> 0")) << other;
  // Trained on, it comes back.
  const Json taught = run_stage("distill", folder.path() / "taught",
                                "{model: " + out.string() + ", teacher: " + tiny_model().string() +
                                    ", num_examples: 200, max_length: 64, max_steps: 20, save_steps: 0, learning_rate: 3e-3}");
  const auto lines = metrics_of(folder.path() / "taught");
  EXPECT_LT(taught.at("divergence").get<double>(), 0.8 * lines.front().at("divergence").get<double>());
}

TEST(Prune, ZerosStayWhereTheyAreInTraining) {
  const TemporaryFolder folder("prune_sparse");
  for (const std::string optim : {"adamw", "muon"}) {
    const auto sparse = folder.path() / ("sparse_" + optim), trained = folder.path() / ("trained_" + optim),
               free = folder.path() / ("free_" + optim);
    const Json results = run_stage("prune", sparse, "{" + model_setting() + kText + ", sparsity: '2:4', sparsity_method: sparsegpt}");
    EXPECT_NEAR(results.at("zeros").get<double>(), 0.5, 1e-9);
    const auto before = zeros_of(sparse);
    ASSERT_GE(before.size(), 14u);
    for (const auto& [name, zeros] : before) EXPECT_TRUE((zeros.reshape({-1, 4}).sum(1) == 2).all().item<bool>()) << name;
    const std::string train = "{model: " + sparse.string() +
                              ", num_examples: 200, max_length: 64, max_steps: 6, save_steps: 0, weight_decay: 0.1, " +
                              "learning_rate: 3e-3, optim: " + optim;
    run_stage("sft", trained, train + ", keep_zeros: true}");
    run_stage("sft", free, train + "}");
    const auto kept = zeros_of(trained), lost = zeros_of(free);
    for (const auto& [name, zeros] : before) {
      EXPECT_TRUE(aten::equal(kept.at(name), zeros)) << name;
      EXPECT_LT(lost.at(name).sum().item<int64_t>(), zeros.sum().item<int64_t>()) << name << ": without keep_zeros they fill up";
    }
  }
}

// A run that overwrites its folder must not begin with its own model.
TEST(Prune, ARunDoesNotOverwriteWhatItStartsFrom) {
  const TemporaryFolder folder("prune_overwrite");
  const fs::path run = folder.path() / "run";
  fs::copy(tiny_model(), run, fs::copy_options::recursive);
  ASSERT_TRUE(fs::exists(run / "config.yaml"));
  const std::string other = "{model: " + tiny_model().string() + ", teacher: " + run.string();
  const std::string how = ", max_length: 64, max_steps: 1, save_steps: 0, overwrite_output_dir: true}";
  EXPECT_TRUE(contains(refusal([&] { run_stage("sft", run, "{model: " + run.string() + how); }), "model_name_or_path"));
  EXPECT_TRUE(contains(refusal([&] { run_stage("distill", run, other + how); }), "teacher_name_or_path"));
  EXPECT_TRUE(fs::exists(run / "model.safetensors"));
}

TEST(Prune, RefusedWithTheReason) {
  const TemporaryFolder folder("prune_refused");
  const auto why = [&](const std::string& more, const std::string& common = kCommon) {
    return refusal([&] { run_stage("prune", folder.path() / "refused", "{" + model_setting() + more + "}", common); });
  };
  EXPECT_TRUE(contains(why(""), "nothing is to go"));
  EXPECT_TRUE(contains(why(", drop_layers: 2"), "has 2 layers, and one at least must stay"));
  EXPECT_TRUE(contains(why(", kv_heads: 3"), "has 2 key-value heads"));
  EXPECT_TRUE(contains(why(", ffn_channels: 1000"), "have 176 channels"));
  EXPECT_TRUE(contains(why(", sparsity: '1.5'"), "expected 2:4, or the share"));
  EXPECT_TRUE(contains(why(", sparsity: 2/4"), "expected 2:4, or the share"));
  EXPECT_TRUE(contains(why(", drop_layers: 1", kNoTask), "what matters is measured on text"));
  EXPECT_TRUE(contains(why(", ffn_channels: 97, sparsity: '2:4'"), "has rows of 97; give a share"));
  // The model's own folder is not written over, whatever is said.
  fs::copy(tiny_model(), folder.path() / "own", fs::copy_options::recursive);
  const std::string own = refusal([&] {
    run_stage("prune", folder.path() / "own",
              "{model: " + (folder.path() / "own").string() + ", ffn_channels: 96, score: l1, overwrite: true}", kNoTask);
  });
  EXPECT_TRUE(contains(own, "is the model's own folder")) << own;
  EXPECT_EQ(why(", ffn_channels: 96, score: l1", kNoTask), "") << "weights alone need no text";
}

TEST(Prune, PlainTextCalibrates) {
  const TemporaryFolder folder("prune_text");
  const fs::path text = folder.path() / "text.txt", rows = folder.path() / "rows.jsonl";
  write_file_atomic(text, "start 3+4: <think></think>\n");
  write_file_atomic(rows, "{\"text\": \"start 3+4:\"}\n{\"prompt\": \"start 5*5:\", \"completion\": \"<answer>25</answer>\"}\n");
  for (const fs::path& file : {text, rows}) {
    const Json results =
        run_stage("prune", folder.path() / file.stem(),
                  "{" + model_setting() + ", train_files: [" + file.string() + "], ffn_channels: 96, max_length: 64}", kNoTask);
    EXPECT_GT(results.at("loss").get<double>(), 0);
  }
}

TEST(Table, VariantsSideBySide) {
  const TemporaryFolder folder("table");
  const auto small = folder.path() / "small";
  run_stage("prune", small, "{" + model_setting() + kText + ", ffn_channels: 64}");
  const std::string how = "{variants: ['whole = " + tiny_model().string() + "', 'half as wide = " + small.string() +
                          "'], tasks: ['sums = arithmetic style=chain steps=1 train_size=60 test_size=20'], max_completion_length: 12}";
  const Json results = run_stage("table", folder.path() / "table", how);
  EXPECT_GT(results.at("whole/parameters").get<int64_t>(), results.at("half as wide/parameters").get<int64_t>());
  EXPECT_GE(results.at("whole/sums").get<double>(), results.at("half as wide/sums").get<double>());
  const std::string shown = read_file(folder.path() / "table/table.md");
  EXPECT_EQ(std::count(shown.begin(), shown.end(), '\n'), 4);
  EXPECT_TRUE(contains(shown, "| half as wide |"));
  EXPECT_TRUE(contains(refusal([&] { run_stage("table", folder.path() / "t", "{variants: ['x'], tasks: ['sums = arithmetic']}"); }),
                       "is no name and value"));
  const std::string model = tiny_model().string();
  for (const std::string variants : {"'.. = " + model + "'", "'a = " + model + "', 'a = " + small.string() + "'"}) {
    const std::string words =
        refusal([&] { run_stage("table", folder.path() / "t", "{variants: [" + variants + "], tasks: ['sums = arithmetic']}"); });
    EXPECT_TRUE(contains(words, "is no name and value") || contains(words, "'a' names two of them")) << words;
  }
}

}  // namespace
}  // namespace r1::stages
