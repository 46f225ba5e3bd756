#include "r1/nn/mtp.h"

#include "r1/base/error.h"
#include "r1/tensor/aten.h"

namespace r1::nn {

Mtp::Mtp(int index, int64_t dim, MtpParts parts, const Placement& placement)
    : embedding_norm_(std::move(parts.embedding_norm)),
      hidden_norm_(std::move(parts.hidden_norm)),
      head_norm_(std::move(parts.head_norm)),
      project_(2 * dim, dim, false, placement),
      block_(index, std::move(parts.block)) {}

Tensor Mtp::operator()(const Tensor& h_TD, const Tensor& e_TD, const LayerContext& context, BlockCaches caches) const {
  check(h_TD.sizes() == e_TD.sizes(), "[mtp] expected as many embeddings as states, got ", e_TD.sizes(), " and ", h_TD.sizes());
  const Tensor both_TE = aten::cat({(*embedding_norm_)(e_TD, context), (*hidden_norm_)(h_TD, context)}, 1);
  return block_({project_(both_TE), {}}, context, caches).sum();
}

void Mtp::parameters(ParameterList list) {
  embedding_norm_->parameters(list, "enorm");
  hidden_norm_->parameters(list, "hnorm");
  project_.parameters(list, "eh_proj");
  block_.parameters(list);
  head_norm_->parameters(list, "shared_head_norm");
}

void Mtp::arrange() {
  block_.arrange();
}

void Mtp::after_step(const ForwardRecord& record) {
  for (Norm* norm : {embedding_norm_.get(), hidden_norm_.get(), head_norm_.get()}) norm->after_step(record);
  block_.after_step(record);
}

}  // namespace r1::nn
