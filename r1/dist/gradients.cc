#include "r1/dist/gradients.h"

#include "r1/base/error.h"
#include "r1/tensor/aten.h"

namespace r1::dist {
namespace {

// 1, 2, 4 .. 128
Tensor bit_values(const Tensor& like) {
  Tensor values = aten::empty({8}, at::kByte);
  for (int i = 0; i < 8; ++i) values.mutable_data_ptr<uint8_t>()[i] = uint8_t(1 << i);
  return values.to(like.device());
}

int64_t rounded_up(int64_t n, int64_t to) {
  return (n + to - 1) / to * to;
}

}  // namespace

Tensor pack_signs(const Tensor& x) {
  const Tensor blocks = x.view({-1, kBlock});
  const Tensor bits = blocks.ge(0).to(at::kByte).view({-1, kBlock / 8, 8}).mul(bit_values(x)).sum(-1, false, at::kByte);
  const Tensor scales = blocks.abs().mean(1, true).contiguous().view(at::kByte);  // [blocks, 4]
  return aten::cat({bits, scales}, 1).contiguous();
}

Tensor unpack_signs(const Tensor& packed) {
  const int64_t bytes = kBlock / 8;
  const Tensor scales = packed.narrow(1, bytes, 4).contiguous().view(at::kFloat);  // [blocks, 1]
  const Tensor bits = packed.narrow(1, 0, bytes).unsqueeze(-1).bitwise_and(bit_values(packed)).ne(0).view({-1, kBlock});
  return bits.to(at::kFloat).mul_(2).sub_(1).mul_(scales).view(-1);
}

GradientExchange::GradientExchange(Group& group, std::string how) : group_(group), how_(std::move(how)) {
  check(how_ == "plain" || how_ == "bf16" || how_ == "sign", "[gradients] expected plain, bf16 or sign, got ", how_);
}

void GradientExchange::sum(std::span<Tensor> gradients, const std::function<Tensor(size_t)>& zeros) {
  if (group_.size() == 1) return;
  // Which rows there are anywhere; last: is anything not finite?
  std::vector<double> flags(gradients.size() + 1, 0.0);
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (!gradients[i].defined()) continue;
    flags[i] = 1;
    if (how_ == "sign" && flags.back() == 0 && !aten::isfinite(gradients[i]).all().item<bool>()) flags.back() = 1;
  }
  group_.all_reduce(flags, Reduce::kMax);
  std::vector<size_t> rows;
  int64_t elements = 0;
  size_t bucket = 0;
  const auto exchange = [&] {
    if (rows.empty()) return;
    std::vector<Tensor> parts;
    for (const size_t i : rows) parts.push_back((gradients[i].defined() ? gradients[i].to(at::kFloat) : zeros(i)).reshape(-1));
    Tensor flat = aten::cat(parts);
    parts.clear();
    sum_bucket(flat, bucket++, flags.back() == 0);
    int64_t at = 0;
    for (const size_t i : rows) {
      const Tensor shape = gradients[i].defined() ? gradients[i] : zeros(i);
      gradients[i] = flat.narrow(0, at, shape.numel()).view(shape.sizes());
      at += shape.numel();
    }
    rows.clear();
    elements = 0;
  };
  for (size_t i = 0; i < gradients.size(); ++i) {
    if (flags[i] == 0 && how_ != "sign") continue;
    rows.push_back(i);
    elements += gradients[i].defined() ? gradients[i].numel() : zeros(i).numel();
    if (elements * 4 >= kBucketBytes) exchange();
  }
  exchange();
}

void GradientExchange::sum_bucket(Tensor& flat, size_t bucket, bool finite) {
  if (how_ == "bf16") {
    Tensor rounded = flat.to(at::kBFloat16);
    group_.all_reduce(rounded);
    flat = rounded.to(at::kFloat);
  } else if (how_ == "sign" && finite) {
    if (kept_.size() <= bucket) kept_.resize(bucket + 1);
    sum_signs(flat, kept_[bucket]);
  } else {
    group_.all_reduce(flat);
  }
}

void GradientExchange::sum_signs(Tensor& flat, Kept& kept) {
  const int64_t n = flat.numel(), whole = rounded_up(n, kBlock * group_.size()), part = whole / group_.size();
  Tensor x = aten::zeros({whole}, flat.options());
  x.narrow(0, 0, n).copy_(flat);
  if (!kept.own.defined()) {
    kept.own = aten::zeros({whole}, flat.options());
    kept.shared = aten::zeros({part}, flat.options());
  }
  x.add_(kept.own);
  const Tensor packed = pack_signs(x);
  kept.own = x - unpack_signs(packed);
  Tensor shares = aten::empty_like(packed);
  group_.all_to_all(shares, packed);
  // Of each rank, in order, what it says of this rank's share.
  Tensor sum = kept.shared.clone();
  for (int64_t r = 0; r < group_.size(); ++r) sum.add_(unpack_signs(shares.narrow(0, r * (part / kBlock), part / kBlock)));
  const Tensor packed_sum = pack_signs(sum);
  kept.shared = sum - unpack_signs(packed_sum);
  Tensor all = aten::empty_like(packed);
  group_.all_gather(all, packed_sum);
  flat.copy_(unpack_signs(all).narrow(0, 0, n));
}

}  // namespace r1::dist
