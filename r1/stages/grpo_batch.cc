#include "r1/stages/grpo_batch.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "r1/base/file.h"
#include "r1/base/rng.h"
#include "r1/stages/grpo_loss.h"
#include "r1/stages/spread.h"

namespace r1::stages {

namespace {

void append_sample(data::Batch& batch, const Sample& sample, int64_t number, float advantage, double weight) {
  std::vector<int32_t> all(sample.prompt.begin(), sample.prompt.end());
  all.insert(all.end(), sample.completion.begin(), sample.completion.end());
  check(!sample.prompt.empty() && sample.logprobs.size() == sample.completion.size(),
        "[grpo] a sample needs a prompt and a log-probability for each of its tokens");
  const size_t first = sample.prompt.size() - 1;  // its target is the first completion token
  for (size_t t = 0; t + 1 < all.size(); ++t) {
    const bool learned = t >= first;
    batch.ids.push_back(all[t]);
    batch.targets.push_back(all[t + 1]);
    batch.positions.push_back(int32_t(t));
    batch.loss_weight.push_back(learned ? float(weight) : 0.0f);
    batch.advantage.push_back(learned ? advantage : 0.0f);
    batch.old_logprob.push_back(learned ? sample.logprobs[t - first] : 0.0f);
  }
  batch.cu_seqlens.push_back(int32_t(batch.ids.size()));
  batch.document.push_back(int32_t(number));
}

// So that they add up to 1.
void share_out(std::vector<float>& weights) {
  double sum = 0;
  for (const float w : weights) sum += w;
  for (float& w : weights) w = sum > 0 ? float(w / sum) : 0.0f;
}

}  // namespace

std::vector<data::Batch> make_batches(const Rollout& rollout, const std::vector<float>& advantages, const GrpoBatchOptions& options,
                                      const uint64_t* order_seed) {
  check(advantages.size() == rollout.samples.size(), "[grpo] expected an advantage a sample, got ", advantages.size(), " for ",
        rollout.samples.size());
  std::vector<int64_t> order(rollout.samples.size());
  std::iota(order.begin(), order.end(), 0);
  if (order_seed) Rng(*order_seed).shuffle(order);
  std::vector<data::Batch> out;
  for (size_t i = 0; i < order.size(); ++i) {
    if (i % size_t(options.samples_per_batch) == 0) out.emplace_back().cu_seqlens.push_back(0);
    const Sample& sample = rollout.samples[size_t(order[i])];
    const bool masked = options.mask_truncated && sample.finish == engine::FinishReason::kLength;
    const double weight = masked ? 0.0 : token_weight(options.loss_type, int64_t(sample.completion.size()), options.max_completion_length);
    append_sample(out.back(), sample, order[i], advantages[size_t(order[i])], weight);
  }
  if (options.loss_type == "bnpo") {
    for (data::Batch& batch : out) share_out(batch.loss_weight);
  }
  return out;
}

Advantages group_rewards(const Rollout& rollout, const std::string& scale) {
  std::vector<double> rewards;
  for (const auto& sample : rollout.samples) rewards.push_back(sample.reward.value_or(std::nan("")));
  return group_advantages(rewards, int(rollout.samples.size() / rollout.problems.size()), scale);
}

Json rollout_metrics(const Rollout& rollout, const RewardSet& rewards, const std::string& scale) {
  std::vector<double> reward, length, terminated;
  double right = 0, clipped = 0, tokens = 0;
  int64_t verdicts[5] = {};
  for (const auto& s : rollout.samples) {
    if (s.reward) reward.push_back(*s.reward);
    length.push_back(double(s.completion.size()));
    if (s.finish != engine::FinishReason::kLength) terminated.push_back(length.back());
    clipped += s.finish == engine::FinishReason::kLength;
    right += s.score.verdict == tasks::Verdict::kRight;
    tokens += length.back();
    ++verdicts[int(s.score.verdict)];
  }
  const double n = double(rollout.samples.size());
  const auto groups = group_rewards(rollout, scale);
  const auto lengths = spread(length), ended = spread(terminated);
  Json line;
  if (!reward.empty()) line["reward"] = spread(reward).mean;
  line["reward_std"] = groups.mean_std;
  line["frac_reward_zero_std"] = groups.frac_zero_std;
  line["accuracy"] = right / n;
  rewards.add_metrics(line);
  line["completions/mean_length"] = lengths.mean;
  line["completions/min_length"] = lengths.min;
  line["completions/max_length"] = lengths.max;
  line["completions/mean_terminated_length"] = ended.mean;
  line["completions/clipped_ratio"] = clipped / n;
  for (int v = 0; v < 5; ++v) line[str("verdicts/", tasks::verdict_name(tasks::Verdict(v)))] = double(verdicts[v]) / n;
  if (reward.size() < rollout.samples.size()) line["reward/unscored"] = int64_t(rollout.samples.size() - reward.size());
  line["reward/overlap"] = rollout.scoring.busy > 0 ? rollout.scoring.overlapped / rollout.scoring.busy : 1.0;
  line["time/sampling"] = rollout.seconds;
  line["time/rewards"] = rollout.scoring.busy;
  line["time/reward_wait"] = rollout.scoring.waited;
  if (rollout.draft_acceptance) line["sampling/draft_acceptance"] = *rollout.draft_acceptance;
  line["sampling/tokens_per_second"] = tokens / std::max(1e-9, rollout.seconds);
  return line;
}

tasks::MonitorRollout monitor_rollout(const Rollout& rollout, const RewardSet& rewards, double frac_zero_std) {
  tasks::MonitorRollout out;
  const size_t groups = rollout.problems.size();
  std::vector<double> sum(groups, 0), count(groups, 0);
  for (const auto& s : rollout.samples) {
    out.samples.push_back({s.scored, s.measures, s.score.verdict, int64_t(s.completion.size())});
    if (s.reward) sum[size_t(s.group)] += *s.reward, count[size_t(s.group)] += 1;
  }
  for (size_t g = 0; g < groups; ++g)
    if (count[g] > 0) out.group_rewards.push_back(sum[g] / count[g]);
  out.frac_zero_std = frac_zero_std;
  out.reward_values = int64_t(rollout.samples.size() * rewards.rewards().size());
  out.reward_values_failed = rewards.failed();
  return out;
}

void keep_completions(const std::filesystem::path& folder, int64_t step, const Rollout& rollout, const std::vector<std::string>& names,
                      int64_t count) {
  std::string lines;
  for (int64_t i = 0; i < std::min<int64_t>(count, int64_t(rollout.samples.size())); ++i) {
    const auto& s = rollout.samples[size_t(i)];
    const auto& problem = rollout.problems[size_t(s.group)];
    Json row;
    row["step"] = step;
    row["id"] = problem.id;
    row["question"] = problem.question;
    row["gold"] = problem.gold;
    row["completion"] = s.text;
    row["extracted"] = s.score.extracted;
    row["verdict"] = tasks::verdict_name(s.score.verdict);
    row["reward"] = s.reward ? Json(*s.reward) : Json();
    row["rewards"] = Json::object();
    for (size_t r = 0; r < s.rewards.size(); ++r) row["rewards"][names.at(r)] = s.rewards[r] ? Json(*s.rewards[r]) : Json();
    row["tokens"] = s.completion.size();
    row["finish"] = s.finish == engine::FinishReason::kLength ? "length" : "stop";
    lines += dump_json(row) + "\n";
  }
  if (!lines.empty()) append_file(folder / "completions.jsonl", lines);
}

void drop_completions_after(const std::filesystem::path& folder, int64_t step) {
  const auto path = folder / "completions.jsonl";
  if (!std::filesystem::exists(path)) return;
  const std::string text = read_file(path);
  std::string kept;
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const std::string line = text.substr(begin, end - begin);
    if (parse_json(line, path.string()).at("step").get<int64_t>() <= step) kept += line + "\n";
  }
  write_file_atomic(path, kept);
}

}  // namespace r1::stages
