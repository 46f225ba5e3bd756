// Regular expressions as JSON Schema and clients write them (the common part of ECMAScript, PCRE and Python), to an expression: literals,
// classes, groups, alternation, repeats, ^ and $ (of the text, not of lines). Lazy repeats are the same language as greedy ones. \d and \w
// are ASCII, \s is ECMAScript's, . is all but line ends. Refused by name: lookaround, back references, \b, possessive and atomic parts,
// conditions, flags other than i and s in front, scripts as \p{..}.
#pragma once

#include <string_view>

#include "r1/grammar/expression.h"

namespace r1::grammar {

// Errors (kUsage) name the place: "at offset 5 of the pattern". `where` opens them ("regex", "json_schema: pattern at #/properties/a").
// Anchors are zero width, so the result belongs into regular().
Node parse_regex(Expressions& x, std::string_view pattern, std::string_view where);

// The texts that the pattern matches: all of the text, or, as JSON Schema has it, somewhere in it.
std::shared_ptr<const Dfa> regex_whole(Expressions& x, std::string_view pattern, std::string_view where);
std::shared_ptr<const Dfa> regex_search(Expressions& x, std::string_view pattern, std::string_view where);

}  // namespace r1::grammar
