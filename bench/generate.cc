// How fast does the engine generate on a GPU? Random weights of a published shape in bf16, fixed lengths, synthetic prompts; one JSON object a
// line. Ceilings are bytes over a copy's measured 4.3 TB/s: all weights once a step and the cache of every sequence.
//   single   1 request, 32 in, 128 out: tokens/s of decoding, share of the ceiling
//   rollout  256 x (128 in, 256 out): tokens/s of decoding and of all
//   mixed    256 requests, 100 to 1024 in and out, the lengths of nano-vllm's bench.py (133,966 tokens out)
//   prefix   64 requests of 2,048 common and 64 own tokens: time to the first token, warm over cold
//   lookup   greedy text that repeats itself, 1 and 64 requests: guesses from the text over none, the same tokens
//   options  256 x (128 in, 128 out) with each option that a sampler may find dear, over plain sampling at temperature 1
// bench_generate [single,rollout,...] [--shape qwen2.5-0.5b] [--graphs yes|off] [--repeat 2] [--device cuda]
#include <ATen/core/grad_mode.h>

#include <chrono>

#include "bench/bench.h"
#include "r1/base/rng.h"
#include "r1/engine/engine.h"
#include "r1/model/presets.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/dtype.h"

namespace {

using namespace r1;
using Clock = std::chrono::steady_clock;
constexpr double kBytesPerSecond = 4.3e12;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Python's random.seed(0) and randint, of which the peer's lengths are made: the Mersenne Twister seeded by init_by_array([0]).
class PythonRandom {
 public:
  PythonRandom() {
    std::vector<uint32_t> s(624);
    s[0] = 19650218;
    for (uint32_t i = 1; i < 624; ++i) s[i] = 1812433253u * (s[i - 1] ^ s[i - 1] >> 30) + i;
    uint32_t i = 1;
    const auto wrap = [&] {
      if (++i >= 624) s[0] = s[623], i = 1;
    };
    for (int k = 0; k < 624; ++k) s[i] = (s[i] ^ (s[i - 1] ^ s[i - 1] >> 30) * 1664525u), wrap();
    for (int k = 0; k < 623; ++k) s[i] = (s[i] ^ (s[i - 1] ^ s[i - 1] >> 30) * 1566083941u) - i, wrap();
    s[0] = 0x80000000u;
    state_ = std::move(s);
  }
  int64_t between(int64_t low, int64_t high) {
    const uint64_t n = uint64_t(high - low + 1);
    int bits = 0;
    while (n >> bits) ++bits;
    uint64_t r;
    do r = next() >> (32 - bits);
    while (r >= n);
    return low + int64_t(r);
  }

 private:
  uint32_t next() {
    if (at_ == 624) {
      for (size_t k = 0; k < 624; ++k) {
        const uint32_t y = (state_[k] & 0x80000000u) | (state_[(k + 1) % 624] & 0x7fffffffu);
        state_[k] = state_[(k + 397) % 624] ^ y >> 1 ^ (y & 1 ? 0x9908b0dfu : 0u);
      }
      at_ = 0;
    }
    uint32_t y = state_[at_++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
  }
  std::vector<uint32_t> state_;
  size_t at_ = 624;
};

struct Bench {
  std::unique_ptr<model::Transformer> model;
  std::string shape, device;
  bool graphs = true;
  int64_t repeat = 2;

  double weight_bytes() const {
    double bytes = 0;
    for (const model::WeightRow& row : model->weights()) bytes += double(row.tensor->nbytes());
    return bytes;
  }
  double cache_bytes_per_token() const {
    double bytes = 0;
    for (int i = 0; i < model->num_caches(); ++i) bytes += double(model->cache_bytes(i, 16)) / 16;
    return bytes;
  }
  std::unique_ptr<engine::Engine> engine(int64_t sequences, int64_t tokens, int64_t longest) const {
    engine::EngineConfig config;
    config.max_num_seqs = sequences;
    config.max_num_batched_tokens = tokens;
    config.max_model_len = longest;
    config.cuda_graphs = graphs;
    config.gpu_memory_utilization = 0.7;
    return std::make_unique<engine::Engine>(*model, config);
  }
  Json head(const char* row) const { return {{"bench", row}, {"shape", shape}, {"device", device}, {"graphs", graphs}}; }
};

engine::Request random_request(Rng& rng, int64_t vocab, int64_t prompt, int64_t answer, double temperature) {
  engine::Request r;
  for (int64_t i = 0; i < prompt; ++i) r.prompt.push_back(engine::TokenId(rng.below(uint64_t(vocab))));
  r.sampling = {.temperature = temperature, .seed = rng.bits(), .max_new_tokens = answer};
  return r;
}

struct Run {
  double seconds = 0, decode_seconds = 0;
  int64_t tokens = 0, decode_tokens = 0, decode_steps = 0;
};
// Until the engine is idle. Decoding: steps that come when all have been prefilled.
Run run_out(engine::Engine& engine) {
  Run run;
  const auto start = Clock::now();
  Clock::time_point decoding{};
  for (bool decodes = false; !engine.idle();) {
    const int64_t prefilled = engine.stats().prefill_tokens;
    const int64_t made = int64_t(engine.step().size());
    run.tokens += made;
    if (!decodes && engine.stats().waiting == 0 && engine.stats().prefill_tokens == prefilled) {
      decodes = true;
      decoding = Clock::now();
      continue;
    }
    if (decodes) run.decode_tokens += made, ++run.decode_steps;
  }
  run.seconds = seconds_since(start);
  run.decode_seconds = seconds_since(decoding);
  return run;
}

void single(const Bench& b) {
  const auto engine = b.engine(1, 2048, 512);
  Rng rng(1);
  Run best;
  for (int64_t round = 0; round <= b.repeat; ++round) {  // the first warms up
    engine->add(random_request(rng, b.model->config().vocab_size, 32, 128, 0));
    const Run run = run_out(*engine);
    if (round > 0 && (best.seconds == 0 || run.decode_seconds < best.decode_seconds)) best = run;
  }
  const double rate = double(best.decode_tokens) / best.decode_seconds;
  const double ceiling = kBytesPerSecond / (b.weight_bytes() + b.cache_bytes_per_token() * 96);
  Json line = b.head("single");
  line.update(
      {{"decode_tok_s", rate}, {"ceiling_tok_s", ceiling}, {"of_ceiling", rate / ceiling}, {"tok_s", double(best.tokens) / best.seconds}});
  bench::print(line);
}

void rollout(const Bench& b) {
  const auto engine = b.engine(256, 8192, 512);
  Rng rng(1);
  Run best;
  for (int64_t round = 0; round <= b.repeat; ++round) {
    for (int i = 0; i < 256; ++i) engine->add(random_request(rng, b.model->config().vocab_size, 128, 256, 1));
    const Run run = run_out(*engine);
    if (round > 0 && (best.seconds == 0 || run.seconds < best.seconds)) best = run;
  }
  const double rate = double(best.decode_tokens) / best.decode_seconds;
  const double ceiling = 256 * kBytesPerSecond / (b.weight_bytes() + 256 * b.cache_bytes_per_token() * 256);
  Json line = b.head("rollout");
  line.update({{"decode_tok_s", rate},
               {"of_ceiling", rate / ceiling},
               {"tok_s", double(best.tokens) / best.seconds},
               {"step_ms", 1e3 * best.decode_seconds / double(best.decode_steps)},
               {"prefill_s", best.seconds - best.decode_seconds}});
  bench::print(line);
}

void mixed(const Bench& b) {
  const auto engine = b.engine(256, 16384, 2048);
  Json line = b.head("mixed");
  double best = 0;
  int64_t out = 0;
  for (int64_t round = 0; round <= b.repeat; ++round) {
    PythonRandom random;
    std::vector<engine::Request> requests(256);
    for (engine::Request& r : requests) {
      const int64_t in = random.between(100, 1024);
      for (int64_t i = 0; i < in; ++i)
        r.prompt.push_back(engine::TokenId((random.between(0, 10000) + round) % b.model->config().vocab_size));
    }
    out = 0;
    uint64_t seed = 0;
    for (engine::Request& r : requests) {
      r.sampling = {.temperature = 0.6, .seed = ++seed, .max_new_tokens = random.between(100, 1024)};
      out += r.sampling.max_new_tokens;
      engine->add(std::move(r));
    }
    const Run run = run_out(*engine);
    check(run.tokens == out, "expected ", out, " tokens, got ", run.tokens);
    if (round > 0) best = std::max(best, double(run.tokens) / run.seconds);
  }
  line.update({{"tokens_out", out}, {"tok_s", best}, {"preemptions", engine->stats().preemptions}});
  bench::print(line);
}

void prefix(const Bench& b) {
  Rng rng(3);
  const int64_t vocab = b.model->config().vocab_size;
  const auto first_tokens = [&](engine::Engine& engine, const std::vector<engine::TokenId>& common) {
    for (int i = 0; i < 64; ++i) {
      engine::Request r = random_request(rng, vocab, 64, 4, 0);
      r.prompt.insert(r.prompt.begin(), common.begin(), common.end());
      engine.add(std::move(r));
    }
    double last = 0;
    size_t first = 0;
    std::map<engine::RequestId, bool> seen;
    const auto start = Clock::now();
    while (!engine.idle())
      for (const engine::TokenEvent& event : engine.step())
        if (!std::exchange(seen[event.request], true) && ++first == 64) last = seconds_since(start);
    return last;
  };
  const auto engine = b.engine(64, 8192, 2560);
  double cold = 1e9, warm = 1e9;
  for (int64_t round = 0; round <= b.repeat; ++round) {
    // Cold: nobody has a common beginning. Warm: the second time that the same one comes.
    double time = 0;
    for (int i = 0; i < 64; ++i) engine->add(random_request(rng, vocab, 2112, 4, 0));
    const auto start = Clock::now();
    std::map<engine::RequestId, bool> seen;
    while (!engine->idle())
      for (const engine::TokenEvent& event : engine->step())
        if (!std::exchange(seen[event.request], true) && seen.size() == 64) time = seconds_since(start);
    const std::vector<engine::TokenId> common = random_request(rng, vocab, 2048, 1, 0).prompt;
    first_tokens(*engine, common);
    const double again = first_tokens(*engine, common);
    if (round > 0) cold = std::min(cold, time), warm = std::min(warm, again);
  }
  Json line = b.head("prefix");
  line.update({{"cold_s", cold}, {"warm_s", warm}, {"warm_over_cold", warm / cold}});
  bench::print(line);
}

void lookup(const Bench& b) {
  for (const int64_t batch : {1, 64}) {
    double rate[2] = {};
    std::map<engine::RequestId, std::vector<engine::TokenId>> text[2];
    engine::EngineStats stats;
    for (int64_t round = 0; round <= b.repeat; ++round)
      for (const bool guesses : {false, true}) {
        engine::EngineConfig config;
        config.max_num_seqs = batch;
        config.max_model_len = 1024;
        config.cuda_graphs = b.graphs;
        config.gpu_memory_utilization = 0.3;
        config.speculation = "ngram";
        config.num_speculative_tokens = guesses ? 3 : 0;
        config.enable_prefix_caching = false;
        engine::Engine engine(*b.model, config);
        // Twice: in the first the graphs are captured.
        for (int pass = 0; pass < 2; ++pass) {
          Rng rng(5);
          for (int64_t i = 0; i < batch; ++i) {
            engine::Request r = random_request(rng, b.model->config().vocab_size, 16, 400, 0);
            const std::vector<engine::TokenId> once = r.prompt;
            for (int k = 0; k < 3; ++k) r.prompt.insert(r.prompt.end(), once.begin(), once.end());
            engine.add(std::move(r));
          }
          text[guesses].clear();
          std::map<engine::RequestId, engine::RequestId> place;
          const auto start = Clock::now();
          int64_t tokens = 0;
          while (!engine.idle())
            for (const engine::TokenEvent& event : engine.step()) {
              text[guesses][place.try_emplace(event.request, engine::RequestId(place.size())).first->second].push_back(event.token);
              ++tokens;
            }
          if (pass == 1) rate[guesses] = std::max(rate[guesses], double(tokens) / seconds_since(start));
        }
        stats = engine.stats();
      }
    int64_t same = 0;
    for (const auto& [place, tokens] : text[0]) same += text[1][place] == tokens;
    Json line = b.head("lookup");
    line.update({{"requests", batch},
                 {"tok_s", rate[1]},
                 {"tok_s_without", rate[0]},
                 {"ratio", rate[1] / rate[0]},
                 {"same_texts", same},
                 {"guessed", stats.draft_tokens},
                 {"right", stats.accepted_draft_tokens}});
    bench::print(line);
  }
}

void options(const Bench& b) {
  const auto engine = b.engine(256, 8192, 512);
  const std::vector<std::pair<const char*, std::function<void(engine::SamplingParams&)>>> all{
      {"plain", [](engine::SamplingParams&) {}},
      {"greedy", [](engine::SamplingParams& p) { p.temperature = 0; }},
      {"logprobs", [](engine::SamplingParams& p) { p.logprobs = true; }},
      {"top_p", [](engine::SamplingParams& p) { p.top_p = 0.95; }},
      {"top_k", [](engine::SamplingParams& p) { p.top_k = 50; }},
      {"min_p", [](engine::SamplingParams& p) { p.min_p = 0.05; }},
      {"min_new_tokens", [](engine::SamplingParams& p) { p.min_new_tokens = 128, p.stop_ids = {0}; }},
      {"repetition_penalty", [](engine::SamplingParams& p) { p.repetition_penalty = 1.1; }},
      {"top_logprobs", [](engine::SamplingParams& p) { p.logprobs = true, p.top_logprobs = 5; }}};
  std::vector<double> best(all.size(), 1e9);
  for (int64_t round = 0; round <= b.repeat; ++round)
    for (size_t i = 0; i < all.size(); ++i) {
      Rng rng(1);
      for (int k = 0; k < 256; ++k) {
        engine::Request r = random_request(rng, b.model->config().vocab_size, 128, 128, 1);
        all[i].second(r.sampling);
        engine->add(std::move(r));
      }
      const Run run = run_out(*engine);
      if (round > 0) best[i] = std::min(best[i], run.decode_seconds / double(run.decode_steps));
    }
  for (size_t i = 0; i < all.size(); ++i) {
    Json line = b.head("options");
    line.update({{"option", all[i].first}, {"step_ms", 1e3 * best[i]}, {"over_plain", best[i] / best[0]}});
    bench::print(line);
  }
}

void run(const bench::Arguments& arguments) {
  const at::NoGradGuard no_grad;
  Bench b{.shape = arguments.text("shape"),
          .device = arguments.text("device"),
          .graphs = arguments.text("graphs") == "yes",
          .repeat = arguments.number("repeat")};
  b.model = std::make_unique<model::Transformer>(model::preset(b.shape), tensor::parse_device(b.device), tensor::parse_dtype("bfloat16"));
  b.model->init_weights(1);
  const std::map<std::string, void (*)(const Bench&)> rows{{"single", single}, {"rollout", rollout}, {"mixed", mixed},
                                                           {"prefix", prefix}, {"lookup", lookup},   {"options", options}};
  const auto wanted = bench::split(arguments.words().empty() ? "single,rollout,mixed,prefix,lookup,options" : arguments.words()[0]);
  for (const std::string& row : wanted) {
    if (!rows.contains(row)) fail_usage("no row ", row, "; there are single, rollout, mixed, prefix, lookup and options");
    rows.at(row)(b);
  }
}

}  // namespace

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] {
    run({argc, argv, {{"shape", "qwen2.5-0.5b"}, {"graphs", "yes"}, {"repeat", "2"}, {"device", "cuda"}}, 1});
  });
}
