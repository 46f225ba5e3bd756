// Guesses from the text itself ("prompt lookup"): what followed the last tokens when they stood there before. Costs no model; right where a
// text repeats itself or its prompt, as in code, quotations and edits.
#pragma once

#include <span>
#include <vector>

#include "r1/engine/request.h"

namespace r1::engine {

// Up to `most` tokens: those after the place before the end where the longest run of last tokens stands, the latest of equals. Runs longer
// than 8 count as 8. Empty where not even the last two tokens came before.
std::vector<TokenId> ngram_lookup(std::span<const TokenId> tokens, int64_t most);

}  // namespace r1::engine
