// Quantized weights as they are, against llama.cpp on the same file, in turns. One JSON object a line, with the median ratio of rounds and
// its range (above 1: ours is the faster, or the smaller):
//   prefill   512 tokens of one text
//   decode    128 greedy tokens after 512: also the share of the memory's read bandwidth, measured in the same run; `same_ids`: how many of
//             the first ids are the same
//   streams   8 texts, 64 steps: tokens/s of all
//   load      a load from the page cache and the first token of a prompt of 8, each time in a process of its own
//   memory    resident at 2,048 tokens while decoding: what the process grew by since before the load, and all of it
//   products  no model and no peer: one matrix [--out 4864] x [--in 896] in each stored form (2:4, fp8, int8, int4 groups, ggml's), 1 row and
//             512 rows, against this program's own dense product of the unpacked matrix in fp32; so many copies of the matrix that none is in
//             the caches. Also the joint product of q, k and v (896 + 128 + 128 outputs of Q4_0) against the three alone.
// bench_quantized MODEL.gguf [--python PYTHON --peer bench/peers/llama_cpp_quantized.py] [--rounds 5] [--threads 2] [--rows prefill,decode]
// Random files: bench/peers/make_gguf.py. Without --python: ours alone.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <set>

#include "bench/bench.h"
#include "bench/python_peer.h"
#include "r1/base/memory.h"
#include "r1/base/threads.h"
#include "r1/engine/engine.h"
#include "r1/model/weights_io.h"
#include "r1/ops/linear.h"
#include "r1/ops/packed_linear.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/integers.h"
#include "tests/tensor/random_packed.h"

namespace r1 {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

int64_t resident_bytes() {
  int64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

// Bytes of quantized matrices that a step reads: all, as the embedding is the head too.
int64_t packed_bytes(const model::Transformer& model) {
  int64_t bytes = 0;
  for (const model::WeightRow& row : model.weights())
    if (row.weight && row.weight->packed()) bytes += row.weight->packed_bytes();
  return bytes;
}

// Bytes a second that all threads read together from 512 MB.
double read_bandwidth() {
  static const Tensor memory = aten::ones({int64_t{64} << 20}, at::kLong);
  const int64_t* at = memory.const_data_ptr<int64_t>();
  double best = 1e9;
  for (int round = 0; round < 5; ++round) {
    std::vector<int64_t> sums(size_t(at::get_num_threads()) * 64);
    const auto start = Clock::now();
    at::parallel_for(0, memory.numel(), memory.numel() / at::get_num_threads(), [&](int64_t begin, int64_t end) {
      int64_t sum[8] = {};
      for (int64_t i = begin; i + 8 <= end; i += 8)
        for (int64_t k = 0; k < 8; ++k) sum[k] += at[i + k];
      sums[size_t(at::get_thread_num()) * 64] += std::accumulate(sum, sum + 8, int64_t{0});
    });
    best = std::min(best, seconds_since(start));
    check(std::accumulate(sums.begin(), sums.end(), int64_t{0}) == memory.numel(), "the memory does not hold what was written");
  }
  return double(memory.nbytes()) / best;
}

engine::Request request(int64_t prompt, int64_t text, int64_t answer) {
  engine::Request r;
  for (int64_t i = 0; i < prompt; ++i) r.prompt.push_back(engine::TokenId((i + 1 + 1000 * text) * 7919 % 50000));
  r.sampling = {.temperature = 0, .max_new_tokens = answer};
  return r;
}

struct Run {
  double prefill_s = 0, decode_s = 0;
  std::vector<int64_t> ids;
};

// `texts` prompts of `prompt` tokens, then `steps` tokens of each.
Run generate(model::Transformer& model, int64_t prompt, int64_t texts, int64_t steps) {
  engine::EngineConfig config;
  config.max_num_seqs = texts;
  config.max_model_len = prompt + steps + 8;
  config.enable_prefix_caching = false;
  config.max_num_batched_tokens = 512;  // as the peer's
  config.num_blocks = texts * ((prompt + steps + 8) / config.block_size + 2);
  engine::Engine engine(model, config);
  for (int64_t i = 0; i < texts; ++i) engine.add(request(prompt, i, steps + 1));
  Run run;
  auto start = Clock::now();
  while (engine.stats().generated_tokens < texts)
    for (const auto& event : engine.step()) run.ids.push_back(event.token);
  run.prefill_s = seconds_since(start);
  start = Clock::now();
  while (!engine.idle())
    for (const auto& event : engine.step()) run.ids.push_back(event.token);
  run.decode_s = seconds_since(start);
  return run;
}

std::unique_ptr<model::Transformer> load(const std::string& path) {
  return model::load_model(path, at::kCPU, at::kFloat, {}, {.keep_packed = true, .products_only = true});
}

struct Bench {
  const bench::Arguments& given;
  std::string path = given.words().at(0);
  std::unique_ptr<bench::PythonPeer> peer;
  std::unique_ptr<model::Transformer> model;

  Json line(const char* row) const {
    return {{"bench", "quantized"}, {"row", row}, {"model", fs::path(path).filename().string()}, {"threads", at::get_num_threads()}};
  }

  // ours() and theirs (one line to the peer, seconds in "s") in turns; `units`: what is done in that time.
  void race(Json line, double units, const std::string& ask, const std::function<double()>& ours,
            const std::function<void(const Json&)>& look = {}) {
    bench::Rounds rounds;
    for (int64_t round = 0; round <= given.number("rounds"); ++round) {
      const double mine = ours();
      const Json theirs = peer ? peer->ask(ask) : Json{{"s", mine}};
      if (round == 0) {  // warm now
        if (peer && look) look(theirs);
        continue;
      }
      rounds.ours.push_back(mine);
      rounds.theirs.push_back(theirs["s"].get<double>());
    }
    line.update(rounds.summary());
    line["ours_per_s"] = units / line["ours_s"].get<double>();
    line["peer_per_s"] = units / line["peer_s"].get<double>();
    if (!peer)
      for (const char* key : {"peer_s", "ratio", "ratio_min", "ratio_max", "peer_per_s"}) line.erase(key);
    bench::print(line);
  }

  void prefill() {
    race(line("prefill"), 512, "prefill 512", [&] { return generate(*model, 512, 1, 0).prefill_s; });
  }

  void decode() {
    std::vector<int64_t> ids;
    Json out = line("decode");
    const double bandwidth = read_bandwidth();
    bench::Rounds rounds;
    for (int64_t round = 0; round <= given.number("rounds"); ++round) {
      const Run mine = generate(*model, 512, 1, 128);
      const Json theirs = peer ? peer->ask("decode 512 128") : Json{{"s", mine.decode_s}, {"ids", mine.ids}};
      if (round == 0) {
        size_t same = 0;
        while (same < theirs["ids"].size() && theirs["ids"][same] == mine.ids[same]) ++same;
        out["same_ids"] = same;
        continue;
      }
      rounds.ours.push_back(mine.decode_s);
      rounds.theirs.push_back(theirs["s"].get<double>());
    }
    out.update(rounds.summary());
    const double step = out["ours_s"].get<double>() / 128;
    out["ours_per_s"] = 1 / step;
    out["peer_per_s"] = 128 / out["peer_s"].get<double>();
    out["read_gb_s"] = bandwidth / 1e9;
    out["share_of_bandwidth"] = double(packed_bytes(*model)) / step / bandwidth;
    bench::print(out);
  }

  void streams() {
    race(line("streams"), 8 * 64, "streams 32 8 64", [&] { return generate(*model, 32, 8, 64).decode_s; });
  }

  void load_and_first() {
    race(line("load"), 1, "load", [&] {
      return bench::in_child([&] {
               const auto start = Clock::now();
               const auto fresh = load(path);
               generate(*fresh, 8, 1, 0);
               return Json(seconds_since(start));
             })
          .get<double>();
    });
  }

  void memory() {
    const Json mine = bench::in_child([&] {
      const int64_t before = resident_bytes();
      const auto fresh = load(path);
      generate(*fresh, 2048, 1, 8);
      return Json{{"resident", resident_bytes()}, {"grown", resident_bytes() - before}};
    });
    Json out = line("memory");
    out["file"] = int64_t(fs::file_size(path));
    out["ours"] = mine;
    if (peer) {
      const Json theirs = peer->ask("memory 2048");
      out["peer"] = theirs;
      out["ratio"] = theirs["grown"].get<double>() / mine["grown"].get<double>();
    }
    bench::print(out);
  }
};

// -- products -------------------------------------------------------------------------------------------------------------------------

using Packed = std::shared_ptr<const tensor::PackedMatrix>;

Tensor random_matrix(int64_t out, int64_t in, uint64_t seed) {
  const Tensor w = aten::empty({out, in}, at::kFloat);
  float* to = w.mutable_data_ptr<float>();
  for (int64_t i = 0; i < w.numel(); ++i) to[i] = float(2 * random_uniform(seed, 1, uint64_t(i)) - 1);
  return w;
}

tensor::IntegerMatrix random_integers(int64_t out, int64_t in, int bits, int64_t group, bool scattered) {
  const int64_t groups = group ? in / group : 1;
  tensor::IntegerMatrix m{.bits = bits};
  m.codes_OI = ((random_matrix(out, in, 5) + 1) * (bits == 4 ? 7.9 : 127.9)).to(at::kByte);
  m.scales_OG = aten::full({out, groups}, 0.01, at::kFloat);
  m.zeros_OG = aten::full({out, groups}, 1 << (bits - 1), at::kByte);
  if (scattered) m.group_of_I = aten::arange(in).remainder(groups).to(at::kInt);
  return m;
}

std::vector<std::pair<std::string, std::function<Packed()>>> forms(int64_t out, int64_t in) {
  const auto integers = [=](int bits, int64_t group, bool scattered, InputRounding rounding) {
    return [=]() -> Packed { return tensor::pack_integers({random_integers(out, in, bits, group, scattered)}, rounding, {0.01f}); };
  };
  const auto two_of_four = [=](at::ScalarType type) {
    return [=]() -> Packed {
      const Tensor w = random_matrix(out, in, 6);
      w.view({out, in / 4, 4}).narrow(2, 1, 2).zero_();
      return tensor::pack_floats({w.to(type)});
    };
  };
  return {
      {"2:4 bfloat16", two_of_four(at::kBFloat16)},
      {"2:4 float32", two_of_four(at::kFloat)},
      {"bfloat16", [=]() -> Packed { return tensor::pack_floats({random_matrix(out, in, 6).to(at::kBFloat16)}); }},
      {"fp8 blocks", [=]() -> Packed { return tensor::pack_fp8_blocks({tensor::to_fp8_blocks(random_matrix(out, in, 6))}); }},
      {"int8, a scale a token", integers(8, 0, false, InputRounding::kRow)},
      {"int8, one scale", integers(8, 0, false, InputRounding::kFixed)},
      {"int8 groups of 128", integers(8, 128, false, InputRounding::kBlock)},
      {"int4 groups of 128", integers(4, 128, false, InputRounding::kBlock)},
      {"int4 groups of 32", integers(4, 32, false, InputRounding::kBlock)},
      {"int4 groups of 128, scattered", integers(4, 128, true, InputRounding::kBlock)},
      {"Q4_0", [=]() -> Packed { return tensor::random_packed(GgmlType::kQ4_0, out, in, 7); }},
      {"Q8_0", [=]() -> Packed { return tensor::random_packed(GgmlType::kQ8_0, out, in, 7); }},
  };
}

// Seconds of one of `calls`, call(i) in turns over i.
double fastest(int64_t rounds, int64_t calls, const std::function<void(int64_t)>& call) {
  double best = 1e9;
  for (int64_t round = 0; round < rounds; ++round) {
    const auto start = Clock::now();
    for (int64_t i = 0; i < calls; ++i) call(i);
    best = std::min(best, seconds_since(start) / double(calls));
  }
  return best;
}

void products(const bench::Arguments& given) {
  const int64_t out = given.number("out"), in = given.number("in"), rounds = given.number("rounds");
  const int64_t copies = std::max<int64_t>(2, (int64_t{256} << 20) / (out * in * 4));
  const auto line = [&](const std::string& form, int64_t rows) {
    return Json{{"bench", "quantized"},
                {"row", "products"},
                {"form", form},
                {"rows", rows},
                {"out", out},
                {"in", in},
                {"threads", at::get_num_threads()}};
  };
  std::vector<Tensor> dense;
  for (int64_t i = 0; i < copies; ++i) dense.push_back(random_matrix(out, in, 6));
  std::map<int64_t, double> dense_s;
  for (const int64_t rows : {1, 512}) {
    const Tensor x = random_matrix(rows, in, 9);
    dense_s[rows] = fastest(rounds, rows == 1 ? copies : 2, [&](int64_t i) { ops::linear(x, dense[size_t(i)]); });
    Json result = line("float32, dense", rows);
    result["s"] = dense_s[rows];
    bench::print(result);
  }
  dense.clear();
  for (const auto& [name, make] : forms(out, in)) {
    std::vector<Packed> matrices;
    // As many as fill as much memory: smaller forms have more of them.
    matrices.push_back(make());
    const int64_t enough = std::min<int64_t>(4 * copies, (int64_t{128} << 20) / matrices[0]->bytes() + 1);
    for (int64_t i = 1; i < enough; ++i) matrices.push_back(make());
    for (const int64_t rows : {1, 512}) {
      const Tensor x = random_matrix(rows, in, 9);
      const double s = fastest(rounds, rows == 1 ? enough : 2, [&](int64_t i) { ops::packed_linear(x, *matrices[size_t(i)], 0, out); });
      Json result = line(name, rows);
      result.update(
          {{"s", s}, {"ratio", dense_s[rows] / s}, {"bytes", matrices[0]->bytes()}, {"read_gb_s", double(matrices[0]->bytes()) / s / 1e9}});
      bench::print(result);
    }
  }
  const std::vector<Packed> qkv = {tensor::random_packed(GgmlType::kQ4_0, in, in, 1), tensor::random_packed(GgmlType::kQ4_0, 128, in, 2),
                                   tensor::random_packed(GgmlType::kQ4_0, 128, in, 3)};
  std::vector<ops::PackedMap> maps;
  for (const Packed& w : qkv) maps.push_back({w.get()});
  for (const int64_t rows : {1, 8}) {
    const Tensor x = random_matrix(rows, in, 9);
    const double alone = fastest(5 * rounds, 50, [&](int64_t) {
      for (const Packed& w : qkv) ops::packed_linear(x, *w, 0, w->rows());
    });
    const double joint = fastest(5 * rounds, 50, [&](int64_t) { ops::packed_linear_joint(x, maps); });
    Json result = line("q, k, v together", rows);
    result.update({{"s", joint}, {"alone_s", alone}, {"ratio", alone / joint}});
    bench::print(result);
  }
}

void run(const bench::Arguments& given) {
  if (given.text("rows") == "products") {
    const at::NoGradGuard no_grad;
    set_num_threads(int(given.number("threads")));
    at::set_num_threads(int(given.number("threads")));
    return products(given);
  }
  if (given.words().empty()) fail_usage("bench_quantized: give MODEL.gguf");
  const at::NoGradGuard no_grad;
  keep_freed_memory();
  set_num_threads(int(given.number("threads")));
  at::set_num_threads(int(given.number("threads")));
  Bench b{given};
  const auto rows = bench::split(given.text("rows"));
  const std::set<std::string> wanted(rows.begin(), rows.end());
  if (!given.text("python").empty())
    b.peer = std::make_unique<bench::PythonPeer>(given.text("python"),
                                                 std::vector<std::string>{given.text("peer"), b.path, given.text("threads")});
  // Processes of their own first: they want a parent that is small and has no threads yet.
  if (wanted.contains("load")) b.load_and_first();
  if (wanted.contains("memory")) b.memory();
  if (!wanted.contains("prefill") && !wanted.contains("decode") && !wanted.contains("streams")) return;
  b.model = load(b.path);
  if (wanted.contains("prefill")) b.prefill();
  if (wanted.contains("decode")) b.decode();
  if (wanted.contains("streams")) b.streams();
}

}  // namespace
}  // namespace r1

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] {
    r1::run({argc,
             argv,
             {{"python", ""},
              {"peer", "bench/peers/llama_cpp_quantized.py"},
              {"rounds", "5"},
              {"threads", "2"},
              {"rows", "load,memory,prefill,decode,streams"},
              {"out", "4864"},
              {"in", "896"}},
             1});
  });
}
