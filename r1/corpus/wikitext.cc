#include "r1/corpus/wikitext.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <vector>

#include "r1/base/strings.h"
#include "r1/corpus/header_fields.h"
#include "r1/corpus/html_entities.h"

namespace r1::corpus {
namespace {

constexpr int kMaxDepth = 8;  // kept templates in kept templates

std::string lower(std::string_view text) {
  std::string out = lower_ascii(trim(text));
  std::ranges::replace(out, '_', ' ');
  return out;
}
bool is_one_of(std::string_view name, std::string_view names) {
  return names.find(" " + std::string(name) + " ") != std::string_view::npos;
}

// --- Tags -----------------------------------------------------------------------------------------------------------------------------

constexpr std::string_view kDroppedTags =
    " ref references gallery timeline imagemap score hiero graph mapframe maplink templatedata templatestyles categorytree inputbox "
    "section "
    "noinclude ";
constexpr std::string_view kCodeTags = " syntaxhighlight source pre ";

// Where the tag's name ends if text[at] begins <name or </name; 0 if it does not.
std::string tag_name(std::string_view text, size_t at, bool& closing) {
  size_t i = at + 1;
  closing = i < text.size() && text[i] == '/';
  if (closing) ++i;
  std::string name;
  while (i < text.size() && name.size() < 20 && std::isalnum(static_cast<unsigned char>(text[i])))
    name += char(std::tolower(static_cast<unsigned char>(text[i++])));
  return name;
}

// What of a text is not wikitext, held back until the rest is read: <nowiki>, <math>, code. In its place stand the byte 1, a number, the byte 2.
class Held {
 public:
  std::string put(std::string text) {
    parts_.push_back(std::move(text));
    return "\x01" + std::to_string(parts_.size() - 1) + "\x02";
  }
  std::string restored(std::string_view text) const {
    std::string out;
    out.reserve(text.size());
    for (size_t i = 0; i < text.size();) {
      const size_t at = std::min(text.find('\x01', i), text.size());
      out.append(text, i, at - i);
      if (at == text.size()) break;
      size_t n = 0, k = at + 1;
      while (k < text.size() && std::isdigit(static_cast<unsigned char>(text[k])) && n <= parts_.size())
        n = n * 10 + size_t(text[k++] - '0');
      if (k < text.size() && text[k] == '\x02' && n < parts_.size()) out += parts_[n], ++k;
      i = k;
    }
    return out;
  }

 private:
  std::vector<std::string> parts_;
};

// Comments, references and their like go; what is no wikitext is held. Tags of layout (<b>, <small>, <br>) go, or become line ends.
std::string without_tags(std::string_view text, Held& held) {
  std::string out;
  out.reserve(text.size());
  std::set<std::string> endless;  // closing tags that do not come any more
  const auto find_close = [&](const std::string& name, size_t from, size_t& after) {
    const std::string close = "</" + name;
    if (endless.contains(close)) return std::string_view::npos;
    for (size_t at = from; (at = text.find("</", at)) != std::string_view::npos; at += 2) {
      if (!same_word(text.substr(at, close.size()), close)) continue;
      const size_t end = text.find('>', at);
      if (end == std::string_view::npos) break;
      after = end + 1;
      return at;
    }
    endless.insert(close);
    return std::string_view::npos;
  };
  // The '>' of a tag of at most 10,000 bytes. Where there is none is remembered: no byte is looked at twice.
  size_t none_before = 0;
  const auto tag_end = [&](size_t at) {
    const size_t from = std::max(at, none_before), to = std::min(text.size(), at + 10'000);
    if (from >= to) return std::string_view::npos;
    const size_t hit = text.substr(0, to).find('>', from);
    if (hit == std::string_view::npos) none_before = to;
    return hit;
  };
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '\x01' || c == '\x02') {
      ++i;
      continue;
    }
    if (c != '<') {
      out += c;
      ++i;
      continue;
    }
    if (text.substr(i).starts_with("<!--")) {
      const size_t end = text.find("-->", i);
      i = end == std::string_view::npos ? text.size() : end + 3;
      // a line that was only a comment is no empty line
      if (out.ends_with('\n') && i < text.size() && text[i] == '\n') ++i;
      continue;
    }
    bool closing = false;
    const std::string name = tag_name(text, i, closing);
    const size_t end = name.empty() ? std::string_view::npos : tag_end(i);
    if (end == std::string_view::npos) {
      out += c;  // a less-than sign
      ++i;
      continue;
    }
    const bool empty = text[end - 1] == '/';
    const bool drops = is_one_of(name, kDroppedTags), code = is_one_of(name, kCodeTags),
               math = name == "math" || name == "chem" || name == "ce";
    if (!closing && !empty && (drops || code || math || name == "nowiki" || name == "code")) {
      size_t after = 0;
      const size_t close = find_close(name, end + 1, after);
      if (close != std::string_view::npos) {
        const std::string_view inside = text.substr(end + 1, close - end - 1);
        if (math) {
          const bool block = text.substr(i, end - i).find("display=\"block\"") != std::string_view::npos;
          out += held.put((block ? "$$" : "$") + std::string(trim(unescaped(inside, References::kClosed))) + (block ? "$$" : "$"));
        } else if (code) {
          out += "\n" + held.put("```\n" + std::string(trim(unescaped(inside, References::kClosed))) + "\n```") + "\n";
        } else if (name == "code") {
          out += held.put("`" + unescaped(trim(inside), References::kClosed) + "`");
        } else if (name == "nowiki") {
          out += held.put(unescaped(inside, References::kClosed));
        }
        i = after;
        continue;
      }
    }
    if (name == "br" || name == "p" || name == "div" || name == "li" || name == "blockquote" || name == "poem" || name == "center")
      out += '\n';
    i = end + 1;
  }
  return out;
}

// --- Brackets -------------------------------------------------------------------------------------------------------------------------

enum class What : uint8_t { kTemplate, kArgument, kTable, kLink };
struct Pair {
  size_t begin, end;  // [begin, end) with the brackets
  What what;
};

// The outermost pairs of {{ }}, {{{ }}}, {| |} and [[ ]], in order. What never closes is in none.
std::vector<Pair> outermost_pairs(std::string_view text) {
  struct Open {
    size_t at, length;
    What what;
  };
  std::vector<Open> open;
  std::vector<Pair> pairs;
  size_t open_of[4] = {};
  const auto close = [&](What what, size_t at, size_t length) {
    if (open_of[size_t(what)] == 0) return false;
    // what was opened inside and never closed is dropped; but a link ends with its paragraph's template, not the other way round
    if (what == What::kLink && open.back().what != What::kLink) return false;
    while (open.back().what != what) --open_of[size_t(open.back().what)], open.pop_back();
    const size_t begin = open.back().at;
    --open_of[size_t(what)];
    open.pop_back();
    while (!pairs.empty() && pairs.back().begin >= begin) pairs.pop_back();
    pairs.push_back({begin, at + length, what});
    return true;
  };
  bool line_start = true;
  for (size_t i = 0; i < text.size();) {
    const std::string_view left = text.substr(i);
    const char c = left[0];
    const auto push = [&](What what, size_t length) {
      open.push_back({i, length, what});
      ++open_of[size_t(what)];
      i += length;
    };
    if (c == '{' && left.starts_with("{{")) {
      push(What::kTemplate, 2);
    } else if (c == '{' && left.starts_with("{|") && line_start) {
      push(What::kTable, 2);
    } else if (c == '[' && left.starts_with("[[")) {
      push(What::kLink, 2);
    } else if (c == '}' && left.starts_with("}}") && close(What::kTemplate, i, 2)) {
      i += 2;
    } else if (c == '|' && left.starts_with("|}") && !left.starts_with("|}}") && line_start && close(What::kTable, i, 2)) {
      i += 2;
    } else if (c == ']' && left.starts_with("]]") && close(What::kLink, i, 2)) {
      i += 2;
    } else {
      if (c == '\n')
        line_start = true;
      else if (c != ' ' && c != '\t' && c != ':')
        line_start = false;
      ++i;
      continue;
    }
    line_start = false;
  }
  return pairs;
}

// The arguments of "name|a|b", cut at bars outside of inner brackets.
std::vector<std::string_view> arguments(std::string_view inside) {
  std::vector<std::string_view> out;
  int64_t depth = 0;
  size_t begin = 0;
  for (size_t i = 0; i < inside.size(); ++i) {
    const std::string_view two = inside.substr(i, 2);
    if (two == "{{" || two == "[[")
      ++depth, ++i;
    else if (two == "}}" || two == "]]")
      --depth, ++i;
    else if (inside[i] == '|' && depth <= 0)
      out.push_back(inside.substr(begin, i - begin)), begin = i + 1;
  }
  out.push_back(inside.substr(begin));
  return out;
}

class Article {
 public:
  Article(const WikiNames& names, Held& held) : names_(names), held_(held) {}

  std::string unbracketed(std::string_view text, int depth) {
    std::string out;
    size_t at = 0;
    for (const Pair& pair : outermost_pairs(text)) {
      out += text.substr(at, pair.begin - at);
      at = pair.end;
      const std::string_view inside = text.substr(pair.begin + 2, pair.end - pair.begin - 4);
      if (pair.what == What::kTemplate)
        out += of_template(inside, depth);
      else if (pair.what == What::kLink)
        out += of_link(inside, depth);
    }
    out += text.substr(at);
    return out;
  }

 private:
  std::string of_template(std::string_view inside, int depth) {
    const size_t bar = inside.find('|');
    const std::string name = lower(inside.substr(0, bar));
    if (name == "!") return "|";
    if (is_one_of(name, " snd spnd sndash spaced_ndash ") || name == "spaced ndash" || name == "spaced en dash") return " \xE2\x80\x93 ";
    if (is_one_of(name, " ndash endash en_dash – ")) return "\xE2\x80\x93";
    if (is_one_of(name, " mdash emdash em_dash — ")) return "\xE2\x80\x94";
    if (is_one_of(name, " nbsp sp thinsp hairsp space · dot • bull ")) return name == "dot" || name == "·" ? " \xC2\xB7 " : " ";
    if (name == "okina" || name == "'") return "\xCA\xBB";
    if (bar == std::string_view::npos || depth >= kMaxDepth || inside.size() > 100'000) return "";
    const std::vector<std::string_view> args = positional(inside);
    const auto argument = [&](size_t n) { return n < args.size() ? unbracketed(trim(args[n]), depth + 1) : std::string(); };
    if (name.starts_with("lang-") || is_one_of(name,
                                               " nowrap nobr small big smaller larger abbr tooltip em strong smallcaps sc kbd var mono val "
                                               "num formatnum quote blockquote cquote bq poem quotation angbr as_is visible_anchor vanchor "
                                               "ship uss hms underline keypress nihongo "))
      return (name.ends_with("quote") ? "\n" : "") + argument(1) + (name.ends_with("quote") ? "\n" : "");
    if (is_one_of(name, " lang transl transliteration translit script lang2 color fontcolor "))
      return args.size() > 3 ? argument(3) : argument(2);
    if (is_one_of(name, " ill interlanguage_link link-interwiki sortname "))
      return name == "sortname" ? argument(1) + " " + argument(2) : argument(1);
    if (name == "interlanguage link") return argument(1);
    if (is_one_of(name, " convert cvt ")) return args.size() > 2 ? argument(1) + " " + argument(2) : argument(1);
    if (is_one_of(name, " frac sfrac fraction "))
      return args.size() > 3   ? argument(1) + " " + argument(2) + "/" + argument(3)
             : args.size() > 2 ? argument(1) + "/" + argument(2)
                               : "1/" + argument(1);
    if (is_one_of(name, " math mvar ")) {
      return held_.put("$" + held_.restored(argument(1)) + "$");
    }
    if (is_one_of(name, " sup sub ")) return (name == "sup" ? "^" : "_") + argument(1);
    if (is_one_of(name, " start_date date dts ")) return argument(1);
    return "";
  }
  // Arguments without a name; "1=x" counts. args[0] is the template's name.
  static std::vector<std::string_view> positional(std::string_view inside) {
    std::vector<std::string_view> out;
    for (const std::string_view arg : arguments(inside)) {
      const size_t equals = arg.find('=');
      const std::string_view key = equals == std::string_view::npos ? std::string_view() : trim(arg.substr(0, equals));
      const bool number = !key.empty() && std::ranges::all_of(key, [](unsigned char c) { return std::isdigit(c); });
      const bool named = !key.empty() && key.find_first_of("[{<\"'/ ") == std::string_view::npos && !number;
      if (!out.empty() && named) continue;
      out.push_back(number && !out.empty() ? arg.substr(equals + 1) : arg);
    }
    return out;
  }

  std::string of_link(std::string_view inside, int depth) {
    const size_t bar = inside.find('|');
    std::string_view target = trim(inside.substr(0, bar));
    if (target.starts_with('#')) target.remove_prefix(1);
    bool quiet = false;
    if (const size_t colon = target.find(':'); colon != std::string_view::npos) {
      const std::string space = lower(target.substr(0, colon));
      if (colon == 0) {
        target.remove_prefix(1);  // [[:Category:x]] is a link like others
      } else {
        quiet = names_.silent.contains(space);
        // another language's article
        const bool language = bar == std::string_view::npos &&
                              (space.size() == 2 || space.size() == 3 || space == "simple" || space.starts_with("zh-")) &&
                              std::ranges::all_of(space, [](unsigned char c) { return std::islower(c) || c == '-'; }) &&
                              target.size() > colon + 1 && target[colon + 1] != ' ';
        quiet |= language;
      }
    }
    if (quiet || depth >= kMaxDepth) return "";
    if (bar == std::string_view::npos) return std::string(target);
    std::string_view shown = inside.substr(bar + 1);
    if (trim(shown).empty()) {  // [[a (b)|]]: a
      target = trim(target.substr(0, target.find(" (")));
      return std::string(target);
    }
    return unbracketed(shown, depth + 1);
  }

  const WikiNames& names_;
  Held& held_;
};

// --- Lines ----------------------------------------------------------------------------------------------------------------------------

// [http://x words] -> words; a bare [http://x] goes.
std::string without_outer_links(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  size_t end = 0;  // of the link, or of the line: looked for once, however many links begin in front of it
  for (size_t i = 0; i < text.size();) {
    const std::string_view left = text.substr(i);
    if (left[0] == '[' && (left.starts_with("[http://") || left.starts_with("[https://") || left.starts_with("[//") ||
                           left.starts_with("[ftp://") || left.starts_with("[mailto:"))) {
      if (end < i) end = i;
      while (end < text.size() && text[end] != ']' && text[end] != '\n') ++end;
      if (end < text.size() && text[end] == ']') {
        const std::string_view inside = text.substr(i + 1, end - i - 1);
        const size_t blank = inside.find(' ');
        if (blank != std::string_view::npos) out += trim(inside.substr(blank));
        i = end + 1;
        continue;
      }
    }
    out += text[i++];
  }
  return out;
}

// Without ''italic'' and '''bold''' marks, and without brackets that found no partner.
std::string without_quotes(std::string_view line) {
  std::string out;
  for (size_t i = 0; i < line.size();) {
    const std::string_view two = line.substr(i, 2);
    if (two == "[[" || two == "]]" || two == "{{" || two == "}}") {
      i += 2;
      continue;
    }
    size_t n = 0;
    while (i + n < line.size() && line[i + n] == '\'') ++n;
    if (n >= 2) {
      if (n > 5) out.append(n - 5, '\'');
      i += n;
    } else {
      out += line[i++];
    }
  }
  return out;
}

bool is_magic_word(std::string_view line) {
  return line.size() > 4 && line.starts_with("__") && line.ends_with("__") &&
         std::ranges::all_of(line, [](unsigned char c) { return c == '_' || std::isalpha(c) || c >= 0x80; });
}

struct Heading {
  int level = 0;
  std::string text;
};
Heading heading_of(std::string_view line) {
  line = trim(line);
  if (line.size() < 3 || line.front() != '=' || line.back() != '=') return {};
  int level = 0;
  while (level < 6 && line.size() >= 3 && line.front() == '=' && line.back() == '=') line = line.substr(1, line.size() - 2), ++level;
  line = trim(line);
  return line.empty() ? Heading{} : Heading{level, std::string(line)};
}

// Blanks folded, and those in front of punctuation and brackets that lost what they held.
std::string tidy(std::string_view line) {
  std::string out;
  for (const char c : line) {
    if (c == ' ' || c == '\t') {
      if (!out.empty() && out.back() != ' ' && !out.ends_with('(')) out += ' ';
      continue;
    }
    if ((c == ',' || c == '.' || c == ';' || c == ')') && out.ends_with(' ')) out.pop_back();
    if ((c == ',' || c == ';') && (out.ends_with('(') || out.ends_with(c))) continue;  // "(, born" lost a pronunciation
    if (c == ')' && (out.ends_with('(') || out.ends_with(',') || out.ends_with(';'))) {
      while (out.ends_with(',') || out.ends_with(';') || out.ends_with(' ')) out.pop_back();
      if (out.ends_with('(')) {
        out.pop_back();
        while (out.ends_with(' ')) out.pop_back();
        continue;
      }
    }
    out += c;
  }
  while (out.ends_with(' ')) out.pop_back();
  return out;
}

class Lines {
 public:
  void line(std::string_view raw) {
    if (const Heading heading = heading_of(raw); heading.level > 0) {
      // headings wait until there is something below them; one of the same or a higher level means that there was nothing
      while (!waiting_.empty() && waiting_.back().level >= heading.level) waiting_.pop_back();
      waiting_.push_back({heading.level, tidy(without_quotes(heading.text))});
      gap_ = true;
      return;
    }
    std::string_view text = raw;
    std::string mark;
    if (!text.empty() && std::string_view("*#:;").find(text[0]) != std::string_view::npos) {
      const size_t depth = std::min(text.find_first_not_of("*#:;"), text.size());
      const char last = text[depth - 1];
      if (last == '*' || last == '#') mark = std::string(2 * (std::min<size_t>(depth, 20) - 1), ' ') + "- ";
      text = text.substr(depth);
    }
    const std::string said = tidy(without_quotes(trim(text)));
    if (said.empty() || is_magic_word(said) || said.find_first_not_of("-|!{}") == std::string::npos) {
      gap_ = true;
      return;
    }
    for (const Heading& heading : waiting_) paragraph(heading.text), gap_ = true;
    waiting_.clear();
    // items follow each other, paragraphs have an empty line between
    if (mark.empty() || !in_list_) gap_ = true;
    in_list_ = !mark.empty();
    paragraph(mark + said);
  }
  std::string take() { return std::move(out_); }

 private:
  void paragraph(const std::string& text) {
    if (gap_ && !out_.empty()) out_ += '\n';
    gap_ = false;
    out_ += text + "\n";
  }
  std::string out_;
  std::vector<Heading> waiting_;
  bool gap_ = false, in_list_ = false;
};

}  // namespace

bool is_wiki_redirect(std::string_view wikitext) {
  wikitext = trim(wikitext);
  return same_word(wikitext.substr(0, 9), "#redirect");
}

std::string text_of_wikitext(std::string_view wikitext, const WikiNames& names) {
  Held held;
  const std::string tagless = without_tags(wikitext, held);
  std::string text = Article(names, held).unbracketed(tagless, 0);
  text = unescaped(without_outer_links(text), References::kClosed);
  Lines lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines.line(std::string_view(text).substr(at, end - at));
    at = end + 1;
  }
  return held.restored(lines.take());
}

}  // namespace r1::corpus
