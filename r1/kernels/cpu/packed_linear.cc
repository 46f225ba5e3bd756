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

// Prepared rows, kept for the next call.
uint8_t* room_for(int64_t bytes) {
  thread_local std::vector<uint8_t> room;
  if (int64_t(room.size()) < bytes + 64) room.resize(size_t(bytes) + 64);
  return room.data() + (64 - reinterpret_cast<uintptr_t>(room.data()) % 64) % 64;
}

// A product among those that run together.
struct Part {
  PackedProduct product;
  int64_t input = -1;  // where its prepared x begins
  bool prepares = false;
  int64_t group = 0, groups = 0;  // the first group of w, and how many
  int64_t before = 0;             // groups of the parts before it
};

struct Parts {
  std::vector<Part> all;
  int64_t bytes = 0, groups = 0, rows = 0;
  double work = 0;

  void add(const PackedProduct& given) {
    Part part{std::visit([](const auto& a) { return PackedProduct(checked(a)); }, given)};
    std::visit(
        [&](const auto& a) {
          rows = a.rows;
          if (a.rows == 0 || a.out == 0) return;
          using Product = std::decay_t<decltype(a)>;
          for (const Part& other : all) {
            const auto* b = std::get_if<Product>(&other.product);
            if (b && same_input(*b, a)) part.input = other.input;
          }
          if (part.input < 0) part.input = bytes, bytes += input_bytes(a), part.prepares = input_bytes(a) > 0;
          part.group = a.first / group_rows(a);
          part.groups = (a.first + a.out + group_rows(a) - 1) / group_rows(a) - part.group;
          part.before = groups, groups += part.groups;
          work += work_of(a);
        },
        part.product);
    if (part.groups > 0) all.push_back(part);
  }

  void prepare_tile(int64_t t, uint8_t* room) const {
    for (const Part& part : all)
      if (part.prepares) std::visit([&](const auto& a) { prepare(a, t, room + part.input); }, part.product);
  }

  // Groups [begin, end) of all.
  void multiply_groups(int64_t begin, int64_t end, const uint8_t* room) const {
    for (const Part& part : all) {
      const int64_t from = std::max(begin, part.before), to = std::min(end, part.before + part.groups);
      if (from >= to) continue;
      std::visit([&](const auto& a) { multiply(a, room + part.input, part.group + from - part.before, part.group + to - part.before); },
                 part.product);
    }
  }
};

}  // namespace

bool uses_vnni() {
#if defined(__x86_64__)
  return active_isa() == Isa::kAvx512 && __builtin_cpu_supports("avx512vnni");
#else
  return false;
#endif
}

void packed_products(std::span<const PackedProduct> products) {
  Parts parts;
  for (const PackedProduct& product : products) parts.add(product);
  if (parts.groups == 0) return;
  uint8_t* room = room_for(parts.bytes);
  const int64_t tiles = parts.bytes > 0 ? (parts.rows + kTileRows - 1) / kTileRows : 0;
  const int64_t threads = std::min<int64_t>(parts.groups, threads_for(parts.work));
  if (tiles == 1) parts.prepare_tile(0, room);  // sooner done than shared
#pragma omp parallel num_threads(int(threads)) if (threads > 1)
  {
    if (tiles > 1) {
#pragma omp for schedule(static)
      for (int64_t t = 0; t < tiles; ++t) parts.prepare_tile(t, room);
    }
#pragma omp for schedule(static)
    for (int64_t i = 0; i < threads; ++i) parts.multiply_groups(parts.groups * i / threads, parts.groups * (i + 1) / threads, room);
  }
}

void packed_linear(const PackedLinear& a) {
  const PackedProduct product = a;
  packed_products({&product, 1});
}

// -- ggml's blocks --------------------------------------------------------------------------------------------------------------------

namespace {

// As with_packed_isa. On Arm these products too have a dot product of 8 bit integers (Cortex-A75 and later), beside plain C++ for the rest.
template <class F>
void with_dot(F&& f) {
#if defined(__aarch64__)
  if (active_isa() == Isa::kScalar && (getauxval(AT_HWCAP) & HWCAP_ASIMDDP))
    return f(std::integral_constant<Isa, Isa::kScalar>(), std::true_type());
#endif
  with_packed_isa(f);
}

}  // namespace

PackedLinear checked(PackedLinear a) {
  check(a.rows >= 0 && a.out >= 0 && a.in > 0 && a.first >= 0, "[packed_linear] expected sizes, got ", a.rows, " x ", a.in, " x ", a.out);
  check(a.in % kBlockFields[size_t(a.form)].elements == 0, "[packed_linear] expected whole blocks of ",
        kBlockFields[size_t(a.form)].elements, " columns, got ", a.in);
  if (!a.x.row_stride) a.x.row_stride = a.in;
  if (!a.y.row_stride) a.y.row_stride = a.out;
  return a;
}

bool same_input(const PackedLinear& a, const PackedLinear& b) {
  return a.form == b.form && a.x.data == b.x.data;
}

int64_t input_bytes(const PackedLinear& a) {
  return (a.rows * quantized_row_bytes(a.form, a.in) + 63) / 64 * 64;
}

void prepare(const PackedLinear& a, int64_t t, uint8_t* input) {
  const int64_t row = t * kTileRows;
  with_dot([&](auto isa, auto vnni) {
    quantize_tile_simd<isa(), vnni()>(a, row, std::min(kTileRows, a.rows - row), input + row * quantized_row_bytes(a.form, a.in));
  });
}

void multiply(const PackedLinear& a, const uint8_t* input, int64_t begin, int64_t end) {
  with_dot([&](auto isa, auto vnni) { packed_linear_simd<isa(), vnni()>(a, input, begin, end); });
}

// A row of w costs as much as some of x: it is read from memory and unpacked.
double work_of(const PackedLinear& a) {
  return double(a.rows + 4) * double(a.out * a.in) / 8;
}

}  // namespace r1::kernels
