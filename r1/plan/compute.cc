#include "r1/plan/compute.h"

#include "r1/plan/stages.h"

namespace r1::plan {
namespace {

constexpr double kBf16 = 2, kF32 = 4;

double memory_seconds(const Gpu& gpu, double bytes) {
  return bytes / (gpu.memory_bandwidth * kEfficiency.memory);
}

// Where a rank's layer is cut: 1, or tp.
double stream_cut(const Job& job, const Layout& l) {
  return job.sequence_parallel ? double(l.tp) : 1.0;
}

double product_pass(const Gpu& gpu, const Layer& layer, const Product& p, const Job& job, const Layout& l) {
  const double T = rank_tokens(job, l), tp = double(l.tp);
  if (p.expert) {
    const double here = layer.experts / double(l.expert_ranks()), rows = T * layer.experts_per_token / tp;
    return product_seconds(gpu, job.fp8, rows / here, p.out, p.in, here);
  }
  return product_seconds(gpu, job.fp8, T, p.axis == 0 ? p.out / tp : p.out, p.axis == 1 ? p.in / tp : p.in);
}

// Bytes of a token that the kernels between products read and write: two norms with the residual's sum (four values each), rotation, the
// activation (two in, one out), and rows to experts and back: packed where they leave and sorted where they come, both ways.
double forward_bytes(const Layer& layer, const Job& job, const Layout& l) {
  const double q = layer.heads * layer.qk_dim, k = layer.kv_heads * layer.qk_dim;
  const double experts = layer.experts > 0 ? 8 * layer.experts_per_token * layer.hidden : 0;
  return kBf16 * (8 * layer.hidden / stream_cut(job, l) + (2 * (q + k) + 3 * layer.inner + experts) / double(l.tp));
}

// fp8: what goes into a product is read for its largest value, read again, and written twice, once transposed for the weight's gradient.
constexpr double kCastBytes = 6;

double cast_inputs(const Layer& layer, const Layout& l) {
  const double rows = layer.experts > 0 ? layer.experts_per_token : 1;
  return kCastBytes * (layer.hidden + (layer.heads * layer.v_dim + rows * layer.hidden + layer.inner) / double(l.tp));
}

double cast_gradients(const Layer& layer, const Layout& l) {
  const double rows = layer.experts > 0 ? layer.experts_per_token : 1;
  const double qkv = layer.heads * layer.qk_dim + layer.kv_heads * (layer.qk_dim + layer.v_dim);
  return kCastBytes * (layer.hidden + (qkv + rows * layer.hidden + 2 * layer.inner) / double(l.tp));
}

}  // namespace

double rank_tokens(const Job& job, const Layout& l) {
  return double(l.micro_batch) * double(job.sequence_length) / double(l.cp);
}

double product_seconds(const Gpu& gpu, bool fp8, double M, double N, double K, double number) {
  const double peak = (fp8 ? gpu.fp8_flops * kEfficiency.product_fp8 : gpu.bf16_flops * kEfficiency.product_bf16) * gpu.sustained;
  const double size = fp8 ? kEfficiency.product_size_fp8 : kEfficiency.product_size_bf16;
  const double reached = peak / (1 + size * (1 / M + 1 / N + 1 / K));
  return number * 2 * M * N * K / reached + kEfficiency.kernel_seconds;
}

Passes layer_passes(const Gpu& gpu, const Layer& layer, const Job& job, const Layout& l) {
  const double T = rank_tokens(job, l), kernels = layer.experts > 0 ? 16 : 8;
  Passes p;
  double unfolded = 0;
  for (const Product& product : layer.products) {
    const double seconds = product_pass(gpu, layer, product, job, l);
    p.forward.products += seconds;
    if (product.made_again) unfolded += seconds;
  }
  p.backward.products = 2 * p.forward.products;
  const double rate = gpu.bf16_flops * gpu.sustained * layer.qk_dim / (layer.qk_dim + kEfficiency.attention_head);
  const double flops = attention_flops(layer, double(job.sequence_length)) * T / double(l.tp);
  p.forward.attention = flops / (rate * (job.flash2 ? kEfficiency.flash2_forward : kEfficiency.attention_forward));
  // The scores are made again.
  p.backward.attention = 2.5 * flops / (rate * (job.flash2 ? kEfficiency.flash2_backward : kEfficiency.attention_backward));
  const double bytes = T * forward_bytes(layer, job, l);
  p.forward.elementwise = memory_seconds(gpu, bytes + (job.fp8 ? T * cast_inputs(layer, l) : 0)) + kernels * kEfficiency.kernel_seconds;
  p.backward.elementwise =
      memory_seconds(gpu, 2 * bytes + (job.fp8 ? T * cast_gradients(layer, l) : 0)) + 2 * kernels * kEfficiency.kernel_seconds;
  switch (l.recompute) {
    case Recompute::kNone:
      break;
    case Recompute::kSelective:
      p.again = p.forward.elementwise + unfolded;
      break;
    case Recompute::kEveryOther:
      p.again = p.forward.elementwise + p.forward.products / 2;
      break;
    case Recompute::kFull:
      p.again = p.forward.sum();
      break;
  }
  return p;
}

Passes head_passes(const Gpu& gpu, const Network& network, const Job& job, const Layout& l) {
  const double T = rank_tokens(job, l), V = network.vocab / double(l.tp), times = double(1 + network.mtp_layers);
  Passes p;
  p.forward.products = times * product_seconds(gpu, false, T, V, network.hidden);
  p.backward.products = 2 * p.forward.products;
  // Logits: written in bf16, read for the log-normaliser, and read and written once more for their gradient, all in fp32 between.
  p.forward.elementwise = times * memory_seconds(gpu, T * V * (kBf16 + 2 * kF32));
  p.backward.elementwise = times * memory_seconds(gpu, T * V * (kBf16 + kF32));
  return p;
}

double optimizer_seconds(const Gpu& gpu, double parameters) {
  return memory_seconds(gpu, parameters * (3 * 2 * kF32 + kF32 + kBf16));
}

}  // namespace r1::plan
