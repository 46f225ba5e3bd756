#include "r1/plan/step.h"

#include <algorithm>
#include <cmath>

#include "r1/base/error.h"
#include "r1/plan/compute.h"

namespace r1::plan {
namespace {

constexpr double kBf16 = 2, kF32 = 4;

// A collective of one micro-batch on one rank: how often, what a call takes, and how much of its time products hide.
struct Call {
  const char* name;
  Group group;
  double calls = 0;
  Transfer one;
  double exposed = 0;  // seconds of all calls
};

void add(std::vector<Exchange>& list, const Cluster& cluster, const Call& call, double times) {
  if (call.calls <= 0 || call.one.bytes <= 0) return;
  const int64_t here = ranks_in_node(cluster, call.group);
  const std::string group = str(call.group.size, here == call.group.size ? " in a node" : str(", ", here, " a node"));
  for (Exchange& known : list) {
    if (known.name != call.name) continue;
    known.bytes += times * call.calls * call.one.bytes;
    known.seconds += times * call.calls * call.one.seconds;
    known.exposed_seconds += times * call.exposed;
    known.calls += times * call.calls;
    return;
  }
  list.push_back({call.name, group, times * call.calls * call.one.bytes, times * call.calls * call.one.seconds, times * call.exposed,
                  times * call.calls});
}

// The collectives inside a layer, forward and backward pass together.
struct LayerCalls {
  std::vector<Call> calls;
  double exposed_forward = 0, exposed_backward = 0, hidden = 0;
};

void add_call(LayerCalls& out, Call call, double forward_share, double hidden_seconds) {
  const double all = call.calls * call.one.seconds;
  hidden_seconds = std::min(hidden_seconds, all);
  call.exposed = all - hidden_seconds;
  out.exposed_forward += call.exposed * forward_share;
  out.exposed_backward += call.exposed * (1 - forward_share);
  out.hidden += hidden_seconds;
  out.calls.push_back(call);
}

// Tensor parallelism sums after attention and after the MLP: a reduce-scatter there and an all-gather before, or both at once. Where tokens
// go to experts by an all-to-all, they leave from the ranks that hold them and come back there.
void add_tensor(const Setting& s, const Layer& layer, const Layout& l, LayerCalls& out) {
  if (l.tp == 1) return;
  const Group group{l.tp, 1};
  const double bytes = rank_tokens(s.job, l) * layer.hidden * kBf16;
  const double pairs = layer.experts > 0 && l.ep > 1 && !layer.shared_expert ? 1 : 2, again = l.recompute == Recompute::kFull ? 1 : 0;
  const double hidden_share = s.job.overlap_tp ? kEfficiency.hidden_tp : 0;
  if (s.job.sequence_parallel) {
    const Transfer one = gather_or_scatter(s.cluster, group, bytes);
    const double calls = pairs * 2 * (2 + again);
    add_call(out, {"tp gather + scatter", group, calls, one}, (1 + again) / (2 + again), hidden_share * calls * one.seconds);
    // What came in is kept cut, and gathered once more for the weights' gradients, beside the product for the input's.
    add_call(out, {"tp gather again", group, pairs, one}, 0, pairs * one.seconds);
  } else {
    const Transfer one = all_reduce(s.cluster, group, bytes);
    const double calls = pairs * (2 + again);
    add_call(out, {"tp all-reduce", group, calls, one}, (1 + again) / (2 + again), hidden_share * calls * one.seconds);
  }
}

// Nodes beside its own that a token's experts lie on, in the mean.
double remote_nodes(const Network& n, double experts_per_token, double nodes) {
  const double hit =
      n.expert_groups == nodes ? std::min(n.groups_per_token, nodes) : nodes * (1 - std::pow(1 - 1 / nodes, experts_per_token));
  return hit * (nodes - 1) / nodes;
}

void add_experts(const Setting& s, const Layer& layer, const Layout& l, const Passes& passes, LayerCalls& out) {
  if (layer.experts == 0 || l.ep == 1) return;
  const Group group{l.ep, 1};
  const double tokens = rank_tokens(s.job, l) / double(l.tp), rows = tokens * layer.experts_per_token;
  const double nodes = double(l.ep) / double(ranks_in_node(s.cluster, group));
  const auto exchange = [&](double row_bytes) {
    return s.job.node_dispatch
               ? node_all_to_all(s.cluster, group, tokens, remote_nodes(s.network, layer.experts_per_token, nodes), rows, row_bytes)
               : all_to_all(s.cluster, group, rows, row_bytes);
  };
  const double again = l.recompute == Recompute::kFull ? 1 : 0, calls = 2 + again;
  // Under DualPipe a forward pass runs beside another micro-batch's backward pass, one exchanging while the other computes.
  const bool beside = s.job.overlap_ep || l.schedule == Schedule::kDualPipe;
  const double room = beside ? (passes.forward.sum() + passes.backward.sum() + passes.again) / 2 : 0;
  add_call(out, {"ep dispatch", group, calls, exchange((s.job.fp8 ? 1 : kBf16) * layer.hidden)}, (1 + again) / calls, room);
  add_call(out, {"ep combine", group, calls, exchange(kBf16 * layer.hidden)}, (1 + again) / calls, room);
}

// Ring attention: keys and values go round beside the attention of those that are there; their gradients come back with them.
void add_context(const Setting& s, const Layer& layer, const Layout& l, const Passes& passes, LayerCalls& out) {
  if (l.cp == 1) return;
  const Group group{l.cp, l.tp};
  const double held = std::max(1.0, layer.kv_heads / double(l.tp)) * (layer.qk_dim + layer.v_dim) * kBf16;
  const Transfer one = gather_or_scatter(s.cluster, group, double(l.cp) * rank_tokens(s.job, l) * held);
  const double again = l.recompute == Recompute::kFull ? 1 : 0, calls = 3 + again;
  add_call(out, {"cp ring", group, calls, one}, (1 + again) / calls,
           (1 + again) * std::min(one.seconds, passes.forward.attention) + std::min(2 * one.seconds, passes.backward.attention));
}

LayerCalls layer_calls(const Setting& s, const Layer& layer, const Layout& l, const Passes& passes) {
  LayerCalls out;
  add_tensor(s, layer, l, out);
  add_experts(s, layer, l, passes, out);
  add_context(s, layer, l, passes, out);
  return out;
}

// What one rank along the pipeline does for a micro-batch.
struct RankTime {
  Work work;  // both passes, without what is done again
  double again = 0;
  double forward = 0, backward = 0;  // with what is done again, and with exposed collectives
  double exposed = 0, hidden = 0;
  std::vector<Exchange> exchanges;  // of a micro-batch
  double seconds() const { return forward + backward + kEfficiency.overlap_cost * hidden; }
  double computes() const { return work.sum() + again; }
};

struct KindTime {
  Passes passes;
  LayerCalls calls;
};

void add_layers(RankTime& rank, const Setting& s, const KindTime& kind, double number) {
  rank.work += Work{number * (kind.passes.forward.products + kind.passes.backward.products),
                    number * (kind.passes.forward.attention + kind.passes.backward.attention),
                    number * (kind.passes.forward.elementwise + kind.passes.backward.elementwise)};
  rank.again += number * kind.passes.again;
  rank.forward += number * (kind.passes.forward.sum() + kind.calls.exposed_forward);
  rank.backward += number * (kind.passes.backward.sum() + kind.passes.again + kind.calls.exposed_backward);
  rank.exposed += number * (kind.calls.exposed_forward + kind.calls.exposed_backward);
  rank.hidden += number * kind.calls.hidden;
  for (const Call& call : kind.calls.calls) add(rank.exchanges, s.cluster, call, number);
}

void add_exposed(RankTime& rank, const Setting& s, const Call& call, double forward_share) {
  rank.forward += call.exposed * forward_share;
  rank.backward += call.exposed * (1 - forward_share);
  rank.exposed += call.exposed;
  rank.hidden += call.calls * call.one.seconds - call.exposed;
  add(rank.exchanges, s.cluster, call, 1);
}

// Between stages: activations on, gradients back. Interleaved and DualPipe have other work to do meanwhile.
void add_pipeline(const Setting& s, const Layout& l, RankTime& rank) {
  if (l.pp == 1) return;
  const double cut = s.job.sequence_parallel ? double(l.tp) : 1;
  const Transfer one = point_to_point(s.cluster, l.stage_ranks(), rank_tokens(s.job, l) * s.network.hidden * kBf16 / cut);
  const bool hidden = l.schedule == Schedule::kInterleaved || l.schedule == Schedule::kDualPipe;
  const double calls = 2 * double(l.virtual_stages);
  add_exposed(rank, s, {"pp send", {2, l.stage_ranks()}, calls, one, hidden ? 0 : calls * one.seconds}, 0.5);
}

// Without a pipeline: under ZeRO-3 weights are gathered a layer ahead in both passes, from ZeRO-2 on gradients go to their owners in each
// backward pass.
struct Sharded {
  double dense = 0, expert = 0;  // parameters of a rank
  Group dense_group, expert_group;
};

void add_gathers(const Setting& s, const Layout& l, const Sharded& p, RankTime& rank) {
  if (l.zero < 2 || l.pp > 1) return;
  const double weight = l.zero == 2 ? 0 : s.job.fp8 ? 1 : kBf16;
  const double forward = rank.forward, backward = rank.backward;
  for (const auto& [group, parameters] : {std::pair{p.dense_group, p.dense}, std::pair{p.expert_group, p.expert}}) {
    const Transfer gather = gather_or_scatter(s.cluster, group, parameters * weight),
                   scatter = gather_or_scatter(s.cluster, group, parameters * kF32);
    const double share = (p.dense + p.expert) > 0 ? parameters / (p.dense + p.expert) : 0;
    add_exposed(rank, s, {"dp gather weights", group, 1, gather, std::max(0.0, gather.seconds - forward * share)}, 1);
    const double exposed = std::max(0.0, gather.seconds + scatter.seconds - backward * share);
    const double of_gather = exposed * gather.seconds / std::max(1e-30, gather.seconds + scatter.seconds);
    add_exposed(rank, s, {"dp gather weights", group, 1, gather, of_gather}, 0);
    add_exposed(rank, s, {"dp scatter gradients", group, 1, scatter, exposed - of_gather}, 0);
  }
}

// Once a step: gradients beside the last micro-batch's backward pass, weights beside the first one's forward pass. Returns what is exposed
// of it and what the rest costs.
double once_a_step(const Setting& s, const Layout& l, const Sharded& p, const RankTime& rank, Estimate& e) {
  if (l.zero == 3 && l.pp == 1) return 0;
  double gradients = 0, weights = 0;
  std::vector<Call> calls;
  for (const auto& [group, parameters] : {std::pair{p.dense_group, p.dense}, std::pair{p.expert_group, p.expert}}) {
    if (l.zero == 0) {
      calls.push_back({"dp all-reduce", group, 1, all_reduce(s.cluster, group, parameters * kF32)});
      gradients += calls.back().one.seconds;
    } else {
      if (l.zero == 1 || l.pp > 1) {
        calls.push_back({"dp scatter gradients", group, 1, gather_or_scatter(s.cluster, group, parameters * kF32)});
        gradients += calls.back().one.seconds;
      }
      calls.push_back({"dp gather weights", group, 1, gather_or_scatter(s.cluster, group, parameters * kBf16)});
      weights += calls.back().one.seconds;
    }
  }
  const double exposed = std::max(0.0, gradients - rank.backward) + std::max(0.0, weights - rank.forward);
  for (Call& call : calls) {
    call.exposed = call.one.seconds / std::max(1e-30, gradients + weights) * exposed;
    add(e.exchanges, s.cluster, call, 1);
  }
  e.exposed_seconds += exposed;
  const double cost = kEfficiency.overlap_cost * (gradients + weights - exposed);
  e.overlap_seconds += cost;
  return exposed + cost;
}

// What a rank waits for others at both ends of a step, of the mean of the other ranks' micro-batch (arXiv 2412.19437, table 2; the weights'
// gradients are taken as a forward pass long, which they are in products).
double bubble(const Layout& l, const std::vector<RankTime>& ranks, size_t slowest) {
  if (l.pp == 1) return 0;
  double others = 0, forwards = 0;
  for (size_t r = 0; r < ranks.size(); ++r) {
    if (r != slowest) others += ranks[r].seconds(), forwards += ranks[r].forward;
  }
  switch (l.schedule) {
    case Schedule::kOneForwardOneBackward:
      return others;
    case Schedule::kInterleaved:
      return others / double(l.virtual_stages);
    case Schedule::kZeroBubble:
      return std::max(0.0, others - 2 * forwards);
    // (pp / 2 - 1) (F&B + B - 3 W), of two stages side by side: others holds pp - 1 of them.
    case Schedule::kDualPipe:
      return (double(l.pp) / 2 - 1) * std::max(0.0, 2 * others - 4 * forwards) / double(l.pp - 1);
  }
  return 0;
}

}  // namespace

Estimate estimate(const Setting& s, const Layout& l) {
  const Gpu& gpu = s.cluster.gpu;
  const Network& n = s.network;
  Estimate e;
  e.layout = l;
  e.micro_batches = micro_batches(s.job, l);
  e.memory = memory_of(s, l);
  e.fits = e.memory.total() <= gpu.memory_bytes;

  std::vector<KindTime> kinds;
  for (const Layer& layer : n.kinds) {
    KindTime kind{layer_passes(gpu, layer, s.job, l), {}};
    kind.calls = layer_calls(s, layer, l, kind.passes);
    kinds.push_back(std::move(kind));
  }
  KindTime head{head_passes(gpu, n, s.job, l), {}};
  const std::vector<Share> shares = s.stages.shares(l);
  const double twice = l.schedule == Schedule::kDualPipe ? 0.5 : 1;  // each of its two stages sees half of the micro-batches
  const double tp = double(l.tp), m = double(e.micro_batches);
  std::vector<RankTime> ranks;
  std::vector<Sharded> sharded;
  size_t slowest = 0;
  for (size_t r = 0; r < shares.size(); ++r) {
    const Share& share = shares[r];
    RankTime rank;
    Sharded p{0, 0, {l.dp * l.cp, l.tp}, {l.stage_ranks() / l.expert_ranks(), l.expert_ranks()}};
    double layers = 0;
    for (size_t k = 0; k < kinds.size(); ++k) {
      if (share.layers[k] > 0) add_layers(rank, s, kinds[k], twice * share.layers[k]);
      p.dense += share.layers[k] * (n.kinds[k].whole + n.kinds[k].split / tp);
      p.expert += share.layers[k] * n.kinds[k].expert / double(l.expert_ranks());
      layers += share.layers[k];
    }
    p.dense += (share.embeddings * n.embedding + share.heads * n.head) / tp + share.heads * n.final_whole;
    if (share.heads > 0) add_layers(rank, s, head, twice * share.heads);
    add_pipeline(s, l, rank);
    add_gathers(s, l, p, rank);
    e.stage_layers.push_back(int(layers));
    ranks.push_back(std::move(rank));
    sharded.push_back(p);
    if (ranks[r].seconds() > ranks[slowest].seconds()) slowest = r;
  }

  const RankTime& slow = ranks[slowest];
  e.product_seconds = m * slow.work.products;
  e.attention_seconds = m * slow.work.attention;
  e.elementwise_seconds = m * slow.work.elementwise;
  e.recompute_seconds = m * slow.again;
  e.exposed_seconds = m * slow.exposed;
  e.overlap_seconds = m * kEfficiency.overlap_cost * slow.hidden;
  e.exchanges = slow.exchanges;
  for (Exchange& x : e.exchanges) x.bytes *= m, x.seconds *= m, x.exposed_seconds *= m, x.calls *= m;
  e.bubble_seconds = bubble(l, ranks, slowest);
  const double step_end = once_a_step(s, l, sharded[slowest], slow, e);
  const Sharded& p = sharded[slowest];
  const double owners = double(p.dense_group.size), expert_owners = double(p.expert_group.size);
  e.optimizer_seconds = optimizer_seconds(gpu, l.zero >= 1 ? p.dense / owners + p.expert / expert_owners : p.dense + p.expert);
  const double known = m * slow.seconds() + e.bubble_seconds + step_end + e.optimizer_seconds;
  e.other_seconds = known * kEfficiency.other / (1 - kEfficiency.other);
  e.step_seconds = known + e.other_seconds;
  e.bubble_share = e.bubble_seconds / e.step_seconds;

  const double world = double(s.cluster.world()), tokens = double(s.job.global_batch) * double(s.job.sequence_length);
  e.tokens_per_second = tokens / e.step_seconds;
  e.tokens_per_second_per_gpu = e.tokens_per_second / world;
  const double flops = e.tokens_per_second_per_gpu * n.model_flops_per_token(double(s.job.sequence_length));
  e.model_tflops_per_gpu = flops / 1e12;
  e.mfu = flops / gpu.bf16_flops;
  return e;
}

}  // namespace r1::plan
