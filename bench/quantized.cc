// Quantized weights as they are, against llama.cpp on the same file, in turns. One JSON object a line, with the median ratio of rounds and
// its range (above 1: ours is the faster, or the smaller):
//   prefill   512 tokens of one text
//   decode    128 greedy tokens after 512: also the share of the memory's read bandwidth, measured in the same run; `same_ids`: how many of
//             the first ids are the same
//   streams   8 texts, 64 steps: tokens/s of all
//   load      a load from the page cache and the first token of a prompt of 8, each time in a process of its own
//   memory    resident at 2,048 tokens while decoding: what the process grew by since before the load, and all of it
// bench_quantized MODEL.gguf [--python PYTHON --peer bench/peers/llama_cpp_quantized.py] [--rounds 5] [--threads 2] [--rows prefill,decode]
// Random files: bench/peers/make_gguf.py. Without --python: ours alone.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <numeric>
#include <set>

#include "bench/bench.h"
#include "bench/python_peer.h"
#include "r1/base/memory.h"
#include "r1/base/threads.h"
#include "r1/engine/engine.h"
#include "r1/model/weights_io.h"
#include "r1/tensor/aten.h"

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

void run(const bench::Arguments& given) {
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
              {"rows", "load,memory,prefill,decode,streams"}},
             1});
  });
}
