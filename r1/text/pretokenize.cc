#include "r1/text/pretokenize.h"

#include <algorithm>

#include "r1/base/error.h"
#include "r1/text/unicode.h"

namespace r1::text {

namespace patterns {
const char* const kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const char* const kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const char* const kQwen35 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const char* const kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const char* const kDeepSeekNumbers = R"(\p{N}{1,3})";
const char* const kDeepSeekCjk = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+";
const char* const kDeepSeekRest = R"re([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|)re"
                                  "[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+";
}  // namespace patterns

namespace {

Behavior behavior_of(const std::string& name, const std::string& where) {
  constexpr std::pair<const char*, Behavior> kNames[] = {{"Removed", Behavior::kRemoved},
                                                         {"Isolated", Behavior::kIsolated},
                                                         {"MergedWithPrevious", Behavior::kMergedWithPrevious},
                                                         {"MergedWithNext", Behavior::kMergedWithNext},
                                                         {"Contiguous", Behavior::kContiguous}};
  for (const auto& [known, behavior] : kNames)
    if (name == known) return behavior;
  fail(where, ": unknown behavior '", printable(name), "'");
}

// One span of a split text: a match, or what lies between matches.
struct Span {
  size_t begin, end;
  bool match;
};

// Cuts a text into spans by a finder of matches; merges them as the behaviour says; gives the kept ranges to `keep`.
class Spans {
 public:
  template <class Find>
  Spans(size_t size, Find find) {
    size_t done = 0;
    Regex::Match m;
    for (size_t from = 0; from <= size && find(from, &m);) {
      if (done < m.begin) spans_.push_back({done, m.begin, false});
      spans_.push_back({m.begin, m.end, true});
      done = m.end;
      from = m.end > m.begin ? m.end : m.end + 1;  // an empty match: look further on
    }
    if (done < size) spans_.push_back({done, size, false});
  }

  template <class Keep>
  void give(Behavior behavior, bool invert, Keep keep) {
    if (invert)
      for (Span& s : spans_) s.match = !s.match;
    switch (behavior) {
      case Behavior::kRemoved:
        for (const Span& s : spans_)
          if (!s.match) keep(s.begin, s.end);
        return;
      case Behavior::kIsolated:
        for (const Span& s : spans_) keep(s.begin, s.end);
        return;
      case Behavior::kContiguous:
        return give_merged([](const Span& a, const Span& b) { return a.match == b.match; }, keep);
      case Behavior::kMergedWithPrevious:
        return give_merged([](const Span& a, const Span& b) { return !a.match && b.match; }, keep);
      case Behavior::kMergedWithNext:
        return give_backwards(keep);
    }
  }

 private:
  // Joins a span to the one before it where `joins(before, it)` says so.
  template <class Joins, class Keep>
  void give_merged(Joins joins, Keep keep) {
    std::vector<Span> out;
    const Span* before = nullptr;
    for (const Span& s : spans_) {
      if (before && joins(*before, s)) {
        out.back().end = s.end;
      } else {
        out.push_back(s);
      }
      before = &s;
    }
    for (const Span& s : out) keep(s.begin, s.end);
  }

  template <class Keep>
  void give_backwards(Keep keep) {
    std::vector<Span> out;
    const Span* after = nullptr;
    for (auto it = spans_.rbegin(); it != spans_.rend(); ++it) {
      if (after && it->match && !after->match) {
        out.back().begin = it->begin;
      } else {
        out.push_back(*it);
      }
      after = &*it;
    }
    for (auto it = out.rbegin(); it != out.rend(); ++it) keep(it->begin, it->end);
  }

  std::vector<Span> spans_;
};

bool in_ranges(std::span<const Range> ranges, uint32_t cp) {
  const auto it = std::ranges::upper_bound(ranges, cp, {}, &Range::first);
  return it != ranges.begin() && cp <= std::prev(it)->last;
}

// A finder of single characters for which `is` holds.
template <class Is>
auto find_chars(std::string_view text, Is is) {
  return [text, is](size_t from, Regex::Match* m) {
    const char* const end = text.data() + text.size();
    for (const char* p = text.data() + from; p < end;) {
      uint32_t cp;
      const int n = decode_utf8(p, end, &cp);
      if (is(cp)) return *m = {size_t(p - text.data()), size_t(p - text.data()) + size_t(n)}, true;
      p += n;
    }
    return false;
  };
}

}  // namespace

PreTokenizer::PreTokenizer(const Json& spec, const std::string& where) {
  if (spec.is_null()) return;
  add(spec, where);
  kind_ = Kind::kSteps;
  recognise();
}

void PreTokenizer::add(const Json& spec, const std::string& where) {
  const std::string type = json_get<std::string>(spec, "type", where);
  if (steps_.size() > 64) fail(where, ": more than 64 steps");
  if (type == "Sequence") {
    for (const Json& inner : json_get<Json>(spec, "pretokenizers", where)) add(inner, where);
  } else if (type == "Split") {
    add_split(spec, where);
  } else if (type == "ByteLevel") {
    if (json_get_or(spec, "add_prefix_space", true, where)) steps_.push_back({.kind = Step::Kind::kPrefixSpace});
    if (json_get_or(spec, "use_regex", true, where)) add_regex(patterns::kGpt2, Behavior::kIsolated, false, where);
    byte_level_ = true;
  } else if (type == "Digits") {
    steps_.push_back({.kind = Step::Kind::kDigits, .contiguous = !json_get_or(spec, "individual_digits", false, where)});
  } else if (type == "Punctuation") {
    steps_.push_back(
        {.kind = Step::Kind::kPunctuation, .behavior = behavior_of(json_get_or<std::string>(spec, "behavior", "Isolated", where), where)});
  } else if (type == "Whitespace") {
    std::string word;  // \w+|[^\w\s]+ in the Rust regex crate's sense of \w
    for (const Range& r : crate_word_ranges()) word += regex_range(r);
    add_regex("[" + word + "]+|[^" + word + "\\s]+", Behavior::kRemoved, true, where);
  } else if (type == "WhitespaceSplit") {
    steps_.push_back({.kind = Step::Kind::kWhitespaceSplit, .behavior = Behavior::kRemoved});
  } else {
    fail(where, ": pre_tokenizer of type '", printable(type),
         "' is not supported (known: Sequence, Split, ByteLevel, Digits, Punctuation, Whitespace, WhitespaceSplit)");
  }
}

void PreTokenizer::add_split(const Json& spec, const std::string& where) {
  const Json pattern = json_get<Json>(spec, "pattern", where);
  const Behavior behavior = behavior_of(json_get<std::string>(spec, "behavior", where), where);
  const bool invert = json_get_or(spec, "invert", false, where);
  if (!pattern.is_object()) fail(where, ": the pattern of a Split must be {\"Regex\": ...} or {\"String\": ...}");
  if (pattern.contains("Regex")) {
    add_regex(json_get<std::string>(pattern, "Regex", where), behavior, invert, where);
  } else {
    const std::string text = json_get<std::string>(pattern, "String", where);
    if (text.empty()) return;  // HF: nothing matches
    steps_.push_back({.kind = Step::Kind::kString, .behavior = behavior, .invert = invert, .pattern = text});
  }
}

void PreTokenizer::add_regex(std::string_view pattern, Behavior behavior, bool invert, const std::string& where) {
  const auto compiled = [&] {
    try {
      return Regex(pattern);
    } catch (const Error& e) {
      fail(where, ": ", e.what());
    }
  };
  steps_.push_back(
      {.kind = Step::Kind::kRegex, .behavior = behavior, .invert = invert, .pattern = std::string(pattern), .regex = compiled()});
}

void PreTokenizer::recognise() {
  const auto is_regex = [&](size_t i, const std::string& pattern) {
    const Step& s = steps_[i];
    return s.kind == Step::Kind::kRegex && s.behavior == Behavior::kIsolated && !s.invert && s.pattern == pattern;
  };
  // The files write \r and \n in classes both as escapes and as the characters themselves.
  const auto spelled = [](std::string p) {
    for (size_t at; (at = p.find('\r')) != std::string::npos;) p.replace(at, 1, "\\r");
    for (size_t at; (at = p.find('\n')) != std::string::npos;) p.replace(at, 1, "\\n");
    return p;
  };
  const auto is = [&](size_t i, const char* pattern) {
    return is_regex(i, pattern) || (steps_[i].pattern == spelled(pattern) && is_regex(i, spelled(pattern)));
  };
  if (steps_.empty()) {
    kind_ = Kind::kNone;
  } else if (steps_.size() == 1) {
    if (is(0, patterns::kGpt2)) kind_ = Kind::kGpt2;
    if (is(0, patterns::kQwen2)) kind_ = Kind::kQwen2;
    if (is(0, patterns::kQwen35)) kind_ = Kind::kQwen35;
    if (is(0, patterns::kLlama3)) kind_ = Kind::kLlama3;
  } else if (steps_.size() == 2) {
    if (steps_[0].kind == Step::Kind::kDigits && !steps_[0].contiguous && is(1, patterns::kGpt2)) kind_ = Kind::kSmolLm;
  } else if (steps_.size() == 3) {
    if (is(0, patterns::kDeepSeekNumbers) && is(1, patterns::kDeepSeekCjk) && is(2, patterns::kDeepSeekRest)) kind_ = Kind::kDeepSeek;
  }
}

const std::vector<Piece>& PreTokenizer::run_steps(std::string_view text, Scratch& scratch) const {
  scratch.prefixed.clear();
  scratch.pieces.assign(1, {text.data(), text.data() + text.size(), 0});
  if (text.empty()) scratch.pieces.clear();
  for (const Step& step : steps_) {
    scratch.next.clear();
    for (const Piece& piece : scratch.pieces) apply(step, piece, scratch);
    std::swap(scratch.pieces, scratch.next);
  }
  return scratch.pieces;
}

void PreTokenizer::apply(const Step& step, const Piece& piece, Scratch& scratch) const {
  const std::string_view text(piece.begin, size_t(piece.end - piece.begin));
  if (step.kind == Step::Kind::kPrefixSpace) {
    Piece out = piece;
    if (!text.starts_with(' ')) {
      const std::string& copy = scratch.prefixed.emplace_back(" " + std::string(text));
      out = {copy.data(), copy.data() + copy.size(), piece.source, true};
    }
    scratch.next.push_back(out);
    return;
  }
  const auto keep = [&](size_t begin, size_t end) {
    if (begin == end) return;
    const bool prefixed = piece.prefixed && begin == 0;
    scratch.next.push_back({piece.begin + begin, piece.begin + end, piece.source + begin - size_t(piece.prefixed && begin > 0), prefixed});
  };
  switch (step.kind) {
    case Step::Kind::kRegex:
      Spans(text.size(), [&](size_t from, Regex::Match* m) {
        return step.regex->find(text, from, scratch.regex, m);
      }).give(step.behavior, step.invert, keep);
      return;
    case Step::Kind::kString:
      Spans(text.size(), [&](size_t from, Regex::Match* m) {
        const size_t at = text.find(step.pattern, from);
        *m = {at, at + step.pattern.size()};
        return at != std::string_view::npos;
      }).give(step.behavior, step.invert, keep);
      return;
    case Step::Kind::kDigits: {
      const auto numeric = [](uint32_t cp) { return (char_flags()[cp] & kNumeric) != 0; };
      Spans(text.size(), find_chars(text, numeric)).give(step.contiguous ? Behavior::kContiguous : Behavior::kIsolated, false, keep);
      return;
    }
    case Step::Kind::kPunctuation: {
      const auto punctuation = [](uint32_t cp) { return in_ranges(punctuation_ranges(), cp); };
      Spans(text.size(), find_chars(text, punctuation)).give(step.behavior, false, keep);
      return;
    }
    case Step::Kind::kWhitespaceSplit: {
      const auto space = [](uint32_t cp) { return (char_flags()[cp] & kSpace) != 0; };
      Spans(text.size(), find_chars(text, space)).give(Behavior::kRemoved, false, keep);
      return;
    }
    default:
      return;
  }
}

}  // namespace r1::text
