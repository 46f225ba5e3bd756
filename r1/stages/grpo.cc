#include "r1/stages/grpo.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <span>

#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/base/rng.h"
#include "r1/eval/provenance.h"
#include "r1/model/weights_io.h"
#include "r1/stages/advantage.h"
#include "r1/stages/first_look.h"
#include "r1/stages/grpo_batch.h"
#include "r1/stages/quantized_training.h"
#include "r1/stages/step_bar.h"
#include "r1/stages/watch.h"

namespace r1::stages {

namespace {

using Clock = std::chrono::steady_clock;
constexpr uint64_t kRolloutStream = 0x726f6c6c;  // "roll"

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// What Plan reads.
constexpr const char* kPlanKeys[] = {"num_generations",
                                     "temperature",
                                     "gradient_accumulation_steps",
                                     "steps_per_generation",
                                     "per_device_train_batch_size",
                                     "num_iterations",
                                     "num_train_epochs",
                                     "max_steps"};

// max_completion_length at a step. Usage errors for changes that are none.
int64_t completion_length(const GrpoConfig& c, int64_t step) {
  int64_t length = c.sampling.max_completion_length, last = -1;
  for (const std::string& change : c.max_completion_length_changes) {
    long long from = 0, to = 0;
    int end = 0;
    if (std::sscanf(change.c_str(), "%lld=%lld%n", &from, &to, &end) != 2 || size_t(end) != change.size() || from < 1 || to < 1)
      fail_usage("max_completion_length_changes: '", change, "' is not STEP=LENGTH (8200=65536: 65536 tokens from step 8200 on)");
    if (from <= last) fail_usage("max_completion_length_changes: step ", from, " comes after step ", last, "; give them in rising order");
    last = from;
    if (step >= from) length = to;
  }
  return length;
}

// The batch arithmetic of grpo.h, checked before any work.
struct Plan {
  int64_t completions, prompts, updates, total_steps;

  Plan(const GrpoConfig& c, int64_t problems) {
    if (c.sampling.num_generations < 2)
      fail_usage("num_generations is ", c.sampling.num_generations,
                 ": GRPO compares the completions of a prompt with each other, so one alone teaches nothing; give 2 or more");
    if (c.sampling.temperature < 1e-3)
      fail_usage("temperature is ", c.sampling.temperature,
                 ": the policy that is trained is the one at this temperature; give 0.001 or more");
    if (c.engine.kv_eviction != "none")
      fail_usage("engine.kv_eviction is ", c.engine.kv_eviction,
                 ": what is trained is the policy that sees the whole text, so that must be the one that samples; leave it at none");
    const int64_t accumulate = c.run.gradient_accumulation_steps,
                  per_rollout = c.steps_per_generation > 0 ? c.steps_per_generation : accumulate;
    completions = c.run.per_device_train_batch_size * per_rollout;
    if (completions % c.sampling.num_generations != 0)
      fail_usage("a rollout has per_device_train_batch_size * steps_per_generation = ", completions,
                 " completions, which is not a multiple of num_generations (", c.sampling.num_generations, ")");
    if (per_rollout % accumulate != 0)
      fail_usage("steps_per_generation (", per_rollout, ") is not a multiple of gradient_accumulation_steps (", accumulate, ")");
    prompts = completions / c.sampling.num_generations;
    updates = per_rollout / accumulate * c.num_iterations;
    const int64_t rollouts = int64_t(std::ceil(c.run.num_train_epochs * double(problems) / double(prompts)));
    total_steps = c.run.max_steps > 0 ? c.run.max_steps : c.run.num_train_epochs > 0 ? rollouts * updates : kFirstSteps;
  }

  // What the numbers mean, for people.
  std::string in_words(const GrpoConfig& c, int64_t problems) const {
    const auto number = [](int64_t n, const char* what) { return str(n, " ", what, n == 1 ? "" : "s"); };
    const int64_t rollouts = (total_steps + updates - 1) / updates;
    char passes[32];
    std::snprintf(passes, sizeof passes, "%.2g", double(rollouts * prompts) / double(problems));
    return str("each rollout samples ", c.sampling.num_generations, " answers (up to ", c.sampling.max_completion_length, " tokens) to ",
               prompts == 1 ? "one problem" : str("each of ", prompts, " problems"), " of ", problems, ", and ",
               updates == 1 ? "one step learns from these " : str(number(updates, "step"), " learn from these "), completions, "; ",
               number(total_steps, "step"), " (",
               c.run.max_steps > 0          ? "max_steps"
               : c.run.num_train_epochs > 0 ? "num_train_epochs"
                                            : "by default",
               ") are ", number(rollouts, "rollout"), ", ", passes, " passes over the problems");
  }
};

// The frozen policy of the KL term.
class Reference {
 public:
  Reference(const GrpoConfig& config, const model::Transformer& policy)
      : wanted_(config.loss.beta > 0), sync_steps_(config.ref_model_sync_steps), max_shard_size_(config.run.max_shard_size) {
    if (wanted_) model_ = std::make_unique<model::Transformer>(policy.config(), policy.device(), policy.dtype());
    if (wanted_) copy_from(policy);
  }
  void sync_if_due(const model::Transformer& policy, int64_t before, int64_t after) {
    if (!wanted_ || sync_steps_ == 0 || before / sync_steps_ == after / sync_steps_) return;
    copy_from(policy);
    log_info("grpo: the reference is the policy of step ", after, " now");
  }
  // Forgets what it said of the last rollout's samples.
  void new_rollout() { known_.clear(); }
  // The reference's log-probability of every target. A sample is computed once a rollout, however many passes there are over it. False:
  // given up, as `stop` (asked before each batch) said so.
  bool fill(std::vector<data::Batch>& batches, double temperature, const std::function<bool()>& stop) {
    if (!wanted_) return true;
    for (auto& batch : batches) {
      if (stop()) return false;
      batch.ref_logprob = known_.of(batch, [&] { return train::batch_logprobs(*model_, batch, temperature); });
    }
    return true;
  }
  void save(const std::filesystem::path& folder) const {
    if (wanted_) model::save_model(*model_, folder / "reference", model_->dtype(), max_shard_size_);
  }
  void load(const std::filesystem::path& checkpoint) {
    if (wanted_ && std::filesystem::exists(checkpoint / "reference")) model::load_weights(*model_, checkpoint / "reference");
  }

 private:
  void copy_from(const model::Transformer& policy) {
    for (size_t i = 0; i < policy.weights().size(); ++i) model_->weights()[i].tensor->copy_(*policy.weights()[i].tensor);
    model_->set_requires_grad(false);
    known_.clear();
  }

  bool wanted_;
  int64_t sync_steps_, max_shard_size_;
  std::unique_ptr<model::Transformer> model_;
  SampleLogprobs known_;
};

Json update_metrics(const train::StepResult& step) {
  const auto get = [](const std::map<std::string, double>& of, const char* name) {
    const auto it = of.find(name);
    return it == of.end() ? 0.0 : it->second;
  };
  Json line = step_metrics(step);
  if (step.empty) return line;
  const auto& sums = step.metrics.sums;
  const double tokens = std::max(1.0, get(sums, "tokens"));
  line["entropy"] = get(sums, "entropy") / tokens;
  line["kl"] = get(sums, "kl") / tokens;
  if (sums.contains("clip_low")) {
    line["clip_ratio/low_mean"] = get(sums, "clip_low") / tokens;
    line["clip_ratio/high_mean"] = get(sums, "clip_high") / tokens;
    line["clip_ratio/region_mean"] = (get(sums, "clip_low") + get(sums, "clip_high")) / tokens;
  }
  if (sums.contains("cispo_clipped")) line["cispo_clip_ratio"] = get(sums, "cispo_clipped") / tokens;
  line["sampling/importance_sampling_ratio/mean"] = get(sums, "ratio") / tokens;
  line["sampling/importance_sampling_ratio/max"] = get(step.metrics.maxima, "ratio_max");
  line["sampling/sampling_logp_difference/mean"] = get(sums, "logp_difference") / tokens;
  line["sampling/sampling_logp_difference/max"] = get(step.metrics.maxima, "logp_difference_max");
  return line;
}

// One run's moving parts, so that the loop below reads as the algorithm.
class Loop {
 public:
  Loop(const GrpoConfig& config, const train::TrainerConfig& trainer, Run& run, const LoadedModel& loaded, const tasks::Task& task,
       RewardSet& rewards, const Plan& plan)
      : c_(config),
        run_(run),
        tokenizer_(*loaded.tokenizer),
        task_(task),
        rewards_(rewards),
        plan_(plan),
        prompts_(*loaded.tokenizer, loaded.chat.get(), config.prompt, loaded.stop_ids),
        reference_(config, *loaded.model),
        trainer_(*loaded.model, trainer, plan.total_steps, uint64_t(config.run.seed), nullptr,
                 quantized_training(trainer, *loaded.model, run)),
        engine_(*loaded.model, config.engine),
        pool_(task, rewards.rewards(), {int(config.reward_workers), config.reward_deadline, /*measure=*/true}),
        watch_(engine_, tokenizer_, task, prompts_, config.sampling),
        monitors_(config.monitor),
        bar_("grpo", plan.total_steps, "step"),
        prompts_for_chat_(loaded.chat && config.prompt.prompt_format != "plain") {}

  Json go();

 private:
  bool rollout(Rollout& out);
  bool update(const Rollout& rollout, const Json& rollout_line);
  bool correct(std::vector<data::Batch>& batches, Json& line);
  bool one_update(std::span<const data::Batch> batches, const train::LossSpec& loss, const Json& rollout_line);
  // No update has been made from this rollout yet, so what stands can still be a checkpoint.
  bool at_boundary() const { return trainer_.global_step() == boundary_; }
  Json state() const {
    return {{"rollout", rollout_},         {"num_tokens", num_tokens_},     {"watch", watch_.state()},
            {"history", history_.state()}, {"monitors", monitors_.state()}, {"alarms", alarms_}};
  }
  bool evaluate_if_due(int64_t before, Json& line);
  void look_for_alarms();
  std::string data_to_evaluate() const;

  const GrpoConfig& c_;
  Run& run_;
  const text::Tokenizer& tokenizer_;
  const tasks::Task& task_;
  RewardSet& rewards_;
  const Plan plan_;
  data::PromptMaker prompts_;
  Reference reference_;
  SampleLogprobs old_;
  train::Trainer trainer_;
  engine::Engine engine_;
  tasks::ScoringPool pool_;
  Watch watch_;
  History history_;
  tasks::Monitors monitors_;
  Json alarms_ = Json::array();  // not logged yet
  StepBar bar_;
  const bool prompts_for_chat_;
  int64_t rollout_ = 0, num_tokens_ = 0, boundary_ = 0;  // boundary: the step at which this rollout was made
};

bool Loop::rollout(Rollout& out) {
  const uint64_t seed = random_bits(uint64_t(c_.run.seed), kRolloutStream, uint64_t(rollout_));
  const auto problems = problem_order(task_.size("train"), plan_.prompts, rollout_, uint64_t(c_.run.seed));
  const RolloutProgress progress{[&](int64_t finished, int64_t total) {
    bar_.at(str("sampling ", finished, "/", total));
    return !interrupted();
  }};
  SamplingArgs sampling = c_.sampling;
  sampling.max_completion_length = completion_length(c_, boundary_);
  out = sample_rollout(engine_, tokenizer_, prompts_, task_, pool_, "train", problems, sampling, seed, progress);
  return !out.samples.empty();
}

// False: given up for a stop.
bool Loop::update(const Rollout& rollout, const Json& rollout_line) {
  const auto advantages = group_rewards(rollout, c_.scale_rewards);
  const int64_t per_batch = c_.run.per_device_train_batch_size, accumulate = c_.run.gradient_accumulation_steps;
  const auto loss = grpo_loss(c_.loss, c_.sampling.temperature);
  const auto stop = [this] {
    bar_.at("the reference's log-probabilities");
    return run_.must_stop();
  };
  const int64_t length = completion_length(c_, boundary_);
  reference_.new_rollout();
  old_.clear();
  Json line = rollout_line;
  for (int64_t pass = 0; pass < c_.num_iterations; ++pass) {
    const uint64_t order_seed = random_bits(uint64_t(c_.run.seed), kRolloutStream + 1, uint64_t(rollout_ * c_.num_iterations + pass));
    const GrpoBatchOptions options{per_batch, length, c_.loss.loss_type, c_.mask_truncated_completions};
    auto batches = make_batches(rollout, advantages.values, options, c_.shuffle_minibatches ? &order_seed : nullptr);
    if (!reference_.fill(batches, c_.sampling.temperature, stop) || !correct(batches, line)) return false;
    for (size_t b = 0; b < batches.size() && trainer_.global_step() < plan_.total_steps; b += size_t(accumulate)) {
      if (!one_update(std::span(batches).subspan(b, size_t(accumulate)), loss, line)) return false;
    }
  }
  return true;
}

// Before the first update of a rollout the trainer is the policy that sampled it. False: given up for a stop.
bool Loop::correct(std::vector<data::Batch>& batches, Json& line) {
  if (c_.correction.importance_sampling_correction == "none") return true;
  CorrectionStatistics statistics;
  for (data::Batch& batch : batches) {
    bar_.at("the trainer's log-probabilities");
    if (run_.must_stop()) return false;
    correct_batch(c_.correction, old_.of(batch, [&] { return trainer_.logprobs(batch, c_.sampling.temperature); }), batch, statistics);
  }
  line.update(statistics.metrics());
  return true;
}

bool Loop::one_update(std::span<const data::Batch> batches, const train::LossSpec& loss, const Json& rollout_line) {
  const auto start = Clock::now();
  const int64_t before = trainer_.global_step();
  size_t micro = 0;
  const auto result = trainer_.step(batches, loss, [&] {
    bar_.at(str("learning, micro-batch ", ++micro, "/", batches.size()));
    return run_.must_stop();
  });
  if (result.stopped) return false;
  // The reference is the model as it is kept, also where training rounds it.
  trainer_.with_masters([&] { reference_.sync_if_due(trainer_.model(), before, trainer_.global_step()); });
  num_tokens_ += result.tokens;
  Json line = update_metrics(result);
  line.update(rollout_line);
  line["num_tokens"] = num_tokens_;
  line["epoch"] = double(rollout_ * plan_.prompts) / double(task_.size("train"));
  line["time/update"] = seconds_since(start);
  if (!evaluate_if_due(before, line)) return false;
  monitors_.add_metrics(line);
  const int64_t step = trainer_.global_step();
  if (step % c_.run.logging_steps == 0 || step == plan_.total_steps || result.skipped) {
    if (!alarms_.empty()) line["alarms"] = std::exchange(alarms_, Json::array());
    run_.log(step, line);
  }
  bar_.update(step, history_.note());
  return true;
}

// False: given up for a stop.
bool Loop::evaluate_if_due(int64_t before, Json& line) {
  const int64_t now = trainer_.global_step();
  if (c_.eval_steps == 0 || (before / c_.eval_steps == now / c_.eval_steps && now != plan_.total_steps)) return true;
  eval::EvalArgs args;
  args.limit = c_.eval_limit;
  args.max_completion_length = c_.sampling.max_completion_length;
  args.stop = c_.sampling.stop;
  bool stopped = false;
  const auto result = eval::evaluate(engine_, tokenizer_, task_, prompts_, args, [&](int64_t finished, int64_t total) {
    bar_.at(str("evaluating ", finished, "/", total));
    return !(stopped = stopped || run_.must_stop());
  });
  if (stopped) return false;
  line["eval/accuracy"] = result.accuracy;
  line["eval/mean_length"] = result.mean_length;
  history_.held_out(now, result.accuracy, result.mean_length);
  monitors_.held_out(result.accuracy, result.n, now);
  look_for_alarms();
  log_info("grpo: step ", now, ": held-out greedy accuracy ", result.accuracy, " on ", result.n, " problems, ", result.mean_length,
           " tokens");
  return true;
}

// Each once, when it begins: to people as a warning, to metrics.jsonl with the next line.
void Loop::look_for_alarms() {
  for (const auto& alarm : monitors_.take_alarms()) {
    log_warning("grpo: step ", alarm.step, ": monitor ", alarm.monitor, " alarms. ", alarm.text);
    alarms_.push_back(
        {{"monitor", alarm.monitor}, {"step", alarm.step}, {"value", alarm.value}, {"limit", alarm.limit}, {"text", alarm.text}});
  }
}

// The option that names held-out problems, for the command that one runs next; "" for a task that makes its own.
std::string Loop::data_to_evaluate() const {
  const auto test = c_.task.options.find("test");
  if (!c_.eval_files.empty()) return " --data " + eval::shell_word(c_.eval_files[0]);
  if (test != c_.task.options.end()) return " --data " + eval::shell_word(test->second);
  if (task_.size("test") > 0) return c_.task.data.empty() ? "" : " --data " + eval::shell_word(c_.task.data);
  return " --data <held-out problems>";
}

Json Loop::go() {
  if (run_.checkpoint()) reference_.load(*run_.checkpoint());
  const Json saved = run_.start(trainer_, tokenizer_);
  run_.on_save([this](const std::filesystem::path& folder) { reference_.save(folder); });
  drop_completions_after(run_.folder(), trainer_.global_step());
  if (!saved.is_null()) {
    rollout_ = saved.at("rollout");
    num_tokens_ = saved.at("num_tokens");
    watch_.load_state(saved.at("watch"));
    history_.load_state(saved.at("history"));
    if (saved.contains("monitors")) monitors_.load_state(saved.at("monitors"));  // older checkpoints have none
    alarms_ = saved.value("alarms", Json::array());
  }
  const auto begin = Clock::now();
  while (trainer_.global_step() < plan_.total_steps) {
    watch_.look(trainer_.global_step(), plan_.total_steps, interrupted);
    boundary_ = trainer_.global_step();
    const Json before = state();
    Rollout rollout;
    if (!this->rollout(rollout)) run_.after_step(boundary_, before);  // a stop: saves and throws
    rewards_.combine(rollout);
    if (const std::string dead = rewards_.dead_reason(); !dead.empty())
      fail("grpo: stopped at step ", boundary_, ": ", dead,
           ". Mend it, and the same command goes on from the newest checkpoint, if there is one");
    Json line = rollout_metrics(rollout, rewards_, c_.scale_rewards);
    history_.add(line);
    monitors_.rollout(monitor_rollout(rollout, rewards_, line.at("frac_reward_zero_std")), boundary_);
    look_for_alarms();
    if (!update(rollout, line)) {
      if (at_boundary()) run_.after_step(boundary_, before);
      run_.give_up(trainer_.global_step());
    }
    ++rollout_;
    keep_completions(run_.folder(), trainer_.global_step(), rollout, rewards_.names(), c_.log_completions);
    run_.so_far({{"watched", watch_.to_json()}, {"monitors", monitors_.summary()}});
    run_.after_step(trainer_.global_step(), state());
  }
  bar_.finish(history_.note());
  watch_.look(trainer_.global_step(), plan_.total_steps, [this] { return run_.must_stop(); });
  show("the plot", [this] { history_.plot(); });

  Json results = history_.results();
  results["watched"] = watch_.to_json();
  results["monitors"] = monitors_.summary();
  results["steps"] = trainer_.global_step();
  add_skips(results, trainer_);
  results["num_tokens"] = num_tokens_;
  results["train_runtime"] = seconds_since(begin);
  const std::string folder = eval::shell_word(c_.run.output_dir);
  run_.finish(results, {(prompts_for_chat_ ? "r1 chat " : "r1 generate ") + folder,
                        str("r1 eval ", folder, " --task ", task_.name(), data_to_evaluate())});
  return results;
}

// The first prompt as the model gets it.
void show_prompt(const LoadedModel& loaded, const GrpoConfig& config, const tasks::Task& task) {
  const data::PromptMaker prompts(*loaded.tokenizer, loaded.chat.get(), config.prompt, loaded.stop_ids);
  const tasks::Problem problem = task.problem("train", 0);
  const auto ids = prompts.prompt(problem.prompt, problem.messages);
  if (!loaded.chat && config.prompt.prompt_format == "auto")
    log_warning("grpo: the model has no chat template, so prompts are the task's plain text; prompt_format=plain says that this is meant");
  std::string ends;
  for (const auto id : loaded.stop_ids) ends += str(ends.empty() ? "" : ", ", rendered(*loaded.tokenizer, {id}, {}));
  log_info("grpo: the first prompt, ", ids.size(), " tokens (known answer ", printable(problem.gold), "; an answer ends with ",
           ends.empty() ? "max_completion_length only" : ends, "):\n  ", rendered(*loaded.tokenizer, ids, {}));
}

}  // namespace

void check(const GrpoConfig& config, const Preflight& preflight) {
  check_device(config.run.device, preflight);
  std::unique_ptr<tasks::Task> task;
  if (preflight.knows("train_files") && preflight.knows("eval_files")) {
    const auto parts = training_tasks(config.task, config.train_files, config.eval_files);
    for (const auto& part : parts)
      if (auto one = check_task(part, preflight); !task) task = std::move(one);
  }
  const int64_t problems = task ? tasks::required_size(*task, "train", "grpo") : 1;
  if (task && config.eval_steps > 0 && preflight.knows("eval_steps")) tasks::required_size(*task, "test", "eval_steps");
  const bool numbers = std::all_of(std::begin(kPlanKeys), std::end(kPlanKeys), [&](const char* key) { return preflight.knows(key); });
  if (numbers) Plan(config, problems);
  check_loss(config.loss);
  check_correction(config.correction);
  completion_length(config, 0);
  if (preflight.knows("reward_funcs") && preflight.knows("reward_weights"))
    RewardSet(config.reward_funcs, config.reward_weights, config.reward_options);
  train::TrainerConfig trainer = config.trainer;
  training_dtype(config.model, trainer, at::kCPU);
  check_model(config.model, preflight);
}

Json grpo(const GrpoConfig& config) {
  check(config, {.quick = true});
  const auto device = tensor::parse_device(config.run.device);
  const auto task = training_task(config.task, config.train_files, config.eval_files);
  const int64_t problems = tasks::required_size(*task, "train", "grpo");
  const Plan plan(config, problems);
  RewardSet rewards(config.reward_funcs, config.reward_weights, config.reward_options);
  rewards.warn_of_constants(config.sampling.max_completion_length);
  Run run("grpo", config.run, config_to_json(config));
  if (run.complete()) return run.results();
  rewards.try_commands(*task);

  train::TrainerConfig trainer_config = config.trainer;
  const auto loaded = load(config.model, device, training_dtype(config.model, trainer_config, device));
  if (!run.checkpoint()) show_prompt(loaded, config, *task);
  log_info("grpo: ", plan.in_words(config, problems));
  return Loop(config, trainer_config, run, loaded, *task, rewards, plan).go();
}

void GrpoConfig::visit(Fields& v) {
  v.group("", run);
  v.group("", model);
  v.group("", task);
  v.group("", prompt);
  v.group("", trainer);
  v.group("", sampling);
  v.group("", loss);
  v.group("", correction);
  v.group("engine", engine);
  v("train_files", train_files,
    "problems with known answers, a row each (task math unless --task names another); or give a task and its data");
  v("eval_files", eval_files, "held-out problems for eval_steps");
  v("reward_funcs", reward_funcs,
    "rewards, summed: accuracy, format, tag_count, length, cosine, repetition_penalty, language_consistency, ..., exec:<command>");
  v("reward_weights", reward_weights, "a weight for each reward (default: 1 each)");
  v("reward_options", reward_options, "options of rewards: reward_options.<name>.<option>=value");
  v("reward_workers", reward_workers, "threads that score completions while others are generated; 0: as many as CPU threads",
    Range{0, 1024});
  v("reward_deadline", reward_deadline,
    "seconds to wait for scores when generation is over; later ones count as timeout, without reward; 0: wait for all", Range{0, 1e6});
  v("scale_rewards", scale_rewards, "advantages are divided by the standard deviation of the group, of the batch, or not",
    OneOf{"group", "batch", "none"});
  v("steps_per_generation", steps_per_generation, "micro-batches of one rollout; 0: gradient_accumulation_steps", Range{0, 1e6});
  v("num_iterations", num_iterations, "passes over each rollout", Range{1, 1e4});
  v("ref_model_sync_steps", ref_model_sync_steps, "replace the reference by the policy every so many steps (R1: 400); 0: never",
    Range{0, 1e9});
  v("mask_truncated_completions", mask_truncated_completions, "completions cut off by max_completion_length teach nothing");
  v("max_completion_length_changes", max_completion_length_changes,
    "STEP=LENGTH: another max_completion_length from that step's rollout on (R1-Zero: 8200=65536)");
  v("shuffle_minibatches", shuffle_minibatches, "mix the groups of a rollout over its minibatches");
  v("eval_steps", eval_steps, "steps between greedy evaluations on the test split; 0: never", Range{0, 1e9});
  v("eval_limit", eval_limit, "problems of each such evaluation", Range{1, 1e9});
  v("log_completions", log_completions, "sample completions kept a rollout for the report", Range{0, 1000});
  v.group("monitor", monitor);
}

}  // namespace r1::stages
