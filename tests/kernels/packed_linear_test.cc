// Products with packed weights: the same bits on every instruction set and number of threads, for any number of rows, in any place.
#include "r1/kernels/cpu/packed_linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "kernel_testing.h"

namespace r1::kernels {
namespace {

constexpr BlockForm kForms[] = {BlockForm::kQ4_0, BlockForm::kQ4_1, BlockForm::kQ5_0, BlockForm::kQ5_1,
                                BlockForm::kQ8_0, BlockForm::kQ4_K, BlockForm::kQ5_K, BlockForm::kQ6_K};

// Any bytes are blocks; only the fp16 scales must be numbers: their top exponent bit is cleared.
struct Matrix {
  BlockForm form;
  int64_t rows, columns;
  std::vector<std::byte> bytes;

  Matrix(BlockForm form, int64_t rows, int64_t columns, uint64_t seed) : form(form), rows(rows), columns(columns) {
    bytes.resize(size_t(interleaved_bytes(form, rows, columns)));
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = std::byte(256 * random_uniform(seed, 3, i));
    const BlockFields& f = kBlockFields[size_t(form)];
    const int64_t unit = columns / f.elements * kRowsOfGroup, group = unit * f.bytes();
    for (int64_t at = 0; at < int64_t(bytes.size()); at += group)
      for (int64_t i = group - unit * (f.d + f.m) + 1; i < group; i += 2) bytes[size_t(at + i)] &= std::byte(0xBF);
  }
};

std::vector<float> product(const Matrix& w, const std::vector<float>& x, const float* bias, int64_t first, int64_t out) {
  const int64_t rows = int64_t(x.size()) / w.columns;
  std::vector<float> y(size_t(rows * out), -7);
  packed_linear({.x = {x.data()},
                 .form = w.form,
                 .w = w.bytes.data(),
                 .first = first,
                 .bias = {bias},
                 .y = {y.data()},
                 .rows = rows,
                 .in = w.columns,
                 .out = out});
  return y;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TEST(PackedLinear, SameBitsOnEveryIsaAndNumberOfThreads) {
  for (const BlockForm form : kForms) {
    const Matrix w(form, 43, 512, 1);  // a last group of three
    const auto bias = random_floats(43, 2);
    for (const int64_t rows : {1, 3, 9}) {
      const auto x = random_floats(rows * 512, uint64_t(rows), 5);
      set_isa(Isa::kScalar);
      const auto want = product(w, x, bias.data(), 0, 43);
      for (const float v : want) ASSERT_TRUE(std::isfinite(v));
      for_each_isa_and_threads([&](const std::string& where) {
        EXPECT_TRUE(same_bits(product(w, x, bias.data(), 0, 43), want)) << int(form) << " " << rows << " " << where;
      });
    }
  }
}

// The largest products there are: every quant and every scale at its end, x at its.
TEST(PackedLinear, NothingSaturates) {
  for (const BlockForm form : kForms)
    for (const int byte : {0x00, 0x80, 0x7F, 0xFF}) {
      Matrix w(form, 8, 256, 1);
      const BlockFields& f = kBlockFields[size_t(form)];
      const int64_t unit = 256 / f.elements * kRowsOfGroup;
      std::fill(w.bytes.begin(), w.bytes.begin() + unit * (f.quants + f.high + f.scales), std::byte(byte));
      for (const float sign : {1.0f, -1.0f}) {
        const std::vector<float> x(256, 127 * sign);
        set_isa(Isa::kScalar);
        const auto want = product(w, x, nullptr, 0, 8);
        set_isa(best_isa());
        EXPECT_TRUE(same_bits(product(w, x, nullptr, 0, 8), want)) << int(form) << " " << byte << " " << sign;
      }
    }
}

TEST(PackedLinear, ARowKnowsNothingOfTheOthersNorOfTheRange) {
  for (const BlockForm form : kForms) {
    const Matrix w(form, 40, 256, 4);
    const auto x = random_floats(11 * 256, 5), bias = random_floats(40, 6);
    const auto all = product(w, x, bias.data(), 0, 40);
    for (int64_t r = 0; r < 11; ++r) {
      const auto one = product(w, {x.begin() + r * 256, x.begin() + (r + 1) * 256}, bias.data(), 0, 40);
      EXPECT_TRUE(same_bits(one, {all.begin() + r * 40, all.begin() + (r + 1) * 40})) << int(form) << " row " << r;
    }
    for (const auto& [first, out] : std::vector<std::pair<int64_t, int64_t>>{{3, 4}, {5, 20}, {8, 8}, {39, 1}, {0, 1}}) {
      const auto part = product(w, x, bias.data() + first, first, out);
      for (int64_t r = 0; r < 11; ++r)
        for (int64_t o = 0; o < out; ++o) EXPECT_EQ(bits(part[r * out + o]), bits(all[r * 40 + first + o])) << int(form) << " " << first;
    }
  }
}

TEST(PackedLinear, TinyAndBrokenRows) {
  const Matrix w(BlockForm::kQ4_1, 8, 64, 7);
  std::vector<float> x = random_floats(4 * 64, 8);
  for (int64_t k = 0; k < 64; ++k) x[k] *= 1e-38f;
  x[64 + 40] = std::numeric_limits<float>::infinity();
  x[128 + 3] = std::numeric_limits<float>::quiet_NaN();
  for (const Isa isa : available_isas()) {
    set_isa(isa);
    const auto y = product(w, x, nullptr, 0, 8);
    for (int64_t o = 0; o < 8; ++o) {
      EXPECT_EQ(y[o], 0);
      EXPECT_TRUE(std::isnan(y[8 + o]) && std::isnan(y[16 + o]));
      EXPECT_TRUE(std::isfinite(y[24 + o]));
    }
  }
  set_isa(best_isa());
}

// bf16 in: the values widened; bf16 out: rounded once.
TEST(PackedLinear, Bf16) {
  const Matrix w(BlockForm::kQ4_K, 19, 256, 9);
  std::vector<float> x = random_floats(5 * 256, 10);
  std::vector<uint16_t> narrow(x.size()), got(5 * 19);
  for (size_t i = 0; i < x.size(); ++i) narrow[i] = uint16_t(bits(x[i]) >> 16), x[i] = __builtin_bit_cast(float, uint32_t(narrow[i]) << 16);
  const auto want = product(w, x, nullptr, 0, 19);
  for (const Isa isa : available_isas()) {
    set_isa(isa);
    packed_linear({.x = {narrow.data(), Float::kBf16},
                   .form = w.form,
                   .w = w.bytes.data(),
                   .y = {got.data(), Float::kBf16},
                   .rows = 5,
                   .in = 256,
                   .out = 19});
    for (size_t i = 0; i < got.size(); ++i) {
      const uint32_t b = bits(want[i]);
      EXPECT_EQ(got[i], uint16_t((b + 0x7FFF + ((b >> 16) & 1)) >> 16));
    }
  }
  set_isa(best_isa());
}

TEST(PackedLinear, RefusesPartsOfBlocks) {
  const std::vector<float> x(40);
  std::vector<float> y(8);
  const std::vector<std::byte> w(1024);
  try {
    packed_linear({.x = {x.data()}, .form = BlockForm::kQ8_0, .w = w.data(), .y = {y.data()}, .rows = 1, .in = 40, .out = 8});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("whole blocks of 32 columns, got 40"), std::string::npos);
  }
}

}  // namespace
}  // namespace r1::kernels
