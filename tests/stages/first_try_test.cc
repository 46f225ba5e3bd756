// The first minutes with one's own data: what a stage says of it before the first step, what it takes and what it refuses.
#include <poll.h>
#include <pty.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <cmath>

#include "r1/base/interrupt.h"
#include "r1/data/token_shards.h"
#include "r1/stages/first_look.h"
#include "r1/stages/grpo_batch.h"
#include "r1/stages/preflight.h"
#include "r1/stages/reward_set.h"
#include "r1/stages/step_bar.h"
#include "tests/sandbox_lacking.h"
#include "tests/stages/stage_testing.h"

namespace r1::stages {
namespace {

std::string in(const TemporaryFolder& folder, const std::string& name) {
  return (folder.path() / name).string();
}

std::string chat_row(const std::string& question, const std::string& answer) {
  return dump_json(Json{{"messages", {{{"role", "user"}, {"content", question}}, {{"role", "assistant"}, {"content", answer}}}}}) + "\n";
}

// ---- a look at the data ----

TEST(FirstLook, CountsWhatIsLostAndWhatIsLearned) {
  std::vector<data::Document> documents;
  const auto add = [&](int64_t prompt, int64_t answer) {
    data::Document d;
    d.ids.assign(size_t(prompt + answer), 5);
    d.learned.assign(size_t(prompt), 0);
    d.learned.insert(d.learned.end(), size_t(answer), 1);
    documents.push_back(std::move(d));
  };
  add(2, 4), add(6, 6), add(12, 2), add(3, 0);
  const auto source = data::memory_source(documents);
  data::PackOptions options{.max_tokens = 8};
  const FirstLook look = look_at(*source, options);
  EXPECT_EQ(look.documents, 4);
  EXPECT_EQ(look.looked, 4);
  EXPECT_EQ(look.tokens, 6 + 12 + 14 + 3);
  EXPECT_EQ(look.learned, 4 + 6 + 2);
  EXPECT_EQ(look.longest, 14);
  EXPECT_EQ(look.cut, 2);
  EXPECT_EQ(look.lost_tokens, 4 + 6);
  EXPECT_EQ(look.nothing_to_learn, 2) << "cut before its answer, and without one";
  EXPECT_EQ(
      to_words(look, options),
      "4 documents, 8 tokens on average, the longest has 14; 34 % of the tokens are learned; 2 (50 %) longer than max_length 8 are cut, "
      "which loses 10 tokens (29 %); 2 have nothing to learn in them and are left out");
  options.long_documents = "drop";
  const FirstLook dropped = look_at(*source, options);
  EXPECT_EQ(dropped.dropped, 2);
  EXPECT_EQ(dropped.lost_tokens, 26);
  options.long_documents = "split";
  EXPECT_EQ(look_at(*source, options).split, 2);
  EXPECT_EQ(look_at(*source, options).lost_tokens, 0);
  // Of a stream without end some are looked at, spread over all of it.
  int64_t last = 0;
  const auto endless = data::function_source(int64_t{1} << 40, [&](int64_t i) { return last = i, documents[0]; });
  const FirstLook some = look_at(*endless, options, 10);
  EXPECT_EQ(some.looked, 10);
  EXPECT_GT(last, int64_t{1} << 39);
  EXPECT_TRUE(contains(to_words(some, options), "documents, of 10 looked at: 6 tokens on average"));
}

TEST(FirstLook, AnExampleShowsControlTokensAndWhatIsLearned) {
  TemporaryFolder folder("rendered");
  const auto tokenizer = eval::load_tokenizer(chat_model(folder));
  auto ids = tokenizer->encode("user:h\ni");
  std::vector<uint8_t> learned(ids.size(), 0);
  const auto add = [&](const std::vector<text::TokenId>& more) {
    ids.insert(ids.end(), more.begin(), more.end());
    learned.insert(learned.end(), more.size(), 1);
  };
  add(tokenizer->encode("yé"));
  add({*tokenizer->eos_id()});
  EXPECT_EQ(rendered(*tokenizer, ids, learned), "user:h\\ni{+yé<|endoftext|>+}");
  EXPECT_EQ(rendered(*tokenizer, ids, {}), "user:h\\niyé<|endoftext|>");
  const auto many = tokenizer->encode(std::string(500, 'x') + "é" + std::string(500, 'y'));
  const std::string cut = rendered(*tokenizer, many, {}, 90);
  EXPECT_LT(cut.size(), 130u);
  EXPECT_TRUE(contains(cut, "xx [.. ")) << cut;
  EXPECT_TRUE(contains(cut, " bytes ..] yy")) << cut;
}

// ---- sft ----

TEST(FirstSft, ShowsNumbersAndAnExampleAndEvaluatesInTheTerminal) {
  TemporaryFolder folder("first_sft");
  const fs::path model = chat_model(folder);
  write_file_atomic(in(folder, "chat.jsonl"), chat_row("hi", "you") + chat_row(std::string(90, 'a'), "b") + chat_row("and", "me"));
  write_file_atomic(in(folder, "held.jsonl"), chat_row("so", "it is"));
  const std::string yaml = "{model: " + model.string() + ", train_files: [" + in(folder, "chat.jsonl") + "], eval_files: [" +
                           in(folder, "held.jsonl") + "], max_length: 48, max_steps: 2, eval_steps: 1}";
  const std::string words = said([&] { run_stage("sft", folder.path() / "sft", yaml, kNoTask); });
  for (const char* part :
       {"sft: 3 documents, ", "1 (33 %) longer than max_length 48 are cut", "1 have nothing to learn in them",
        "of them learned {+so+}:\n  user:hi<|endoftext|>assistant:{+you<|endoftext|>+}", "sft: 2 steps of up to 8 rows of 48 tokens",
        "sft: step 1: eval_loss ", "sft: step 2: eval_loss ", "next:   r1 chat "})
    EXPECT_TRUE(contains(words, part)) << part << " in:\n" << words;
  EXPECT_FALSE(contains(words, "chat template")) << words;
  // --data FILE is the same as train_files.
  const std::string by_data = "{model: " + model.string() + ", data: " + in(folder, "chat.jsonl") +
                              ", max_length: 48, max_steps: 2, eval_files: [" + in(folder, "chat.jsonl") + "]}";
  const std::string again = said([&] { run_stage("sft", folder.path() / "by_data", by_data, kNoTask); });
  EXPECT_TRUE(contains(again, "sft: 3 documents, ")) << again;
  EXPECT_TRUE(contains(again, "is in train_files and in eval_files")) << again;
}

TEST(FirstSft, AMissingTemplateIsSaidAndDataThatTeachNothingAreRefused) {
  TemporaryFolder folder("first_sft_bad");
  const fs::path model = chat_model(folder, /*with_template=*/false);
  write_file_atomic(in(folder, "chat.jsonl"), chat_row("hi", "you"));
  const std::string yaml = "{model: " + model.string() + ", train_files: [" + in(folder, "chat.jsonl") + "], max_length: 32, max_steps: 1";
  const std::string words = said([&] { run_stage("sft", folder.path() / "a", yaml + "}", kNoTask); });
  EXPECT_TRUE(contains(words, "the model has no chat template")) << words;
  EXPECT_TRUE(contains(words, "next:   r1 generate ")) << words;
  EXPECT_FALSE(contains(said([&] { run_stage("sft", folder.path() / "b", yaml + ", prompt_format: plain}", kNoTask); }), "template"))
      << "who says plain means it";
  write_file_atomic(in(folder, "long.jsonl"), chat_row(std::string(90, 'a'), "b"));
  write_file_atomic(in(folder, "empty.jsonl"), "\n\n");
  const auto refused = [&](const std::string& file, const std::string& more) {
    return refusal([&] {
      run_stage("sft", folder.path() / ("x" + file),
                "{model: " + model.string() + ", train_files: [" + in(folder, file) + "], max_length: 32, max_steps: 1" + more + "}",
                kNoTask);
    });
  };
  EXPECT_TRUE(contains(refused("long.jsonl", ""), "no document leaves a token to learn within max_length 32"));
  EXPECT_TRUE(contains(refused("long.jsonl", ", long_documents: drop"), "no document leaves a token to learn"));
  EXPECT_TRUE(contains(refused("empty.jsonl", ""), "empty.jsonl: holds no text to train on"));
}

// ---- grpo ----

std::string problems(int from, int to) {
  std::string rows;
  for (int i = from; i < to; ++i) rows += str(R"({"question": "What is )", i, " + 1?\", \"answer\": \"", i + 1, "\"}\n");
  return rows;
}

const char* const kTinyGrpo =
    "{num_generations: 2, per_device_train_batch_size: 4, max_steps: 2, max_completion_length: 6, save_steps: 0, learning_rate: 1e-3}";

TEST(FirstGrpo, OnOnesOwnFile) {
  TemporaryFolder folder("first_grpo");
  const std::string model = "{model: " + chat_model(folder).string() + "}";
  write_file_atomic(in(folder, "train.jsonl"), problems(0, 6));
  write_file_atomic(in(folder, "more.jsonl"), problems(6, 9));
  write_file_atomic(in(folder, "test.jsonl"), problems(20, 24));
  const auto run = [&](const std::string& name, const std::string& yaml) {
    return said([&] { run_stage("grpo", folder.path() / name, {model, kTinyGrpo, yaml}, kNoTask); });
  };
  // No task, no test split: both are fine.
  const std::string one = run("one", "{train_files: [" + in(folder, "train.jsonl") + "]}");
  for (const char* part :
       {"task math: a question and its known answer a line", "grpo: the first prompt, ",
        "(known answer 1; an answer ends with <|endoftext|>)", "user:What is 0 + 1?",
        "each rollout samples 2 answers (up to 6 tokens) to each of 2 problems of 6, and one step learns from these 4; 2 steps "
        "(max_steps) are 2 rollouts, 0.67 passes over the problems",
        "grpo: done in ", "next:   r1 eval "})
    EXPECT_TRUE(contains(one, part)) << part << " in:\n" << one;
  EXPECT_TRUE(fs::exists(folder.path() / "one/stage.json")) << one;
  // --data FILE is the same, and so is the name of its task.
  const std::string two = run("two", "{data: " + in(folder, "train.jsonl") + ", task: math}");
  EXPECT_EQ(numbers_of(folder.path() / "two"), numbers_of(folder.path() / "one")) << two;
  // Several files, and held-out ones.
  const std::string three = run("three", "{train_files: [" + in(folder, "train.jsonl") + ", " + in(folder, "more.jsonl") +
                                             "], eval_files: [" + in(folder, "test.jsonl") + "], eval_steps: 2}");
  EXPECT_TRUE(contains(three, "of 2 problems of 9")) << three;
  EXPECT_TRUE(metrics_of(folder.path() / "three").back().contains("eval/accuracy")) << three;
  // One file for both.
  const std::string same =
      run("same", "{train_files: [" + in(folder, "train.jsonl") + "], eval_files: [" + in(folder, "train.jsonl") + "]}");
  EXPECT_TRUE(contains(same, "train and test split are the same file")) << same;
  const std::string both = run("both", "{train_files: [" + in(folder, "train.jsonl") + "], data: " + in(folder, "more.jsonl") + "}");
  EXPECT_TRUE(contains(both, "both name the train split")) << both;
  EXPECT_TRUE(
      contains(run("none", "{train_files: [" + in(folder, "train.jsonl") + "], eval_steps: 1}"), "eval_steps needs the test split"));
}

TEST(FirstGrpo, CompletionsHoldTheKnownAnswerAndEachReward) {
  TemporaryFolder folder("grpo_completions");
  run_stage("grpo", folder.path() / "g",
            {"{" + model_setting() + "}", kTinyGrpo, "{reward_funcs: [accuracy, format], reward_weights: [1, 0.5], log_completions: 4}"});
  const auto lines = report::read_metrics(folder.path() / "g/completions.jsonl");
  ASSERT_EQ(lines.size(), 8u);
  const auto task = eval::load_task({"arithmetic", "", {{"style", "chain"}, {"steps", "1"}, {"train_size", "60"}, {"test_size", "20"}}});
  for (const Json& line : lines) {
    const std::string id = line.at("id");
    EXPECT_EQ(line.at("gold"), task->problem("train", std::stoll(id.substr(id.rfind('/') + 1))).gold);
    ASSERT_EQ(line.at("rewards").size(), 2u);
    EXPECT_DOUBLE_EQ(line.at("reward").get<double>(),
                     line.at("rewards").at("accuracy").get<double>() + 0.5 * line.at("rewards").at("format").get<double>());
    EXPECT_EQ(line.at("rewards").at("accuracy").get<double>() == 1, line.at("verdict") == "right");
    EXPECT_TRUE(line.at("finish") == "stop" || line.at("finish") == "length");
    EXPECT_TRUE(line.contains("extracted"));
  }
}

TEST(FirstGrpo, DefaultsAreATryAndAreSaid) {
  TemporaryFolder folder("grpo_defaults");
  const fs::path out = folder.path() / "g";
  // It is stopped as soon as its folder has something besides the config.
  clear_interrupt();
  const std::string words = said([&] {
    const Watcher watcher([&] { return fs::exists(out) && std::distance(fs::directory_iterator(out), {}) > 2; }, request_interrupt);
    run_stage("grpo", out, {"{" + model_setting() + "}", "{max_completion_length: 8}"});
  });
  clear_interrupt();
  EXPECT_TRUE(contains(words,
                       "samples 8 answers (up to 8 tokens) to each of 4 problems of 60, and one step learns from these 32; 100 steps (by "
                       "default)"))
      << words;
}

Rollout scored(const std::vector<std::optional<double>>& values, const std::map<std::string, int64_t>& failures) {
  Rollout rollout;
  rollout.problems.resize(1);
  for (const auto& value : values) rollout.samples.emplace_back().rewards = {value};
  rollout.reward_failures = {failures};
  return rollout;
}

TEST(DeadRewards, StopARunThatOnlyFails) {
  RewardSet rewards({"accuracy"}, {}, {});
  Rollout dead = scored({std::nullopt, std::nullopt}, {{"crash", 2}}), alive = scored({1.0, std::nullopt}, {{"crash", 1}});
  for (int i = 0; i < 2; ++i) rewards.combine(dead);
  EXPECT_EQ(rewards.dead_reason(), "");
  rewards.combine(alive);
  for (int i = 0; i < 2; ++i) rewards.combine(dead);
  EXPECT_EQ(rewards.dead_reason(), "") << "one value begins the count anew";
  rewards.combine(dead);
  EXPECT_EQ(rewards.dead_reason(), "reward accuracy has failed on every sample of 3 rollouts (crash 2 times in the last one)");
  RewardSet silent({"accuracy"}, {}, {});
  Rollout nothing = scored({std::nullopt}, {});
  for (int i = 0; i < 3; ++i) silent.combine(nothing);
  EXPECT_TRUE(contains(silent.dead_reason(), "no sample of 3 rollouts has had a reward"));
}

TEST(DeadRewards, ACommandIsTriedBeforeTheModelIsLoaded) {
  using verify::sandbox::Layer;
  if (const std::string why = verify::sandbox::lacking({Layer::kSeccomp, Layer::kRlimits}); !why.empty()) GTEST_SKIP() << why;
  TemporaryFolder folder("exec_trial");
  const auto program = [&](const std::string& name, const std::string& text) {
    write_file_atomic(in(folder, name), text);
    fs::permissions(in(folder, name), fs::perms(0755));  // the sandbox reads it as somebody else
    return "exec:python3 " + in(folder, name);
  };
  const std::string good =
                        program("good.py",
                                "import sys, json\nfor line in sys.stdin: print(json.dumps({'reward': len(json.loads(line)['gold'])}))\n"),
                    bad = program("bad.py", "import sys\nsys.exit('no such column: answr')\n");
  const auto task = eval::load_task({"arithmetic", "", {{"style", "chain"}, {"steps", "1"}, {"train_size", "60"}, {"test_size", "20"}}});
  const FreeForm options = {{"exec.may_miss", "cgroup,landlock"}};
  RewardSet rewards({"accuracy", good}, {}, options);
  const std::string words = said([&] { rewards.try_commands(*task); });
  EXPECT_TRUE(contains(words, "reward exec gives 2 for the known answer of arithmetic/train/0") ||
              contains(words, "reward exec gives 1 for the known answer of arithmetic/train/0"))
      << words;
  const std::string failed = said([&] {
    EXPECT_TRUE(contains(refusal([&] { RewardSet({bad}, {}, options).try_commands(*task); }),
                         "failed (crash) on the first sample it was tried on, the known answer of arithmetic/train/0"));
  });
  EXPECT_TRUE(contains(failed, "no such column: answr")) << "its own words are there: " << failed;
  // In a run, before the model is loaded.
  const std::string refused = refusal([&] {
    run_stage("grpo", folder.path() / "g",
              {"{" + model_setting() + "}", kTinyGrpo, "{reward_funcs: ['" + bad + "'], reward_options.exec.may_miss: 'cgroup,landlock'}"});
  });
  EXPECT_TRUE(contains(refused, "failed (crash)")) << refused;
}

TEST(Constants, ARewardThatCannotDifferIsWarnedAbout) {
  RewardSet rewards({"soft_overlong_punishment"}, {}, {});
  const std::string words = said([&] { rewards.warn_of_constants(256); });
  EXPECT_TRUE(contains(words, "warning: reward soft_overlong_punishment is 0 for every completion")) << words;
  RewardSet fits({"soft_overlong_punishment"}, {},
                 {{"soft_overlong_punishment.max_length", "256"}, {"soft_overlong_punishment.cache", "64"}});
  EXPECT_EQ(said([&] { fits.warn_of_constants(256); }), "");
}

// ---- rejection ----

TEST(FirstRejection, KeepsItsSamplesAndIsNeverWrittenOver) {
  TemporaryFolder folder("rejection_keeps");
  const fs::path file = folder.path() / "right.jsonl";
  const std::string yaml = "{" + model_setting() + ", num_generations: 4, max_completion_length: 16, limit: 6, chunk: 4";
  const Json result = run_stage("rejection", file, yaml + "}");
  const auto samples = report::read_metrics(folder.path() / "right.samples.jsonl");
  ASSERT_EQ(samples.size(), 24u);
  std::map<std::string, int64_t> fates;
  for (const Json& sample : samples) {
    ++fates[sample.at("fate")];
    EXPECT_FALSE(sample.at("gold").get<std::string>().empty());
    EXPECT_TRUE(sample.at("fate") != "kept" || sample.at("verdict") == "right") << sample;
  }
  EXPECT_EQ(fates["kept"], result.at("kept"));
  for (const auto& [reason, n] : result.at("dropped").items()) EXPECT_EQ(fates[reason], n.get<int64_t>()) << reason;
  // The same again: nothing is sampled. Another config: refused, and everything stands.
  const std::string before = read_file(file);
  const auto written = fs::last_write_time(file);
  EXPECT_EQ(run_stage("rejection", file, yaml + "}"), result);
  const std::string refused = refusal([&] { run_stage("rejection", file, yaml + ", seed: 9}"); });
  for (const char* part : {"seed: 1 -> 9", "another output_file", "--overwrite"}) EXPECT_TRUE(contains(refused, part)) << refused;
  EXPECT_EQ(read_file(file), before);
  EXPECT_EQ(fs::last_write_time(file), written);
  run_stage("rejection", file, yaml + ", seed: 9, overwrite: true, save_samples: false}");
  EXPECT_EQ(parse_json_file(folder.path() / "right.result.json").at("config").at("seed"), 9);
}

// ---- stops ----

TEST(QuickStops, LearningATokenizerAndTokenizingEndInTheMiddle) {
  TemporaryFolder folder("quick_stop");
  std::string text;
  for (int i = 0; i < 4000; ++i) text += str("line ", i, " of some text\n");
  write_file_atomic(in(folder, "text.txt"), text);
  const auto kind_of = [](const std::function<void()>& work) {
    try {
      work();
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::kFailed;
  };
  request_interrupt();
  EXPECT_EQ(
      kind_of([&] { run_stage("tokenizer", folder.path() / "t", "{train_files: [" + in(folder, "text.txt") + "], vocab_size: 400}"); }),
      ErrorKind::kInterrupted);
  clear_interrupt();
  EXPECT_FALSE(fs::exists(folder.path() / "t/tokenizer.json"));
  // Between two texts, not after the round of all of them.
  std::string rows;
  for (int i = 0; i < 500; ++i)
    rows += R"({"text": "x"})"
            "\n";
  write_file_atomic(in(folder, "rows.jsonl"), rows);
  std::atomic<int> made{0};
  const data::CorpusSpec spec{.files = {in(folder, "rows.jsonl")},
                              .make =
                                  [&](const data::Text&) {
                                    if (++made == 10) request_interrupt();
                                    return data::Document{{1, 2}, {1, 1}};
                                  },
                              .maker = "test",
                              .vocab_size = 8};
  EXPECT_EQ(kind_of([&] { data::token_shards(folder.path() / "shards", spec, 2); }), ErrorKind::kInterrupted);
  clear_interrupt();
  EXPECT_LT(made, 20);
  EXPECT_EQ(data::token_shards(folder.path() / "shards", spec, 2)->size(), 500) << "and is made whole the next time";
}

// ---- life inside a step ----

TEST(Bar, ALongStepDoesNotHoldItsEnd) {
  const std::string words = said([] {
    StepBar bar("sft", 10, "step", /*quiet=*/0.01);
    bar.update(1, "loss 2.0");
    bar.at("micro-batch 3/16");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    bar.update(2, "loss 1.5");
    bar.finish();
  });
  EXPECT_TRUE(contains(words, "sft: 2/10 step")) << words;
  EXPECT_TRUE(contains(words, "loss 1.5")) << words;
  EXPECT_FALSE(contains(words, "micro-batch")) << "what a step was at is no news when it is done: " << words;
}

// This process's stderr is a terminal for as long as it lives.
class StderrOnATerminal {
 public:
  StderrOnATerminal() : stderr_(::dup(2)) {
    winsize size = {24, 120, 0, 0};
    int end = -1;
    if (::openpty(&screen_, &end, nullptr, nullptr, &size) != 0 || ::dup2(end, 2) != 2) ADD_FAILURE() << "no terminal can be made here";
    ::close(end);
  }
  ~StderrOnATerminal() {
    ::dup2(stderr_, 2);
    ::close(stderr_);
    ::close(screen_);
  }
  // What is shown until `words` are, a minute at most.
  std::string shown_until(const std::string& words) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!contains(shown_, words) && std::chrono::steady_clock::now() < end) {
      pollfd ready = {screen_, POLLIN, 0};
      char part[4096];
      const auto n = ::poll(&ready, 1, 1000) > 0 ? ::read(screen_, part, sizeof part) : 0;
      if (n > 0) shown_.append(part, size_t(n));
    }
    return shown_;
  }

 private:
  int stderr_, screen_ = -1;
  std::string shown_;
};

TEST(Bar, ALongStepShowsWhatItIsAtOnATerminal) {
  std::string shown;
  {
    StderrOnATerminal terminal;
    set_log_level(LogLevel::kInfo);
    StepBar bar("sft", 10, "step", /*quiet=*/0.2);
    bar.update(1, "loss 2.0");
    bar.at("micro-batch 3/16");
    shown = terminal.shown_until(" in this step");
    bar.finish();
    set_log_level(LogLevel::kWarning);
  }
  EXPECT_TRUE(contains(shown, "loss 2.0  micro-batch 3/16, ")) << shown;
  EXPECT_TRUE(contains(shown, " in this step")) << shown;
  EXPECT_TRUE(contains(shown, "1/10 step")) << shown;
  EXPECT_TRUE(contains(shown, "\r\x1b[")) << "a line that stays, as in a log: " << shown;
}

}  // namespace
}  // namespace r1::stages
