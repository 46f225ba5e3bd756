// Runs one grammar over one vocabulary: where a text stands in the grammar, and which tokens may come next.
//
// A text's place is a set of automaton states, each with the stacks of calls that led there; equal stacks are one object, and stacks that
// differ only below are joined, so ambiguous grammars stay small. Places and the steps between them are remembered as they are met (a lazy
// automaton). The mask of a state is computed once without looking at what called it; tokens that leave the rule are followed on from the
// caller each time, and they are few. Both memories are bounded; what is dropped is made again.
//
// Constraints share a Matcher; it locks itself.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "r1/grammar/automaton.h"
#include "r1/grammar/token_table.h"

namespace r1::grammar {

struct MatcherLimits {
  size_t place_bytes = 8 << 20;  // of places and steps
  size_t mask_bytes = 8 << 20;   // of masks
  int max_depth = 100;           // of calls; beyond, rules that may call themselves are not called: nested JSON ends there
  size_t max_set = 4'000;        // states that a place holds; more is an error (kFailed) of that one text
  int64_t work = 20'000'000;     // of one call, in steps of a few ns; likewise
};

class Matcher {
 public:
  Matcher(std::shared_ptr<const Automaton> automaton, std::shared_ptr<const TokenTable> table, const MatcherLimits& limits = {});
  ~Matcher();
  Matcher(const Matcher&) = delete;
  Matcher& operator=(const Matcher&) = delete;

  // A text's place in the grammar.
  class Place {
   public:
    explicit Place(std::shared_ptr<Matcher> matcher);  // of the empty text
    Place(const Place& other);
    Place& operator=(const Place&) = delete;
    ~Place();

    // Appends bytes; false, and the place is as before, if no text of the grammar goes on so.
    bool advance(std::string_view bytes);
    bool complete() const;  // the text may end here
    bool open() const;      // and may go on
    // Sets the bits of the tokens that may come next, and clears all others.
    void mask(std::span<uint64_t> words);
    // Sets the bits of tokens in the branch below `node` of the table's trie that may come, were the text of `node` out already.
    void mask_below(uint32_t node, std::span<uint64_t> words);
    Matcher& matcher() const { return *matcher_; }

   private:
    friend class Matcher;
    std::shared_ptr<Matcher> matcher_;
    uint32_t set_ = 0;
  };

  const TokenTable& table() const;
  size_t bytes() const;  // of both memories

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace r1::grammar
