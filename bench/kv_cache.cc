// What does a cache in fewer bits cost? The logits of a text, teacher-forced, over each form of the cache against those over the model's own, and
// the time of decode steps at its end:
//   bench_kv_cache --model FILE --text FILE [--tokens 1024 --steps 32 --dtype float32 --threads 1]
// Prints one JSON object a line: {"cache", "bytes_per_token", "ratio" of bytes to the model's own, "logit_rms": root mean square of the
// differences over that of the logits about their row's mean, "logit_most": the largest difference, "kl": mean KL divergence in nats,
// "same_top": share of rows with the same likeliest token, "perplexity", "step_ms": median CPU time of a step of one token}.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "bench/bench.h"
#include "r1/base/file.h"
#include "r1/engine/engine.h"
#include "r1/model/local_models.h"
#include "r1/model/weights_io.h"
#include "r1/tensor/aten.h"
#include "r1/text/tokenizer.h"

namespace r1 {
namespace {

struct Measured {
  Tensor logprob_TV, logits_TV;
  int64_t bytes_per_token = 0;
  double step_ms = 0;
};

// The text in one piece, then `steps` times its last token again, one at a time.
Measured run(model::Transformer& model, const std::vector<int64_t>& ids, const ops::CacheForm& form, int64_t steps) {
  const auto length = int32_t(ids.size());
  const int32_t blocks = length / form.block_size + 1;
  std::vector<nn::LayerCache> caches;
  Measured m;
  for (int i = 0; i < model.num_caches(); ++i) {
    caches.push_back(aten::zeros({blocks, model.cache_bytes(i, form)}, at::kByte));
    m.bytes_per_token += model.cache_bytes(i, form) / form.block_size;
  }
  const auto forward = [&](const std::vector<int64_t>& now, int32_t context) {
    ops::Sequences s{.cu_seqlens = {0, int32_t(now.size())}, .context_lens = {context}, .block_tables = {{}}};
    s.block_size = form.block_size, s.cache_type = form.type, s.kept_first = form.kept_first, s.kept_last = form.kept_last;
    for (int32_t b = 0; b < blocks; ++b) s.block_tables[0].push_back(b);
    return model.logits(model.hidden(aten::tensor(now, at::kLong), {ops::sequences_on(at::kCPU, std::move(s))}, &caches));
  };
  m.logits_TV = forward(ids, 0);
  m.logprob_TV = m.logits_TV - aten::logsumexp(m.logits_TV, {1}, true);
  std::vector<double> ms;
  for (int64_t i = 0; i < steps; ++i) {
    const double start = bench::cpu_ms();
    forward({ids.back()}, length - 1);
    ms.push_back(bench::cpu_ms() - start);
  }
  m.step_ms = bench::median(std::move(ms));
  return m;
}

void report(const std::string& name, const Measured& m, const Measured& own, const std::vector<int64_t>& ids) {
  const Tensor apart = m.logits_TV - own.logits_TV;
  const Tensor centred = own.logits_TV - aten::mean(own.logits_TV, {1}, true);
  const Tensor kl_T = (aten::pow(2.718281828459045, own.logprob_TV) * (own.logprob_TV - m.logprob_TV)).sum(1);
  const Tensor next = aten::tensor(std::vector<int64_t>(ids.begin() + 1, ids.end()), at::kLong).unsqueeze(1);
  const Tensor said = aten::gather(m.logprob_TV.narrow(0, 0, int64_t(ids.size()) - 1), 1, next);
  const auto mean = [](const Tensor& t) { return t.to(at::kDouble).mean().item<double>(); };
  bench::print({{"cache", name},
                {"bytes_per_token", m.bytes_per_token},
                {"ratio", double(m.bytes_per_token) / double(own.bytes_per_token)},
                {"logit_rms", std::sqrt(mean(apart * apart) / mean(centred * centred))},
                {"logit_most", apart.abs().max().item<double>()},
                {"kl", mean(kl_T)},
                {"same_top", mean((m.logits_TV.argmax(1) == own.logits_TV.argmax(1)).to(at::kDouble))},
                {"perplexity", std::exp(-mean(said))},
                {"step_ms", m.step_ms}});
}

void run_all(const bench::Arguments& given) {
  if (given.text("model").empty() || given.text("text").empty()) fail_usage("bench_kv_cache: give --model FILE and --text FILE");
  const at::NoGradGuard no_grad;
  at::set_num_threads(int(given.number("threads")));
  const fs::path path = model::find_model(given.text("model"));
  const auto model = model::load_model(path, at::kCPU, tensor::parse_dtype(given.text("dtype")));
  const auto tokens = text::Tokenizer::load(path).encode(read_file(given.text("text")));
  if (int64_t(tokens.size()) < given.number("tokens")) fail_usage(given.text("text"), " has ", tokens.size(), " tokens only");
  const std::vector<int64_t> ids(tokens.begin(), tokens.begin() + given.number("tokens"));
  const int64_t steps = given.number("steps");
  const Measured own = run(*model, ids, {}, steps);
  report("auto", own, own, ids);
  for (const char* type : {"bfloat16", "int8"}) {
    engine::EngineConfig c;
    c.kv_cache_dtype = type;
    report(type, run(*model, ids, engine::cache_form(c), steps), own, ids);
  }
  for (const int64_t window : {256, 512})
    for (const int64_t sinks : {0, 4}) {
      engine::EngineConfig c;
      c.attention_window = window, c.attention_sink_tokens = sinks;
      report(str("window ", window, ", sinks ", sinks), run(*model, ids, engine::cache_form(c), steps), own, ids);
    }
}

}  // namespace
}  // namespace r1

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] {
    r1::run_all({argc, argv, {{"model", ""}, {"text", ""}, {"tokens", "1024"}, {"steps", "32"}, {"dtype", "float32"}, {"threads", "1"}}});
  });
}
