// Where the pieces of plain ASCII text start, 64 bytes at a time and without a branch a piece: each class of characters as a mask of 64 bits,
// and the patterns of splitters.h as sums and shifts of masks. What a mask can't tell (characters beyond ASCII, a piece that is longer) is
// left to the splitters, which look at one character after another.
#pragma once

#include <cstdint>

namespace r1::text {

enum class SplitRules { kGpt2, kQwen2, kLlama3, kDeepSeek };
enum class SplitWith { kBest, kPlain, kSse2, kAvx2 };

struct Starts {
  // Bit i: a piece starts at byte i. Bit 0, which is known, is not set. The last bit's piece ends somewhere behind it; all before are whole.
  uint64_t bits;
  bool all_ascii;  // else what follows the last bit soon needs a splitter
};

// For 64 readable bytes that begin where a piece starts, and after which the text may end or go on.
using FindStarts = Starts (*)(const char* p);
// Null where the processor has nothing for it (kPlain).
FindStarts find_starts(SplitRules rules, SplitWith with = SplitWith::kBest);
bool can_split_with(SplitWith with);

}  // namespace r1::text
