// The parts of a cluster's plan by themselves: what can be counted by hand. Whole plans against published runs: tests/app/plan_cluster_test.cc.
#include <gtest/gtest.h>

#include <fstream>
#include <numeric>

#include "r1/base/error.h"
#include "r1/plan/compute.h"
#include "r1/plan/search.h"
#include "tests/message_of.h"
#include "tests/temporary_folder.h"

namespace r1::plan {
namespace {

constexpr double kGiB = 1 << 30;

// A network of `layers` equal dense layers, hidden size 4096, as Llama 3.1 8B has them.
Network dense_network(int64_t layers, double experts = 0) {
  Layer layer;
  layer.hidden = 4096, layer.heads = 32, layer.kv_heads = 8, layer.qk_dim = layer.v_dim = 128, layer.inner = 14336;
  layer.products = {{4096, 4096, 0}, {4096, 1024, 0}, {4096, 1024, 0}, {4096, 4096, 1}};
  layer.split = 4096.0 * (4096 + 1024 + 1024 + 4096);
  const std::vector<Product> mlp = {{4096, 14336, 0}, {4096, 14336, 0}, {14336, 4096, 1}};
  if (experts > 0) {
    for (const Product& p : mlp) layer.products.push_back({p.in, p.out, -1, true});
    layer.experts = experts, layer.experts_per_token = 2, layer.inner *= 2;
    layer.expert = experts * 3 * 4096.0 * 14336;
  } else {
    layer.products.insert(layer.products.end(), mlp.begin(), mlp.end());
    layer.split += 3 * 4096.0 * 14336;
  }
  layer.whole = 2 * 4096;
  layer.saved_stream = 4 * 2 * 4096, layer.saved_inside = 2 * (2 * 4096 + 2 * 1024 + 3 * layer.inner);
  layer.kept_attention = 2 * 4096 + 2 * 1024, layer.kept_mlp = 2 * layer.inner;
  Network n;
  n.name = "dense";
  n.hidden = 4096, n.vocab = 128256, n.heads = 32, n.kv_heads = 8, n.experts = experts;
  n.embedding = n.head = n.hidden * n.vocab;
  n.final_whole = 4096;
  n.kinds = {layer};
  n.layers.assign(size_t(layers), 0);
  return n;
}

struct Case {
  explicit Case(const std::string& cluster_text, Network given = dense_network(32),
                Job given_job = {.global_batch = 128, .sequence_length = 8192})
      : cluster(parse_cluster(cluster_text)), network(std::move(given)), job(given_job), stages(network, job) {}
  Cluster cluster;
  Network network;
  Job job;
  Stages stages;
  Setting setting() const { return {cluster, network, job, stages}; }
  Estimate run(const Layout& layout) const {
    EXPECT_EQ(problem(network, job, layout, cluster.world(), cluster.gpus_per_node), "");
    return estimate(setting(), layout);
  }
  std::string wrong(const Layout& layout) const { return problem(network, job, layout, cluster.world(), cluster.gpus_per_node); }
};

const Exchange& exchange(const Estimate& e, const std::string& name) {
  for (const Exchange& x : e.exchanges) {
    if (x.name == name) return x;
  }
  fail("no exchange is called ", name);
}

TEST(Hardware, ClustersByWord) {
  const Cluster c = parse_cluster("64x8xH200");
  EXPECT_EQ(c.world(), 512);
  EXPECT_EQ(c.gpus_per_node, 8);
  EXPECT_EQ(c.title(), "64 x 8 h200");
  EXPECT_NEAR(c.gpu.memory_bytes / kGiB, 139.7, 0.1);
  for (const std::string& name : gpu_names()) {
    const Gpu gpu = parse_cluster("1x8x" + name).gpu;
    EXPECT_GT(gpu.bf16_flops, 3e14) << name;
    EXPECT_GT(gpu.nvlink_bandwidth, gpu.network_bandwidth) << name;
    EXPECT_GT(gpu.memory_bandwidth, gpu.nvlink_bandwidth) << name;
  }
}

// Of several kinds each figure is the least.
TEST(Hardware, MixedClusters) {
  const Cluster c = parse_cluster("4x8xh200+2x8xa100");
  EXPECT_EQ(c.nodes, 6);
  EXPECT_EQ(c.gpu.name, "h200+a100");
  EXPECT_EQ(c.gpu.bf16_flops, 312e12);
  EXPECT_EQ(c.gpu.fp8_flops, 0);
  EXPECT_EQ(c.gpu.network_bandwidth, 25e9);
  EXPECT_EQ(parse_cluster("4x8xh800+2x8xh200").gpu.nvlink_bandwidth, 200e9);
}

TEST(Hardware, ClustersOfAFile) {
  const TemporaryFolder folder("plan_hardware");
  const std::string path = folder.path() / "cluster.yaml";
  const auto write = [&](const std::string& text) { std::ofstream(path) << text; };
  write("gpus:\n  mine: {like: h100, bf16_tflops: 800, network_gigabytes_per_second: 12.5}\nnodes:\n  - {count: 3, gpus: 4, gpu: mine}\n");
  const Cluster c = parse_cluster(path);
  EXPECT_EQ(c.world(), 12);
  EXPECT_EQ(c.gpu.bf16_flops, 800e12);
  EXPECT_EQ(c.gpu.network_bandwidth, 12.5e9);
  EXPECT_EQ(c.gpu.nvlink_bandwidth, 450e9);
  write("gpus:\n  mine: {bf16_tflops: 800}\nnodes: [{count: 1, gpu: mine}]\n");
  EXPECT_NE(message_of([&] { parse_cluster(path); }).find("gpus.mine lacks memory_gibibytes"), std::string::npos);
  write("gpus:\n  mine: {like: h100, bf16_tflop: 800}\nnodes: [{count: 1, gpu: mine}]\n");
  EXPECT_NE(message_of([&] { parse_cluster(path); }).find("did you mean 'bf16_tflops'"), std::string::npos);
  write("node: [{count: 1, gpu: h100}]\n");
  EXPECT_NE(message_of([&] { parse_cluster(path); }).find("did you mean 'nodes'"), std::string::npos);
  write("nodes: [{count: 1, gpu: h100, gpus: 8}, {count: 1, gpu: h100, gpus: 4}]\n");
  EXPECT_NE(message_of([&] { parse_cluster(path); }).find("nodes of 8 and of 4 GPUs"), std::string::npos);
}

TEST(Hardware, WrongClustersAreNamed) {
  for (const char* text : {"64xh200", "h200", "0x8xh200", "-1x8xh200", "8x8x", "axbxc", "", "99999999999999999999x8xh100", "1x8xh100+"}) {
    const std::string message = message_of([&] { parse_cluster(text); });
    EXPECT_TRUE(message.find("--cluster") == 0) << text << ": " << message;
  }
  EXPECT_NE(message_of([] { parse_cluster("8x8xh20O"); }).find("did you mean 'h200'"), std::string::npos);
}

TEST(Collectives, BytesOfARing) {
  const Cluster c = parse_cluster("4x8xh100");
  EXPECT_DOUBLE_EQ(gather_or_scatter(c, {8, 1}, 800).bytes, 700);
  EXPECT_DOUBLE_EQ(all_reduce(c, {8, 1}, 800).bytes, 1400);
  EXPECT_EQ(gather_or_scatter(c, {1, 1}, 800).seconds, 0);
  EXPECT_EQ(ranks_in_node(c, {32, 1}), 8);
  EXPECT_EQ(ranks_in_node(c, {4, 8}), 1);
  EXPECT_EQ(ranks_in_node(c, {8, 4}), 2);
  // All eight cards carry a ring over whole nodes; of ranks that stand alone in their nodes each has its own.
  const double large = 8e9, whole = gather_or_scatter(c, {32, 1}, large).seconds, alone = gather_or_scatter(c, {4, 8}, large).seconds;
  EXPECT_NEAR(alone / whole, 315.0 / 40 * (3.0 / 4) / (31.0 / 32), 0.2);
  // An all-to-all keeps a node's part inside it; with a token's rows sent once, less leaves.
  const Transfer flat = all_to_all(c, {32, 1}, 8000, 100), once = node_all_to_all(c, {32, 1}, 1000, 2.5, 8000, 100);
  EXPECT_DOUBLE_EQ(flat.bytes, 8000.0 * 100 * 31 / 32);
  EXPECT_DOUBLE_EQ(once.bytes, 1000 * 2.5 * 100 + 8000.0 * 100 * 7 / 8);
  EXPECT_LT(once.seconds, flat.seconds);
}

TEST(Layouts, WhatCannotBeIsNamedWithAWayOut) {
  const Case c("4x8xh100");
  const Layout good{.dp = 8, .tp = 4};
  EXPECT_EQ(c.wrong(good), "");
  const auto expect = [&](Layout layout, std::initializer_list<const char*> parts, const Case& of) {
    const std::string message = of.wrong(layout);
    for (const char* part : parts) EXPECT_NE(message.find(part), std::string::npos) << part << " in: " << message;
  };
  expect({.dp = 4, .tp = 4}, {"= 16 ranks", "32 GPUs", "--parallel.dp 8"}, c);
  expect({.dp = 1, .tp = 32}, {"parallel.tp 32", "8 GPUs of a node"}, c);
  expect({.dp = 32, .ep = 2}, {"has no experts", "--parallel.ep 1"}, c);
  expect({.dp = 32, .micro_batch = 3}, {"global_batch 128", "--global_batch 192"}, c);
  expect({.dp = 1, .tp = 1, .pp = 32, .virtual_stages = 2, .schedule = Schedule::kInterleaved},
         {"virtual_stages 2", "32 layers", "--parallel.pp 16"}, Case("4x8xh100"));
  expect({.dp = 32, .virtual_stages = 2, .schedule = Schedule::kInterleaved}, {"needs a pipeline"}, c);
  expect({.dp = 8, .pp = 4, .virtual_stages = 2}, {"belong to --schedule interleaved"}, c);
  expect({.dp = 8, .pp = 4, .schedule = Schedule::kInterleaved}, {"--virtual_stages 2"}, c);
  expect({.dp = 2, .pp = 16, .micro_batch = 8, .schedule = Schedule::kDualPipe}, {"dualpipe", "8 micro-batches"}, c);
  const Case six("1x6xh100");
  expect({.dp = 1, .tp = 6}, {"parallel.tp 6", "32 attention heads", "1, 2, 4, 8, 16, 32"},
         Case("1x6xh100", dense_network(32), {126, 8192}));
  const Case moe("4x8xh100", dense_network(8, 16));
  EXPECT_EQ(moe.wrong({.dp = 16, .tp = 2, .ep = 16}), "");
  expect({.dp = 16, .tp = 2, .ep = 6}, {"16 experts"}, moe);
  expect({.dp = 2, .tp = 2, .pp = 8, .ep = 16}, {"parallel.ep 16", "4 ranks of a stage", "one of 1, 2, 4"}, moe);
  const Case long_text("4x8xh100", dense_network(32), {.global_batch = 128, .sequence_length = 8190});
  expect({.dp = 8, .cp = 4}, {"parallel.cp 4", "got 8190"}, long_text);
  expect({.dp = 8, .tp = 4}, {"8190 tokens", "--no-sequence_parallel"}, long_text);
}

TEST(Stages, EveryLayerOnceAndTheHeadCounts) {
  for (const int64_t layers : {32, 61, 80, 126}) {
    const Network n = dense_network(layers);
    const Stages stages(n, {.global_batch = 128, .sequence_length = 8192});
    for (int64_t parts = 1; parts <= std::min<int64_t>(layers, 64); ++parts) {
      const std::vector<int64_t>& ends = stages.ends(parts);
      ASSERT_EQ(int64_t(ends.size()), parts);
      EXPECT_EQ(ends.back(), layers);
      int64_t begin = 0, most = 0;
      for (const int64_t end : ends) {
        EXPECT_GT(end, begin) << layers << " over " << parts;
        most = std::max(most, end - begin), begin = end;
      }
      EXPECT_LE(most, (layers + parts - 1) / parts + 1);
    }
  }
  // A head of two and a half layers: the last rank has fewer.
  const Network n = dense_network(30);
  const std::vector<Share> shares = Stages(n, {128, 8192}).shares({.pp = 4});
  EXPECT_LT(shares[3].layers[0], shares[0].layers[0]);
  EXPECT_EQ(shares[0].embeddings, 1);
  EXPECT_EQ(shares[3].heads, 1);
}

// 16 bytes a parameter (bf16 weight, fp32 gradient, master and two moments are 18) on one rank, and what each ZeRO stage shares out.
TEST(Steps, MemoryByZeroStage) {
  const Case c("1x8xh200");
  const double P = c.network.parameters();
  EXPECT_NEAR(P, 8.03e9, 0.01e9);
  const auto memory = [&](int64_t zero) { return c.run({.dp = 8, .zero = zero, .recompute = Recompute::kFull}).memory; };
  EXPECT_DOUBLE_EQ(memory(0).weights, 2 * P);
  EXPECT_DOUBLE_EQ(memory(0).gradients, 4 * P);
  EXPECT_DOUBLE_EQ(memory(0).optimizer, 12 * P);
  EXPECT_DOUBLE_EQ(memory(1).optimizer, 12 * P / 8);
  EXPECT_DOUBLE_EQ(memory(1).gradients, 4 * P);
  EXPECT_DOUBLE_EQ(memory(2).gradients, 4 * P / 8);
  EXPECT_DOUBLE_EQ(memory(2).weights, 2 * P);
  EXPECT_DOUBLE_EQ(memory(3).weights, 2 * P / 8);
  EXPECT_GT(memory(3).gathered, 0);
  // Along a pipeline gradients are summed over micro-batches first.
  const Memory staged = c.run({.dp = 2, .pp = 4, .zero = 3, .recompute = Recompute::kFull}).memory;
  EXPECT_DOUBLE_EQ(staged.gradients, 2 * staged.weights);
  EXPECT_EQ(staged.gathered, 0);
}

TEST(Steps, ActivationsByScheduleAndPolicy) {
  const Case c("4x8xh100");
  const auto run = [&](Schedule schedule, int64_t parts, Recompute recompute = Recompute::kNone) {
    return c.run({.dp = 4, .tp = 2, .pp = 4, .virtual_stages = parts, .schedule = schedule, .recompute = recompute});
  };
  // 1F1B: the first rank holds pp micro-batches; interleaved as many again as it has parts more.
  EXPECT_EQ(run(Schedule::kOneForwardOneBackward, 1).memory.in_flight, 4);
  EXPECT_EQ(run(Schedule::kInterleaved, 4).memory.in_flight, 2 * 3 + 3 * 4 + 1);
  EXPECT_EQ(run(Schedule::kDualPipe, 1).memory.in_flight, 5);
  EXPECT_NEAR(run(Schedule::kDualPipe, 1).memory.weights / run(Schedule::kOneForwardOneBackward, 1).memory.weights, 2, 0.5);
  double last = 1e30;
  for (const Recompute r : {Recompute::kNone, Recompute::kSelective, Recompute::kEveryOther, Recompute::kFull}) {
    const double bytes = run(Schedule::kOneForwardOneBackward, 1, r).memory.activations;
    EXPECT_LT(bytes, last) << name_of(r);
    last = bytes;
  }
  // Counted by hand: 8192 tokens, 8 layers, 4 micro-batches, norms and stream cut by 2 as the rest.
  const Layer& layer = c.network.kinds[0];
  const Memory m = run(Schedule::kOneForwardOneBackward, 1).memory;
  const double layers = double(c.stages.shares({.pp = 4})[0].layers[0]);
  EXPECT_NEAR(m.activations, 8192 * (layer.saved_stream + layer.saved_inside) / 2 * (4 * layers + 1), 1e3);
}

TEST(Steps, BubbleOfEqualStages) {
  // Without a head to speak of all ranks do the same, and the bubble is (pp - 1) / m of it, less under other schedules.
  Network n = dense_network(32);
  n.vocab = 32, n.embedding = n.head = 32 * 4096;
  const Case c("4x8xh100", n);
  const auto run = [&](Schedule schedule, int64_t parts) {
    return c.run({.dp = 4, .tp = 1, .pp = 8, .virtual_stages = parts, .schedule = schedule});
  };
  const Estimate one = run(Schedule::kOneForwardOneBackward, 1);
  const double busy = one.product_seconds + one.attention_seconds + one.elementwise_seconds + one.exposed_seconds + one.overlap_seconds;
  EXPECT_NEAR(one.bubble_seconds / busy, 7.0 / 32, 0.02);
  EXPECT_NEAR(run(Schedule::kInterleaved, 4).bubble_seconds / one.bubble_seconds, 0.25, 0.02);
  const double zero = run(Schedule::kZeroBubble, 1).bubble_seconds, dual = run(Schedule::kDualPipe, 1).bubble_seconds;
  EXPECT_LT(zero, 0.5 * one.bubble_seconds);
  EXPECT_LT(dual, zero);
  EXPECT_GE(dual, 0);
}

TEST(Steps, BytesOfTheCollectives) {
  const Case c("4x8xh100");
  const double tokens = 8192, stream = tokens * 4096 * 2;
  const Estimate tp = c.run({.dp = 4, .tp = 8, .pp = 1});
  const double m = 32;  // 128 sequences over dp 4
  // Two pairs of gather and scatter a layer, forward and backward.
  EXPECT_DOUBLE_EQ(exchange(tp, "tp gather + scatter").bytes, m * 32 * 8 * stream * 7 / 8);
  EXPECT_DOUBLE_EQ(exchange(tp, "tp gather again").bytes, m * 32 * 2 * stream * 7 / 8);
  EXPECT_EQ(exchange(tp, "tp gather again").exposed_seconds, 0);
  Case all("4x8xh100");
  all.job.sequence_parallel = false;
  EXPECT_DOUBLE_EQ(exchange(all.run({.dp = 4, .tp = 8, .pp = 1}), "tp all-reduce").bytes, m * 32 * 4 * 2 * stream * 7 / 8);
  // Gradients once a step in fp32, weights once in bf16.
  const double P = c.network.parameters();
  const Estimate dp = c.run({.dp = 32});
  EXPECT_NEAR(exchange(dp, "dp scatter gradients").bytes, 4 * P * 31 / 32, 1);
  EXPECT_NEAR(exchange(dp, "dp gather weights").bytes, 2 * P * 31 / 32, 1);
  EXPECT_NEAR(exchange(c.run({.dp = 32, .zero = 0}), "dp all-reduce").bytes, 2 * 4 * P * 31 / 32, 1);
  // ZeRO-3 gathers in both passes of each of 4 micro-batches.
  const Estimate sharded = c.run({.dp = 32, .zero = 3});
  EXPECT_NEAR(exchange(sharded, "dp gather weights").bytes, 4 * 2 * 2 * P * 31 / 32, 1);
  EXPECT_NEAR(exchange(sharded, "dp scatter gradients").bytes, 4 * 4 * P * 31 / 32, 1);
  const Estimate second = c.run({.dp = 32, .zero = 2});
  EXPECT_NEAR(exchange(second, "dp scatter gradients").bytes, 4 * 4 * P * 31 / 32, 1);
  EXPECT_NEAR(exchange(second, "dp gather weights").bytes, 2 * P * 31 / 32, 1);
  // Activations on and gradients back, of each micro-batch.
  EXPECT_DOUBLE_EQ(exchange(c.run({.dp = 8, .tp = 1, .pp = 4}), "pp send").bytes, 16 * 2 * stream);
  // Keys and values of 8 heads, once forward and twice backward, to 3 others.
  EXPECT_DOUBLE_EQ(exchange(c.run({.dp = 8, .cp = 4}), "cp ring").bytes, 16 * 32 * 3 * (8192.0 * 8 * 256 * 2) * 3 / 4);
  const Case moe("4x8xh100", dense_network(8, 32));
  const Estimate ep = moe.run({.dp = 32, .ep = 32});
  EXPECT_DOUBLE_EQ(exchange(ep, "ep dispatch").bytes, 4 * 8 * 2 * (8192.0 * 2 * 4096 * 2) * 31 / 32);
  EXPECT_DOUBLE_EQ(exchange(ep, "ep combine").bytes, exchange(ep, "ep dispatch").bytes);
}

// The measured products of docs/results/gpu.md, which the constants were set by.
TEST(Compute, ProductsAsMeasuredOnAnH200) {
  const Gpu h200 = parse_cluster("1x1xh200").gpu;
  const auto tflops = [&](double M, double N, double K, bool fp8) { return 2e-12 * M * N * K / product_seconds(h200, fp8, M, N, K); };
  EXPECT_NEAR(tflops(8192, 8192, 8192, false), 778, 20);
  EXPECT_NEAR(tflops(8192, 8192, 8192, true), 1406, 60);
  EXPECT_NEAR(tflops(65536, 2304, 768, false), 725, 40);
  // DeepSeek-V3's own shapes on an H800 (deepseek-ai/DeepGEMM:README@184ce9b), fp8 with scales by block.
  const double published[][4] = {{4096, 2112, 7168, 1058}, {4096, 24576, 1536, 990}, {4096, 7168, 16384, 1358}, {4096, 4096, 7168, 1304},
                                 {4096, 7168, 2048, 1025}, {8192, 4096, 7168, 1297}, {8192, 7168, 2048, 1099}};
  for (const auto& [M, N, K, rate] : published) EXPECT_NEAR(tflops(M, N, K, true) / rate, 1, 0.15) << M << " " << N << " " << K;
  EXPECT_LT(tflops(128, 4096, 4096, false), 0.8 * tflops(8192, 4096, 4096, false));
}

TEST(Search, FindsTheFastestThatFitsAndSaysWhyNotTheOthers) {
  const Case c("4x8xh100", dense_network(80), {.global_batch = 256, .sequence_length = 8192});
  const Found found = search(c.setting(), {}, 5);
  ASSERT_EQ(found.best.size(), 5u);
  EXPECT_EQ(found.tried, found.fit + found.too_large + found.impossible);
  for (size_t i = 0; i < 5; ++i) {
    const Estimate& e = found.best[i];
    EXPECT_TRUE(e.fits);
    EXPECT_EQ(c.wrong(e.layout), "");
    EXPECT_EQ(e.layout.dp * e.layout.tp * e.layout.pp * e.layout.cp, 32);
    EXPECT_GE(e.step_seconds, found.best[0].step_seconds);
    // Found again by hand.
    EXPECT_DOUBLE_EQ(c.run(e.layout).step_seconds, e.step_seconds);
  }
  EXPECT_NE(why_slower(found.best[0], found.best[4]).find("slower than the first"), std::string::npos);
  ASSERT_FALSE(found.refused.empty());
  for (const Refusal& r : found.refused) {
    if (r.tokens_per_second > 0) {
      EXPECT_GT(memory_of(c.setting(), r.layout).total(), c.cluster.gpu.memory_bytes);
      EXPECT_NE(r.reason.find("needs "), std::string::npos);
    } else {
      EXPECT_EQ(r.reason, c.wrong(r.layout));
    }
  }
  // What is given stays.
  const Found given = search(c.setting(), {.tp = {4}, .pp = {2}, .recompute = {Recompute::kFull}}, 3);
  for (const Estimate& e : given.best) {
    EXPECT_EQ(e.layout.tp, 4);
    EXPECT_EQ(e.layout.pp, 2);
    EXPECT_EQ(e.layout.recompute, Recompute::kFull);
  }
}

// More of what is waited for never makes a step faster.
TEST(Search, FasterHardwareIsFaster) {
  const auto best = [](const char* cluster) {
    const Case c(cluster, dense_network(32), {.global_batch = 128, .sequence_length = 8192});
    const Found found = search(c.setting(), {}, 1);
    EXPECT_FALSE(found.best.empty()) << cluster;
    return found.best.empty() ? 0 : found.best[0].tokens_per_second_per_gpu;
  };
  EXPECT_LT(best("2x8xa100"), best("2x8xh800"));
  EXPECT_LE(best("2x8xh800"), best("2x8xh100"));
  EXPECT_LE(best("2x8xh100"), best("2x8xh200"));
  EXPECT_LT(best("2x8xh200"), best("2x8xb200"));
  EXPECT_EQ(best("1x8xa100+1x8xh100"), best("2x8xa100"));
}

}  // namespace
}  // namespace r1::plan
