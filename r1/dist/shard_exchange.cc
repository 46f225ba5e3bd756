#include "r1/dist/shard_exchange.h"

#include "r1/base/error.h"
#include "r1/tensor/aten.h"

namespace r1::dist {
namespace {

Tensor piece_of(const Tensor& row, Range part) {
  return row.view(-1).narrow(0, part.begin, part.size());
}

// cat() of none is an error.
Tensor together(const std::vector<Tensor>& pieces, const at::TensorOptions& options) {
  return pieces.empty() ? aten::empty({0}, options) : aten::cat(pieces);
}

}  // namespace

ShardExchange::ShardExchange(Group& group, const Shares& shares, std::string how) : group_(group), shares_(shares), how_(std::move(how)) {
  check(how_ == "plain" || how_ == "bf16", "[shard_exchange] expected plain or bf16, got ", how_);
  check(shares.ranks() == group.size(), "[shard_exchange] expected shares of ", group.size(), " ranks, got ", shares.ranks());
}

Tensor ShardExchange::lay(size_t bucket, std::span<const Tensor> gradients, tensor::Device device) const {
  const auto dtype = how_ == "bf16" ? at::kBFloat16 : at::kFloat;
  const Shares::Bucket& b = shares_.buckets()[bucket];
  Tensor laid = aten::zeros({b.elements()}, at::TensorOptions().dtype(dtype).device(device));
  int64_t at = 0;
  for (int64_t r = 0; r < group_.size(); ++r) {
    for (const size_t row : b.rows) {
      const Range part = shares_.part(row, r);
      if (gradients[row].defined() && part.size() > 0) laid.narrow(0, at, part.size()).copy_(piece_of(gradients[row], part));
      at += part.size();
    }
  }
  return laid;
}

Tensor ShardExchange::reduce(size_t bucket, const Tensor& laid) {
  const Shares::Bucket& b = shares_.buckets()[bucket];
  const int64_t size = group_.size(), own = b.counts[size_t(group_.rank())];
  Tensor parts = aten::empty({size * own}, laid.options());
  group_.all_to_all(parts, laid, std::vector<int64_t>(size_t(size), own), b.counts);
  const Tensor by_rank = parts.view({size, own});
  Tensor sum = by_rank[0].to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  for (int64_t r = 1; r < size; ++r) sum.add_(by_rank[r]);
  return sum;
}

void ShardExchange::part_by_rows(size_t bucket, const Tensor& part, std::span<Tensor> parts) const {
  int64_t at = 0;
  for (const size_t row : shares_.buckets()[bucket].rows) {
    const int64_t n = shares_.part(row, group_.rank()).size();
    if (n > 0) parts[row] = part.narrow(0, at, n);
    at += n;
  }
}

void ShardExchange::gather(size_t bucket, std::span<const Tensor> weights) {
  const Shares::Bucket& b = shares_.buckets()[bucket];
  const int64_t size = group_.size(), rank = group_.rank();
  const at::TensorOptions options = weights[b.rows[0]].options().requires_grad(false);
  std::vector<Tensor> own;
  for (const size_t row : b.rows) {
    check(weights[row].scalar_type() == weights[b.rows[0]].scalar_type(), "[shard_exchange] expected weights of one dtype");
    if (const Range part = shares_.part(row, rank); part.size() > 0) own.push_back(piece_of(weights[row], part));
  }
  const Tensor to_each = together(std::vector<Tensor>(size_t(size), together(own, options)), options);
  Tensor all = aten::empty({b.elements()}, options);
  group_.all_to_all(all, to_each, b.counts, std::vector<int64_t>(size_t(size), b.counts[size_t(rank)]));
  int64_t at = 0;
  for (int64_t r = 0; r < size; ++r) {
    for (const size_t row : b.rows) {
      const Range part = shares_.part(row, r);
      if (r != rank && part.size() > 0) piece_of(weights[row], part).copy_(all.narrow(0, at, part.size()));
      at += part.size();
    }
  }
}

}  // namespace r1::dist
