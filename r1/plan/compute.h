// Seconds that a rank computes for one micro-batch: products, attention and what reads and writes memory, of a layer and of the head.
#pragma once

#include "r1/plan/hardware.h"
#include "r1/plan/layout.h"

namespace r1::plan {

struct Work {
  double products = 0, attention = 0, elementwise = 0;
  double sum() const { return products + attention + elementwise; }
  Work& operator+=(const Work& other) {
    products += other.products, attention += other.attention, elementwise += other.elementwise;
    return *this;
  }
};

struct Passes {
  Work forward, backward;
  double again = 0;  // of the forward pass, done once more before the backward one
};

// Tokens of a micro-batch that a rank has before tensor parallelism.
double rank_tokens(const Job& job, const Layout& layout);
// y[M, N] = x[M, K] W, `number` of them in one launch.
double product_seconds(const Gpu& gpu, bool fp8, double M, double N, double K, double number = 1);

Passes layer_passes(const Gpu& gpu, const Layer& layer, const Job& job, const Layout& layout);
Passes head_passes(const Gpu& gpu, const Network& network, const Job& job, const Layout& layout);
// AdamW over `parameters` of a rank: fp32 moments and master read and written, gradient read, weight written.
double optimizer_seconds(const Gpu& gpu, double parameters);

}  // namespace r1::plan
