// What does choosing the next tokens cost on a GPU? Random logits [rows, V] fp32, every kind of sampling, at several batch sizes:
//   bench_sampling [--vocab 151936 --rows 1,64,256,512 --kinds greedy,temperature,... --steps 200]
// Prints one JSON object a line: {"kind", "rows", "us", "us_in_a_row", "us_host", "us_read"}: microseconds from the call to the tokens on the
// host; of a step where the next is enqueued before the last is collected; of the host in enqueue(); and to read the logits once at 4.28 TB/s.
#include <ATen/core/grad_mode.h>

#include <chrono>

#include "bench/bench.h"
#include "r1/base/rng.h"
#include "r1/engine/device_sampler.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/dtype.h"

namespace r1 {
namespace {

using Clock = std::chrono::steady_clock;
double us_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

struct Kind {
  std::string name;
  engine::SamplingParams params;
  bool flat = false;
};
std::vector<Kind> all_kinds() {
  return {
      {"greedy", {.temperature = 0}},
      {"greedy_logprob", {.temperature = 0, .logprobs = true}},
      {"temperature", {.temperature = 0.8}},
      {"temperature_logprob", {.temperature = 0.8, .logprobs = true}},
      {"top_k_top_p", {.temperature = 0.8, .top_k = 50, .top_p = 0.95, .logprobs = true}},
      {"top_p", {.temperature = 0.8, .top_p = 0.95, .logprobs = true}},
      {"min_p", {.temperature = 0.8, .min_p = 0.05, .logprobs = true}},
      {"penalties", {.temperature = 0.8, .repetition_penalty = 1.1, .presence_penalty = 0.1, .frequency_penalty = 0.1, .logprobs = true}},
      {"top_logprobs", {.temperature = 0.8, .logprobs = true, .top_logprobs = 5}},
      {"all",
       {.temperature = 0.8,
        .top_k = 50,
        .top_p = 0.95,
        .min_p = 0.01,
        .repetition_penalty = 1.1,
        .presence_penalty = 0.1,
        .max_new_tokens = 1 << 20,
        .min_new_tokens = 1 << 20,
        .stop_ids = {1, 2},
        .logprobs = true,
        .top_logprobs = 5}},
      {"flat_top_p", {.temperature = 0.8, .top_p = 0.95, .logprobs = true}, true},
  };
}

void measure(const Kind& kind, int64_t count, const Tensor& logits_RV, int64_t steps) {
  const int64_t vocab = logits_RV.size(1);
  constexpr int kDistinct = 2000;
  Rng rng(2);
  std::vector<engine::TokenCounts> counts(static_cast<size_t>(count));
  std::vector<engine::SampleRow> rows;
  std::vector<int64_t> index;
  for (int64_t i = 0; i < count; ++i) {
    if (engine::wants_penalties(kind.params))
      for (int n = 0; n < kDistinct; ++n) counts[size_t(i)].add_prompt(engine::TokenId(rng.below(uint64_t(vocab))));
    rows.push_back({.params = &kind.params, .counts = &counts[size_t(i)], .sample_index = int32_t(i)});
    index.push_back(i);
  }
  engine::DeviceSampler sampler(logits_RV.device(), count, vocab);
  std::vector<engine::Sampled> out(static_cast<size_t>(count));
  double host = 0;
  const auto enqueue = [&] {
    const auto start = Clock::now();
    sampler.enqueue(logits_RV, index, rows);
    host += us_since(start);
  };
  const auto collect = [&] {
    sampler.collect(out);
    for (size_t i = 0; i < out.size(); ++i) {
      ++rows[i].token_index;
      if (engine::wants_penalties(kind.params)) counts[i].add_made(out[i].token);
    }
  };
  std::vector<double> alone;
  for (int64_t s = 0; s < steps + 5; ++s) {
    if (s == 5) host = 0;
    const auto start = Clock::now();
    enqueue();
    sampler.collect(out);
    if (s >= 5) alone.push_back(us_since(start));
    sampler.enqueue(logits_RV, index, rows);  // as a step whose tokens count
    collect();
  }
  const double host_us = host / double(steps);
  enqueue();
  const auto start = Clock::now();
  for (int64_t s = 0; s < steps; ++s) {
    enqueue();
    collect();
  }
  const double in_a_row = us_since(start) / double(steps);
  collect();
  bench::print({{"bench", "sampling"},
                {"kind", kind.name},
                {"rows", count},
                {"vocab", vocab},
                {"us", bench::median(alone)},
                {"us_in_a_row", in_a_row},
                {"us_host", host_us},
                {"us_read", double(count * vocab) * 4 / 4.28e6}});
}

void run(int argc, char** argv) {
  const at::NoGradGuard no_grad;
  std::string names;
  for (const Kind& k : all_kinds()) names += (names.empty() ? "" : ",") + k.name;
  const bench::Arguments a(argc, argv, {{"vocab", "151936"}, {"rows", "1,64,256,512"}, {"kinds", names}, {"steps", "200"}});
  const at::Device device = tensor::parse_device("cuda");
  const std::vector<std::string> wanted = bench::split(a.text("kinds"));
  for (const std::string& count : bench::split(a.text("rows"))) {
    const int64_t rows = std::stoll(count);
    const auto options = at::TensorOptions().dtype(at::kFloat).device(device);
    const Tensor random = aten::randn({rows, a.number("vocab")}, options) * 2.5, flat = aten::zeros({rows, a.number("vocab")}, options);
    for (const Kind& kind : all_kinds())
      if (std::find(wanted.begin(), wanted.end(), kind.name) != wanted.end())
        measure(kind, rows, kind.flat ? flat : random, a.number("steps"));
  }
}

}  // namespace
}  // namespace r1

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] { r1::run(argc, argv); });
}
