#include "r1/base/interleaved_rows.h"

#include <cstring>

#include "r1/base/error.h"
#include "r1/base/gguf_file.h"

namespace r1 {
namespace {

// Where a field stands in the file's block, in the order of the planes.
struct Field {
  int64_t offset, bytes;
  bool turned = false;  // the word of fifth bits
};

struct Form {
  GgmlType type;
  Field fields[5];
};
constexpr Form kForms[kBlockForms] = {
    {GgmlType::kQ4_0, {{2, 16}, {0, 2}}},
    {GgmlType::kQ4_1, {{4, 16}, {0, 2}, {2, 2}}},
    {GgmlType::kQ5_0, {{6, 16}, {2, 4, true}, {0, 2}}},
    {GgmlType::kQ5_1, {{8, 16}, {4, 4, true}, {0, 2}, {2, 2}}},
    {GgmlType::kQ8_0, {{2, 32}, {0, 2}}},
    {GgmlType::kQ4_K, {{16, 128}, {4, 12}, {0, 2}, {2, 2}}},
    {GgmlType::kQ5_K, {{48, 128}, {16, 32}, {4, 12}, {0, 2}, {2, 2}}},
    {GgmlType::kQ6_K, {{0, 128}, {128, 64}, {192, 16}, {208, 2}}},
};

const BlockFields& sizes_of(BlockForm form) {
  return kBlockFields[size_t(form)];
}

// Bit 8 c + s from bit 4 s + c, and back: of one word, or of several in a vector.
template <class Word>
Word turn(Word bits) {
  Word out{};
  for (int c = 0; c < 4; ++c) {
    Word every = (bits >> c) & 0x11111111u;
    every = (every | every >> 3) & 0x03030303u;
    every = (every | every >> 6) & 0x000F000Fu;
    every = (every | every >> 12) & 0x000000FFu;
    out |= every << (8 * c);
  }
  return out;
}
uint32_t turn_back(uint32_t bits) {
  uint32_t out = 0;
  for (int c = 0; c < 4; ++c) {
    uint32_t every = bits >> (8 * c) & 0x000000FFu;
    every = (every | every << 12) & 0x000F000Fu;
    every = (every | every << 6) & 0x03030303u;
    every = (every | every << 3) & 0x11111111u;
    out |= every << c;
  }
  return out;
}

// Four units of four bytes, of four rows: what is row r's unit u becomes unit u's row r.
typedef uint32_t Four __attribute__((vector_size(16)));
typedef int32_t Picks __attribute__((vector_size(16)));

inline Four four_at(const std::byte* p) {
  Four four;
  std::memcpy(&four, p, sizeof(four));
  return four;
}

// 16 bytes of each of eight rows, in units of four, a vector at a time.
inline void interleave_16_bytes(const std::byte* const (&at)[kRowsOfGroup], int64_t offset, std::byte* to) {
  for (int64_t half = 0; half < 2; ++half) {
    const std::byte* const* rows = at + 4 * half;
    const Four a = four_at(rows[0] + offset), b = four_at(rows[1] + offset), c = four_at(rows[2] + offset), d = four_at(rows[3] + offset);
    const Four ab_low = __builtin_shuffle(a, b, Picks{0, 4, 1, 5}), ab_high = __builtin_shuffle(a, b, Picks{2, 6, 3, 7});
    const Four cd_low = __builtin_shuffle(c, d, Picks{0, 4, 1, 5}), cd_high = __builtin_shuffle(c, d, Picks{2, 6, 3, 7});
    const Four out[4] = {__builtin_shuffle(ab_low, cd_low, Picks{0, 1, 4, 5}), __builtin_shuffle(ab_low, cd_low, Picks{2, 3, 6, 7}),
                         __builtin_shuffle(ab_high, cd_high, Picks{0, 1, 4, 5}), __builtin_shuffle(ab_high, cd_high, Picks{2, 3, 6, 7})};
    for (int64_t u = 0; u < 4; ++u) std::memcpy(to + u * 32 + half * 16, &out[u], sizeof(Four));
  }
}

template <class Unit>
void interleave_field(const std::byte* const (&at)[kRowsOfGroup], int64_t units, std::byte*& to) {
  for (int64_t u = 0; u < units; ++u)
    for (int64_t r = 0; r < kRowsOfGroup; ++r, to += sizeof(Unit)) std::memcpy(to, at[r] + u * int64_t(sizeof(Unit)), sizeof(Unit));
}

}  // namespace

bool has_block_form(GgmlType type) {
  for (const Form& form : kForms)
    if (form.type == type) return true;
  return false;
}

BlockForm block_form(GgmlType type) {
  for (int i = 0; i < kBlockForms; ++i)
    if (kForms[i].type == type) return BlockForm(i);
  fail("[block_form] expected one of ggml's quantized types, got type ", uint32_t(type));
}

int64_t group_bytes(BlockForm form, int64_t columns) {
  const BlockFields& f = sizes_of(form);
  check(columns % f.elements == 0, "[interleaved rows] expected whole blocks of ", f.elements, " columns, got ", columns);
  return kRowsOfGroup * columns / f.elements * f.bytes();
}

int64_t interleaved_bytes(BlockForm form, int64_t rows, int64_t columns) {
  return (rows + kRowsOfGroup - 1) / kRowsOfGroup * group_bytes(form, columns);
}

void interleave_rows(BlockForm form, int64_t columns, const std::byte* const (&rows)[kRowsOfGroup], std::byte* group) {
  const int64_t blocks = columns / sizes_of(form).elements, block_bytes = sizes_of(form).bytes();
  static constexpr std::byte kZeros[256] = {};
  for (const Field& field : kForms[size_t(form)].fields) {
    if (field.bytes == 0) break;
    for (int64_t b = 0; b < blocks; ++b) {
      const std::byte* at[kRowsOfGroup];
      for (int64_t r = 0; r < kRowsOfGroup; ++r) at[r] = rows[r] ? rows[r] + b * block_bytes + field.offset : kZeros;
      if (field.bytes == 2) {
        interleave_field<uint16_t>(at, 1, group);
      } else if (!field.turned) {
        const int64_t whole = field.bytes / 16 * 16;
        for (int64_t i = 0; i < whole; i += 16, group += 16 * kRowsOfGroup) interleave_16_bytes(at, i, group);
        for (const std::byte*& row : at) row += whole;
        interleave_field<uint32_t>(at, (field.bytes - whole) / 4, group);
      } else {
        for (int64_t r = 0; r < kRowsOfGroup; r += 4, group += sizeof(Four)) {
          Four words;
          for (int64_t i = 0; i < 4; ++i) {
            uint32_t word;
            std::memcpy(&word, at[r + i], 4);
            words[i] = word;
          }
          words = turn(words);
          std::memcpy(group, &words, sizeof(Four));
        }
      }
    }
  }
}

void copy_interleaved_row(BlockForm form, int64_t columns, const std::byte* matrix, int64_t row, std::byte* out) {
  const int64_t blocks = columns / sizes_of(form).elements, block_bytes = sizes_of(form).bytes();
  const std::byte* from = matrix + row / kRowsOfGroup * group_bytes(form, columns);
  for (const Field& field : kForms[size_t(form)].fields) {
    if (field.bytes == 0) break;
    const int64_t unit = field.bytes == 2 ? 2 : 4, lane = row % kRowsOfGroup * unit;
    for (int64_t b = 0; b < blocks; ++b) {
      std::byte* to = out + b * block_bytes + field.offset;
      for (int64_t i = 0; i < field.bytes; i += unit, from += kRowsOfGroup * unit) std::memcpy(to + i, from + lane, size_t(unit));
      if (!field.turned) continue;
      uint32_t word;
      std::memcpy(&word, to, 4);
      word = turn_back(word);
      std::memcpy(to, &word, 4);
    }
  }
}

}  // namespace r1
