// Is it worth it? Every option of the network, trained alike on one text and measured alike: validation loss at equal tokens over some
// seeds, parameters, time and memory of a step, decoding.
//   bench_variants [--data $R1_DATA/tinyshakespeare/input.txt] [--only full,hybrid] [--seeds 3] [--steps 300] [--rows 2] [--length 512]
//                  [--threads 1] [--jobs 1] [--out docs/results/data/variants.jsonl] [--table docs/results/variants.md]
// Each (option, seed) is one JSON line appended to --out; one that stands there already (same steps, rows, length) is not run again, so
// options can be run one by one. At the end the lines become the table. Options that this build refuses are told and left out. Every line
// is measured in a process of its own, so that its peak of memory is its own, --jobs of them at a time.
//
// Two other questions about the same options:
//   --lengths 1024,4096,16384,32768   what do time and memory become as texts grow? One training step of one row of each length, and one
//                                     forward without a graph (--out: variants_lengths.jsonl beside the other, and a table of its own)
//   --lsh_quality 1                   what does hashing do to the loss of a network trained with full attention?
#include <ATen/Parallel.h>

#include <cmath>
#include <fstream>
#include <set>

#include "bench/bench.h"
#include "r1/base/config_io.h"
#include "r1/base/file.h"
#include "r1/base/memory.h"
#include "r1/base/rng.h"
#include "r1/engine/engine.h"
#include "r1/model/footprint.h"
#include "r1/model/transformer.h"
#include "r1/train/trainer.h"

namespace r1 {
namespace {

struct Option {
  const char *name, *changes, *verdict;
};

// What stands in a row of its own sizes is sized for texts of 512 tokens: windows and buckets small enough to matter there.
constexpr Option kOptions[] = {
    {"full", "", "The yardstick."},
    {"blockwise", "attention=blockwise attn.block=128",
     "Full attention's numbers with a third less training memory here (two thirds at 32 K), for 1.5 times the time: for long texts."},
    {"hybrid", "attention=hybrid attn.window=64 attn.window_max=128",
     "Worth it on local text: clearly better than full for a fifth more time; the windows alone give more of that for less."},
    {"lsh", "attention=lsh attn.bucket_size=32",
     "Not at this length: a little worse and slower; it pays from 4 K tokens on (0.6 of full's step there, an eighth at 32 K)."},
    {"lsh + window", "attention=lsh attn.bucket_size=32 attn.window=32", "The window mends the loss; the time stays."},
    {"dynamic_window", "attention=dynamic_window attn.window=128",
     "Not as it is: a learned bias instead of rotary positions costs 0.3 nats at this budget, though it is fast."},
    {"sliding window", "attn.window=64",
     "The best buy on this text: better, faster and the fastest decoder; longer dependencies are not tested here."},
    {"sliding pattern", "attn.window=64 attn.window_pattern=4",
     "The best loss of the table at the windows' price: the choice if some layers must see everything."},
    {"mla", "attention=mla mla.kv_lora_rank=32 mla.q_lora_rank=48 mla.qk_nope_head_dim=24 mla.qk_rope_head_dim=8 mla.v_head_dim=32",
     "It buys cache (40 values a token and layer against 256), not loss: at d 128 the latents are too narrow."},
    {"norm layer", "norm=layer", "Better than RMS by little at no cost in time."},
    {"norm none", "norm=none",
     "What norms are for: 0.3 nats worse, as its attention has no gradient for the first hundred steps (mlp.md)."},
    {"norm power", "norm=power",
     "As good as RMS and LayerNorm within the noise; its statistics cost a little time and memory, and decoding speed."},
    {"ffn geglu", "ffn=geglu", "No difference that three seeds could show."},
    {"ffn gelu", "ffn=gelu intermediate_size=528", "No difference at equal parameters."},
    {"ffn norm_gelu", "ffn=norm_gelu intermediate_size=528", "No difference that three seeds could show, at 0.5 % more parameters."},
    {"ffn topk_sparse", "ffn=topk_sparse",
     "Half of the neurons off costs nothing in loss; training takes a third more time, decoding gains only in layers larger than these "
     "(bench_mlp)."},
    {"ffn dropout 0.1", "ffn_dropout=0.1", "Nothing to regularise in 300 steps."},
    {"moe sigmoid",
     "moe.n_routed_experts=8 moe.num_experts_per_tok=2 moe.n_shared_experts=1 moe.moe_intermediate_size=112 moe.gate=sigmoid",
     "Twice the parameters for no gain in 300 steps: experts want more data than this."},
    {"moe softmax",
     "moe.n_routed_experts=8 moe.num_experts_per_tok=2 moe.n_shared_experts=1 moe.moe_intermediate_size=112 moe.gate=softmax "
     "moe.bias=false "
     "moe.aux_loss=batch moe.aux_loss_coef=0.01",
     "As with sigmoid scores."},
    {"moe context_sigmoid",
     "moe.n_routed_experts=8 moe.num_experts_per_tok=2 moe.n_shared_experts=1 moe.moe_intermediate_size=112 moe.gate=context_sigmoid "
     "moe.bias=false moe.aux_loss=square moe.aux_loss_coef=0.01",
     "The context adds nothing here."},
    {"mtp", "num_nextn_predict_layers=1", "A little better within the noise for 1.4 times the time; what it is for is speculation."},
    {"tied", "tie_word_embeddings=true", "Worth it: better and smaller."},
    {"qk_norm", "qk_norm=true", "Worth it: better for 5 % of the time."},
    {"rope linear x4", "rope_scaling.type=linear rope_scaling.factor=4", "Stretching positions that are not needed costs 0.07 nats."},
};

struct Settings {
  std::string data, out, table;
  std::vector<std::string> only;
  int64_t seeds, steps, rows, length, threads, jobs;
  std::vector<int64_t> lengths;

  explicit Settings(const bench::Arguments& a)
      : data(a.text("data")),
        out(a.text("out")),
        table(a.text("table")),
        only(bench::split(a.text("only"))),
        seeds(a.number("seeds")),
        steps(a.number("steps")),
        rows(a.number("rows")),
        length(a.number("length")),
        threads(a.number("threads")),
        jobs(a.number("jobs")) {
    for (const std::string& one : bench::split(a.text("lengths"))) lengths.push_back(std::stoll(one));
    if (out.empty()) out = lengths.empty() ? "docs/results/data/variants.jsonl" : "docs/results/data/variants_lengths.jsonl";
    if (!data.empty()) return;
    const char* folder = std::getenv("R1_DATA");  // that the tests read too
    if (!folder) fail_usage("bench_variants: give --data, or R1_DATA with tinyshakespeare in it");
    data = std::string(folder) + "/tinyshakespeare/input.txt";
  }
  bool wanted(const Option& option) const { return only.empty() || std::find(only.begin(), only.end(), option.name) != only.end(); }
};

// ---- one run

model::ModelConfig config_of(const Option& option, int64_t length) {
  model::ModelConfig c;
  c.vocab_size = 128;  // bytes
  c.hidden_size = 128;
  c.intermediate_size = 352;
  c.num_hidden_layers = 4;
  c.num_attention_heads = 4;
  c.max_position_embeddings = length;
  std::vector<Setting> changes;
  std::istringstream words(option.changes);
  for (std::string word; words >> word;) {
    const size_t at = word.find('=');
    changes.push_back({word.substr(0, at), word, word.substr(at + 1)});
  }
  apply_settings(c, changes);
  model::finish_config(c);
  return c;
}

// Bytes as ids; the last tenth is for validation.
struct Text {
  std::string bytes;
  size_t train = 0;
};

data::Batch row_at(const Text& text, size_t begin, int64_t length) {
  data::Batch b;
  for (int64_t i = 0; i < length; ++i) {
    b.ids.push_back(uint8_t(text.bytes[begin + size_t(i)]) & 127);
    b.targets.push_back(uint8_t(text.bytes[begin + size_t(i) + 1]) & 127);
    b.loss_weight.push_back(1);
    b.positions.push_back(int32_t(i));
  }
  b.cu_seqlens = {0, int32_t(length)};
  return b;
}

double validation_loss(train::Trainer& trainer, const Text& text, int64_t length) {
  constexpr int64_t kRows = 32;
  double sum = 0;
  const size_t stride = (text.bytes.size() - text.train - size_t(length) - 1) / kRows;
  for (int64_t i = 0; i < kRows; ++i)
    for (const float logprob : trainer.logprobs(row_at(text, text.train + size_t(i) * stride, length))) sum -= logprob;
  return sum / double(kRows * length);
}

// Tokens a second of processor time: 8 sequences with prompts of half the length, greedy.
double decode_rate(model::Transformer& model, const Text& text, int64_t length) {
  engine::EngineConfig config;
  config.kv_cache_memory = int64_t{1} << 28;
  config.exact = false;  // latent attention in its absorbed form
  engine::Engine engine(model, config);
  const int64_t prompt = length / 2, answer = std::min<int64_t>(64, length - prompt - 1);
  for (int i = 0; i < 8; ++i) {
    engine::Request r;
    for (int64_t t = 0; t < prompt; ++t) r.prompt.push_back(text.bytes[text.train + size_t(i * prompt + t)] & 127);
    r.sampling = {.temperature = 0, .max_new_tokens = answer};
    engine.add(r);
  }
  while (engine.stats().prefill_tokens < 8 * prompt) engine.step();
  const double start = bench::cpu_ms();
  int64_t tokens = 0;
  while (!engine.idle()) tokens += int64_t(engine.step().size());
  return 1e3 * double(tokens) / (bench::cpu_ms() - start);
}

train::TrainerConfig trainer_settings() {
  train::TrainerConfig settings;
  settings.learning_rate = 3e-3;
  settings.warmup_steps = 20;
  settings.weight_decay = 0.1;
  return settings;
}

// All steps, on the same rows for every option; returns the median processor time of one.
double train_steps(train::Trainer& trainer, const Text& text, int64_t seed, const Settings& a) {
  Rng rng(uint64_t(1000 + seed));
  std::vector<double> ms;
  for (int64_t step = 0; step < a.steps; ++step) {
    std::vector<data::Batch> rows;
    for (int64_t i = 0; i < a.rows; ++i) rows.push_back(row_at(text, size_t(rng.below(text.train - uint64_t(a.length) - 1)), a.length));
    const double start = bench::cpu_ms();
    trainer.step(rows, train::cross_entropy_loss());
    ms.push_back(bench::cpu_ms() - start);
  }
  return bench::median(std::move(ms));
}

Json run_one(const Option& option, int64_t seed, const Settings& a, const Text& text) {
  const model::ModelConfig config = config_of(option, a.length);
  model::Transformer model(config, at::kCPU, at::kFloat);
  model.init_weights(uint64_t(seed));
  train::Trainer trainer(model, trainer_settings(), a.steps, uint64_t(seed));
  const double before = bench::peak_mb(), step_ms = train_steps(trainer, text, seed, a);
  Json line = {{"option", option.name}, {"changes", option.changes}, {"seed", seed}, {"steps", a.steps},
               {"rows", a.rows},        {"length", a.length}};
  line["parameters"] = model::parameter_count(config);
  line["step_ms"] = step_ms;
  line["step_mb"] = bench::peak_mb() - before;
  line["eval_loss"] = validation_loss(trainer, text, a.length);
  line["decode_tok_s"] = decode_rate(model, text, a.length);
  return line;
}

// Steps and forwards on one row of the text, as many as fit into 16 K tokens. Memory is that of the first step.
Json run_length(const Option& option, int64_t length, const Text& text) {
  model::Transformer model(config_of(option, length), at::kCPU, at::kFloat);
  model.init_weights(1);
  const int64_t rounds = std::max<int64_t>(1, (int64_t{1} << 14) / length);
  train::Trainer trainer(model, trainer_settings(), rounds, 1);
  const data::Batch row = row_at(text, 0, length);
  Json line = {{"option", option.name}, {"changes", option.changes}, {"length", length}, {"rounds", rounds}};
  std::vector<double> step_ms, forward_ms;
  const double before = bench::peak_mb();
  for (int64_t i = 0; i < rounds; ++i) {
    const double start = bench::cpu_ms();
    trainer.step(std::span(&row, 1), train::cross_entropy_loss());
    step_ms.push_back(bench::cpu_ms() - start);
    if (i == 0) line["step_mb"] = bench::peak_mb() - before;
  }
  for (int64_t i = 0; i < rounds; ++i) {
    const double start = bench::cpu_ms();
    trainer.logprobs(row);
    forward_ms.push_back(bench::cpu_ms() - start);
  }
  line["step_ms"] = bench::median(step_ms);
  line["forward_ms"] = bench::median(forward_ms);
  return line;
}

// How near is hashing to exact attention? The weights of a network trained with full attention, evaluated as lsh.
void print_lsh_quality(const Settings& a, const Text& text) {
  const Option& full = kOptions[0];
  model::Transformer trained(config_of(full, a.length), at::kCPU, at::kFloat);
  trained.init_weights(1);
  train::Trainer trainer(trained, trainer_settings(), a.steps, 1);
  train_steps(trainer, text, 1, a);
  const double exact = validation_loss(trainer, text, a.length);
  for (const int64_t rounds : {1, 2, 4, 8})
    for (const int64_t window : {1, 32}) {
      const std::string changes = str("attention=lsh attn.bucket_size=16 attn.hash_rounds=", rounds, " attn.window=", window);
      model::Transformer hashed(config_of({"lsh", changes.c_str(), ""}, a.length), at::kCPU, at::kFloat);
      for (size_t i = 0; i < hashed.weights().size(); ++i) hashed.weights()[i].tensor->copy_(*trained.weights()[i].tensor);
      train::Trainer evaluator(hashed, trainer_settings(), 1, 1);
      const double loss = validation_loss(evaluator, text, a.length);
      bench::print({{"bench", "lsh_quality"},
                    {"rounds", rounds},
                    {"window", window},
                    {"bucket", 16},
                    {"length", a.length},
                    {"loss_exact", exact},
                    {"loss_lsh", loss},
                    {"difference", loss - exact}});
    }
}

// ---- the lines and their table

std::vector<Json> read_lines(const std::string& path, const std::function<bool(const Json&)>& mine) {
  std::vector<Json> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);)
    if (!line.empty())
      if (const Json read = parse_json(line, path); mine(read)) lines.push_back(read);
  return lines;
}

struct Mean {
  double mean = 0, deviation = 0;
};
Mean mean_of(const std::vector<double>& x) {
  Mean m;
  for (const double v : x) m.mean += v / double(x.size());
  for (const double v : x) m.deviation += (v - m.mean) * (v - m.mean) / double(std::max<size_t>(1, x.size() - 1));
  m.deviation = std::sqrt(m.deviation);
  return m;
}

std::vector<double> column(const std::vector<Json>& lines, const std::string& option, const char* key) {
  std::vector<double> out;
  for (const Json& line : lines)
    if (line.at("option") == option) out.push_back(line.at(key).get<double>());
  return out;
}

template <class... Args>
std::string format(const char* pattern, Args... args) {
  char text[1024];
  std::snprintf(text, sizeof text, pattern, args...);
  return text;
}

std::string table_of(const std::vector<Json>& all, const Settings& a) {
  const std::vector<double> base = column(all, "full", "eval_loss"), base_ms = column(all, "full", "step_ms");
  std::string out =
      "| option | changes | val. loss | against full | parameters | step ms | memory MB | decode tok/s | verdict "
      "|\n|---|---|---|---|---|---|---|---|---|\n";
  for (const Option& o : kOptions) {
    const std::vector<double> loss = column(all, o.name, "eval_loss");
    if (loss.empty()) continue;
    std::vector<double> against;
    for (size_t i = 0; i < std::min(loss.size(), base.size()); ++i) against.push_back(loss[i] - base[i]);
    const Mean l = mean_of(loss), d = mean_of(against);
    out += format("| %s | `%s` | %.3f ± %.3f | %+.3f ± %.3f | %.0f | %.0f | %.0f | %.0f | ", o.name, o.changes, l.mean, l.deviation, d.mean,
                  d.deviation, column(all, o.name, "parameters")[0], mean_of(column(all, o.name, "step_ms")).mean,
                  mean_of(column(all, o.name, "step_mb")).mean, mean_of(column(all, o.name, "decode_tok_s")).mean);
    out += std::string(o.verdict) + " |\n";
  }
  return out + format("\n%lld steps of %lld x %lld tokens, %lld seeds.\n", (long long)a.steps, (long long)a.rows, (long long)a.length,
                      (long long)a.seeds);
}

// Rows as above; a column is a length.
std::string lengths_table_of(const std::vector<Json>& all, const Settings& a) {
  std::string out = "| option |", rule = "|---|";
  for (const int64_t length : a.lengths) {
    out += length % 1024 ? format(" %lld |", (long long)length) : format(" %lld K |", (long long)length / 1024);
    rule += "---|";
  }
  out += "\n" + rule + "\n";
  for (const Option& o : kOptions) {
    std::map<int64_t, std::string> cells;
    for (const Json& line : all)
      if (line.at("option") == o.name)
        cells[line.at("length").get<int64_t>()] = format(" %.3g / %.3g s, %.0f MB |", line.at("forward_ms").get<double>() / 1e3,
                                                         line.at("step_ms").get<double>() / 1e3, line.at("step_mb").get<double>());
    if (cells.empty()) continue;
    out += format("| %s |", o.name);
    for (const int64_t length : a.lengths) out += cells.count(length) ? cells[length] : " - |";
    out += "\n";
  }
  return out;
}

// A table stands between two marks in a page that is written by hand.
void write_table(const std::string& path, const std::string& mark, const std::string& table) {
  const std::string begin = "<!-- " + mark + " -->\n", end = "<!-- /" + mark + " -->\n";
  std::string page = fs::exists(path) ? read_file(path) : "# Variants\n\n" + begin + end;
  const size_t from = page.find(begin), to = page.find(end);
  if (from == std::string::npos || to == std::string::npos || to < from) fail(path, ": the marks ", begin, " and ", end, " are missing");
  write_file_atomic(path, page.substr(0, from + begin.size()) + table + page.substr(to));
}

// Lines go to --out as they come.
void measure(const std::vector<bench::Measurement>& runs, const Settings& a) {
  bench::in_children(runs, a.jobs, [&](size_t, const Json& line) {
    bench::print(line);
    std::ofstream(a.out, std::ios::app) << dump_json(line) << "\n";
  });
}

// In a child.
bench::Measurement run_of(const Option& option, const Settings& a, const std::function<Json()>& f) {
  return [&option, &a, f] {
    at::set_num_threads(int(a.threads));
    try {
      return f();
    } catch (const Error& e) {
      fail(option.name, ": ", e.what());
    }
  };
}

void run_losses(const Settings& a, const Text& text) {
  const auto mine = [&](const Json& line) {
    return line.at("steps") == a.steps && line.at("rows") == a.rows && line.at("length") == a.length;
  };
  std::set<std::pair<std::string, int64_t>> done;
  for (const Json& line : read_lines(a.out, mine)) done.emplace(line.at("option").get<std::string>(), line.at("seed").get<int64_t>());
  std::vector<bench::Measurement> runs;
  for (const Option& option : kOptions)
    for (int64_t seed = 1; seed <= a.seeds && a.wanted(option); ++seed)
      if (!done.count({option.name, seed})) runs.push_back(run_of(option, a, [&, seed] { return run_one(option, seed, a, text); }));
  measure(runs, a);
  std::vector<Json> lines = read_lines(a.out, mine);
  // An option's seeds in their order, which the paired differences rely on: jobs end as they like.
  std::stable_sort(lines.begin(), lines.end(), [](const Json& x, const Json& y) { return x.at("seed") < y.at("seed"); });
  if (!lines.empty()) write_table(a.table, "table", table_of(lines, a));
}

// Long ones first, so that jobs end together.
void run_lengths(const Settings& a, const Text& text) {
  const auto mine = [&](const Json& line) { return std::find(a.lengths.begin(), a.lengths.end(), line.at("length")) != a.lengths.end(); };
  std::set<std::pair<std::string, int64_t>> done;
  for (const Json& line : read_lines(a.out, mine)) done.emplace(line.at("option").get<std::string>(), line.at("length").get<int64_t>());
  std::vector<int64_t> lengths = a.lengths;
  std::sort(lengths.rbegin(), lengths.rend());
  std::vector<bench::Measurement> runs;
  for (const int64_t length : lengths)
    for (const Option& option : kOptions)
      if (a.wanted(option) && !done.count({option.name, length}))
        runs.push_back(run_of(option, a, [&, length] { return run_length(option, length, text); }));
  measure(runs, a);
  if (const std::vector<Json> lines = read_lines(a.out, mine); !lines.empty()) write_table(a.table, "lengths", lengths_table_of(lines, a));
}

void run(const bench::Arguments& arguments) {
  const Settings a(arguments);
  Text text{read_file(a.data), 0};
  text.train = text.bytes.size() / 10 * 9;
  for (const int64_t length : a.lengths)
    if (length < 1 || size_t(length) >= text.train) fail_usage("--lengths: ", a.data, " has no row of ", length, " tokens");
  if (!a.lengths.empty()) return run_lengths(a, text);
  if (!arguments.number("lsh_quality")) return run_losses(a, text);
  at::set_num_threads(int(a.threads));
  print_lsh_quality(a, text);
}

}  // namespace
}  // namespace r1

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] {
    r1::keep_freed_memory();
    r1::run({argc,
             argv,
             {{"data", ""},
              {"only", ""},
              {"seeds", "3"},
              {"steps", "300"},
              {"rows", "2"},
              {"length", "512"},
              {"lengths", ""},
              {"threads", "1"},
              {"jobs", "1"},
              {"lsh_quality", "0"},
              {"out", ""},
              {"table", "docs/results/variants.md"}}});
  });
}
