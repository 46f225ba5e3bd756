#include "r1/corpus/clean.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <unordered_set>
#include <vector>

#include "r1/base/strings.h"
#include "r1/corpus/boilerplate.h"
#include "r1/corpus/encoding.h"
#include "r1/text/unicode.h"

namespace r1::corpus {
namespace {

// ---- Unicode ----

// The byte that windows-1252 (with latin-1's controls for the five it lacks) has for a character beyond ASCII; 0 if none.
uint8_t byte_of(uint32_t cp) {
  if (cp < 0x80) return 0;
  if (cp < 0x100) return uint8_t(cp);
  for (int byte = 0x80; byte < 0xA0; ++byte)
    if (of_windows_1252(uint8_t(byte)) == cp) return uint8_t(byte);
  return 0;
}

// A sequence of characters that is one character's UTF-8 when their bytes are read again.
struct Sequence {
  size_t bytes = 0;  // of the text; 0: none
  uint32_t cp = 0;
  std::array<uint8_t, 4> byte{};
  int n = 0;
};

Sequence sequence_at(std::string_view text, size_t at) {
  Sequence s;
  const char *p = text.data() + at, *end = text.data() + text.size();
  char raw[4];
  int wanted = 0;
  while (p < end) {
    uint32_t cp;
    const int length = decode_utf8(p, end, &cp);
    const uint8_t b = byte_of(cp);
    if (s.n == 0) {
      wanted = b >= 0xC2 && b < 0xE0 ? 2 : b >= 0xE0 && b < 0xF0 ? 3 : b >= 0xF0 && b < 0xF5 ? 4 : 0;
      if (wanted == 0) return {};
    } else if (b < 0x80 || b > 0xBF) {
      return {};
    }
    s.byte[size_t(s.n)] = b;
    raw[s.n++] = char(b);
    p += length;
    if (s.n == wanted) break;
  }
  if (s.n != wanted || wanted == 0) return {};
  if (decode_utf8(raw, raw + wanted, &s.cp) != wanted || s.cp == kInvalidChar) return {};
  s.bytes = size_t(p - text.data()) - at;
  return s;
}

bool is_upper_letter(uint32_t cp) {
  return (cp >= 'A' && cp <= 'Z') || (cp >= 0xC0 && cp <= 0xDE && cp != 0xD7);
}

// The marks that writers put right behind a letter: as a byte's second half they prove nothing.
bool follows_letters(uint8_t b) {
  switch (b) {
    case 0x85:  // ...
    case 0x91:
    case 0x92:
    case 0x93:
    case 0x94:  // quotes
    case 0x84:
    case 0x96:
    case 0x97:  // dashes
    case 0x99:  // trade mark
    case 0x9B:
    case 0xA0:
    case 0xA9:
    case 0xAA:
    case 0xAB:
    case 0xAE:
    case 0xB0:
    case 0xB7:
    case 0xBA:
    case 0xBB:
      return true;
    default:
      return false;
  }
}
bool is_control(uint8_t b) {
  return b == 0x81 || b == 0x8D || b == 0x8F || b == 0x90 || b == 0x9D;
}

// How much a sequence proves by itself: 2 for sure, 1 with another beside it or a sure one anywhere in the text, 0 nothing.
int proof_of(const Sequence& s, uint32_t before) {
  const uint8_t lead = s.byte[0], second = s.byte[1];
  for (int i = 1; i < s.n; ++i)
    if (is_control(s.byte[size_t(i)])) return 2;  // nobody types these
  if (s.n == 4) return 2;
  if (s.n == 3) {
    if (lead == 0xE2) return second >= 0x80 && second <= 0xAF ? 2 : 1;
    if (lead == 0xEF && (second == 0xBB || second == 0xBF || second == 0xBC || second == 0xBD)) return 2;
    return follows_letters(second) && follows_letters(s.byte[2]) ? 1 : 2;
  }
  const bool shouted = is_upper_letter(before);
  if (lead == 0xC2) return shouted && follows_letters(second) ? 0 : 2;
  if (lead == 0xC3) return shouted && follows_letters(second) ? 1 : 2;
  if (lead == 0xC4 || lead == 0xC5) return follows_letters(second) ? 1 : 2;
  if (lead >= 0xCE && lead <= 0xDB && lead != 0xD2 && lead != 0xD3 && lead != 0xD5 && lead != 0xD6) return 1;
  return follows_letters(second) && shouted ? 0 : 1;
}

// Whether a sequence of the text is sure to have been read wrongly.
bool has_proof(std::string_view text) {
  for (size_t at = text.find('\xC3'); at != text.npos; at = text.find('\xC3', at)) {
    const Sequence s = sequence_at(text, at);
    if (s.bytes && proof_of(s, at > 0 ? uint8_t(text[at - 1]) : 0) == 2) return true;
    at += s.bytes ? s.bytes : 1;
  }
  return false;
}

std::string repair_once(std::string_view text, bool* changed) {
  std::string out;
  *changed = false;
  const bool proven = has_proof(text);
  uint32_t before = 0;
  for (size_t at = 0; at < text.size();) {
    const uint8_t c = uint8_t(text[at]);
    // Leads are U+00C2..U+00F4: two bytes that begin with C3.
    if (c != 0xC3) {
      const size_t begin = at;
      if (c < 0x80) {
        before = c;
        ++at;
      } else {
        uint32_t cp;
        at += size_t(decode_utf8(text.data() + at, text.data() + text.size(), &cp));
        before = cp;
      }
      if (*changed) out.append(text.substr(begin, at - begin));
      continue;
    }
    // A run of sequences is judged together.
    size_t end = at;
    int best = 0, count = 0;
    uint32_t last = before;
    std::string decoded;
    while (end < text.size() && count < 4096) {
      const Sequence s = sequence_at(text, end);
      if (s.bytes == 0) break;
      best = std::max(best, proof_of(s, last));
      append_utf8(decoded, s.cp);
      last = s.cp;
      end += s.bytes;
      ++count;
    }
    if (count > 0 && (best == 2 || (best == 1 && (proven || count > 1)))) {
      if (!*changed) out.assign(text.substr(0, at));
      *changed = true;
      out += decoded;
      before = last;
      at = end;
      continue;
    }
    const size_t begin = at;
    if (count > 0) {
      at = end;
    } else {
      uint32_t cp;
      at += size_t(decode_utf8(text.data() + at, text.data() + text.size(), &cp));
      before = cp;
    }
    if (count > 0) before = last;
    if (*changed) out.append(text.substr(begin, at - begin));
  }
  return out;
}

bool joins(uint32_t before, uint32_t after) {
  return before >= 0x80 && after >= 0x80;
}

// What carries no text: controls, marks without width, what direction marks hide.
bool is_removed(uint32_t cp) {
  return cp < 0x09 || cp == 0x0B || (cp >= 0x0E && cp < 0x20) || (cp >= 0x7F && cp < 0xA0) || cp == 0xAD || cp == 0x200B ||
         (cp >= 0x200E && cp <= 0x200F) || (cp >= 0x202A && cp <= 0x202E) || (cp >= 0x2060 && cp <= 0x206F) || cp == 0xFEFF ||
         (cp >= 0xFFF9 && cp <= 0xFFFC) || (cp & 0xFFFE) == 0xFFFE || (cp >= 0xFDD0 && cp <= 0xFDEF);
}

std::string one_form_of_lines_and_marks(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  const char *p = text.data(), *end = p + text.size();
  uint32_t before = 0;
  bool in_flag = false;  // behind U+1F3F4, whose tags name a region
  while (p < end) {
    if (uint8_t(*p) >= 0x20 && uint8_t(*p) < 0x7F) {
      out += *p;
      before = uint8_t(*p++);
      in_flag = false;
      continue;
    }
    uint32_t cp;
    const int n = decode_utf8(p, end, &cp);
    const char* next = p + n;
    if (cp == '\r') {
      if (next == end || *next != '\n') out += '\n';
    } else if (cp == '\f' || cp == 0x85 || cp == 0x2028 || cp == 0x2029) {
      out += '\n';
    } else if (cp == 0x200C || cp == 0x200D) {
      uint32_t after = 0;
      if (next < end) decode_utf8(next, end, &after);
      if (joins(before, after) && after != 0x200C && after != 0x200D) out.append(p, size_t(n));
    } else if (cp >= 0xE0000 && cp < 0xE0080) {
      if (in_flag) out.append(p, size_t(n));
    } else if (cp == 0xFFFD) {
      if (before != 0xFFFD) out.append(p, size_t(n));
    } else if (!is_removed(cp)) {
      out.append(p, size_t(n));
    } else {
      p = next;
      continue;  // as if it had not been there
    }
    in_flag = cp == 0x1F3F4 || (in_flag && cp >= 0xE0000 && cp < 0xE0080);
    before = cp;
    p = next;
  }
  return out;
}

// ---- lines ----

// Calls what(line) for each, without their ends.
template <class F>
void each_line(std::string_view text, F what) {
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    what(text.substr(at, end - at));
    at = end + 1;
  }
}

bool opens_code(std::string_view line) {
  return trim(line).starts_with("```") || trim(line).starts_with("~~~");
}
bool is_indented(std::string_view line) {
  return line.starts_with("    ") || line.starts_with("\t");
}

// "Home | News | About us": four or more short parts between bars and no sentence.
bool is_menu_line(std::string_view line) {
  line = trim(line);
  if (line.size() > 300 || line.starts_with("|")) return false;  // a table's row
  size_t parts = 1, length = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    const bool bar = line[i] == '|' || (line[i] == '\xC2' && i + 1 < line.size() && (line[i + 1] == '\xBB' || line[i + 1] == '\xB7'));
    if (bar) {
      ++parts;
      length = 0;
    } else if (++length > 32 || line[i] == '.' || line[i] == '=' || line[i] == ';' || line[i] == '(' || line[i] == '?') {
      return false;
    }
  }
  return parts >= 4;
}

// A line that a menu could have: words, no sentence, no code, no table.
bool is_label(std::string_view line) {
  line = trim(line);
  if (line.size() < 2 || line.size() > 40) return false;
  if (line.starts_with("- ")) line.remove_prefix(2);
  if (line.find_first_of(".!?;:,{}()[]=<>|#\"`") != line.npos) return false;
  return std::any_of(line.begin(), line.end(), [](char c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }) || uint8_t(line[0]) >= 0x80;
}

// ---- blanks ----

size_t blank_at(std::string_view text, size_t i) {
  const uint8_t c = uint8_t(text[i]);
  if (c == ' ' || c == '\t') return 1;
  if (c == 0xC2 && i + 1 < text.size() && uint8_t(text[i + 1]) == 0xA0) return 2;
  if (c == 0xE2 && i + 2 < text.size() && uint8_t(text[i + 1]) == 0x80 &&
      ((uint8_t(text[i + 2]) >= 0x80 && uint8_t(text[i + 2]) <= 0x8A) || uint8_t(text[i + 2]) == 0xAF))
    return 3;
  if (c == 0xE2 && i + 2 < text.size() && uint8_t(text[i + 1]) == 0x81 && uint8_t(text[i + 2]) == 0x9F) return 3;
  return 0;
}

std::string_view without_blanks_at_end(std::string_view line) {
  while (!line.empty()) {
    if (line.back() == ' ' || line.back() == '\t') {
      line.remove_suffix(1);
    } else if (line.size() >= 2 && blank_at(line, line.size() - 2) == 2) {
      line.remove_suffix(2);
    } else if (line.size() >= 3 && (blank_at(line, line.size() - 3) == 3 || line.ends_with("\xE3\x80\x80"))) {
      line.remove_suffix(3);
    } else {
      break;
    }
  }
  return line;
}

void append_prose(std::string& out, std::string_view line) {
  while (line.starts_with("\xE3\x80\x80")) line.remove_prefix(3);  // the indent of a Chinese paragraph
  size_t i = 0;
  while (i < line.size() && line[i] == ' ') out += line[i++];
  bool blank = false;
  while (i < line.size()) {
    if (const size_t n = blank_at(line, i)) {
      blank = true;
      i += n;
      continue;
    }
    if (blank && !out.empty() && out.back() != '\n') out += ' ';
    blank = false;
    out += line[i++];
  }
}

class CleanFilter : public Filter {
 public:
  explicit CleanFilter(CleanOptions options) : options_(options) {}
  std::string_view name() const override { return "clean"; }
  std::string apply(Document& document) const override {
    std::string text = options_.unicode ? repair_unicode(document.text) : document.text;
    // Source code is taken as it stands: blanks and empty lines inside of its texts are what a program says.
    const bool prose = document.kind != "code";
    if (options_.lines && prose) text = without_boilerplate(text);
    if (options_.blanks && prose) text = with_normal_blanks(text);
    if (trim(text).empty()) return "empty";
    if (text == document.text) return {};
    document.text = std::move(text);
    document.marks.push_back("clean");
    return {};
  }

 private:
  CleanOptions options_;
};

}  // namespace

std::string repair_mojibake(std::string_view text) {
  std::string now(text);
  // Three readings wrong in a row have been seen; more has not.
  for (int i = 0; i < 4; ++i) {
    bool changed;
    std::string next = repair_once(now, &changed);
    if (!changed) break;
    now = std::move(next);
  }
  return now;
}

std::string repair_unicode(std::string_view text) {
  const bool ascii =
      std::all_of(text.begin(), text.end(), [](char c) { return (uint8_t(c) >= 0x20 && uint8_t(c) < 0x7F) || c == '\n' || c == '\t'; });
  if (ascii) return std::string(text);
  std::string out = one_form_of_lines_and_marks(repair_mojibake(text::to_valid_utf8(text)));
  if (text::nfc_may_change(out)) out = text::nfc(out, false).text;
  return out;
}

std::string without_boilerplate(std::string_view text) {
  std::vector<std::string_view> lines;
  each_line(text, [&](std::string_view line) { lines.push_back(line); });
  std::vector<char> drop(lines.size(), 0);
  std::vector<size_t> labels;  // the labels that stand together, empty lines between them or not
  std::unordered_set<uint64_t> seen;
  bool in_code = false;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (opens_code(lines[i])) {
      in_code = !in_code;
      labels.clear();
      continue;
    }
    if (in_code || is_indented(lines[i])) {
      labels.clear();
      continue;
    }
    if (trim(lines[i]).empty()) continue;
    if (is_boilerplate_line(lines[i]) || is_menu_line(lines[i])) {
      drop[i] = 1;
      continue;
    }
    if (!is_label(lines[i])) {
      labels.clear();
      continue;
    }
    labels.push_back(i);
    if (labels.size() < 4) continue;
    // Four in a row that have been there before are a menu.
    uint64_t hash = 0;
    for (size_t j = labels.size() - 4; j < labels.size(); ++j) {
      const std::string_view line = trim(lines[labels[j]]);
      hash = XXH3_64bits_withSeed(line.data(), line.size(), hash);
    }
    if (!seen.insert(hash).second)
      for (size_t j = labels.size() - 4; j < labels.size(); ++j) drop[labels[j]] = 1;
  }
  if (std::find(drop.begin(), drop.end(), 1) == drop.end()) return std::string(text);
  std::string out;
  bool first = true;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (drop[i]) continue;
    if (!first) out += '\n';
    first = false;
    out.append(lines[i]);
  }
  return out;
}

std::string with_normal_blanks(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool in_code = false;
  int empty = 0;
  each_line(text, [&](std::string_view line) {
    line = without_blanks_at_end(line);
    if (line.empty()) {
      ++empty;
      return;
    }
    if (!out.empty()) {
      out += '\n';
      out.append(size_t(in_code ? empty : std::min(empty, 1)), '\n');
    }
    empty = 0;
    const bool fence = opens_code(line);
    if (fence) in_code = !in_code;
    if (in_code || fence || is_indented(line)) {
      out.append(line);
    } else {
      append_prose(out, line);
    }
  });
  return out;
}

std::unique_ptr<Filter> clean_filter(CleanOptions options) {
  return std::make_unique<CleanFilter>(options);
}

}  // namespace r1::corpus
