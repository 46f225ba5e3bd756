// Which metric stands where, and what people call it. Names are those of TRL and HF that the stages log.

const kTitles = {
  "reward": "Reward", "reward_std": "Reward spread in a group", "accuracy": "Accuracy", "eval/accuracy": "Held-out accuracy", "eval_accuracy": "Held-out accuracy",
  "mean_token_accuracy": "Token accuracy", "completions/mean_length": "Completion length", "completions/min_length": "Shortest completion",
  "completions/max_length": "Longest completion", "completions/mean_terminated_length": "Length of those that end", "completions/clipped_ratio": "Completions cut off",
  "eval/mean_length": "Held-out length", "kl": "KL to the reference", "entropy": "Entropy", "loss": "Loss", "eval_loss": "Held-out loss", "grad_norm": "Gradient norm",
  "learning_rate": "Learning rate", "tokens_per_second": "Throughput", "sampling/tokens_per_second": "Sampling throughput", "step_time": "Step time",
  "frac_reward_zero_std": "Groups without variance", "num_tokens": "Tokens seen", "epoch": "Epoch", "clip_ratio/region_mean": "Clipped ratios", "monitor/alarms": "Monitors that alarm",
};

const kUnits = {
  "kl": "nats", "entropy": "nats a token", "tokens_per_second": "tokens/s", "sampling/tokens_per_second": "tokens/s", "step_time": "s", "completions/mean_length": "tokens",
  "completions/min_length": "tokens", "completions/max_length": "tokens", "completions/mean_terminated_length": "tokens", "eval/mean_length": "tokens",
};

// In the order of the page; the first that fits takes a metric.
const kGroups = [
  ["Reward", /^(reward$|reward_std$|rewards\/.*\/(mean|std)$|frac_reward)/],
  ["Accuracy", /^(accuracy$|eval[/_]accuracy|mean_token_accuracy|verdicts\/)/],
  ["Length", /^(completions\/|eval\/mean_length)/],
  ["KL and clipping", /^(kl$|kl\/|clip_ratio)/],
  ["Entropy", /^entropy/],
  ["Loss, gradient, learning rate", /^(loss|eval_loss|grad_norm|learning_rate|.*\/loss$)/],
  ["Throughput", /(tokens_per_second|step_time|^time\/|throughput|^tps|mfu|overlap)/],
  ["Memory", /(memory|mem_|_bytes)/],
  ["Reward monitors", /^monitor\//],
  ["Others", /./],
];

// Of a group the charts that people look for first; the others follow in the order of the file.
const kFirst = ["reward", "eval/accuracy", "eval_accuracy", "accuracy", "completions/mean_length", "completions/clipped_ratio", "kl", "entropy", "loss", "eval_loss", "grad_norm",
  "learning_rate", "tokens_per_second", "sampling/tokens_per_second"];

export const titleOf = (key) => kTitles[key] || key;
export const unitOf = (key) => kUnits[key] || (key.startsWith("time/") ? "s" : "");

// Metrics that are drawn: [[group, [key]]]. A metric that was 0 all along (KL with beta 0) goes to the end.
export function grouped(keys) {
  const rank = (key) => {
    const i = kFirst.indexOf(key);
    return i < 0 ? kFirst.length : i;
  };
  return kGroups.map(([name], i) => [name, keys.filter((key) => kGroups.findIndex(([, pattern]) => pattern.test(key)) === i).sort((a, b) => rank(a) - rank(b))])
    .filter(([, list]) => list.length);
}
