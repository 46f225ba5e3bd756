#include "r1/plan/hardware.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/strings.h"
#include "r1/plan/gpu_cards.h"

namespace r1::plan {

// Measured on one H200 (docs/results/gpu.md): a bf16 product of 8192^3 runs at 774 to 783 TFLOP/s of 989, an fp8 one at 1,406 of 1,979; the
// products of GPT-2 124M (K and N of 768 to 3072) at 725; cuDNN's attention of heads of 128 at 589 forward and 445 backward, of 64 at 431
// and 357, ATen's FlashAttention-2 at 318 and 245; copies at 4.25 to 4.28 TB/s of 4.8, elementwise kernels a little below. NCCL's all-reduce
// of 512 MiB between two H200 reaches 265 to 315 of 450 GB/s. How an fp8 product depends on its size: DeepSeek-V3's shapes on an H800, 590
// to 1,358 TFLOP/s (deepseek-ai/DeepGEMM:README@184ce9b). What DeepSeek-V3 set aside for its exchanges are 20 of 132 multiprocessors (arXiv
// 2412.19437, section 3.2.2). hidden_tp is what async TP gained in torchtitan's runs of June 2025. Fitted to the published runs together:
// network, kernel_seconds, other.
const Efficiency kEfficiency = {
    .product_bf16 = 0.80,
    .product_fp8 = 0.80,
    .product_size_bf16 = 48,
    .product_size_fp8 = 450,
    .attention_forward = 0.80,  // 0.60 at a head of 128
    .attention_backward = 0.60,
    .flash2_forward = 0.43,
    .flash2_backward = 0.33,
    .attention_head = 42,
    .memory = 0.80,
    .nvlink = 0.70,
    .network = 0.80,
    .kernel_seconds = 3e-6,
    .hidden_tp = 0.45,
    .overlap_cost = 20.0 / 132,
    .other = 0.05,
};

namespace {

constexpr double kTera = 1e12, kGiga = 1e9;

Gpu make_gpu(const char* name, double bf16_teraflops, double fp8_teraflops, double memory_terabytes, double nvlink_gigabytes,
             double network_gigabytes) {
  Gpu gpu{.name = name, .bf16_flops = bf16_teraflops * kTera, .fp8_flops = fp8_teraflops * kTera};
  gpu.memory_bytes = double(gpu_card(name).bytes());
  gpu.memory_bandwidth = memory_terabytes * kTera;
  gpu.nvlink_bandwidth = nvlink_gigabytes * kGiga;
  gpu.network_bandwidth = network_gigabytes * kGiga;
  return gpu;
}

// NVIDIA's data sheets of the SXM modules, dense figures; NVLink's are sold as both directions together. Network cards as in DGX A100 (one
// HDR card of 200 Gb/s a GPU) and DGX H100, H200 and B200 (400 Gb/s a GPU).
std::vector<Gpu> known_gpus() {
  std::vector<Gpu> all = {
      make_gpu("a100", 312, 0, 2.039, 300, 25),       make_gpu("a100-40gb", 312, 0, 1.555, 300, 25),
      make_gpu("h100", 989.4, 1978.9, 3.35, 450, 50), make_gpu("h100-96gb", 989.4, 1978.9, 2.4, 450, 50),
      make_gpu("h800", 989.4, 1978.9, 3.35, 200, 50),  // NVLink cut to 400 GB/s (arXiv 2412.19437, section 3.1: IB 50 GB/s)
      make_gpu("h200", 989.4, 1978.9, 4.8, 450, 50),  make_gpu("b200", 2250, 4500, 8.0, 900, 50),
  };
  // The module that torchtitan's benchmarks ran on: 2.4 TB/s and a limit of 500 W in place of 700 (pytorch/torchtitan:benchmarks/
  // llama3_h100_202412_torchtitan.md). Near its limit a chip's power grows with the square of its clock or faster.
  for (Gpu& gpu : all) {
    if (gpu.name == "h100-96gb") gpu.sustained = std::sqrt(500.0 / 700.0);
  }
  return all;
}

const Gpu& find_gpu(const std::vector<Gpu>& known, const std::string& name, const std::string& where) {
  const std::string wanted = lower_ascii(name);
  std::vector<std::string> names;
  std::string all;
  for (const Gpu& gpu : known) {
    if (gpu.name == wanted) return gpu;
    names.push_back(gpu.name);
    all += (all.empty() ? "" : ", ") + gpu.name;
  }
  fail_usage(where, ": unknown GPU '", printable(name), "'", did_you_mean(wanted, names), " (known: ", all,
             "; others: a YAML file, docs/plan_cluster.md)");
}

// A kind of GPU as a file says it. 0: as the kind that it is like.
struct GpuKeys {
  std::string like;
  double bf16_tflops = 0, fp8_tflops = 0, memory_gibibytes = 0, memory_gigabytes_per_second = 0, nvlink_gigabytes_per_second = 0,
         network_gigabytes_per_second = 0, nvlink_latency_microseconds = 0, network_latency_microseconds = 0, sustained_share = 0;

  void visit(Fields& v) {
    const Range size{0, 1e9};
    v("like", like, "a known kind whose figures it has where none are given");
    v("bf16_tflops", bf16_tflops, "dense bf16 TFLOP/s", size);
    v("fp8_tflops", fp8_tflops, "dense fp8 TFLOP/s; without like 0: no fp8", size);
    v("memory_gibibytes", memory_gibibytes, "memory as programs see it", size);
    v("memory_gigabytes_per_second", memory_gigabytes_per_second, "of the memory", size);
    v("nvlink_gigabytes_per_second", nvlink_gigabytes_per_second, "within the node, one direction", size);
    v("network_gigabytes_per_second", network_gigabytes_per_second, "between nodes, a GPU's share, one direction", size);
    v("nvlink_latency_microseconds", nvlink_latency_microseconds, "of a step of a collective in the node", size);
    v("network_latency_microseconds", network_latency_microseconds, "of a step of a collective between nodes", size);
    v("sustained_share", sustained_share, "of the TFLOP/s, under its power limit", Range{0, 1});
  }
};

Gpu gpu_of(const std::string& name, const GpuKeys& keys, const std::vector<Gpu>& known, const std::string& where) {
  Gpu gpu;
  if (!keys.like.empty()) gpu = find_gpu(known, keys.like, str(where, ": gpus.", name, ".like"));
  gpu.name = lower_ascii(name);
  const auto take = [](double& figure, double given, double unit) {
    if (given > 0) figure = given * unit;
  };
  take(gpu.bf16_flops, keys.bf16_tflops, kTera);
  take(gpu.fp8_flops, keys.fp8_tflops, kTera);
  take(gpu.memory_bytes, keys.memory_gibibytes, double(int64_t{1} << 30));
  take(gpu.memory_bandwidth, keys.memory_gigabytes_per_second, kGiga);
  take(gpu.nvlink_bandwidth, keys.nvlink_gigabytes_per_second, kGiga);
  take(gpu.network_bandwidth, keys.network_gigabytes_per_second, kGiga);
  take(gpu.nvlink_latency_seconds, keys.nvlink_latency_microseconds, 1e-6);
  take(gpu.network_latency_seconds, keys.network_latency_microseconds, 1e-6);
  take(gpu.sustained, keys.sustained_share, 1);
  const std::pair<const char*, double> needed[] = {{"bf16_tflops", gpu.bf16_flops},
                                                   {"memory_gibibytes", gpu.memory_bytes},
                                                   {"memory_gigabytes_per_second", gpu.memory_bandwidth},
                                                   {"nvlink_gigabytes_per_second", gpu.nvlink_bandwidth},
                                                   {"network_gigabytes_per_second", gpu.network_bandwidth}};
  for (const auto& [key, value] : needed) {
    if (value <= 0) fail_usage(where, ": gpus.", name, " lacks ", key, "; give it, or like: h100, say");
  }
  return gpu;
}

constexpr int64_t kMostGpus = 10'000'000;

// Digits only; -1: not a number from 1 to kMostGpus.
int64_t positive(std::string_view text) {
  int64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
    if (value > kMostGpus) return -1;
  }
  return value > 0 ? value : -1;
}

NodeKind parse_kind(const std::string& part, const std::string& whole) {
  const size_t first = part.find('x'), second = first == std::string::npos ? first : part.find('x', first + 1);
  NodeKind kind;
  if (second != std::string::npos) {
    kind.count = positive(std::string_view(part).substr(0, first));
    kind.gpus = positive(std::string_view(part).substr(first + 1, second - first - 1));
  }
  if (kind.count <= 0 || kind.gpus <= 0)
    fail_usage("--cluster: expected nodes x GPUs x kind, 64x8xh200 say, or a .yaml file, got '", printable(whole), "'");
  kind.gpu = find_gpu(known_gpus(), part.substr(second + 1), "--cluster");
  return kind;
}

Cluster read_cluster(const std::string& path) {
  if (!std::filesystem::is_regular_file(path)) fail_usage("--cluster: there is no file ", printable(path));
  const std::string text = read_file(path);
  const Json document = parse_yaml_document(text, path);
  if (!document.is_object()) fail_usage(path, ": expected the keys gpus and nodes");
  for (const auto& [key, value] : document.items()) {
    if (key != "gpus" && key != "nodes")
      fail_usage(path, ": unknown key '", printable(key), "'", did_you_mean(key, {"gpus", "nodes"}), " (known: gpus, nodes)");
  }
  std::vector<Gpu> known = known_gpus();
  if (document.contains("gpus")) {
    if (!document["gpus"].is_object()) fail_usage(path, ": gpus: expected names with figures below them");
    for (const auto& [name, value] : document["gpus"].items()) {
      GpuKeys keys;
      apply_settings(keys, json_settings(value, str(path, ": gpus.", name)));
      Gpu gpu = gpu_of(name, keys, known, path);
      known.insert(known.begin(), std::move(gpu));  // before one of the same name
    }
  }
  Cluster cluster;
  if (!document.contains("nodes") || !document["nodes"].is_array() || document["nodes"].empty())
    fail_usage(path, ": nodes: expected a list, [{count: 4, gpus: 8, gpu: h100}] say");
  for (const Json& node : document["nodes"]) {
    struct NodeKeys {
      int64_t count = 0, gpus = 8;
      std::string gpu;
      void visit(Fields& v) {
        v("count", count, "nodes", Range{1, double(kMostGpus)});
        v("gpus", gpus, "GPUs of each", Range{1, 1024});
        v("gpu", gpu, "their kind", Required{});
      }
    } keys;
    apply_settings(keys, json_settings(node, path + ": nodes"));
    cluster.kinds.push_back({keys.count, keys.gpus, find_gpu(known, keys.gpu, path + ": nodes: gpu")});
  }
  return cluster;
}

// What every rank must reckon with.
void finish(Cluster& cluster, const std::string& text) {
  cluster.gpus_per_node = cluster.kinds[0].gpus;
  cluster.gpu = cluster.kinds[0].gpu;
  for (const NodeKind& kind : cluster.kinds) {
    if (kind.gpus != cluster.gpus_per_node)
      fail_usage("--cluster: '", printable(text), "' has nodes of ", cluster.gpus_per_node, " and of ", kind.gpus,
                 " GPUs; a layout needs them equal: leave some out, or count the larger ones as several nodes");
    cluster.nodes += kind.count;
    Gpu& least = cluster.gpu;
    const Gpu& gpu = kind.gpu;
    if (gpu.name != least.name) least.name += "+" + gpu.name;
    least.bf16_flops = std::min(least.bf16_flops * least.sustained, gpu.bf16_flops * gpu.sustained);
    least.fp8_flops = std::min(least.fp8_flops * least.sustained, gpu.fp8_flops * gpu.sustained);
    least.sustained = 1;
    least.memory_bytes = std::min(least.memory_bytes, gpu.memory_bytes);
    least.memory_bandwidth = std::min(least.memory_bandwidth, gpu.memory_bandwidth);
    least.nvlink_bandwidth = std::min(least.nvlink_bandwidth, gpu.nvlink_bandwidth);
    least.network_bandwidth = std::min(least.network_bandwidth, gpu.network_bandwidth);
    least.nvlink_latency_seconds = std::max(least.nvlink_latency_seconds, gpu.nvlink_latency_seconds);
    least.network_latency_seconds = std::max(least.network_latency_seconds, gpu.network_latency_seconds);
  }
  if (cluster.kinds.size() == 1) cluster.gpu = cluster.kinds[0].gpu;
  if (cluster.world() > kMostGpus) fail_usage("--cluster: ", cluster.world(), " GPUs are more than ", kMostGpus);
}

}  // namespace

std::vector<std::string> gpu_names() {
  std::vector<std::string> names;
  for (const Gpu& gpu : known_gpus()) names.push_back(gpu.name);
  return names;
}

std::string Cluster::title() const {
  std::string text;
  for (const NodeKind& kind : kinds) text += str(text.empty() ? "" : " + ", kind.count, " x ", kind.gpus, " ", kind.gpu.name);
  return text;
}

Cluster parse_cluster(const std::string& text) {
  Cluster cluster;
  if (text.ends_with(".yaml") || text.ends_with(".yml")) {
    cluster = read_cluster(text);
  } else {
    const std::string lower = lower_ascii(text);
    for (size_t begin = 0; begin <= lower.size();) {
      const size_t end = std::min(lower.find('+', begin), lower.size());
      cluster.kinds.push_back(parse_kind(lower.substr(begin, end - begin), text));
      begin = end + 1;
    }
  }
  finish(cluster, text);
  return cluster;
}

}  // namespace r1::plan
