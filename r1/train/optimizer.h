// The optimizer over the weight table: which row is updated by which rule, with which decay, and the state that a checkpoint keeps.
// Matrices decay; embeddings, head, norms and biases do not. Under muon the hidden matrices go by Muon (stacked experts
// one by one), everything else by AdamW.
// A model in bf16 keeps fp32 master weights here, and so do weights that are rounded (WeightRounding); other fp32 weights are their own master. A tied head is one row, updated once.
// On CUDA all of the state is one tensor, of which rows have their parts, and AdamW's rows are updated by one launch.
// Of several ranks that share the state (ZeRO) each has the moments and masters of its own part of the elements (dist/shares.h), flat, and
// changes that part of the weights; who calls update() brings the parts together afterwards.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "r1/dist/shares.h"
#include "r1/model/transformer.h"
#include "r1/train/trainer.h"

namespace r1::train {

// Which of how many ranks has its part of the state here.
struct StateSharing {
  int64_t ranks = 1, rank = 0;
};

class Optimizer {
 public:
  // `more`: rows beside the model's (Trainer), which must stay where they are.
  Optimizer(model::Transformer& model, const TrainerConfig& config, const model::WeightTable* more = nullptr, WeightRounding rounding = {},
            StateSharing sharing = {});

  struct Row {
    const model::WeightRow* weight;
    bool muon = false, rounded = false;
    double weight_decay = 0;
    dist::Range own;          // elements whose state is here: all, unless ranks share it
    Tensor own_master;        // of these, fp32; undefined if the weight is fp32 itself and not rounded
    Tensor moment1, moment2;  // AdamW: both; Muon: momentum in the first. As the weight, or flat where ranks share the state
  };
  const std::vector<Row>& rows() const { return rows_; }
  // Where ranks share the state: who has what.
  const std::optional<dist::Shares>& shares() const { return shares_; }

  // Gradients in the order of rows(), fp32 (on CUDA bf16 as well), of the own elements; an undefined one leaves its row as it is. `verdict`
  // (ops::judge_gradients) says what multiplies them, and if anything is to change at all; `factor` is the schedule's. Waits for nothing on
  // CUDA, unless rows go by Muon. Whoever has read a good verdict says count_update().
  void update(std::span<const Tensor> gradients, const Tensor& verdict, double factor);
  void count_update() { ++updates_; }
  // With keep_zeros: no gradient for matrices' elements that are zero when this is first called.
  void hold_zeros(std::span<Tensor> gradients);

  // What stands in the place of rounded rows: their masters in the model's dtype, or what those are rounded to, which is the rule.
  void put_masters();
  void put_rounded();

  int64_t updates() const { return updates_; }  // t - 1 of AdamW's next bias correction
  void set_updates(int64_t n) { updates_ = n; }

  // "<HF name>.exp_avg", ".exp_avg_sq", ".momentum_buffer", ".master": shared storage, not copies. Rows of which nothing is here are left out.
  std::vector<StateSlot> state_slots() const;
  // The slots' parts by name.
  std::vector<std::pair<std::string, Tensor>> state_tensors() const;
  // `fill` writes every slot's part, or gives it the whole.
  void restore(const StateReader& fill);
  // From whole tensors, whatever is kept here of them.
  void load_state(const std::vector<std::pair<std::string, Tensor>>& tensors);

 private:
  // Of a whole weight or state tensor, the own elements: itself, or a flat view.
  Tensor own_part(const Row& row, const Tensor& whole) const;
  // A row's own elements as matrices [n, rows, columns], or the weight's own shape.
  Tensor matrices(const Row& row, const Tensor& own) const;
  Tensor master_of(const Row& row) const;
  void share(StateSharing sharing);
  void update_by_muon(std::span<const Tensor> gradients, std::span<const size_t> rows, const Tensor& verdict, double factor);

  model::Transformer& model_;
  TrainerConfig config_;
  WeightRounding rounding_;
  std::vector<Row> rows_;
  std::optional<dist::Shares> shares_;
  int64_t updates_ = 0;
  std::vector<Tensor> alive_;  // 1 and 0 by row, with keep_zeros; undefined: no zero in it
};

}  // namespace r1::train
