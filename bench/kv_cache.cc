// What does a smaller cache cost? A text, teacher-forced in chunks, over each form of the cache, and the time of decode steps at its end:
//   bench_kv_cache --model FILE --text FILE [--tokens 1024 --chunk 512 --steps 32 --dtype float32 --threads 1 --device cpu --caches LIST --weights plain|packed]
// LIST: forms by commas, each a type (auto, float32, bfloat16, int8, int4), window:N (the first 4 tokens and the last N - 4) or window:N:SINKS,
// heavy:N (heavy hitters, a budget of N), or two of these joined: int4+heavy:2048.
// Prints one JSON object a line: {"cache", "tokens", "held": the most tokens that were held, "bytes_per_token", "bytes" of what was held, "ratio" of
// it to all tokens in the model's own form, "perplexity", "perplexity_end": of the last quarter, "step_ms": median CPU time of a step of one token, "seconds" of CPU; with --device cuda, the clock's}
// and, where the text is short enough to keep the first form's logits (2,048 tokens), {"logit_rms": root mean square of the differences from them
// over that of the logits about their row's mean, "logit_most": the largest difference, "kl": mean KL divergence in nats, "same_top": share of rows
// with the same likeliest token}.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "bench/bench.h"
#include "r1/base/file.h"
#include "r1/engine/engine.h"
#include "r1/model/local_models.h"
#include "r1/model/weights_io.h"
#include "r1/ops/heavy_hitters.h"
#include "r1/tensor/aten.h"
#include "r1/text/tokenizer.h"

namespace r1 {
namespace {

constexpr int64_t kLongestCompared = 2048;

ops::CacheForm form_of(const std::string& name) {
  engine::EngineConfig c;
  std::istringstream parts(name);
  for (std::string part; std::getline(parts, part, '+');) {
    std::istringstream fields(part);
    std::string kind, number, sinks;
    std::getline(fields, kind, ':'), std::getline(fields, number, ':'), std::getline(fields, sinks, ':');
    if (kind != "window" && kind != "heavy") {
      c.kv_cache_dtype = kind;
      continue;
    }
    c.kv_eviction = kind == "window" ? "window" : "heavy_hitters";
    c.kv_budget = std::stoll(number);
    if (!sinks.empty()) c.attention_sink_tokens = std::stoll(sinks);
  }
  return engine::cache_form(c);
}

// CPU time, which other work on the machine does not change; of a GPU, which ends what it was given first (a result is read), the clock's.
double now_ms(at::Device device) {
  if (device.is_cpu()) return bench::cpu_ms();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// A text of one sequence over a cache of its own.
class Text {
 public:
  Text(model::Transformer& model, const ops::CacheForm& form, int64_t tokens) : model_(model), form_(form) {
    const int64_t held = form.budget > 0 ? std::min(form.budget, tokens) : tokens, blocks = held / form.block_size + 1;
    for (int i = 0; i < model.num_caches(); ++i) {
      caches_.push_back(aten::zeros({blocks, model.cache_bytes(i, form)}, at::TensorOptions(at::kByte).device(model.device())));
      bytes_per_token_ += model.cache_bytes(i, form) / form.block_size;
    }
    for (int32_t b = 0; b < blocks; ++b) blocks_.push_back(b);
  }
  // How many of `wanted` tokens may come next, once there is room.
  int64_t room(int64_t wanted) {
    if (form_.budget == 0) return wanted;
    if (held_ == form_.budget) {
      held_ = form_.kept_of_budget();
      model_.keep_heavy_hitters(caches_, form_, {.blocks = blocks_, .held = form_.budget, .kept = held_});
    }
    return std::min(wanted, form_.budget - held_);
  }
  // -> logits [tokens, V].
  Tensor feed(std::span<const int64_t> ids) {
    ops::Sequences s{.cu_seqlens = {0, int32_t(ids.size())}, .context_lens = {int32_t(held_)}, .block_tables = {blocks_}};
    s.set_form(form_);
    for (size_t i = 0; i < ids.size(); ++i) s.positions.push_back(int32_t(position_ + int64_t(i)));
    held_ += int64_t(ids.size()), position_ += int64_t(ids.size());
    most_ = std::max(most_, form_.kept_last > 0 ? form_.most_tokens(position_, int64_t(ids.size())) : held_);
    const std::vector<int64_t> list(ids.begin(), ids.end());
    const nn::LayerContext context{ops::sequences_on(model_.device(), std::move(s))};
    return model_.logits(model_.hidden(aten::tensor(list, at::kLong).to(model_.device()), context, &caches_));
  }
  void take_back(int64_t tokens) { held_ -= tokens, position_ -= tokens; }
  int64_t most() const { return most_; }
  int64_t bytes_per_token() const { return bytes_per_token_; }

 private:
  model::Transformer& model_;
  ops::CacheForm form_;
  std::vector<nn::LayerCache> caches_;
  std::vector<int32_t> blocks_;
  int64_t held_ = 0, position_ = 0, most_ = 0, bytes_per_token_ = 0;
};

struct Measured {
  Tensor logits_TV;  // of a short text
  std::vector<double> logprob;
  int64_t bytes_per_token = 0, most = 0;
  double step_ms = 0, seconds = 0;
};

Measured run(model::Transformer& model, const std::vector<int64_t>& ids, const ops::CacheForm& form, int64_t chunk, int64_t steps) {
  const auto length = int64_t(ids.size());
  Text text(model, form, length);
  Measured m;
  std::vector<Tensor> kept;
  const at::Device device = model.device();
  const double begin = now_ms(device);
  for (int64_t at = 0, n; at < length; at += n) {
    n = text.room(std::min(chunk, length - at));
    const Tensor logits_tV = text.feed({ids.data() + at, size_t(n)}).to(at::kFloat);
    const int64_t told = std::min(n, length - at - 1);  // the last token has nothing after it
    const std::vector<int64_t> after(ids.begin() + at + 1, ids.begin() + at + 1 + told);
    const Tensor logits_sV = logits_tV.narrow(0, 0, told), after_s1 = aten::tensor(after, at::kLong).to(device).unsqueeze(1);
    const Tensor logprob_s = (aten::gather(logits_sV, 1, after_s1) - aten::logsumexp(logits_sV, {1}, true)).to(at::kCPU).view({-1});
    for (int64_t i = 0; i < told; ++i) m.logprob.push_back(double(logprob_s.const_data_ptr<float>()[i]));
    if (length <= kLongestCompared) kept.push_back(logits_tV.to(at::kCPU));
  }
  m.seconds = (now_ms(device) - begin) / 1000;
  if (!kept.empty()) m.logits_TV = aten::cat(kept, 0);
  std::vector<double> ms;
  for (int64_t i = 0; i < steps; ++i) {
    text.take_back(1);
    const double start = now_ms(device);
    text.feed({&ids.back(), 1}).narrow(1, 0, 1).to(at::kCPU);
    ms.push_back(now_ms(device) - start);
  }
  m.step_ms = ms.empty() ? 0 : bench::median(std::move(ms));
  m.bytes_per_token = text.bytes_per_token(), m.most = text.most();
  return m;
}

double perplexity(const std::vector<double>& logprob, size_t first) {
  double sum = 0;
  for (size_t i = first; i < logprob.size(); ++i) sum += logprob[i];
  return std::exp(-sum / double(logprob.size() - first));
}

// `own`: what logits are compared with; own_bytes: of all tokens.
void report(const std::string& name, const Measured& m, const Measured& own, int64_t own_bytes, int64_t tokens) {
  Json line{{"cache", name},
            {"tokens", tokens},
            {"held", m.most},
            {"bytes_per_token", m.bytes_per_token},
            {"bytes", m.bytes_per_token * m.most},
            {"ratio", double(m.bytes_per_token * m.most) / double(own_bytes)},
            {"perplexity", perplexity(m.logprob, 0)},
            {"perplexity_end", perplexity(m.logprob, m.logprob.size() / 4 * 3)},
            {"step_ms", m.step_ms},
            {"seconds", m.seconds}};
  if (m.logits_TV.defined()) {
    const auto logprobs = [](const Tensor& logits_TV) { return logits_TV - aten::logsumexp(logits_TV, {1}, true); };
    const auto mean = [](const Tensor& t) { return t.to(at::kDouble).mean().item<double>(); };
    const Tensor apart = m.logits_TV - own.logits_TV, centred = own.logits_TV - aten::mean(own.logits_TV, {1}, true);
    const Tensor own_TV = logprobs(own.logits_TV);
    line["logit_rms"] = std::sqrt(mean(apart * apart) / mean(centred * centred));
    line["logit_most"] = apart.abs().max().item<double>();
    line["kl"] = mean((aten::pow(2.718281828459045, own_TV) * (own_TV - logprobs(m.logits_TV))).sum(1));
    line["same_top"] = mean((m.logits_TV.argmax(1) == own.logits_TV.argmax(1)).to(at::kDouble));
  }
  bench::print(line);
}

void run_all(const bench::Arguments& given) {
  if (given.text("model").empty() || given.text("text").empty()) fail_usage("bench_kv_cache: give --model FILE and --text FILE");
  const at::NoGradGuard no_grad;
  at::set_num_threads(int(given.number("threads")));
  const fs::path path = model::find_model(given.text("model"));
  const auto model = model::load_model(path, tensor::parse_device(given.text("device")), tensor::parse_dtype(given.text("dtype")), {},
                                       {.keep_packed = given.text("weights") == "packed"});
  const auto tokens = text::Tokenizer::load(path).encode(read_file(given.text("text")));
  if (int64_t(tokens.size()) < given.number("tokens")) fail_usage(given.text("text"), " has ", tokens.size(), " tokens only");
  const std::vector<int64_t> ids(tokens.begin(), tokens.begin() + given.number("tokens"));
  const int64_t own_bytes = Text(*model, {}, 1).bytes_per_token() * int64_t(ids.size());
  std::optional<Measured> own;
  for (const std::string& name : bench::split(given.text("caches"))) {
    Measured m = run(*model, ids, form_of(name), given.number("chunk"), given.number("steps"));
    if (!own) own = m;
    report(name, m, *own, own_bytes, int64_t(ids.size()));
  }
}

}  // namespace
}  // namespace r1

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] {
    r1::run_all({argc,
                 argv,
                 {{"model", ""},
                  {"text", ""},
                  {"tokens", "1024"},
                  {"chunk", "512"},
                  {"steps", "32"},
                  {"dtype", "float32"},
                  {"threads", "1"},
                  {"device", "cpu"},
                  {"weights", "plain"},
                  {"caches", "auto,bfloat16,int8,int4,window:516,window:512:0,heavy:516,window:260,window:256:0,heavy:260"}}});
  });
}
