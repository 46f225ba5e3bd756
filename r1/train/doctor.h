// Where did the NaN come from? Called only when a step has gone wrong, so it may take its time: looks at weights, then at a forward pass
// layer by layer, then at gradients, and answers in one line that names the place. Also keeps count of bad steps and decides when to give
// up.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "r1/data/batch.h"
#include "r1/model/transformer.h"
#include "r1/train/optimizer.h"

namespace r1::train {

bool all_finite(const Tensor& x);

// What the first rank that has something to say says; all say the same then. Null: alone.
std::string first_said(dist::Group* ranks, const std::string& own);

// A loss that is not finite: "NaN in weight layers.2.mlp.gate (layer 2)", "NaN in activations (first layer: 2)", or, if all that is finite,
// the term of the loss that is not (`terms`: LossMetrics::terms), "NaN in the loss's kl term". Runs the batches forward without a graph. Ranks
// that share the model call it together.
std::string diagnose_loss(model::Transformer& model, std::span<const data::Batch> micro_batches,
                          const std::map<std::string, double>& terms = {});

// Gradients that are not finite though the loss is. The backward runs from the last layer to the first, so the place where it went wrong is
// the bad row nearest to the head: "NaN in gradient of layers.2.mlp.gate (first layer: 2; 14 of 38 gradients are bad)".
inline constexpr const char* kNormOverflows = "the norm of the gradient overflows";  // all of them are finite
std::string diagnose_gradients(std::span<const Optimizer::Row> rows, std::span<const Tensor> gradients);

// The first weight or optimizer tensor that is not finite, or "".
std::string diagnose_state(const Optimizer& optimizer);

class BadSteps {
 public:
  explicit BadSteps(int64_t limit) : limit_(limit) {}
  void good() { in_a_row_ = 0; }
  // Counts and warns; throws when there were `limit` in a row.
  void bad(int64_t step, const std::string& reason);
  int64_t in_a_row() const { return in_a_row_; }
  int64_t total() const { return total_; }
  void restore(int64_t in_a_row, int64_t total) { in_a_row_ = in_a_row, total_ = total; }

 private:
  int64_t limit_, in_a_row_ = 0, total_ = 0;
};

}  // namespace r1::train
