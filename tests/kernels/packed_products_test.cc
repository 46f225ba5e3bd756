// Products with integers and narrow floats: the same bits on every instruction set and number of threads, for any number of rows, in any place,
// alone and together; nothing saturates; 2:4 and narrow floats give gemm_f32's bits.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "kernel_testing.h"
#include "r1/kernels/cpu/gemm_f32.h"
#include "r1/kernels/cpu/packed_linear.h"

namespace r1::kernels {
namespace {

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

struct Integers {
  std::vector<uint8_t> codes, zeros;
  std::vector<float> scales;
  std::vector<int32_t> order;
  IntegerRows w;

  Integers(int bits, int64_t rows, int64_t columns, int64_t group, InputRounding rounding, bool ordered = false) {
    const int64_t padded = (columns + 31) / 32 * 32, eights = (rows + 7) / 8;
    w = {.bits = bits, .columns = columns, .padded = padded, .group = group ? group : padded, .rounding = rounding, .input_scale = 0.03f};
    codes.resize(size_t(eights * w.code_bytes()));
    zeros.resize(size_t(eights * w.groups() * 8));
    scales = random_floats(eights * w.groups() * 8, 3, 0.1f);
    for (size_t i = 0; i < codes.size(); ++i) codes[i] = uint8_t(256 * random_uniform(4, 3, i));
    for (size_t i = 0; i < zeros.size(); ++i) zeros[i] = uint8_t((bits == 4 ? 17 : 256) * random_uniform(5, 3, i));  // 16 is one of GPTQ's
    if (ordered) {
      order.resize(size_t(columns));
      for (int64_t k = 0; k < columns; ++k) order[size_t(k)] = int32_t(k * 7 % columns);
    }
    w.codes = codes.data(), w.zeros = zeros.data(), w.scales = scales.data(), w.order = ordered ? order.data() : nullptr;
  }
  Integers(const Integers&) = delete;
};

std::vector<float> product(const IntegerRows& w, const std::vector<float>& x, const float* bias, int64_t first, int64_t out) {
  const int64_t rows = int64_t(x.size()) / w.columns;
  std::vector<float> y(size_t(rows * out), -7);
  const PackedProduct p = IntegerLinear{.x = {x.data()}, .w = w, .first = first, .bias = {bias}, .y = {y.data()}, .rows = rows, .out = out};
  packed_products({&p, 1});
  return y;
}

struct Case {
  int bits;
  int64_t columns, group;
  InputRounding rounding;
  bool ordered;
};
const Case kCases[] = {
    {4, 256, 32, InputRounding::kBlock, false}, {4, 256, 128, InputRounding::kBlock, false}, {4, 200, 0, InputRounding::kBlock, false},
    {4, 256, 64, InputRounding::kBlock, true},  {8, 256, 128, InputRounding::kBlock, true},  {8, 200, 0, InputRounding::kBlock, false},
    {8, 256, 0, InputRounding::kRow, false},    {8, 40, 0, InputRounding::kRow, false},      {8, 256, 0, InputRounding::kFixed, false},
    {4, 256, 128, InputRounding::kRow, false},
};

TEST(IntegerLinear, SameBitsOnEveryIsaForAnyRowsAndRange) {
  for (const Case& c : kCases) {
    const Integers m(c.bits, 43, c.columns, c.group, c.rounding, c.ordered);  // a last group of three
    const auto x = random_floats(9 * c.columns, 6, 5), bias = random_floats(43, 7);
    set_isa(Isa::kScalar);
    const auto want = product(m.w, x, bias.data(), 0, 43);
    for (const float v : want) ASSERT_TRUE(std::isfinite(v));
    for_each_isa_and_threads([&](const std::string& where) {
      const std::string what = str(c.bits, " bits, ", c.columns, " in ", c.group, ", rounding ", int(c.rounding), " ", where);
      EXPECT_TRUE(same_bits(product(m.w, x, bias.data(), 0, 43), want)) << what;
      const auto one = product(m.w, {x.begin() + 4 * c.columns, x.begin() + 5 * c.columns}, bias.data() + 5, 5, 20);
      EXPECT_TRUE(same_bits(one, {want.begin() + 4 * 43 + 5, want.begin() + 4 * 43 + 25})) << what;
    });
  }
}

// Every code, zero point and input at its end, -128 among the inputs: sums are exact on every set (in 16 bits they would not be).
TEST(IntegerLinear, NothingSaturates) {
  for (const Case& c : {Case{4, 256, 128, InputRounding::kFixed, false}, Case{8, 256, 0, InputRounding::kFixed, false}})
    for (const int byte : {0x00, 0xFF})
      for (const float sign : {1.0f, -1.0f}) {
        Integers m(c.bits, 8, c.columns, c.group, c.rounding);
        std::fill(m.codes.begin(), m.codes.end(), uint8_t(byte));
        std::fill(m.zeros.begin(), m.zeros.end(), uint8_t(byte ? 0 : 255));
        std::fill(m.scales.begin(), m.scales.end(), 1.0f);
        m.w.input_scale = 1;
        const std::vector<float> x(size_t(c.columns), 1000 * sign);
        const float code = byte ? (c.bits == 4 ? 15 : 255) : -255, quant = sign > 0 ? 127 : -128;
        for (const Isa isa : available_isas()) {
          set_isa(isa);
          for (const float y : product(m.w, x, nullptr, 0, 8)) EXPECT_EQ(y, code * quant * float(c.columns)) << isa_name(isa);
        }
        set_isa(best_isa());
      }
}

TEST(IntegerLinear, BrokenRowsAreNan) {
  for (const InputRounding rounding : {InputRounding::kBlock, InputRounding::kRow, InputRounding::kFixed}) {
    const Integers m(8, 8, 64, 0, rounding);
    std::vector<float> x = random_floats(3 * 64, 8);
    x[40] = std::numeric_limits<float>::infinity();
    x[64 + 3] = std::numeric_limits<float>::quiet_NaN();
    for (const Isa isa : available_isas()) {
      set_isa(isa);
      const auto y = product(m.w, x, nullptr, 0, 8);
      for (int64_t o = 0; o < 8; ++o) EXPECT_TRUE(std::isnan(y[o]) && std::isnan(y[8 + o]) && std::isfinite(y[16 + o])) << int(rounding);
    }
  }
  set_isa(best_isa());
}

TEST(IntegerLinear, RefusesWhatDoesNotFit) {
  Integers m(4, 8, 64, 32, InputRounding::kBlock);
  m.w.group = 16;
  try {
    product(m.w, std::vector<float>(64), nullptr, 0, 8);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("groups of whole 32 columns, got 4 bits, 64 columns in groups of 16"), std::string::npos);
  }
}

// A matrix in fp32 and what of it is stored.
struct Floats {
  int64_t rows, columns;
  std::vector<float> dense, scales;
  std::vector<uint8_t> values;
  std::vector<uint32_t> places;
  FloatRows w;

  Floats(FloatForm form, bool sparse, int64_t rows, int64_t columns) : rows(rows), columns(columns), dense(size_t(rows * columns)) {
    const int64_t groups = (rows + 15) / 16;
    w = {.form = form, .columns = columns};
    if (sparse) places.resize(size_t(groups * 16 * ((columns + 31) / 32))), w.places = places.data();
    values.resize(size_t(groups * w.value_bytes()));
    if (form == FloatForm::kE4m3) {
      for (int64_t i = 0; i < (rows + 127) / 128 * w.scale_columns(); ++i) scales.push_back(0.01f + 0.001f * float(i));
      w.scales = scales.data();
    }
    for (int64_t o = 0; o < rows; ++o)
      for (int64_t k = 0; k < columns; ++k) {
        const int64_t four = k % 4, a = (o + k / 4) % 3, b = a + 1;  // places a and b of every four
        if (sparse && four != a && four != b) continue;
        const int64_t step = sparse ? k / 4 * 2 + (four == b) : k;
        if (sparse) places[size_t((o / 16 * ((columns + 31) / 32) + k / 32) * 16 + o % 16)] |= uint32_t(four) << (2 * (step % 16));
        dense[size_t(o * columns + k)] = put(o, step, k);
      }
    w.values = reinterpret_cast<const std::byte*>(values.data());
  }

  // Stores a random number of the form; returns it.
  float put(int64_t o, int64_t step, int64_t k) {
    uint8_t* to = values.data() + o / 16 * w.value_bytes() + (step * 16 + o % 16) * size_of(w.form);
    const float v = float(2 * random_uniform(9, uint64_t(o), uint64_t(k)) - 1);
    switch (w.form) {
      case FloatForm::kF32:
        std::memcpy(to, &v, 4);
        return v;
      case FloatForm::kBf16: {
        const auto half = uint16_t(bits(v) >> 16);
        std::memcpy(to, &half, 2);
        return __builtin_bit_cast(float, uint32_t(half) << 16);
      }
      case FloatForm::kF16: {  // of 11 bits, subnormal ones among them
        const auto half = uint16_t(65536 * random_uniform(10, uint64_t(o), uint64_t(k))) & 0xBFFF;
        std::memcpy(to, &half, 2);
        const int e = half >> 10 & 31;
        const float size = e ? std::ldexp(float(1024 + (half & 1023)), e - 25) : std::ldexp(float(half & 1023), -24);
        return half & 0x8000 ? -size : size;
      }
      case FloatForm::kE4m3: {
        uint8_t b = uint8_t(256 * random_uniform(11, uint64_t(o), uint64_t(k)));
        if ((b & 0x7F) == 0x7F) b = 0;
        *to = b;
        const int e = b >> 3 & 15;
        const float size = e ? std::ldexp(float(8 + (b & 7)), e - 10) : std::ldexp(float(b & 7), -9);
        return (b & 0x80 ? -size : size) * scales[size_t(o / 128 * w.scale_columns() + k / 128)];
      }
    }
    return 0;
  }
};

std::vector<float> product(const FloatRows& w, const std::vector<float>& x, const float* bias, int64_t first, int64_t out) {
  const int64_t rows = int64_t(x.size()) / w.columns;
  std::vector<float> y(size_t(rows * out), -7);
  const PackedProduct p = FloatLinear{.x = {x.data()}, .w = w, .first = first, .bias = {bias}, .y = {y.data()}, .rows = rows, .out = out};
  packed_products({&p, 1});
  return y;
}

TEST(FloatLinear, GivesTheBitsOfTheDenseProduct) {
  for (const bool sparse : {false, true})
    for (const FloatForm form : {FloatForm::kF32, FloatForm::kBf16, FloatForm::kF16, FloatForm::kE4m3})
      for (const int64_t columns : {12, 300}) {
        if (sparse && form == FloatForm::kE4m3) continue;
        const int64_t out = form == FloatForm::kE4m3 ? 150 : 50;  // of fp8 two rows of blocks
        const Floats m(form, sparse, out, columns);
        const auto bias = random_floats(out, 7);
        for (const int64_t rows : {1, 2, 14, 51}) {
          const auto x = random_floats(rows * columns, 6, 5);
          std::vector<float> want(size_t(rows * out));
          linear_forward(
              {.x = x.data(), .w = m.dense.data(), .bias = bias.data(), .y = want.data(), .rows = rows, .in = columns, .out = out});
          for_each_isa_and_threads([&](const std::string& where) {
            EXPECT_TRUE(same_bits(product(m.w, x, bias.data(), 0, out), want))
                << int(form) << sparse << " " << rows << " x " << columns << where;
            const auto part = product(m.w, x, bias.data() + 9, 9, out - 20);
            for (int64_t r = 0; r < rows; ++r)
              ASSERT_EQ(std::memcmp(part.data() + r * (out - 20), want.data() + r * out + 9, size_t(out - 20) * 4), 0)
                  << int(form) << sparse << where;
          });
        }
      }
}

// Of each kind several, with inputs in common and not: what they give alone.
TEST(PackedProducts, TogetherAsAlone) {
  const Integers a(4, 24, 256, 128, InputRounding::kBlock), b(4, 17, 256, 32, InputRounding::kBlock, true),
      c(8, 9, 256, 0, InputRounding::kRow), d(4, 40, 256, 128, InputRounding::kBlock);
  const Floats e(FloatForm::kBf16, false, 33, 256), f(FloatForm::kF32, true, 20, 256);
  for (const int64_t rows : {1, 5}) {
    const auto x = random_floats(rows * 256, 12, 3);
    for_each_isa_and_threads([&](const std::string& where) {
      std::vector<std::vector<float>> y;
      std::vector<PackedProduct> all;
      for (const int64_t out : {24, 17, 9, 40, 33, 20}) y.emplace_back(size_t(rows * out));
      const Integers* integers[] = {&a, &b, &c, &d};
      const int64_t outs[] = {24, 17, 9, 40};
      for (size_t i = 0; i < 4; ++i)
        all.push_back(IntegerLinear{.x = {x.data()}, .w = integers[i]->w, .y = {y[i].data()}, .rows = rows, .out = outs[i]});
      all.push_back(FloatLinear{.x = {x.data()}, .w = e.w, .y = {y[4].data()}, .rows = rows, .out = 33});
      all.push_back(FloatLinear{.x = {x.data()}, .w = f.w, .y = {y[5].data()}, .rows = rows, .out = 20});
      packed_products(all);
      for (size_t i = 0; i < 4; ++i) EXPECT_TRUE(same_bits(y[i], product(integers[i]->w, x, nullptr, 0, outs[i]))) << i << where;
      EXPECT_TRUE(same_bits(y[4], product(e.w, x, nullptr, 0, 33))) << where;
      EXPECT_TRUE(same_bits(y[5], product(f.w, x, nullptr, 0, 20))) << where;
    });
  }
}

}  // namespace
}  // namespace r1::kernels
