#include "r1/model/weights_gguf.h"

#include "r1/base/error.h"
#include "r1/model/weights_files.h"
#include "r1/tensor/aten.h"

namespace r1::model {

std::vector<int64_t> gguf_shape(const WeightRow& row) {
  return row.transposed_in_gguf ? std::vector<int64_t>{row.shape.rbegin(), row.shape.rend()} : row.shape;
}

Tensor gguf_values(const WeightRow& row, const Tensor& values, const ModelConfig& config) {
  check(values.sizes() == at::IntArrayRef(row.shape), "[gguf] expected values of '", row.name, "' ", at::IntArrayRef(row.shape), ", got ",
        values.sizes());
  Tensor out = values.detach().to(at::kCPU, at::kFloat);
  if (row.gguf_plus != 0) out = out + row.gguf_plus;
  if (row.rope_permuted_in_gguf) {
    const auto order = rope_order(config.head_dim);
    std::vector<int64_t> ours(size_t(out.size(0)));  // by the file's row
    for (int64_t r = 0; r < out.size(0); ++r) ours[size_t(order(r))] = r;
    out = aten::index_select(out, 0, aten::tensor(ours));
  }
  return (row.transposed_in_gguf ? out.t() : out).contiguous();
}

Tensor from_gguf_values(const WeightRow& row, const Tensor& stored, const ModelConfig& config) {
  Tensor out = stored.reshape(gguf_shape(row));
  if (row.transposed_in_gguf) out = out.t();
  if (row.rope_permuted_in_gguf) {
    const auto order = rope_order(config.head_dim);
    std::vector<int64_t> theirs;  // by our row
    for (int64_t r = 0; r < out.size(0); ++r) theirs.push_back(order(r));
    out = aten::index_select(out, 0, aten::tensor(theirs));
  }
  if (row.gguf_plus != 0) out = out - row.gguf_plus;
  return out.contiguous();
}

}  // namespace r1::model
