// How near does attention over the cache come to the memory's speed? One layer's share of a step on a GPU: heads normed, rotated and cached,
// then attention (ops/qkv_heads.h), replayed as a graph of several layers with a cache each.
//   bench_paged_attention [--layers 8] [--repeat 20] [--shape NAME] [--work decode|rows|prompts]
// One JSON object a line: shape, what runs (decode of a batch, rows after a context), microseconds a layer, and bytes of keys and values read a
// second (decode) or floating point operations a second (many rows).
#include <ATen/core/grad_mode.h>

#include <chrono>
#include <cmath>

#include "bench/bench.h"
#include "r1/base/rng.h"
#include "r1/ops/qkv_heads.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/cuda_graph.h"

namespace r1 {
namespace {

struct Shape {
  std::string name;
  ops::HeadsShape heads;
  bool normed;
};
const std::vector<Shape> kShapes{
    {"qwen2.5-0.5b", {14, 2, 64}, false}, {"qwen2.5-1.5b", {12, 2, 128}, false}, {"qwen3-0.6b", {16, 8, 128}, true}};

struct Work {
  std::string name;
  int64_t sequences, context, rows;
  double spread = 0;  // contexts are from (1 - spread) to (1 + spread) of it
};
const std::vector<Work> kWorks{{"decode", 1, 160, 1},   {"decode", 1, 4096, 1},       {"decode", 8, 820, 1},   {"decode", 64, 820, 1},
                               {"decode", 256, 820, 1}, {"decode", 256, 820, 1, 0.9}, {"decode", 512, 400, 1}, {"rows", 64, 512, 2},
                               {"rows", 1, 2048, 2048}, {"rows", 8, 256, 512},        {"prompts", 8, 0, 1024}};

Json measured(const Shape& shape, const Work& work, int64_t layers, int64_t repeat) {
  const at::NoGradGuard no_grad;
  const int32_t block_size = 16;
  ops::Sequences lists{.cu_seqlens = {0}, .block_size = block_size};
  Rng rng(1);
  int32_t blocks = 0;
  int64_t keys = 0;
  double pairs = 0;
  for (int64_t s = 0; s < work.sequences; ++s) {
    const double by = 1 + work.spread * (2 * double(s) / double(std::max<int64_t>(1, work.sequences - 1)) - 1);
    const auto context = int32_t(double(work.context) * by);
    lists.cu_seqlens.push_back(int32_t(lists.cu_seqlens.back() + work.rows));
    lists.context_lens.push_back(context);
    lists.block_tables.emplace_back();
    for (int64_t i = 0; i < (context + work.rows + block_size - 1) / block_size; ++i) lists.block_tables.back().push_back(blocks++);
    keys += context + work.rows;
    pairs += double(work.rows) * (context + double(work.rows + 1) / 2);
  }
  std::vector<int32_t> ids(static_cast<size_t>(blocks));
  for (int32_t i = 0; i < blocks; ++i) ids[size_t(i)] = i;
  for (size_t i = ids.size() - 1; i > 0; --i) std::swap(ids[i], ids[size_t(rng.between(0, int64_t(i)))]);
  for (auto& table : lists.block_tables)
    for (int32_t& block : table) block = ids[size_t(block)];
  std::swap(lists.context_lens.front(), lists.context_lens.back());  // not in order, should they differ
  std::swap(lists.block_tables.front(), lists.block_tables.back());
  const ops::Sequences s = ops::sequences_on(at::kCUDA, lists);

  const auto& h = shape.heads;
  const auto bf16 = at::TensorOptions(at::kBFloat16).device(at::kCUDA);
  const Tensor qkv_TE = aten::randn({s.tokens(), (h.heads + 2 * h.kv_heads) * h.head_dim}, bf16);
  const int64_t bytes = ops::paged_attention_bytes(h.kv_heads, h.head_dim, block_size, at::kCUDA, at::kBFloat16);
  std::vector<Tensor> caches;
  for (int64_t i = 0; i < layers; ++i) caches.push_back(aten::randn({blocks, bytes / 2}, bf16).view(at::kByte));
  const ops::HeadNorms norms{aten::ones({h.head_dim}, bf16), aten::ones({h.head_dim}, bf16), 1e-6, 0};
  const ops::RotaryTable table = ops::rotary_table(ops::rotary_frequencies(h.head_dim, 1e6, {}), s.max_position + 1, at::kCUDA);
  const auto step = [&] {
    Tensor out;
    for (const Tensor& cache : caches)
      out = ops::paged_qkv_attention(qkv_TE, h, shape.normed ? &norms : nullptr, &table, cache, s, 1 / std::sqrt(double(h.head_dim)));
    return out;
  };
  const auto wait = [&] { return qkv_TE.narrow(0, 0, 1).sum().item<float>(); };
  step();
  const tensor::GraphMemory memory;
  tensor::CudaGraph graph;
  graph.capture(at::kCUDA, memory, [&] { step(); });
  graph.replay();
  wait();
  const auto begin = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < repeat; ++i) graph.replay();
  wait();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / double(repeat * layers);
  Json line{{"shape", shape.name},   {"work", work.name}, {"sequences", work.sequences}, {"context", work.context},
            {"spread", work.spread}, {"rows", work.rows}, {"us", seconds * 1e6}};
  const double read = double(keys) * double(bytes) / block_size;
  line["tb_per_s"] = read / seconds * 1e-12;
  if (work.rows > 16) line["tflop_per_s"] = 4 * pairs * double(h.heads * h.head_dim) / seconds * 1e-12;
  return line;
}

void run(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv, {{"layers", "8"}, {"repeat", "20"}, {"shape", ""}, {"work", ""}});
  for (const Shape& shape : kShapes) {
    if (!arguments.text("shape").empty() && arguments.text("shape") != shape.name) continue;
    for (const Work& work : kWorks) {
      if (!arguments.text("work").empty() && arguments.text("work") != work.name) continue;
      bench::print(measured(shape, work, arguments.number("layers"), arguments.number("repeat")));
    }
  }
}

}  // namespace
}  // namespace r1

int main(int argc, char** argv) {
  return r1::bench::exit_code_of([&] { r1::run(argc, argv); });
}
