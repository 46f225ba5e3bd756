// Bytes of each rank along the pipeline, and which of them has most.
#include <algorithm>

#include "r1/plan/compute.h"
#include "r1/plan/step.h"

namespace r1::plan {
namespace {

constexpr double kBf16 = 2, kF32 = 4;
constexpr double kProgram = 3.0 * (1 << 30);  // CUDA, NCCL's buffers, workspaces of products, what the allocator leaves between blocks

// Parameters of a rank, those of routed experts apart: each kind is sharded over its own group.
struct Parameters {
  double dense = 0, expert = 0;
};

Parameters parameters_of(const Network& n, const Layout& l, const Share& share) {
  const double tp = double(l.tp);
  Parameters p;
  for (size_t k = 0; k < n.kinds.size(); ++k) {
    p.dense += share.layers[k] * (n.kinds[k].whole + n.kinds[k].split / tp);
    p.expert += share.layers[k] * n.kinds[k].expert / double(l.expert_ranks());
  }
  // A tied table stands at both ends of a pipeline.
  const double head = n.head > 0 ? n.head : l.pp > 1 ? n.embedding : 0;
  p.dense += share.embeddings * n.embedding / tp + share.heads * (head / tp + n.final_whole);
  return p;
}

double saved_per_token(const Layer& layer, const Job& job, const Layout& l) {
  const double cut = job.sequence_parallel ? double(l.tp) : 1, tp = double(l.tp);
  const double mlp_bytes = job.fp8 ? 1 : kBf16;  // kept as the products read them
  switch (l.recompute) {
    case Recompute::kNone: {
      // fp8: what products read (both norms' results, the activation's, rows for experts) is kept as they read it.
      const double stream = job.fp8 ? 2 * layer.hidden : 0, inside = job.fp8 ? layer.inner + layer.experts_per_token * layer.hidden : 0;
      return (layer.saved_stream - stream) / cut + (layer.saved_inside - inside) / tp;
    }
    case Recompute::kSelective:
      return kBf16 * 2 * layer.hidden / cut + (kBf16 * layer.kept_attention + mlp_bytes * layer.kept_mlp) / tp;
    case Recompute::kEveryOther: {
      const double result = layer.heads * layer.v_dim;  // of attention, always kept
      return kBf16 * 2 * layer.hidden / cut + (kBf16 * (result + layer.kept_attention) / 2 + mlp_bytes * layer.kept_mlp / 2) / tp;
    }
    case Recompute::kFull:
      return kBf16 * layer.hidden / cut;
  }
  return 0;
}

// How many micro-batches' activations (interleaved: of one of its parts) a rank holds when it holds most.
double in_flight(const Layout& l, int64_t m, int64_t rank) {
  const int64_t behind = l.pp - 1 - rank;
  switch (l.schedule) {
    case Schedule::kInterleaved:
      return double(std::min(m * l.virtual_stages, 2 * behind + (l.virtual_stages - 1) * l.pp + 1));
    case Schedule::kDualPipe:
      return double(l.pp + 1);  // arXiv 2412.19437, table 2
    default:
      return double(std::min(m, behind + 1));
  }
}

}  // namespace

Memory memory_of(const Setting& s, const Layout& l) {
  const Network& n = s.network;
  const std::vector<Share> shares = s.stages.shares(l);
  const double T = rank_tokens(s.job, l), tp = double(l.tp);
  const double dense_ranks = double(l.dp * l.cp), expert_ranks = double(l.stage_ranks() / l.expert_ranks());
  const bool gathers = l.zero == 3 && l.pp == 1;  // with a pipeline whole weights stay from the first micro-batch to the last
  Memory most;
  for (size_t r = 0; r < shares.size(); ++r) {
    const Share& share = shares[r];
    const Parameters p = parameters_of(n, l, share);
    const double all = p.dense + p.expert, sharded = p.dense / dense_ranks + p.expert / expert_ranks;
    Memory m;
    m.stage = int64_t(r);
    m.weights = kBf16 * (gathers ? sharded : all);
    // Along a pipeline they are summed over micro-batches before they go to their owners.
    m.gradients = kF32 * (l.zero >= 2 && l.pp == 1 ? sharded : all);
    // DualPipe's second copy of a stage is another rank's first: the two share the optimizer's state.
    m.optimizer = 3 * kF32 * (l.zero >= 1 ? sharded : all) / (l.schedule == Schedule::kDualPipe ? 2 : 1);
    double saved = 0, working = 0, largest = 0;
    for (size_t k = 0; k < n.kinds.size(); ++k) {
      if (share.layers[k] == 0) continue;
      const Layer& layer = n.kinds[k];
      saved += share.layers[k] * saved_per_token(layer, s.job, l);
      Layout kept = l;
      kept.recompute = Recompute::kNone;
      working = std::max(working, saved_per_token(layer, s.job, kept));
      largest = std::max(largest, layer.whole + layer.split / tp + layer.expert / double(l.expert_ranks()));
    }
    const double flying = in_flight(l, micro_batches(s.job, l), int64_t(r));
    const double parts = l.schedule == Schedule::kDualPipe ? 2 : double(l.virtual_stages);
    m.in_flight = int64_t(flying);
    // Beside it the gradients, or the made again part, of one layer.
    m.activations = T * (saved / parts * flying + working);
    // The logits of a chunk of rows with their gradient; more than 2 GB are never held (ops/logprob).
    if (share.heads > 0) m.logits = std::min(T * n.vocab / tp * (kBf16 + kF32), 2e9);
    if (gathers) m.gathered = 2 * kBf16 * largest + kBf16 * std::max(share.embeddings, share.heads) * n.embedding / tp;
    if (l.zero >= 2 && l.pp == 1) m.gathered += kF32 * largest;  // whole gradients of a layer on their way to their owners
    m.program = kProgram;
    if (m.total() > most.total()) most = m;
  }
  return most;
}

}  // namespace r1::plan
