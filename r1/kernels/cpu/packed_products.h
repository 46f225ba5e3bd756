// What packed_linear.cc drives: of each kind of product its preparation of x and its groups of outputs. Each function picks the instruction
// set itself.
#pragma once

#include "r1/kernels/cpu/isa.h"
#include "r1/kernels/cpu/packed_linear.h"

namespace r1::kernels {

inline constexpr int64_t kTileRows = 4;  // rows of x that are prepared and multiplied together

// The product with strides filled in and sizes checked.
PackedLinear checked(PackedLinear a);
IntegerLinear checked(IntegerLinear a);
FloatLinear checked(FloatLinear a);

// Whether b takes what was prepared for a; both of one x.
bool same_input(const PackedLinear& a, const PackedLinear& b);
bool same_input(const IntegerLinear& a, const IntegerLinear& b);
bool same_input(const FloatLinear& a, const FloatLinear& b);

// Bytes of prepared x, a multiple of 64; 0: nothing is to be prepared.
int64_t input_bytes(const PackedLinear& a);
int64_t input_bytes(const IntegerLinear& a);
int64_t input_bytes(const FloatLinear& a);
// Prepares rows [kTileRows t, kTileRows (t + 1)).
void prepare(const PackedLinear& a, int64_t t, uint8_t* input);
void prepare(const IntegerLinear& a, int64_t t, uint8_t* input);
void prepare(const FloatLinear& a, int64_t t, uint8_t* input);

// Rows of w side by side.
inline int64_t group_rows(const PackedLinear&) {
  return kRowsOfGroup;
}
inline int64_t group_rows(const IntegerLinear&) {
  return kRowsOfGroup;
}
inline int64_t group_rows(const FloatLinear&) {
  return kFloatGroup;
}
// The outputs in groups [begin, end) of w.
void multiply(const PackedLinear& a, const uint8_t* input, int64_t begin, int64_t end);
void multiply(const IntegerLinear& a, const uint8_t* input, int64_t begin, int64_t end);
void multiply(const FloatLinear& a, const uint8_t* input, int64_t begin, int64_t end);

// Operations, for threads_for.
double work_of(const PackedLinear& a);
double work_of(const IntegerLinear& a);
double work_of(const FloatLinear& a);

// The dot product of 8 bit integers: Ice Lake, Zen 4 and later.
bool uses_vnni();
// f(isa, vnni), two integral constants, for what this machine has.
template <class F>
void with_packed_isa(F&& f) {
#if defined(__x86_64__)
  if (uses_vnni()) return f(std::integral_constant<Isa, Isa::kAvx512>(), std::true_type());
#endif
  with_isa([&](auto isa) { f(isa, std::false_type()); });
}

}  // namespace r1::kernels
