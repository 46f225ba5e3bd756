// Grammars as llama.cpp's users write them (GBNF): rules `name ::= alternatives` from `root`, literals "..", classes [a-z], [^..], ".",
// groups, * + ? {n,m}, # comments; an alternative may go on in the next line. Refused by name: rules that begin with themselves, tokens
// (<[12]>), rules that are missing or given twice.
#pragma once

#include <string_view>

#include "r1/grammar/expression.h"

namespace r1::grammar {

// The number of the rule `root`. Errors (kUsage) name the line.
int32_t parse_ebnf(Expressions& x, std::string_view text);

}  // namespace r1::grammar
