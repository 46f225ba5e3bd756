#include "r1/grammar/expression.h"

#include <ctime>

#include "r1/base/error.h"

namespace r1::grammar {

namespace {

double thread_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

// The encodings of code points first..last, which have `length` bytes each, as sequences of byte ranges.
void spell(uint32_t first, uint32_t last, int length, std::vector<std::vector<ByteRange>>& out) {
  for (int i = 1; i < length; ++i) {
    const uint32_t low = (1u << (6 * i)) - 1;  // the bits of the last i bytes
    if ((first & ~low) == (last & ~low)) continue;
    if (first & low) {
      spell(first, first | low, length, out);
      return spell((first | low) + 1, last, length, out);
    }
    if ((last & low) != low) {
      spell(first, (last & ~low) - 1, length, out);
      return spell(last & ~low, last, length, out);
    }
  }
  std::string a, b;
  append_utf8(a, first);
  append_utf8(b, last);
  std::vector<ByteRange> sequence;
  for (int i = 0; i < length; ++i) sequence.push_back({uint8_t(a[size_t(i)]), uint8_t(b[size_t(i)])});
  out.push_back(std::move(sequence));
}

}  // namespace

Budget::Budget(const Limits& limits, std::string what) : limits_(limits), what_(std::move(what)), end_(thread_seconds() + limits.seconds) {}

void Budget::spend_steps(int64_t steps) {
  steps_ += steps;
  if (steps_ < next_look_) return;
  next_look_ = steps_ + 2'000;
  if (thread_seconds() > end_)
    fail_usage("[", what_, "] is too complex: it takes more than the allowed ", int64_t(limits_.seconds * 1e3), " ms to compile");
}

void Budget::spend_states(int64_t states) {
  check_states(states_ += states);
  spend_steps(10);
}

void Budget::check_states(int64_t states) const {
  if (states > limits_.states) fail_usage("[", what_, "] is too complex: it needs more than the allowed ", limits_.states, " states");
}

Node Expressions::add(Item item) {
  budget_.spend_steps(4);
  items_.push_back(std::move(item));
  return Node(items_.size() - 1);
}

Node Expressions::nothing() {
  return nothing_ >= 0 ? nothing_ : nothing_ = add({.kind = Kind::kNothing});
}
Node Expressions::empty() {
  return empty_ >= 0 ? empty_ : empty_ = add({.kind = Kind::kEmpty});
}
Node Expressions::bytes(std::vector<ByteRange> ranges) {
  return add({.kind = Kind::kBytes, .bytes = std::move(ranges)});
}

Node Expressions::literal(std::string_view text) {
  std::vector<Node> parts;
  for (char c : text) parts.push_back(bytes({{uint8_t(c), uint8_t(c)}}));
  return concat(std::move(parts));
}

Node Expressions::chars(const text::RangeSet& code_points) {
  std::vector<ByteRange> single;
  std::vector<Node> alternatives;
  for (const text::Range& range : text::intersect(code_points, all_code_points())) {
    constexpr uint32_t kEnds[] = {0x7F, 0x7FF, 0xFFFF, 0x10FFFF};
    uint32_t first = range.first;
    for (int length = 1; length <= 4 && first <= range.last; ++length) {
      const uint32_t last = std::min(range.last, kEnds[length - 1]);
      if (first > last) continue;
      std::vector<std::vector<ByteRange>> sequences;
      spell(first, last, length, sequences);
      for (const auto& sequence : sequences) {
        if (length == 1) {
          single.push_back(sequence[0]);
          continue;
        }
        std::vector<Node> parts;
        for (ByteRange b : sequence) parts.push_back(bytes({b}));
        alternatives.push_back(concat(std::move(parts)));
      }
      first = last + 1;
    }
  }
  if (!single.empty()) alternatives.push_back(bytes(std::move(single)));
  return choice(std::move(alternatives));
}

Node Expressions::any_char() {
  return any_ >= 0 ? any_ : any_ = chars(all_code_points());
}

Node Expressions::concat(std::vector<Node> parts) {
  if (parts.empty()) return empty();
  if (parts.size() == 1) return parts[0];
  return add({.kind = Kind::kConcat, .children = std::move(parts)});
}

Node Expressions::choice(std::vector<Node> alternatives) {
  if (alternatives.empty()) return nothing();
  if (alternatives.size() == 1) return alternatives[0];
  return add({.kind = Kind::kChoice, .children = std::move(alternatives)});
}

Node Expressions::repeat(Node body, int64_t min, int64_t max) {
  if (min > max) return nothing();
  if (max == 0) return empty();
  if (min == 1 && max == 1) return body;
  return add({.kind = Kind::kRepeat, .children = {body}, .min = min, .max = max});
}

Node Expressions::rule(int32_t rule) {
  return add({.kind = Kind::kRule, .rule = rule});
}

Node Expressions::counted(int32_t rule, int64_t min, int64_t max) {
  if (min > max) return nothing();
  if (max == 0) return empty();
  const Node some = add({.kind = Kind::kCounted, .min = std::max<int64_t>(min, 1), .max = max, .rule = rule});
  return min == 0 ? optional(some) : some;
}

Node Expressions::members(std::vector<Node> parts, std::vector<bool> required, Node separator, Node extra, bool may_be_empty) {
  return add({.kind = Kind::kMembers,
              .children = std::move(parts),
              .min = may_be_empty ? 0 : 1,
              .required = std::move(required),
              .separator = separator,
              .extra = extra});
}

Node Expressions::dfa(std::shared_ptr<const Dfa> dfa) {
  return add({.kind = Kind::kDfa, .dfa = std::move(dfa)});
}
Node Expressions::text_start() {
  return add({.kind = Kind::kTextStart});
}
Node Expressions::text_end() {
  return add({.kind = Kind::kTextEnd});
}

int32_t Expressions::new_rule(std::string name, bool keep) {
  budget_.spend_steps(20);
  rules_.push_back({std::move(name), -1, keep});
  return int32_t(rules_.size() - 1);
}

text::RangeSet all_code_points() {
  return {{0, 0xD7FF}, {0xE000, 0x10FFFF}};
}

}  // namespace r1::grammar
