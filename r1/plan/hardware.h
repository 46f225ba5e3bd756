// What a cluster's GPUs and links can do: peaks from data sheets, and which share of them real kernels and collectives reach. One set of
// constants for all GPUs and layouts (kEfficiency); docs/plan_cluster.md compares what comes of it with published runs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace r1::plan {

// Bytes and FLOPs a second, of one GPU. Links: one direction.
struct Gpu {
  std::string name;                      // of plan/gpu_cards.h where it is one of them
  double bf16_flops = 0, fp8_flops = 0;  // dense; fp8 0: the GPU has none
  double sustained = 1;                  // share of these that a power limit below the data sheet's leaves
  double memory_bytes = 0, memory_bandwidth = 0;
  double nvlink_bandwidth = 0;                                            // within a node
  double network_bandwidth = 0;                                           // between nodes: the GPU's share of its node's network cards
  double nvlink_latency_seconds = 4e-6, network_latency_seconds = 12e-6;  // of one step of a collective
};

struct NodeKind {
  int64_t count = 0, gpus = 0;
  Gpu gpu;
};

struct Cluster {
  std::vector<NodeKind> kinds;
  int64_t nodes = 0, gpus_per_node = 0;
  Gpu gpu;  // what each rank must reckon with: of several kinds the least of each figure, since a step waits for the slowest
  int64_t world() const { return nodes * gpus_per_node; }
  std::string title() const;
};

// "64x8xh200" (nodes x GPUs a node x kind), kinds joined by '+': "48x8xh200+16x8xh100"; or the path of a YAML file:
//   gpus: {mine: {like: h100, bf16_tflops: 800, network_gigabytes_per_second: 25}}      # more kinds, or other figures of a known one
//   nodes: [{count: 4, gpus: 8, gpu: mine}, {count: 2, gpus: 8, gpu: h200}]
// kUsage that names what is wrong; all nodes must have the same number of GPUs.
Cluster parse_cluster(const std::string& text);
std::vector<std::string> gpu_names();

// What is left of the peaks, measured. Where a figure is fitted and not measured, it is fitted to all published runs at once.
struct Efficiency {
  double product_bf16, product_fp8;              // of the peak, for a large product
  double product_size_bf16, product_size_fp8;    // of M, N, K: a product reaches 1 / (1 + size (1/M + 1/N + 1/K)) of that
  double attention_forward, attention_backward;  // of the bf16 peak, times head / (head + attention_head): cuDNN, FlashAttention-3
  double flash2_forward, flash2_backward;        // FlashAttention-2 on Hopper
  double attention_head;
  double memory;           // of the memory's bandwidth
  double nvlink, network;  // of the links' bandwidth, in large collectives
  double kernel_seconds;   // between two kernels that wait for each other
  double hidden_tp;        // share of a tensor-parallel collective that goes on beside its product, if overlapped
  double overlap_cost;     // of the time that a collective goes on beside products: the multiprocessors that it takes
  double other;            // share of a step for what no formula here has: data, logging, a rank that lags
};
extern const Efficiency kEfficiency;

}  // namespace r1::plan
