// A small model learns from a large one: `r1 distill`, a stage like sft (same data, same run folder) with a teacher beside the student.
//
//   loss = (1 - ce_weight) D(teacher, student) + ce_weight (-log p(token)) + hidden_weight H      mean over the learned tokens
//
// D is forward or reverse KL or the generalized Jensen-Shannon divergence (ops/divergence.h), against the whole vocabulary or the teacher's
// likeliest tokens, computed beside the student or read from shards that were made once (teacher_logits.h). H compares hidden states through
// a learned map: |W h_student - h_teacher|^2 / |h_teacher|^2, mean over the pairs of layers (FitNets, 1412.6550; relative, as the states' size
// grows by orders of magnitude from layer to layer).
//
// The texts: the data's own answers; the teacher's, sampled once (R1's distillation: sequences and nothing else); or, a share lmbda of them,
// the student's own, sampled anew each step and judged by the teacher (on-policy distillation, GKD, 2306.13649).
//
// Logits are compared token by token, so both models must have one vocabulary; sequences go from any model to any.
#pragma once

#include "r1/engine/engine.h"
#include "r1/stages/rollout.h"
#include "r1/stages/sft.h"

namespace r1::stages {

struct DistillConfig {
  SftConfig sft;  // of the student
  std::string teacher_name_or_path, teacher_dtype = "auto";
  std::string answers = "data", keep = "right", divergence = "forward_kl", teacher_logits = "live", teacher_store;
  double beta = 0.5, distill_temperature = 1, ce_weight = 0, lmbda = 0, hidden_weight = 1;
  bool temperature_squared = false;
  int64_t teacher_top_k = 0;
  std::vector<std::string> hidden_layers;
  SamplingArgs sampling;
  engine::EngineConfig engine;

  DistillConfig() { sampling.num_generations = 1; }
  void visit(Fields& v);

  bool compares_logits() const { return divergence != "none"; }
  bool needs_teacher_beside() const { return (compares_logits() && teacher_logits == "live") || !hidden_layers.empty(); }
};

// Usage error for what can be known to be wrong before anything is loaded.
void check(const DistillConfig& config, const Preflight& preflight);
Json distill(const DistillConfig& config);

}  // namespace r1::stages
