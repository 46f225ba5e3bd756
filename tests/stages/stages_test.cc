// Every stage as its command runs it: what it writes, what it says, what it refuses before any work.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "r1/base/interrupt.h"
#include "r1/data/messages.h"
#include "r1/data/packing.h"
#include "r1/data/prompt.h"
#include "r1/data/source.h"
#include "r1/train/trainer.h"
#include "tests/stages/stage_testing.h"

namespace r1::stages {
namespace {

std::string in(const TemporaryFolder& folder, const std::string& name) {
  return (folder.path() / name).string();
}

// Mean negative log-likelihood of `documents` by the model in `folder`, a document at a time: the definition of a training or held-out loss.
double defined_loss(const fs::path& folder, const std::vector<data::Document>& documents) {
  const auto loaded = eval::load({folder.string(), "", "float32"}, at::kCPU);
  double loss = 0, weight = 0;
  for (const auto& document : documents) {
    const auto row = data::pack({document}, {.max_tokens = 1024}).at(0);
    const auto logprobs = train::batch_logprobs(*loaded.model, row);
    for (size_t t = 0; t < logprobs.size(); ++t) loss -= double(row.loss_weight[t]) * logprobs[t], weight += row.loss_weight[t];
  }
  return loss / weight;
}

// ---- pretraining ----

TEST(Pretrain, LogsEveryStepAndLeavesAModel) {
  TemporaryFolder folder("pretrain");
  const fs::path out = folder.path() / "base";
  const Json results = run_stage("pretrain", out,
                                 "{preset: tiny-test, max_length: 64, per_device_train_batch_size: 4, gradient_accumulation_steps: 2, "
                                 "max_steps: 15, logging_steps: 5, save_steps: 4, learning_rate: 3e-3}");
  const auto lines = metrics_of(out);
  ASSERT_EQ(lines.size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(lines[i].at("step"), 5 * int(i + 1));
  EXPECT_GT(lines[0].at("loss").get<double>(), lines[2].at("loss").get<double>());
  EXPECT_EQ(results.at("train_loss"), lines[2].at("loss"));
  EXPECT_EQ(results.at("num_tokens"), lines[2].at("num_tokens"));
  EXPECT_EQ(results.at("num_tokens"), 15 * 8 * 64) << "rows of wrapped packing are full";
  EXPECT_FALSE(results.contains("eval_loss"));
  EXPECT_FALSE(results.contains("empty_steps"));
  EXPECT_TRUE(fs::exists(out / "checkpoint-12"));
  EXPECT_TRUE(fs::exists(out / "checkpoint-8"));
  EXPECT_FALSE(fs::exists(out / "checkpoint-4")) << "save_total_limit is 2";
  const Json done = parse_json_file(out / "stage.json");
  EXPECT_EQ(done.at("stage"), "pretrain");
  EXPECT_EQ(done.at("results"), results);
  EXPECT_EQ(done.at("model_sha256"), (Json{{"model.safetensors", sha256_file(out / "model.safetensors")}}));
  EXPECT_TRUE(contains(read_file(out / "report.html"), "pretrain base"));
  EXPECT_EQ(parse_json_file(out / "config.yaml").at("learning_rate"), 3e-3);
}

TEST(Pretrain, FromTextWithALearnedTokenizer) {
  TemporaryFolder folder("pretrain_text");
  std::string text;
  for (int i = 0; i < 200; ++i) text += str("the ", i % 7, " cats sat on the ", i % 5, " mats\n");
  write_file_atomic(folder.path() / "train.txt", text);
  const std::string held = "the 3 cats sat on the 4 mats\nthe dog\n";
  write_file_atomic(folder.path() / "held.txt", held);
  const Json learned =
      run_stage("tokenizer", folder.path() / "tokenizer", "{train_files: [" + in(folder, "train.txt") + "], vocab_size: 270}");
  EXPECT_EQ(learned.at("vocab_size"), 270);
  EXPECT_EQ(learned.at("merges"), 270 - 256 - 1);
  EXPECT_EQ(learned.at("bytes"), text.size());
  const fs::path out = folder.path() / "base";
  const Json results = run_stage("pretrain", out,
                                 "{preset: tiny-test, tokenizer: " + in(folder, "tokenizer") + ", train_files: [" +
                                     in(folder, "train.txt") + "], eval_files: [" + in(folder, "held.txt") +
                                     "], max_length: 128, per_device_train_batch_size: 4, max_steps: 6, eval_steps: 3}",
                                 kNoTask);
  const auto lines = metrics_of(out);
  ASSERT_EQ(lines.size(), 6u);
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(lines[i].contains("eval_loss"), i == 2 || i == 5) << i;
  EXPECT_EQ(results.at("eval_loss"), lines[5].at("eval_loss"));
  const auto tokenizer = eval::load_tokenizer(out);
  const auto encode = [&](std::string_view t) { return tokenizer->encode(t); };
  const auto document = data::text_document(held, encode, *tokenizer->eos_id());  // a text file is one document
  EXPECT_NEAR(results.at("eval_loss").get<double>(), defined_loss(out, {document}), 1e-5);
}

TEST(Pretrain, RefusesBeforeAnyWork) {
  TemporaryFolder folder("pretrain_refused");
  const auto refused = [&](const std::string& yaml, const std::string& common = kCommon) {
    return refusal([&] { run_stage("pretrain", folder.path() / "x", yaml, common); });
  };
  EXPECT_TRUE(contains(refused("{preset: tiny-test}"), "give max_steps"));
  EXPECT_TRUE(
      contains(refused(str("{preset: tiny-test, max_steps: 1, train_files: [", (tiny_model() / "config.json").string(), "]}"), kNoTask),
               "tokenizer_name_or_path"));
  EXPECT_TRUE(contains(refused("{" + model_setting() + ", max_steps: 1}", kNoTask), "nothing to train on"));
  EXPECT_TRUE(contains(refused("{preset: tiny-tset, max_steps: 1}"), "tiny-test"));
}

// ---- supervised fine-tuning ----

TEST(Sft, LearnsTheCompletionAloneAndCountsItsSteps) {
  TemporaryFolder folder("sft");
  const fs::path out = folder.path() / "sft";
  // Ten examples, a row each, four rows a step: three steps an epoch.
  const std::string yaml = "{" + model_setting() +
                           ", num_examples: 10, packing_strategy: none, max_length: 64, per_device_train_batch_size: 2, "
                           "gradient_accumulation_steps: 2, learning_rate: 0, num_train_epochs: ";
  run_stage("sft", out, yaml + "2}");
  EXPECT_EQ(metrics_of(out).size(), 6u);
  run_stage("sft", folder.path() / "half", yaml + "1.5}");
  EXPECT_EQ(metrics_of(folder.path() / "half").size(), 5u);
  EXPECT_TRUE(contains(refusal([&] { run_stage("sft", folder.path() / "none", yaml + "0}"); }), "num_train_epochs above 0"));

  // The loss of all ten by definition: prompt and completion, only the completion and the end learned.
  run_stage("sft", folder.path() / "whole",
            "{" + model_setting() + ", num_examples: 10, max_length: 64, per_device_train_batch_size: 64, max_steps: 1, learning_rate: 0}");
  const auto loaded = eval::load({tiny_model().string(), "", "float32"}, at::kCPU);
  const auto task = eval::load_task({"arithmetic", "", {{"style", "chain"}, {"steps", "1"}, {"train_size", "60"}, {"test_size", "20"}}});
  std::vector<data::Document> documents;
  for (int64_t i = 0; i < 10; ++i) {
    const auto problem = task->problem("train", i);
    const auto prompt = loaded.tokenizer->encode(problem.prompt), completion = loaded.tokenizer->encode(task->sft_completion(problem, i));
    data::Document document;
    for (auto id : prompt) document.ids.push_back(id), document.learned.push_back(0);
    for (auto id : completion) document.ids.push_back(id), document.learned.push_back(1);
    document.ids.push_back(*loaded.tokenizer->eos_id()), document.learned.push_back(1);
    documents.push_back(document);
  }
  EXPECT_NEAR(metrics_of(folder.path() / "whole").at(0).at("loss").get<double>(), defined_loss(tiny_model(), documents), 1e-5);
  EXPECT_EQ(weights_hash(folder.path() / "whole"), weights_hash(tiny_model())) << "a learning rate of 0 changes nothing";
}

// A budget of tokens makes other micro-batches of the same rows, so the step's loss and gradient are the same up to rounding.
TEST(Sft, ATokenBudgetAndGroupsByLengthTrainOnTheSameRows) {
  TemporaryFolder folder("sft_budget");
  const std::string yaml = "{" + model_setting() + ", num_examples: 24, max_length: 64, packing_strategy: none, learning_rate: 0, ";
  const auto lines = [&](const char* name, const std::string& more) {
    run_stage("sft", folder.path() / name, yaml + more + "}");
    return metrics_of(folder.path() / name);
  };
  const auto whole = lines("whole", "per_device_train_batch_size: 24, max_steps: 1");
  const auto budget = lines("budget", "max_tokens_per_batch: 64, gradient_accumulation_steps: 100, max_steps: 1");
  const auto grouped = lines("grouped", "max_tokens_per_batch: 64, gradient_accumulation_steps: 100, group_by_length: true, max_steps: 1");
  for (const auto& other : {budget, grouped}) {
    EXPECT_NEAR(other.at(0).at("loss").get<double>(), whole.at(0).at("loss").get<double>(), 1e-5);
    EXPECT_NEAR(other.at(0).at("grad_norm").get<double>(), whole.at(0).at("grad_norm").get<double>(), 1e-4);
    EXPECT_EQ(other.at(0).at("num_tokens"), whole.at(0).at("num_tokens"));
  }
  EXPECT_LT(grouped.at(0).at("padding_avoided").get<double>(), whole.at(0).at("padding_avoided").get<double>());
  EXPECT_EQ(parse_json_file(folder.path() / "whole/stage.json").at("results").at("padding_avoided"), whole.at(0).at("padding_avoided"));
  const int64_t tokens = whole.at(0).at("num_tokens").get<int64_t>();
  const auto steps = lines("steps", "max_tokens_per_batch: 64, num_train_epochs: 1");
  EXPECT_GE(int64_t(steps.size()), (tokens + 63) / 64);
  EXPECT_EQ(steps.back().at("num_tokens"), tokens) << "an epoch has every row once";
  for (size_t i = 0; i < steps.size(); ++i)
    EXPECT_LE(steps[i].at("num_tokens").get<int64_t>() - (i ? steps[i - 1].at("num_tokens").get<int64_t>() : 0), 64);

  const auto refused = [&](const std::string& more) { return refusal([&] { run_stage("sft", folder.path() / "no", yaml + more + "}"); }); };
  EXPECT_TRUE(contains(refused("max_tokens_per_batch: 63"), "has no room for a row of max_length 64"));
  const std::string packed = "{" + model_setting() + ", num_examples: 24, max_length: 64, group_by_length: true}";
  EXPECT_TRUE(contains(refusal([&] { run_stage("sft", folder.path() / "no", packed); }), "give packing_strategy none"));
  EXPECT_FALSE(fs::exists(folder.path() / "no"));
}

TEST(Sft, ChatRowsAreMaskedToTheAssistantsTurns) {
  TemporaryFolder folder("sft_chat");
  const fs::path model = chat_model(folder);
  write_file_atomic(folder.path() / "chat.jsonl",
                    R"({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "you"}, )"
                    R"({"role": "user", "content": "and"}, {"role": "assistant", "content": "me"}]})"
                    "\n"
                    R"({"prompt": "a", "completion": "bc"})"
                    "\n");
  const std::string files = "train_files: [" + in(folder, "chat.jsonl") + "], eval_files: [" + in(folder, "chat.jsonl") + "]";
  const Json results = run_stage("sft", folder.path() / "sft",
                                 "{prompt_format: chat, model: " + model.string() + ", " + files +
                                     ", max_length: 128, per_device_train_batch_size: 8, max_steps: 1, learning_rate: 0}");
  const auto tokenizer = eval::load_tokenizer(model);
  const int32_t end = *tokenizer->eos_id();
  const auto document = [&](std::vector<std::pair<std::string, bool>> parts) {
    data::Document out;
    for (const auto& [text, learned] : parts) {
      auto ids = text == "END" ? std::vector<text::TokenId>{end} : tokenizer->encode(text);
      for (auto id : ids) out.ids.push_back(id), out.learned.push_back(learned);
    }
    return out;
  };
  const double expected =
      defined_loss(model, {document({{"user:hi", false},
                                     {"END", false},
                                     {"assistant:", false},
                                     {"you", true},
                                     {"END", true},
                                     {"user:and", false},
                                     {"END", false},
                                     {"assistant:", false},
                                     {"me", true},
                                     {"END", true}}),
                           document({{"user:a", false}, {"END", false}, {"assistant:", false}, {"bc", true}, {"END", true}})});
  EXPECT_NEAR(results.at("train_loss").get<double>(), expected, 1e-5);
  EXPECT_NEAR(results.at("eval_loss").get<double>(), expected, 1e-5);
}

TEST(Sft, RowsCutBeforeTheAnswerDoNotEndTheRun) {
  TemporaryFolder folder("sft_cut");
  const fs::path model = chat_model(folder);
  std::string rows;
  for (int i = 0; i < 12; ++i) rows += str(R"({"prompt": ")", std::string(i % 3 ? 60 : 2, 'a'), R"(", "completion": "bc"})", "\n");
  write_file_atomic(folder.path() / "chat.jsonl", rows);
  const std::string yaml = "{prompt_format: chat, model: " + model.string() + ", train_files: [" + in(folder, "chat.jsonl") +
                           "], max_length: 32, packing_strategy: none, per_device_train_batch_size: 1, learning_rate: 1e-3, max_steps: 12}";
  const Json results = run_stage("sft", folder.path() / "sft", yaml);
  EXPECT_TRUE(std::isfinite(results.at("train_loss").get<double>()));
  EXPECT_GT(results.at("train_loss").get<double>(), 0);
  for (const auto& line : metrics_of(folder.path() / "sft"))
    EXPECT_NE(line.contains("loss"), line.contains("skipped")) << "a step has a loss, or says why not: " << line;
  write_file_atomic(folder.path() / "long.jsonl", str(R"({"prompt": ")", std::string(60, 'a'), R"(", "completion": "bc"})", "\n"));
  const std::string refused = refusal([&] {
    run_stage("sft", folder.path() / "held",
              "{prompt_format: chat, model: " + model.string() + ", train_files: [" + in(folder, "chat.jsonl") + "], eval_files: [" +
                  in(folder, "long.jsonl") + "], max_length: 32, max_steps: 1}");
  });
  EXPECT_TRUE(contains(refused, "eval_files hold no token to learn")) << refused;
}

TEST(Sft, RefusesBeforeTheModelIsLoaded) {
  TemporaryFolder folder("sft_refused");
  const auto refused = [&](const std::string& yaml) { return refusal([&] { run_stage("sft", folder.path() / "x", yaml); }); };
  EXPECT_TRUE(contains(refused("{model: /nowhere, train_files: [/nowhere/x.jsonl]}"), "/nowhere/x.jsonl"));
  EXPECT_TRUE(contains(refused("{model: /nowhere, task_options.train_size: 0}"), "sft needs the train split of task 'arithmetic'"));
  EXPECT_TRUE(contains(refused("{model: /nowhere}"), "model /nowhere does not exist"));
  EXPECT_TRUE(contains(refused("{" + model_setting() + ", bf16: true, dtype: float32}"), "contradict"));
}

// ---- defaults ----

TEST(Defaults, LearningRateFollowsTheStage) {
  TemporaryFolder folder("defaults");
  run_stage("pretrain", folder.path() / "p", "{preset: tiny-test, max_length: 64, max_steps: 1, lr_scheduler_type: constant}");
  run_stage("sft", folder.path() / "s", "{" + model_setting() + ", num_examples: 4, max_steps: 1, lr_scheduler_type: constant}");
  run_stage(
      "grpo", folder.path() / "g",
      "{" + model_setting() +
          ", num_generations: 2, per_device_train_batch_size: 4, max_steps: 1, max_completion_length: 8, lr_scheduler_type: constant}");
  EXPECT_EQ(metrics_of(folder.path() / "p").at(0).at("learning_rate"), 3e-4);
  EXPECT_EQ(metrics_of(folder.path() / "s").at(0).at("learning_rate"), 2e-5);
  EXPECT_EQ(metrics_of(folder.path() / "g").at(0).at("learning_rate"), 1e-6);
}

// ---- the run folder ----

const char* const kSmallSft = ", num_examples: 8, max_length: 64, per_device_train_batch_size: 4, max_steps: 3, save_steps: 1}";

TEST(RunFolder, AFinishedRunIsNotRunAgain) {
  TemporaryFolder folder("run_done");
  const fs::path out = folder.path() / "sft";
  const std::string yaml = "{" + model_setting() + ", learning_rate: 1e-3" + kSmallSft;
  const Json results = run_stage("sft", out, yaml);
  const std::string before = read_file(out / "stage.json"), lines = read_file(out / "metrics.jsonl");
  fs::remove(out / "report.html");
  EXPECT_EQ(run_stage("sft", out, yaml), results);
  EXPECT_EQ(read_file(out / "stage.json"), before);
  EXPECT_EQ(read_file(out / "metrics.jsonl"), lines);
  EXPECT_TRUE(fs::exists(out / "report.html")) << "what was lost of a finished run's report is made again";
  const std::string refused = refusal([&] { run_stage("sft", out, "{" + model_setting() + ", learning_rate: 2e-3" + kSmallSft); });
  EXPECT_TRUE(contains(refused, "learning_rate: 0.001 -> 0.002")) << refused;
  EXPECT_TRUE(contains(refused, "overwrite_output_dir")) << refused;
  EXPECT_EQ(read_file(out / "stage.json"), before);
}

TEST(RunFolder, OverwriteTakesRunsAndNothingElse) {
  TemporaryFolder folder("run_over");
  const fs::path out = folder.path() / "sft";
  run_stage("sft", out, "{" + model_setting() + ", learning_rate: 1e-3" + kSmallSft);
  write_file_atomic(out / "left", "x");
  run_stage("sft", out, "{" + model_setting() + ", overwrite_output_dir: true, learning_rate: 2e-3" + kSmallSft);
  EXPECT_FALSE(fs::exists(out / "left"));
  EXPECT_EQ(parse_json_file(out / "config.yaml").at("learning_rate"), 2e-3);
  const fs::path home = folder.path() / "home";
  make_folder(home);
  write_file_atomic(home / "thesis.tex", "years");
  const std::string refused = refusal([&] { run_stage("sft", home, "{" + model_setting() + ", overwrite_output_dir: true" + kSmallSft); });
  EXPECT_TRUE(contains(refused, "not a run")) << refused;
  EXPECT_EQ(read_file(home / "thesis.tex"), "years");
  make_folder(folder.path() / "empty");
  run_stage("sft", folder.path() / "empty", "{" + model_setting() + ", overwrite_output_dir: true" + kSmallSft);
  EXPECT_TRUE(fs::exists(folder.path() / "empty/stage.json"));
}

TEST(RunFolder, ResumeFromACheckpointByName) {
  TemporaryFolder folder("run_resume");
  const fs::path out = folder.path() / "sft";
  const std::string yaml = "{" + model_setting() + ", save_total_limit: 5, dropout: 0.1, learning_rate: 1e-3" + kSmallSft;
  run_stage("sft", out, yaml);
  const std::string numbers = numbers_of(out), hash = weights_hash(out);
  for (const char* from : {"checkpoint-1", "checkpoint-2"}) {
    fs::remove(out / "stage.json");
    run_stage("sft", out, yaml.substr(0, yaml.size() - 1) + ", resume_from_checkpoint: " + (out / from).string() + "}");
    EXPECT_EQ(numbers_of(out), numbers) << from;
    EXPECT_EQ(weights_hash(out), hash) << from;
  }
  fs::remove(out / "stage.json");
  EXPECT_TRUE(contains(refusal([&] { run_stage("sft", out, yaml.substr(0, yaml.size() - 1) + ", resume_from_checkpoint: /nowhere}"); }),
                       "no folder '/nowhere'"));
  run_stage("sft", out, yaml.substr(0, yaml.size() - 1) + ", resume_from_checkpoint: never}");
  EXPECT_EQ(numbers_of(out), numbers) << "from the start";
}

TEST(RunFolder, AReportThatCannotBeWrittenDoesNotFailTheRun) {
  TemporaryFolder folder("run_report");
  const fs::path out = folder.path() / "sft";
  make_folder(out / "report.html/in the way");
  const Json results = run_stage("sft", out, "{" + model_setting() + kSmallSft);
  EXPECT_EQ(parse_json_file(out / "stage.json").at("results"), results);
}

// ---- weights in several files ----

TEST(Shards, EveryStageSavesLoadsAndResumesAModelOfManyFiles) {
  TemporaryFolder folder("shards");
  const std::string small = "max_shard_size: 60000, save_steps: 2, max_length: 64, per_device_train_batch_size: 4";
  const auto check_folder = [&](const fs::path& out) {
    const Json hashes = parse_json_file(out / "stage.json").at("model_sha256");
    EXPECT_GT(hashes.size(), 3u);
    EXPECT_TRUE(hashes.contains("model.safetensors.index.json"));
    for (const auto& [name, hash] : hashes.items()) EXPECT_EQ(hash, sha256_file(out / name));
    EXPECT_FALSE(fs::exists(out / "model.safetensors"));
    for (const auto& file : weight_files(out)) EXPECT_TRUE(hashes.contains(file.filename().string()));
  };
  const auto resumes = [&](const std::string& kind, const fs::path& out, const std::string& yaml) {
    const Json results = run_stage(kind, out, yaml);
    check_folder(out);
    const std::string numbers = numbers_of(out), hash = weights_hash(out);
    ASSERT_TRUE(fs::exists(out / "checkpoint-2/model.safetensors.index.json"));
    fs::remove(out / "stage.json");
    run_stage(kind, out, yaml);
    EXPECT_EQ(numbers_of(out), numbers);
    EXPECT_EQ(weights_hash(out), hash);
    check_folder(out);
  };
  const std::string base = in(folder, "base"), sft = in(folder, "sft"), zero = in(folder, "zero");
  resumes("pretrain", base, "{preset: tiny-test, max_steps: 3, learning_rate: 3e-3, " + small + "}");
  resumes("sft", sft, "{model: " + base + ", num_examples: 40, max_steps: 3, learning_rate: 3e-3, " + small + "}");
  resumes("grpo", zero,
          "{model: " + sft +
              ", num_generations: 2, max_steps: 3, max_completion_length: 8, beta: 0.1, learning_rate: 1e-3, max_shard_size: "
              "60000, save_steps: 2, per_device_train_batch_size: 4}");
  EXPECT_TRUE(fs::exists(fs::path(zero) / "checkpoint-2/reference/model.safetensors.index.json"));
  const Json rejected = run_stage("rejection", folder.path() / "right.jsonl",
                                  "{model: " + zero + ", limit: 2, num_generations: 2, max_completion_length: 8}");
  EXPECT_EQ(rejected.at("samples"), 4);
  EXPECT_EQ(run_stage("eval", folder.path() / "eval", "{model: " + zero + ", limit: 3, max_completion_length: 8}").at("n"), 3);
}

// ---- rejection sampling ----

TEST(Rejection, CountsEverySampleAndKeepsRightOnesOnly) {
  TemporaryFolder folder("rejection");
  const std::string yaml = "{" + model_setting() + ", num_generations: 6, max_completion_length: 16, limit: 20, chunk: 8, max_kept: 2";
  const fs::path file = folder.path() / "right.jsonl";
  const Json result = run_stage("rejection", file, yaml + "}");
  EXPECT_EQ(result.at("problems"), 20);
  EXPECT_EQ(result.at("samples"), 120);
  EXPECT_EQ(result.at("file"), file.string());
  EXPECT_FALSE(fs::exists(file.string() + ".progress"));
  int64_t dropped = 0;
  for (const auto& [reason, n] : result.at("dropped").items()) dropped += n.get<int64_t>();
  EXPECT_EQ(result.at("kept").get<int64_t>() + dropped, 120);
  const auto task = eval::load_task({"arithmetic", "", {{"style", "chain"}, {"steps", "1"}, {"train_size", "60"}, {"test_size", "20"}}});
  const auto tokenizer = eval::load_tokenizer(tiny_model());
  const data::PromptMaker prompts(*tokenizer, nullptr, {});
  std::map<std::string, int> per_problem;
  std::set<std::string> seen;
  std::ifstream lines(file);
  int64_t kept = 0;
  for (std::string text; std::getline(lines, text); ++kept) {
    const Json line = parse_json(text, "right.jsonl");
    const std::string id = line.at("id"), completion = line.at("completion");
    EXPECT_LE(++per_problem[id], 2) << id;
    EXPECT_TRUE(seen.insert(id + completion).second) << "a duplicate";
    const auto problem = task->problem("train", std::stoll(id.substr(id.rfind('/') + 1)));
    EXPECT_EQ(task->score(problem, completion).verdict, tasks::Verdict::kRight) << completion;
    // It was asked as plain text, and what sft reads from the row is what was sampled: not another way to put the question.
    EXPECT_EQ(line.at("prompt"), problem.prompt);
    const auto read = prompts.conversation(data::conversation_from_json(line, "row", data::TemplateKeys::kKnown), "row");
    const auto sampled = prompts.supervised(problem.prompt, problem.messages, completion);
    EXPECT_EQ(read.ids, sampled.ids);
    EXPECT_EQ(read.learned, sampled.learned);
    EXPECT_GT(line.at("pass_rate").get<double>(), 0);
  }
  EXPECT_EQ(result.at("kept"), kept);
  EXPECT_GT(kept, 0) << "or nothing was tested";
  const Json solved = run_stage("rejection", folder.path() / "hard.jsonl", yaml + ", min_tokens: 1000}");
  EXPECT_EQ(solved.at("kept"), 0);
  EXPECT_EQ(solved.at("right"), result.at("right"));
  EXPECT_GT(solved.at("dropped").value("short", 0), 0);
  EXPECT_LE(solved.at("dropped").value("short", 0), solved.at("right").get<int>());
}

TEST(Rejection, AStoppedRunGoesOnWithItsCounts) {
  TemporaryFolder folder("rejection_stop");
  const std::string yaml = "{" + model_setting() + ", num_generations: 4, max_completion_length: 16, chunk: 2, limit: 60}";
  const Json whole = run_stage("rejection", folder.path() / "whole.jsonl", yaml);
  const fs::path file = folder.path() / "stopped.jsonl", progress = file.string() + ".progress";
  // Stopped when some problems are done; on a busy machine the stop may come too late, then once more.
  bool stopped = false;
  for (int tries = 0; tries < 50 && !stopped; ++tries) {
    // All that a run which came to its end has left: its record would be its answer.
    for (const char* left : {"stopped.jsonl", "stopped.result.json", "stopped.samples.jsonl"}) fs::remove(folder.path() / left);
    const Watcher watcher([&] { return lines_of(progress) >= 3; }, request_interrupt);
    try {
      run_stage("rejection", file, yaml);
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), ErrorKind::kInterrupted) << error.what();
      stopped = true;
    }
    clear_interrupt();
  }
  ASSERT_TRUE(stopped);
  const int64_t done = lines_of(progress) - 1;
  ASSERT_GE(done, 2);
  ASSERT_LT(done, 60);
  // As a kill while writing a chunk leaves it: a whole line of it, and a torn one.
  const std::string text = read_file(progress);
  append_file(progress, text.substr(text.rfind('\n', text.size() - 2) + 1) + "{\"id\": \"torn");
  EXPECT_TRUE(contains(refusal([&] { run_stage("rejection", file, yaml.substr(0, yaml.size() - 1) + ", seed: 9}"); }), "another config"));
  const Json resumed = run_stage("rejection", file, yaml);
  EXPECT_EQ(read_file(file), read_file(folder.path() / "whole.jsonl"));
  for (const char* key : {"problems", "samples", "right", "kept", "dropped"}) EXPECT_EQ(resumed.at(key), whole.at(key)) << key;
}

TEST(Rejection, RefusesASplitWithoutProblems) {
  TemporaryFolder folder("rejection_refused");
  const std::string refused =
      refusal([&] { run_stage("rejection", folder.path() / "x.jsonl", "{model: /nowhere, split: test, task_options.test_size: 0}"); });
  EXPECT_TRUE(contains(refused, "rejection needs the test split of task 'arithmetic'")) << refused;
}

// ---- evaluation ----

TEST(Evaluate, SavesEverySampleAndRefusesAMissingSplit) {
  TemporaryFolder folder("eval");
  const Json result = run_stage("eval", folder.path() / "e",
                                "{" + model_setting() + ", limit: 7, num_samples: 2, temperature: 1, max_completion_length: 16}");
  EXPECT_EQ(result.at("n"), 7);
  EXPECT_EQ(result.at("task"), "arithmetic");
  std::ifstream lines(folder.path() / "e/samples.jsonl");
  double right = 0;
  int count = 0;
  for (std::string text; std::getline(lines, text); ++count) right += parse_json(text, "samples").at("verdict") == "right";
  EXPECT_EQ(count, 14);
  EXPECT_DOUBLE_EQ(result.at("accuracy").get<double>(), right / 14);
  const std::string refused = refusal([&] { run_stage("eval", folder.path() / "x", "{model: /nowhere, task_options.test_size: 0}"); });
  EXPECT_TRUE(contains(refused, "eval needs the test split")) << refused;
}

}  // namespace
}  // namespace r1::stages
