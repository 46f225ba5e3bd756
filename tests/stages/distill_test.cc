// r1 distill: a student beside its teacher: that it learns more than from the texts alone, that stored logits are the live ones, that the
// student's own answers are its own, and what is refused.
#include <cmath>

#include "r1/base/rng.h"
#include "r1/data/packing.h"
#include "r1/engine/completion.h"
#include "r1/stages/run.h"
#include "r1/stages/student_answers.h"
#include "tests/stages/stage_testing.h"

namespace r1::stages {
namespace {

std::string in(const TemporaryFolder& folder, const char* name) {
  return (folder.path() / name).string();
}

// Problems drawn by chance, which is learned as well: `start 7*9:<think></think><answer>63</answer>`, the prompt being "start ".
void write_problems(const fs::path& file, int count, uint64_t seed) {
  Rng rng(seed);
  std::string rows;
  for (int i = 0; i < count; ++i) {
    const auto a = rng.between(2, 9), b = rng.between(2, 9);
    const bool times = rng.uniform() < 0.5;
    rows += dump_json(Json{{"prompt", "start "},
                           {"completion", str(a, times ? "*" : "+", b, ":<think></think><answer>", times ? a * b : a + b, "</answer>")}}) +
            "\n";
  }
  write_file_atomic(file, rows);
}

constexpr const char* kPlain = "{device: cpu, prompt_format: plain}";

// A teacher that has read many problems, and a smaller student that has read none: made once.
struct Pair {
  TemporaryFolder folder{"distill_pair"};
  std::string teacher = (folder.path() / "teacher").string(), student = (folder.path() / "student").string(), few = in(folder, "few.jsonl"),
              held = in(folder, "held.jsonl");
  Pair() {
    write_problems(in(folder, "many.jsonl"), 1500, 1);
    write_problems(few, 32, 2);
    write_problems(held, 48, 3);
    run_stage("sft", teacher,
              "{" + model_setting() + ", train_files: [" + in(folder, "many.jsonl") +
                  "], max_length: 64, per_device_train_batch_size: 8, max_steps: 80, save_steps: 0, learning_rate: 3e-3}",
              kPlain);
    run_stage("pretrain", student,
              "{preset: tiny-test, shape: {num_hidden_layers: 1, hidden_size: 48}, max_length: 64, max_steps: 1, save_steps: 0, "
              "learning_rate: 1e-5}");
  }
  std::string settings(const std::string& more) const {
    return "{model: " + student + ", train_files: [" + few + "], eval_files: [" + held +
           "], max_length: 64, per_device_train_batch_size: 4, save_steps: 0, learning_rate: 3e-3, lr_scheduler_type: constant" + more +
           "}";
  }
  Json distilled(const fs::path& output, const std::string& more) const {
    return run_stage("distill", output, settings(", teacher: " + teacher + more), kPlain);
  }
};
const Pair& pair() {
  static const Pair made;
  return made;
}

TEST(Distill, HeldOutLossFallsBelowCrossEntropyAlone) {
  const TemporaryFolder folder("distill_loss");
  const double alone = run_stage("sft", folder.path() / "sft", pair().settings(", max_steps: 60"), kPlain).at("eval_loss"),
               teacher = run_stage("sft", folder.path() / "t",
                                   "{model: " + pair().teacher + ", train_files: [" + pair().few + "], eval_files: [" + pair().held +
                                       "], max_length: 64, max_steps: 1, save_steps: 0, learning_rate: 0}",
                                   kPlain)
                             .at("eval_loss");
  for (const char* how : {", divergence: forward_kl", ", divergence: jsd, beta: 0.5",
                          ", divergence: forward_kl, hidden_layers: ['1:2'], hidden_weight: 0.1"}) {
    const Json results = pair().distilled(folder.path() / sha256(std::string_view(how)).substr(0, 8), str(", max_steps: 60", how));
    EXPECT_LT(results.at("eval_loss").get<double>(), 0.95 * alone) << how << "; the teacher has " << teacher;
    EXPECT_GT(results.at("divergence").get<double>(), 0);
  }
}

// Cross entropy alone, by the way of distillation: the numbers of sft.
TEST(Distill, WithoutTheTeachersSayItIsSft) {
  const TemporaryFolder folder("distill_sft");
  const Json sft = run_stage("sft", folder.path() / "sft", pair().settings(", max_steps: 4"), kPlain);
  const Json own = pair().distilled(folder.path() / "own", ", max_steps: 4, ce_weight: 1");
  EXPECT_NEAR(own.at("train_loss").get<double>(), sft.at("train_loss").get<double>(), 1e-5);
  EXPECT_NEAR(own.at("eval_loss").get<double>(), sft.at("eval_loss").get<double>(), 1e-5);
}

// The same model with one weight a little off: of one name, one shape and one size.
std::string almost(const std::string& model, const fs::path& copy) {
  fs::copy(model, copy, fs::copy_options::recursive);
  std::string weights = read_file(copy / "model.safetensors");
  weights[weights.size() - 4] = char(weights[weights.size() - 4] ^ 1);
  write_file_atomic(copy / "model.safetensors", weights);
  return copy.string();
}

TEST(Distill, StoredLogitsAreTheLiveOnes) {
  const TemporaryFolder folder("distill_stored");
  const std::string common = ", max_steps: 5, teacher_top_k: 6, distill_temperature: 2, ce_weight: 0.25";
  const Json live = pair().distilled(folder.path() / "live", common);
  const std::string store = in(folder, "store"), stored = common + ", teacher_logits: stored, teacher_store: " + store;
  const Json first = pair().distilled(folder.path() / "stored", stored);
  for (const char* name : {"train_loss", "divergence", "cross_entropy", "eval_loss"})
    EXPECT_NEAR(first.at(name).get<double>(), live.at(name).get<double>(), 1e-5) << name;
  // Used again as it is; a store of other texts or another teacher is refused, and an unfinished one goes on.
  const auto written = fs::last_write_time(folder.path() / "store/manifest.json");
  const Json again = pair().distilled(folder.path() / "again", stored);
  EXPECT_EQ(numbers_of(folder.path() / "again"), numbers_of(folder.path() / "stored"));
  EXPECT_EQ(fs::last_write_time(folder.path() / "store/manifest.json"), written);
  const std::string other = refusal([&] { pair().distilled(folder.path() / "other", stored + ", num_examples: 5"); });
  EXPECT_TRUE(contains(other, "holds logits of another teacher or other texts") && contains(other, "num_examples: 0 -> 5")) << other;
  const std::string teacher = refusal([&] {
    run_stage("distill", folder.path() / "t", pair().settings(stored + ", teacher: " + almost(pair().teacher, folder.path() / "almost")),
              kPlain);
  });
  EXPECT_TRUE(contains(teacher, "holds logits of another teacher") && contains(teacher, "teacher: ")) << teacher;
  // A template makes other tokens of the same texts.
  const fs::path student = folder.path() / "student";
  fs::copy(pair().student, student, fs::copy_options::recursive);
  Json config = parse_json_file(student / "tokenizer_config.json");
  config["chat_template"] = "{% for m in messages %}{{ m['content'] }}{% endfor %}";
  write_file_atomic(student / "tokenizer_config.json", config.dump());
  const std::string chat = refusal([&] {
    run_stage("distill", folder.path() / "c",
              std::vector{pair().settings(stored + ", teacher: " + pair().teacher), "{model: " + student.string() + "}"}, kPlain);
  });
  EXPECT_TRUE(contains(chat, "chat_template: ")) << chat;
}

TEST(Distill, TheTeachersAnswers) {
  const TemporaryFolder folder("distill_answers");
  // Of files: each prompt gets the teacher's answer in place of its own.
  write_file_atomic(in(folder, "ask.jsonl"),
                    "{\"prompt\": \"start 3+\", \"completion\": \"nothing\"}\n{\"prompt\": \"start 7*\", \"completion\": \"\"}\n");
  const std::string settings = "{model: " + pair().student + ", teacher: " + pair().teacher + ", train_files: [" + in(folder, "ask.jsonl") +
                               "], answers: teacher, divergence: none, temperature: 0, max_completion_length: 12, max_length: 64, "
                               "max_steps: 2, save_steps: 0, learning_rate: 1e-3}";
  run_stage("distill", folder.path() / "files", settings, kPlain);
  const std::string rows = read_file(folder.path() / "files/teacher_answers.jsonl");
  EXPECT_EQ(std::count(rows.begin(), rows.end(), '\n'), 2);
  EXPECT_TRUE(contains(rows, "start 3+") && contains(rows, ":<think>") && !contains(rows, "nothing")) << rows;
  // Another run's folder that holds them: they are taken if they are this teacher's to these questions.
  const auto with_answers = [&](const char* name, const std::string& teacher, const std::string& more = "") {
    make_folder(folder.path() / name);
    for (const char* file : {"teacher_answers.jsonl", "teacher_answers.json"})
      fs::copy_file(folder.path() / "files" / file, folder.path() / name / file);
    return refusal([&] { run_stage("distill", folder.path() / name, std::vector{settings, "{teacher: " + teacher + more + "}"}, kPlain); });
  };
  EXPECT_EQ(with_answers("same", pair().teacher), "");
  const std::string other = with_answers("other", almost(pair().teacher, folder.path() / "almost"));
  EXPECT_TRUE(contains(other, "holds the answers of another teacher or to other questions") && contains(other, "remove that file"))
      << other;
  EXPECT_TRUE(contains(with_answers("cooler", pair().teacher, ", temperature: 0.5"), "-> 0.5"));
  write_file_atomic(in(folder, "ask.jsonl"), "{\"prompt\": \"start 3+\", \"completion\": \"nothing\"}\n");
  EXPECT_TRUE(contains(with_answers("asked", pair().teacher), "files"));
  // An answer without an end is not learned as one that has one.
  write_file_atomic(in(folder, "ask.jsonl"),
                    "{\"prompt\": \"start 3+\", \"completion\": \"\"}\n{\"prompt\": \"start 3+4:<think></think><answer>\", \"completion\": "
                    "\"\"}\n");
  run_stage("distill", folder.path() / "short", std::vector{settings, std::string("{max_completion_length: 4}")}, kPlain);
  const std::string ended = read_file(folder.path() / "short/teacher_answers.jsonl");
  EXPECT_EQ(std::count(ended.begin(), ended.end(), '\n'), 1) << ended;
  EXPECT_TRUE(contains(ended, "3+4:")) << ended;
  EXPECT_TRUE(
      contains(refusal([&] {
                 run_stage("distill", folder.path() / "none", std::vector{settings, std::string("{max_completion_length: 1}")}, kPlain);
               }),
               "2 of the teacher's 2 answers were cut off at max_completion_length 1, so none is left to learn"));
  // Of a task: right answers alone are kept, or all.
  for (const std::string keep : {"all", "right"}) {
    const std::string how = "{model: " + pair().student + ", teacher: " + tiny_model().string() + ", answers: teacher, keep: " + keep +
                            ", divergence: none, max_completion_length: 12, num_examples: 30, max_length: 64, max_steps: 2, save_steps: 0, "
                            "num_generations: 4, learning_rate: 1e-3}";
    run_stage("distill", folder.path() / keep, how);
  }
  const auto lines = [&](const char* keep) {
    const std::string text = read_file(folder.path() / keep / "teacher_answers.jsonl");
    return std::count(text.begin(), text.end(), '\n');
  };
  EXPECT_GT(lines("all"), lines("right"));
  EXPECT_GT(lines("right"), 0);
}

TEST(Distill, TheStudentsOwnAnswers) {
  const auto loaded = load({.model_name_or_path = pair().teacher}, at::kCPU);
  engine::Engine engine(*loaded.model, {});
  // "start 3+" is read, what follows is learned; and a text that is learned from its first token on.
  const auto ids = loaded.tokenizer->encode("start 3+4:");
  data::Document asked{{ids.begin(), ids.end()}, std::vector<uint8_t>(ids.size(), 1)}, text = asked;
  std::fill(asked.learned.begin(), asked.learned.begin() + 4, uint8_t{0});
  const auto rows = data::pack({asked, text}, {.max_tokens = 64});
  ASSERT_EQ(rows.size(), 1u);
  SamplingArgs sampling;
  sampling.temperature = 0, sampling.max_completion_length = 9;
  const auto answers = [&](double share) {
    return StudentAnswers(engine, *loaded.tokenizer, {.share = share, .max_length = 64, .sampling = sampling, .stop_ids = loaded.stop_ids});
  };
  auto same = rows;
  ASSERT_TRUE(answers(0).rewrite(same, 3, [] { return false; }));
  EXPECT_EQ(same[0].ids, rows[0].ids);
  auto own = rows;
  ASSERT_TRUE(answers(1).rewrite(own, 3, [] { return false; }));
  const auto greedy = [&](size_t prompt) {
    engine::CompletionRequest request;
    request.prompt.assign(ids.begin(), ids.begin() + int64_t(prompt));
    request.sampling = sampling.params(9);
    request.sampling.stop_ids = loaded.stop_ids;
    std::vector<int32_t> want(request.prompt.begin(), request.prompt.end());
    const auto answer = engine::complete(engine, *loaded.tokenizer, {request})[0][0].ids;
    want.insert(want.end(), answer.begin(), answer.end());
    return want;
  };
  const auto from_prompt = greedy(4), from_first = greedy(1);
  for (size_t d = 0; d < 2; ++d) {
    const size_t begin = size_t(own[0].cu_seqlens[d]), end = size_t(own[0].cu_seqlens[d + 1]);
    const size_t prompt = own[0].document[d] == 0 ? 4 : 1;
    EXPECT_EQ(std::vector<int32_t>(own[0].ids.begin() + int64_t(begin), own[0].ids.begin() + int64_t(end)),
              prompt == 4 ? from_prompt : from_first);
    for (size_t t = begin; t < end; ++t) EXPECT_EQ(own[0].loss_weight[t], t + 1 >= begin + prompt && t + 1 < end ? 1.0f : 0.0f) << t;
  }
  auto stopped = rows;
  EXPECT_FALSE(answers(1).rewrite(stopped, 3, [] { return true; }));
  EXPECT_EQ(stopped[0].ids, rows[0].ids);
}

TEST(Distill, OnPolicyLearns) {
  const TemporaryFolder folder("distill_own");
  const std::string how = ", max_steps: 25, lmbda: 0.5, divergence: reverse_kl, max_completion_length: 12";
  const Json results = pair().distilled(folder.path() / "a", how);
  const auto lines = metrics_of(folder.path() / "a");
  EXPECT_LT(lines.back().at("divergence").get<double>(), 0.7 * lines.front().at("divergence").get<double>());
  EXPECT_TRUE(std::isfinite(results.at("eval_loss").get<double>()));
  pair().distilled(folder.path() / "b", how);
  EXPECT_EQ(numbers_of(folder.path() / "a"), numbers_of(folder.path() / "b")) << "the same seed, the same answers";
}

TEST(Distill, RefusedWithTheReason) {
  const TemporaryFolder folder("distill_refused");
  const auto why = [&](const std::string& more) {
    return refusal([&] { pair().distilled(folder.path() / "refused", ", max_steps: 1" + more); });
  };
  EXPECT_TRUE(contains(why(", divergence: none"), "that is r1 sft"));
  EXPECT_TRUE(contains(why(", teacher_logits: stored"), "--teacher_top_k 64"));
  EXPECT_TRUE(contains(why(", lmbda: 1, teacher_logits: stored, teacher_top_k: 4"), "must be live"));
  EXPECT_TRUE(contains(why(", lmbda: 1, ce_weight: 0.5"), "its own answers are right"));
  EXPECT_TRUE(contains(why(", divergence: jsd, beta: 1"), "1 is reverse_kl"));
  EXPECT_TRUE(contains(why(", hidden_layers: ['2:1']"), "names layer 2 of the student"));
  EXPECT_TRUE(contains(why(", hidden_layers: ['1-1']"), "is no pair of layers"));
  EXPECT_TRUE(contains(why(", teacher_logits: stored, teacher_top_k: 4, packing_strategy: wrapped"), "whole documents"));
  EXPECT_TRUE(contains(why(", teacher_top_k: 100000"), "is all: leave it 0"));
  const std::string words = refusal([&] {
    run_stage("distill", folder.path() / "words", pair().settings(", max_steps: 1, teacher: " + chat_model(folder).string()), kPlain);
  });
  EXPECT_TRUE(contains(words, "different vocabularies") && contains(words, "--answers teacher --divergence none")) << words;
}

}  // namespace
}  // namespace r1::stages
