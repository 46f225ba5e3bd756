// Regular expressions as JSON Schema and clients write them (the common part of ECMAScript, PCRE and Python), to an expression: literals,
// classes, groups, alternation, repeats, ^ and $ (of the text, not of lines). Lazy repeats are the same language as greedy ones. \d and \w
// are ASCII, \s is ECMAScript's, . is all but line ends. Refused by name: lookaround, back references, \b, possessive and atomic parts,
// conditions, flags other than i and s in front, scripts as \p{..}.
//
// A reader of its own beside text/regex.h, which writes Ruby's syntax down for PCRE2 to run: a grammar needs the automaton itself.
#pragma once

#include <string_view>

#include "r1/grammar/expression.h"

namespace r1::grammar {

// The texts that the pattern matches: all of the text, or, as JSON Schema has it, somewhere in it. Errors (kUsage) name the place: "at offset 5
// of the pattern". `where` opens them ("regex", "json_schema: pattern at #/properties/a").
std::shared_ptr<const Dfa> regex_whole(Expressions& x, std::string_view pattern, std::string_view where);
std::shared_ptr<const Dfa> regex_search(Expressions& x, std::string_view pattern, std::string_view where);

}  // namespace r1::grammar
