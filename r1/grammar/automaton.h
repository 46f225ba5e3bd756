// Automata over bytes. Dfa: a regular language. Automaton: a deterministic automaton for each rule, whose states may call other rules, as a
// pushdown does; where several calls or a call and a byte are possible at once, whoever runs it follows them all (matcher.h). Every state can
// still reach the end of some text: what has no future is cut off here.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "r1/grammar/expression.h"

namespace r1::grammar {

struct Edge {
  uint8_t first, last;
  int32_t to;
};

struct Dfa {
  struct State {
    std::vector<Edge> edges;  // ascending, apart from each other
    bool final = false;
  };
  std::vector<State> states;  // the first is the start

  bool matches(std::string_view text) const;
};

// Of an expression without rules.
Dfa regular(Expressions& x, Node node);
Dfa intersect(const Dfa& a, const Dfa& b, Budget& budget);
// The valid UTF-8 that `a` does not match.
Dfa excluding(Expressions& x, const Dfa& a);
// No text at all is matched.
bool is_empty(const Dfa& a);

struct Automaton {
  struct Call {
    int32_t rule, to;
    int64_t min = 1, max = 1;  // rounds of the rule before `to`; counted while running if they are not 1
    bool counted() const { return min != 1 || max != 1; }
  };
  struct State {
    int32_t first_edge = 0, edges = 0, first_call = 0, calls = 0;
    bool final = false;
    bool last() const { return final && edges == 0 && calls == 0; }  // nothing more to do but return
  };
  std::vector<State> states;
  std::vector<Edge> edges;
  std::vector<Call> calls;
  std::vector<int32_t> starts;     // of each rule
  std::vector<uint8_t> recursive;  // of each rule: it may be called while it runs
  std::vector<std::string> names;  // of each rule
  int32_t root = 0;
  size_t bytes() const;
};

// Throws kUsage if it is too big, if a rule calls itself before anything is matched, or if no text matches.
std::shared_ptr<const Automaton> compile(Expressions& x, int32_t root);

}  // namespace r1::grammar
