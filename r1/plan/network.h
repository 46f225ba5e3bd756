// A network as far as time and memory depend on it: products, attention, parameters and what is kept for the backward pass, layer by layer.
// Filled from a model's own weight table (train/plan_network), so that there is no second list of shapes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace r1::plan {

// y[T, out] = x[T, in] W. `axis`: which side tensor parallel ranks cut (0: out, 1: in, -1: each has the whole).
struct Product {
  double in = 0, out = 0;
  int axis = -1;
  bool expert = false;      // one of `experts`, each with its share of the tokens
  bool made_again = false;  // by selective recomputation: what a latent is unfolded to
  bool operator==(const Product&) const = default;
};

struct Layer {
  std::vector<Product> products;
  double heads = 0, kv_heads = 0, qk_dim = 0, v_dim = 0, window = 0;  // window 0: attention sees all
  double experts = 0, experts_per_token = 0;                          // 0: dense
  bool shared_expert = false;
  double inner = 0;  // neurons a token meets: of the MLP, or of its experts and the shared one
  double hidden = 0;
  double whole = 0, split = 0, expert = 0;  // parameters that each tensor parallel rank has all of; that they share; of routed experts
  // Bytes kept for the backward pass of a token: of the residual stream (not cut by tensor parallelism, but by sequence parallelism), and
  // within attention and MLP (cut).
  double saved_stream = 0, saved_inside = 0;
  // Values of the inside that selective recomputation keeps: queries, keys, values (or latents) and the result of attention; what the
  // activation takes, and rows that went to experts.
  double kept_attention = 0, kept_mlp = 0;
  bool operator==(const Layer&) const = default;
};

struct Network {
  std::string name;
  double hidden = 0, vocab = 0, heads = 0, kv_heads = 0, experts = 0;
  double expert_groups = 1, groups_per_token = 1;  // a token's experts are in so many groups at most
  double embedding = 0, head = 0;                  // parameters; head 0: tied to the embedding
  double final_whole = 0;                          // the final norm's
  std::vector<Layer> kinds;                        // equal layers stand here once
  std::vector<int> layers;                         // which kind each is, modules of multi-token prediction last
  int64_t mtp_layers = 0;
  double parameters() const;
  // Parameters that a token is multiplied with, head included (and once more for each module of multi-token prediction).
  double active_parameters() const;
  // Of one token of a sequence of `length`, forward and backward (three times the forward), with the half of attention that is not masked.
  double model_flops_per_token(double length) const;
};

}  // namespace r1::plan
