// What does batching give on this CPU, what does invariant mode cost, and how fast is the demo's rollout? One JSON object a line:
//   decode  tokens/s at batch 1, 8, 64 and the ratio to batch 1 (goal: >= 4 at 64) of a GGUF model in bf16 and fp32
//   demo    tokens/s of 256 sequences of 40 new tokens on the demo's model (d 128, 4 layers, fp32), and the host's share outside the
//   forward
// bench_engine_cpu [model.gguf|HF folder|demo]    threads: OMP_NUM_THREADS
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <chrono>
#include <filesystem>

#include "bench/bench.h"
#include "r1/base/memory.h"
#include "r1/base/rng.h"
#include "r1/engine/engine.h"
#include "r1/model/weights_io.h"
#include "r1/ops/linear.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/dtype.h"

namespace {

using namespace r1;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

engine::Request random_request(Rng& rng, int64_t vocab, int64_t prompt, int64_t answer, double temperature) {
  engine::Request r;
  for (int64_t i = 0; i < prompt; ++i) r.prompt.push_back(engine::TokenId(rng.below(uint64_t(vocab))));
  r.sampling = {.temperature = temperature, .seed = rng.bits(), .max_new_tokens = answer, .logprobs = true};
  return r;
}

// Tokens/s of pure decode steps: prompts are prefilled and the first tokens made before the clock starts.
double decode_rate(model::Transformer& model, int batch, int steps) {
  engine::EngineConfig config;
  config.max_num_seqs = batch;
  config.max_model_len = 512;
  engine::Engine engine(model, config);
  Rng rng(1);
  for (int i = 0; i < batch; ++i) engine.add(random_request(rng, model.config().vocab_size, 32, steps + 8, 0));
  while (engine.stats().waiting > 0 || engine.stats().prefill_tokens < batch * 32) engine.step();
  engine.step();
  int64_t tokens = 0;
  const auto start = Clock::now();
  for (int i = 0; i < steps; ++i) tokens += int64_t(engine.step().size());
  return double(tokens) / seconds_since(start);
}

void bench_decode(const std::filesystem::path& path) {
  for (const char* dtype : {"bfloat16", "float32"}) {
    const auto model = model::load_model(path, tensor::parse_device("cpu"), tensor::parse_dtype(dtype));
    double best[3] = {};
    for (int round = 0; round < 3; ++round)  // interleaved: a busy machine hits all alike
      for (int k = 0; k < 3; ++k) {
        const int batch = k == 0 ? 1 : k == 1 ? 8 : 64;
        best[k] = std::max(best[k], decode_rate(*model, batch, k == 2 ? 12 : 24));
      }
    const Json line = {
        {"bench", "decode"},           {"model", path.filename().string()}, {"dtype", dtype},           {"threads", at::get_num_threads()},
        {"tok_s_batch1", best[0]},     {"tok_s_batch8", best[1]},           {"tok_s_batch64", best[2]}, {"ratio8", best[1] / best[0]},
        {"ratio64", best[2] / best[0]}};
    bench::print(line);
  }
}

// Invariance has no switch on the CPU: its cost is what the kernels that give it take, against ATen's products that do not.
void bench_invariance() {
  for (const auto& [in, out] : {std::pair{576, 1536}, {576, 49152}, {128, 352}}) {
    for (const int rows : {1, 8, 64, 256}) {
      for (const char* dtype : {"float32", "bfloat16"}) {
        const auto options = at::TensorOptions().dtype(tensor::parse_dtype(dtype));
        const Tensor x = aten::randn({rows, in}).to(options.dtype()), w = aten::randn({out, in}).to(options.dtype());
        double ours = 1e9, theirs = 1e9;
        for (int round = 0; round < 7; ++round) {
          auto start = Clock::now();
          ops::linear(x, w);
          ours = std::min(ours, seconds_since(start));
          start = Clock::now();
          aten::linear(x, w);
          theirs = std::min(theirs, seconds_since(start));
        }
        const Json line = {{"bench", "invariant_linear"},
                           {"dtype", dtype},
                           {"rows", rows},
                           {"in", in},
                           {"out", out},
                           {"ms", ours * 1e3},
                           {"aten_ms", theirs * 1e3},
                           {"aten_over_ours", theirs / ours}};
        bench::print(line);
      }
    }
  }
}

void bench_demo() {
  model::ModelConfig c;
  c.vocab_size = 117;
  c.hidden_size = 128;
  c.intermediate_size = 352;
  c.num_hidden_layers = 4;
  c.num_attention_heads = 4;
  c.num_key_value_heads = 4;
  c.head_dim = 32;
  c.max_position_embeddings = 128;
  c.tie_word_embeddings = true;
  model::Transformer model(c, tensor::parse_device("cpu"), tensor::parse_dtype("float32"));
  model.init_weights(1);
  double best = 0, best_cpu = 0;
  for (int round = 0; round < 4; ++round) {
    engine::EngineConfig config;
    config.max_num_seqs = 256;
    engine::Engine engine(model, config);
    Rng rng(uint64_t(round) + 1);
    for (int i = 0; i < 32; ++i) engine.add_group(random_request(rng, 117, 13, 40, 1.0), 8);
    const auto start = Clock::now();
    const double cpu = bench::cpu_ms();
    while (!engine.idle()) engine.step();
    const double tokens = double(engine.stats().generated_tokens);
    best = std::max(best, tokens / seconds_since(start));
    best_cpu = std::max(best_cpu, 1e3 * tokens / (bench::cpu_ms() - cpu));
  }
  const Json line = {{"bench", "demo"},
                     {"sequences", 256},
                     {"new_tokens", 40},
                     {"threads", at::get_num_threads()},
                     {"tok_s", best},
                     {"tok_per_cpu_s", best_cpu},
                     {"ratio_to_pytorch_30k", best / 30000}};
  bench::print(line);
}

void run(const bench::Arguments& arguments) {
  keep_freed_memory();
  const at::NoGradGuard no_grad;
  const std::string given = arguments.words().empty() ? "" : arguments.words()[0];
  bench_demo();
  bench_invariance();
  if (given == "demo") return;
  const char* models = std::getenv("R1_MODELS");
  const char* home = std::getenv("HOME");
  const std::filesystem::path folder = models ? models : std::string(home ? home : "") + "/.cache/r1/models";
  const std::filesystem::path path = !given.empty() ? std::filesystem::path(given) : folder / "smollm2-135m-instruct-q4_1.gguf";
  if (std::filesystem::exists(path))
    bench_decode(path);
  else
    std::fprintf(stderr, "no model at %s: decode is left out\n", path.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] { run({argc, argv, {}, 1}); });
}
