// What the compilers of schemas, patterns and grammars write down: expressions over bytes in an arena, and rules that may call each other.
// Texts are UTF-8; a set of code points becomes the byte sequences that spell them. No meaning is given here: automaton.h compiles it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "r1/text/unicode.h"

namespace r1::grammar {

// What a compilation may cost. Time is that of the calling thread's processor, so that a busy machine refuses nothing that an idle one takes.
struct Limits {
  double seconds = 0.05;
  int64_t states = 10'000;  // of the automaton
  size_t text = 1 << 20;    // bytes of a schema (as JSON), pattern or grammar
  int depth = 100;          // of nesting in it
};

// Counts what a compilation spends; throws kUsage when it is too much.
class Budget {
 public:
  Budget(const Limits& limits, std::string what);
  void spend_steps(int64_t steps);          // small pieces of work
  void spend_states(int64_t states);        // of the automaton that is made
  void check_states(int64_t states) const;  // of one that is made on the way
  const Limits& limits() const { return limits_; }
  const std::string& what() const { return what_; }  // "json_schema", opens the messages

 private:
  Limits limits_;
  std::string what_;
  double end_;
  int64_t steps_ = 0, states_ = 0, next_look_ = 0;
};

struct ByteRange {
  uint8_t first, last;
};

struct Dfa;
using Node = int32_t;

inline constexpr int64_t kNoLimit = INT64_MAX;

class Expressions {
 public:
  enum class Kind : uint8_t { kNothing, kEmpty, kBytes, kConcat, kChoice, kRepeat, kRule, kCounted, kMembers, kDfa, kTextStart, kTextEnd };
  struct Item {
    Kind kind = Kind::kEmpty;
    std::vector<Node> children = {};
    std::vector<ByteRange> bytes = {};
    int64_t min = 0, max = 0;
    int32_t rule = -1;
    std::vector<bool> required = {};
    Node separator = -1, extra = -1;
    std::shared_ptr<const Dfa> dfa = nullptr;
  };
  struct Rule {
    std::string name;
    Node body = -1;
    bool keep = false;  // always called, never written out where it is used: masks inside it are shared by all its uses
  };

  explicit Expressions(Budget& budget) : budget_(budget) {}

  Node nothing();  // matches no text
  Node empty();    // matches ""
  Node bytes(std::vector<ByteRange> ranges);
  Node literal(std::string_view text);
  Node chars(const text::RangeSet& code_points);
  Node any_char();
  Node concat(std::vector<Node> parts);
  Node choice(std::vector<Node> alternatives);
  Node repeat(Node body, int64_t min, int64_t max);
  Node optional(Node body) { return repeat(body, 0, 1); }
  Node star(Node body) { return repeat(body, 0, kNoLimit); }
  Node rule(int32_t rule);
  // The rule min to max times, counted while matching: costs no states however large the counts. The rule must not match "" and the end of
  // one round must be plain without looking ahead.
  Node counted(int32_t rule, int64_t min, int64_t max);
  // parts[i] in order, each at most once, those not required may be left out, then any number of `extra` (-1: none), `separator` between them;
  // nothing at all only if `may_be_empty` and none is required.
  Node members(std::vector<Node> parts, std::vector<bool> required, Node separator, Node extra, bool may_be_empty);
  Node dfa(std::shared_ptr<const Dfa> dfa);
  Node text_start();  // zero width; only where the whole expression is a Dfa's
  Node text_end();

  int32_t new_rule(std::string name, bool keep);
  void set_rule(int32_t rule, Node body) { rules_[size_t(rule)].body = body; }

  const Item& operator[](Node node) const { return items_[size_t(node)]; }
  std::vector<Rule>& rules() { return rules_; }
  Budget& budget() { return budget_; }

 private:
  Node add(Item item);

  Budget& budget_;
  std::vector<Item> items_;
  std::vector<Rule> rules_;
  Node empty_ = -1, nothing_ = -1, any_ = -1;
};

// Every code point that UTF-8 can spell.
text::RangeSet all_code_points();

}  // namespace r1::grammar
