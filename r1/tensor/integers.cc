#include "r1/tensor/integers.h"

#include <algorithm>

#include "r1/base/error.h"
#include "r1/tensor/aten.h"

namespace r1::tensor {

namespace {

constexpr int kAwqOrder[8] = {0, 2, 4, 6, 1, 3, 5, 7};
constexpr int kSequential[8] = {0, 1, 2, 3, 4, 5, 6, 7};

void check_word(const Tensor& t, const char* what, int64_t rows, int64_t words) {
  check(t.scalar_type() == at::kInt && t.dim() == 2 && t.size(0) == rows && t.size(1) == words, what, ": expected int32 [", rows, ", ",
        words, "], got ", t.scalar_type(), " ", t.sizes());
}

// values uint8 [R, N] <-> words int32 [R, N * bits / 32]; place j of a word holds value order[j] of its own.
Tensor to_words(const Tensor& values_RN, int bits, const int* order = kSequential) {
  const Tensor values = values_RN.contiguous();
  const int per = 32 / bits;
  const int64_t rows = values.size(0), n = values.size(1);
  check(n % per == 0, "[integers] expected a multiple of ", per, " values to pack, got ", n);
  const Tensor words = aten::empty({rows, n / per}, at::kInt);
  const uint8_t* from = values.const_data_ptr<uint8_t>();
  int32_t* to = words.mutable_data_ptr<int32_t>();
  for (int64_t w = 0; w < words.numel(); ++w) {
    uint32_t word = 0;
    for (int j = 0; j < per; ++j) word |= uint32_t(from[w * per + order[j]]) << (bits * j);
    to[w] = int32_t(word);
  }
  return words;
}

Tensor from_words(const Tensor& words_RW, int bits, const int* order = kSequential) {
  const Tensor words = words_RW.contiguous();
  const int per = 32 / bits;
  const Tensor values = aten::empty({words.size(0), words.size(1) * per}, at::kByte);
  const int32_t* from = words.const_data_ptr<int32_t>();
  uint8_t* to = values.mutable_data_ptr<uint8_t>();
  const uint32_t mask = (1u << bits) - 1;
  for (int64_t w = 0; w < words.numel(); ++w)
    for (int j = 0; j < per; ++j) to[w * per + order[j]] = uint8_t(uint32_t(from[w]) >> (bits * j) & mask);
  return values;
}

}  // namespace

std::vector<int32_t> groups_of(const IntegerMatrix& m) {
  const int64_t n = m.columns();
  std::vector<int32_t> groups(static_cast<size_t>(n));
  if (m.group_of_I.defined()) {
    const Tensor own = m.group_of_I.to(at::kInt).contiguous();
    std::copy_n(own.const_data_ptr<int32_t>(), n, groups.begin());
  } else {
    for (int64_t i = 0; i < n; ++i) groups[size_t(i)] = int32_t(i * m.groups() / n);
  }
  return groups;
}

void check_integers(const IntegerMatrix& m, const std::string& name) {
  check(m.bits == 4 || m.bits == 8, name, ": expected 4 or 8 bits, got ", m.bits);
  check(m.codes_OI.dim() == 2 && m.codes_OI.scalar_type() == at::kByte, name, ": expected codes [O, I], got ", m.codes_OI.sizes());
  check(m.scales_OG.dim() == 2 && m.scales_OG.size(0) == m.rows() && m.groups() > 0, name, ": expected scales of ", m.rows(), " rows, got ",
        m.scales_OG.sizes());
  check(m.zeros_OG.sizes() == m.scales_OG.sizes(), name, ": expected a zero point for each scale ", m.scales_OG.sizes(), ", got ",
        m.zeros_OG.sizes());
  if (!m.group_of_I.defined()) {
    check(m.columns() % m.groups() == 0, name, ": ", m.columns(), " columns are no ", m.groups(), " equal groups");
    return;
  }
  check(m.group_of_I.dim() == 1 && m.group_of_I.size(0) == m.columns(), name, ": expected a group for each of ", m.columns(),
        " columns, got ", m.group_of_I.sizes());
  for (const int32_t g : groups_of(m))
    check(g >= 0 && g < m.groups(), name, ": a column's group is ", g, ", expected less than ", m.groups());
}

Tensor dense(const IntegerMatrix& m) {
  const Tensor out = aten::empty({m.rows(), m.columns()}, at::kFloat);
  pack_integers({m})->unpack(0, m.rows(), out);
  return out;
}

GptqTensors to_gptq(const IntegerMatrix& m, bool v2) {
  check(v2 || (m.zeros_OG > 0).all().item<bool>(), "[gptq] a zero point of 0 has no place in the first format, which stores it less 1");
  const std::vector<int32_t> groups = groups_of(m);
  const Tensor zeros_GO = m.zeros_OG.t();
  return {.qweight = to_words(m.codes_OI, m.bits).t().contiguous(),
          .qzeros = to_words(v2 ? zeros_GO : zeros_GO.sub(1).bitwise_and((1 << m.bits) - 1), m.bits),
          .scales = m.scales_OG.t().to(at::kHalf).contiguous(),
          .g_idx = aten::tensor(groups, at::kInt)};
}

IntegerMatrix from_gptq(const GptqTensors& t, int bits, bool v2) {
  IntegerMatrix m;
  m.bits = bits;
  m.codes_OI = from_words(t.qweight.t(), bits);
  const int64_t groups = t.scales.size(0);
  check_word(t.qzeros, "qzeros", groups, m.rows() * bits / 32);
  const Tensor zeros_GO = from_words(t.qzeros, bits);
  // The first format stores a zero point less 1; its readers add 1 and keep the carry (16 for 4 bits).
  m.zeros_OG = (v2 ? zeros_GO : zeros_GO.add(1)).t().contiguous();
  m.scales_OG = t.scales.t().to(at::kFloat).contiguous();
  m.group_of_I = t.g_idx;
  return m;
}

AwqTensors to_awq(const IntegerMatrix& m) {
  check(m.bits == 4 && !m.group_of_I.defined(), "[awq] expected 4 bits and groups in order");
  return {.qweight = to_words(m.codes_OI.t(), 4, kAwqOrder),
          .qzeros = to_words(m.zeros_OG.t(), 4, kAwqOrder),
          .scales = m.scales_OG.t().to(at::kHalf).contiguous()};
}

IntegerMatrix from_awq(const AwqTensors& t) {
  IntegerMatrix m;
  m.codes_OI = from_words(t.qweight, 4, kAwqOrder).t().contiguous();
  check_word(t.qzeros, "qzeros", t.scales.size(0), m.rows() / 8);
  m.zeros_OG = from_words(t.qzeros, 4, kAwqOrder).t().contiguous();
  m.scales_OG = t.scales.t().to(at::kFloat).contiguous();
  return m;
}

Tensor to_int8(const IntegerMatrix& m) {
  check(m.bits == 8, "[int8] expected 8 bits, got ", m.bits);
  return (m.codes_OI.to(at::kShort) - 128).to(at::kChar);
}

IntegerMatrix from_int8(const Tensor& weight_OI, const Tensor& scale_OG) {
  IntegerMatrix m;
  m.bits = 8;
  m.codes_OI = weight_OI.view(at::kByte).bitwise_xor(128);  // + 128, without a wider copy
  m.scales_OG = scale_OG.to(at::kFloat).contiguous();
  m.zeros_OG = aten::full(m.scales_OG.sizes(), 128, at::kByte);
  return m;
}

IntegerMatrix from_packed_integers(const Tensor& packed, const Tensor& scale_OG, const Tensor& zero, const Tensor& g_idx, int64_t columns,
                                   int bits) {
  IntegerMatrix m;
  m.bits = bits;
  m.codes_OI = from_words(packed, bits).narrow(1, 0, columns).contiguous();
  m.scales_OG = scale_OG.to(at::kFloat).contiguous();
  if (zero.defined()) {
    m.zeros_OG = from_words(zero.t(), bits).t().narrow(0, 0, m.rows()).contiguous();
  } else {
    m.zeros_OG = aten::full(m.scales_OG.sizes(), 1 << (bits - 1), at::kByte);
  }
  m.group_of_I = g_idx;
  return m;
}

namespace {

// Straight through: a rounding has no slope of its own, and inputs that are trained through keep theirs.
Tensor straight_through(const Tensor& x, const Tensor& rounded) {
  const Tensor out = rounded.to(x.scalar_type());
  return x.requires_grad() ? x + (out - x).detach() : out;
}

}  // namespace

Tensor rounded_inputs(const Tensor& x_TI) {
  // The largest magnitude falls between two steps and is clipped: so compressed-tensors, whose scheme it is, has it.
  const Tensor x = x_TI.to(at::kFloat), scale_T1 = (x.abs().amax(1, true) / 127.5).clamp_min(1e-12);
  return straight_through(x_TI, (x / scale_T1).round().clamp(-128, 127) * scale_T1);
}

Tensor rounded_inputs(const Tensor& x_TI, double scale) {
  return straight_through(x_TI, (x_TI.to(at::kFloat) / scale).round().clamp(-128, 127) * scale);
}

}  // namespace r1::tensor
