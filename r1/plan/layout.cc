#include "r1/plan/layout.h"

#include "r1/base/error.h"

namespace r1::plan {

const char* name_of(Schedule schedule) {
  switch (schedule) {
    case Schedule::kOneForwardOneBackward:
      return "1f1b";
    case Schedule::kInterleaved:
      return "interleaved";
    case Schedule::kZeroBubble:
      return "zero_bubble";
    case Schedule::kDualPipe:
      return "dualpipe";
  }
  return "";
}

const char* name_of(Recompute recompute) {
  switch (recompute) {
    case Recompute::kNone:
      return "none";
    case Recompute::kSelective:
      return "selective";
    case Recompute::kEveryOther:
      return "every_other";
    case Recompute::kFull:
      return "full";
  }
  return "";
}

Schedule parse_schedule(const std::string& name) {
  for (const Schedule s : {Schedule::kOneForwardOneBackward, Schedule::kInterleaved, Schedule::kZeroBubble, Schedule::kDualPipe}) {
    if (name == name_of(s)) return s;
  }
  fail_usage("--schedule: unknown '", printable(name), "' (known: 1f1b, interleaved, zero_bubble, dualpipe)");
}

Recompute parse_recompute(const std::string& name) {
  for (const Recompute r : {Recompute::kNone, Recompute::kSelective, Recompute::kEveryOther, Recompute::kFull}) {
    if (name == name_of(r)) return r;
  }
  fail_usage("--recompute: unknown '", printable(name), "' (known: none, selective, every_other, full)");
}

std::string words(const Layout& l) {
  const std::string parts = l.schedule == Schedule::kInterleaved ? str(" x", l.virtual_stages) : "";
  const std::string pipeline = l.pp > 1 ? str(", ", name_of(l.schedule), parts) : "";
  return str("dp ", l.dp, " tp ", l.tp, " pp ", l.pp, " ep ", l.ep, " cp ", l.cp, " zero ", l.zero, ", micro-batch ", l.micro_batch,
             pipeline, ", recompute ", name_of(l.recompute));
}

namespace {

// "1, 2, 4, 8": what divides both, up to 512.
std::string divisors(int64_t a, int64_t b) {
  std::string out;
  for (int64_t d = 1; d <= 512; ++d) {
    if (a % d == 0 && b % d == 0) out += (out.empty() ? "" : ", ") + std::to_string(d);
  }
  return out;
}

std::string tensor_problem(const Network& n, const Job& job, const Layout& l) {
  const int64_t heads = int64_t(n.heads), kv = int64_t(n.kv_heads);
  if (heads % l.tp != 0)
    return str("parallel.tp ", l.tp, " does not divide the ", heads, " attention heads; give --parallel.tp one of ",
               divisors(heads, heads));
  // Fewer key heads than ranks are held several times over.
  if (kv % l.tp != 0 && l.tp % kv != 0)
    return str("parallel.tp ", l.tp, " neither divides the ", kv,
               " heads of keys and values nor is a multiple of them; give --parallel.tp ", "one of ", divisors(heads, kv));
  for (const Layer& layer : n.kinds) {
    for (const Product& p : layer.products) {
      const int64_t cut = int64_t(p.axis == 0 ? p.out : p.in);
      if (p.axis >= 0 && !p.expert && cut % l.tp != 0)
        return str("parallel.tp ", l.tp, " does not divide a matrix's ", cut, " rows; give --parallel.tp one of ", divisors(heads, cut));
    }
  }
  if (job.sequence_parallel && (job.sequence_length / l.cp) % l.tp != 0)
    return str("parallel.tp ", l.tp, " does not divide the ", job.sequence_length / l.cp,
               " tokens of a sequence, which sequence_parallel needs; give --no-sequence_parallel or another --sequence_length");
  return "";
}

std::string expert_problem(const Network& n, const Layout& l) {
  if (l.ep > 1 && n.experts == 0) return str("parallel.ep ", l.ep, ": ", n.name, " has no experts; give --parallel.ep 1");
  if (n.experts == 0) return "";
  const int64_t experts = int64_t(n.experts), ranks = l.expert_ranks();
  if (experts % ranks != 0)
    return str("parallel.", l.ep > 1 ? "ep " : "tp ", ranks, " does not divide the ", experts, " experts; give one of ",
               divisors(experts, experts));
  if (l.stage_ranks() % ranks != 0)
    return str("parallel.ep ", ranks, " does not divide the ", l.stage_ranks(), " ranks of a stage (dp ", l.dp, " x cp ", l.cp, " x tp ",
               l.tp, "); give --parallel.ep one of ", divisors(experts, l.stage_ranks()));
  return "";
}

std::string pipeline_problem(const Network& n, const Job& job, const Layout& l) {
  const int64_t parts = l.pp * l.virtual_stages, m = micro_batches(job, l), layers = int64_t(n.layers.size());
  if (parts > layers)
    return str("parallel.pp ", l.pp, l.virtual_stages > 1 ? str(" x virtual_stages ", l.virtual_stages) : "", " stages are more than the ",
               layers, " layers; give --parallel.pp ", layers / l.virtual_stages, " or less");
  if (l.schedule == Schedule::kInterleaved && l.virtual_stages < 2)
    return str("schedule interleaved needs --virtual_stages 2 or more, got ", l.virtual_stages);
  if (l.schedule != Schedule::kInterleaved && l.virtual_stages > 1)
    return str("virtual_stages ", l.virtual_stages, " belong to --schedule interleaved, not to ", name_of(l.schedule));
  if (l.pp == 1 && l.schedule != Schedule::kOneForwardOneBackward)
    return str("schedule ", name_of(l.schedule), " needs a pipeline; give --parallel.pp 2 or more, or leave --schedule out");
  if (l.schedule == Schedule::kInterleaved && m % l.pp != 0)
    return str("schedule interleaved needs a multiple of parallel.pp ", l.pp, " micro-batches, got ", m,
               "; give another --global_batch or --micro_batch");
  if (l.schedule == Schedule::kDualPipe && (l.pp % 2 != 0 || m % 2 != 0 || m < 2 * l.pp))
    return str("schedule dualpipe feeds from both ends: parallel.pp ", l.pp, " and the ", m,
               " micro-batches must be even, and these twice as many or more; give another --global_batch or --schedule 1f1b");
  return "";
}

}  // namespace

std::string problem(const Network& n, const Job& job, const Layout& l, int64_t world, int64_t gpus_per_node) {
  const int64_t product = l.dp * l.tp * l.pp * l.cp, rest = l.tp * l.pp * l.cp;
  if (product != world) {
    const std::string way = world % rest == 0 ? str("--parallel.dp ", world / rest) : str("sizes whose product divides ", world);
    return str("parallel.dp ", l.dp, " x tp ", l.tp, " x pp ", l.pp, " x cp ", l.cp, " = ", product, " ranks, the cluster has ", world,
               " GPUs; give ", way);
  }
  if (l.tp > gpus_per_node)
    return str("parallel.tp ", l.tp, " is more than the ", gpus_per_node,
               " GPUs of a node, and its collectives would wait for the network ", "in every layer; give --parallel.tp ", gpus_per_node,
               " or less");
  if (job.sequence_length % (2 * l.cp) != 0)
    return str("parallel.cp ", l.cp, " needs a sequence_length that 2 x cp = ", 2 * l.cp, " divides (two pieces a rank, so that all have ",
               "the same share of the mask), got ", job.sequence_length);
  if (job.global_batch % (l.dp * l.micro_batch) != 0)
    return str("global_batch ", job.global_batch, " is no multiple of parallel.dp ", l.dp, " x micro_batch ", l.micro_batch, " = ",
               l.dp * l.micro_batch, "; give --global_batch ", (job.global_batch / (l.dp * l.micro_batch) + 1) * l.dp * l.micro_batch,
               ", say");
  for (const std::string& text : {tensor_problem(n, job, l), expert_problem(n, l), pipeline_problem(n, job, l)}) {
    if (!text.empty()) return text;
  }
  return "";
}

}  // namespace r1::plan
