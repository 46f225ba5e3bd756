#include "r1/kernels/cpu/packed_linear.h"

#include <algorithm>
#include <vector>

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

#include "r1/base/error.h"
#include "r1/kernels/cpu/packed_linear_simd.h"
#include "r1/kernels/cpu/threads.h"

namespace r1::kernels {
namespace {

// The dot product of 8 bit integers: Ice Lake, Zen 4 and later; on Arm, Cortex-A75 and later (with plain C++ for the rest).
#if defined(__x86_64__)
constexpr Isa kDotIsa = Isa::kAvx512;
bool has_dot() {
  return __builtin_cpu_supports("avx512vnni");
}
#elif defined(__aarch64__)
constexpr Isa kDotIsa = Isa::kScalar;
bool has_dot() {
  return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
}
#endif

// Quantized rows, kept for the next call.
uint8_t* room_for(int64_t bytes) {
  thread_local std::vector<uint8_t> room;
  if (int64_t(room.size()) < bytes) room.resize(size_t(bytes));
  return room.data();
}

template <Isa kSet, bool kVnni>
void run(const PackedLinear& a) {
  const int64_t row_bytes = quantized_row_bytes(a.form, a.in), tiles = (a.rows + kTileRows - 1) / kTileRows;
  uint8_t* quantized = room_for(a.rows * row_bytes);
  const int64_t first = a.first / kRowsOfGroup, groups = (a.first + a.out + kRowsOfGroup - 1) / kRowsOfGroup - first;
  // A row of w costs as much as some of x: it is read from memory and unpacked.
  const int64_t threads = std::min<int64_t>(groups, threads_for(double(a.rows + 4) * double(a.out * a.in) / 8));
  const auto quantize = [&](int64_t t) {
    quantize_tile_simd<kSet, kVnni>(a, t * kTileRows, std::min(kTileRows, a.rows - t * kTileRows), quantized + t * kTileRows * row_bytes);
  };
  if (tiles == 1) quantize(0);  // sooner done than shared
#pragma omp parallel num_threads(int(threads)) if (threads > 1)
  {
    if (tiles > 1) {
#pragma omp for schedule(static)
      for (int64_t t = 0; t < tiles; ++t) quantize(t);
    }
#pragma omp for schedule(static)
    for (int64_t i = 0; i < threads; ++i)
      packed_linear_simd<kSet, kVnni>(a, quantized, first + groups * i / threads, first + groups * (i + 1) / threads);
  }
}

}  // namespace

void packed_linear(const PackedLinear& a) {
  check(a.rows >= 0 && a.out >= 0 && a.in > 0 && a.first >= 0, "[packed_linear] expected sizes, got ", a.rows, " x ", a.in, " x ", a.out);
  check(a.in % kBlockFields[size_t(a.form)].elements == 0, "[packed_linear] expected whole blocks of ",
        kBlockFields[size_t(a.form)].elements, " columns, got ", a.in);
  if (a.rows == 0 || a.out == 0) return;
  PackedLinear dense = a;
  if (!dense.x.row_stride) dense.x.row_stride = a.in;
  if (!dense.y.row_stride) dense.y.row_stride = a.out;
#if defined(__x86_64__) || defined(__aarch64__)
  if (active_isa() == kDotIsa && has_dot()) return run<kDotIsa, true>(dense);
#endif
  with_isa([&](auto isa) { run<isa(), false>(dense); });
}

}  // namespace r1::kernels
