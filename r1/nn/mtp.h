// One module of multi-token prediction (DeepSeek-V3, arXiv 2412.19437, section 2.2): from the network's state at token i and the token
// after it, the state that predicts the token after that.
//   h'_i = M [ norm_e(Emb(t_{i+1})) ; norm_h(h_i) ]         M: eh_proj [D, 2D], in the published order of the two halves
//   g    = block(h')                                        a decoder block of the network's own kind, causal over i
//   logits of t_{i+2} = head(norm_s(g_i))                   embedding and head are the network's
// For the first module h is the network's output after its final norm (as in the published inference code), for the next one g of the one
// before.
#pragma once

#include "r1/nn/block.h"
#include "r1/nn/linear.h"

namespace r1::nn {

struct MtpParts {
  std::unique_ptr<Norm> embedding_norm, hidden_norm, head_norm;
  BlockParts block;
};

class Mtp : public Module {
 public:
  // `index`: the layer number under which its block draws dropout masks and stands in weight files (num_hidden_layers + depth - 1).
  Mtp(int index, int64_t dim, MtpParts parts, const Placement& placement);
  // h [T, D] states, e [T, D] embeddings of the tokens after them -> g [T, D].
  Tensor operator()(const Tensor& h_TD, const Tensor& e_TD, const LayerContext& context, BlockCaches caches = {}) const;
  // What the head takes.
  Tensor head_norm(const Tensor& g_TD, const LayerContext& context) const { return (*head_norm_)(g_TD, context); }
  const Block& block() const { return block_; }
  void parameters(ParameterList list) override;
  void after_step(const ForwardRecord& record) override;
  void arrange() override;

 private:
  std::unique_ptr<Norm> embedding_norm_, hidden_norm_, head_norm_;
  Linear project_;
  Block block_;
};

}  // namespace r1::nn
