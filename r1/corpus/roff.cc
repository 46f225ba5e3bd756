#include "r1/corpus/roff.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <vector>

#include "r1/base/strings.h"
#include "r1/base/utf8.h"

namespace r1::corpus {
namespace {

struct Special {
  std::string_view name;
  uint32_t c;
};
// groff_char(7), those that manual pages use.
constexpr Special kSpecial[] = {
    {"aq", '\''},   {"cq", 0x2019}, {"oq", 0x2018}, {"lq", 0x201C}, {"rq", 0x201D}, {"dq", '"'},    {"em", 0x2014}, {"en", 0x2013},
    {"hy", 0x2010}, {"bu", 0x2022}, {"co", 0xA9},   {"rg", 0xAE},   {"tm", 0x2122}, {"mu", 0xD7},   {"ha", '^'},    {"ti", '~'},
    {"ga", '`'},    {"rs", '\\'},   {"sl", '/'},    {"ba", '|'},    {"lB", '['},    {"rB", ']'},    {"lC", '{'},    {"rC", '}'},
    {"Fo", 0xAB},   {"Fc", 0xBB},   {"->", 0x2192}, {"<-", 0x2190}, {"<=", 0x2264}, {">=", 0x2265}, {"!=", 0x2260}, {"+-", 0xB1},
    {"de", 0xB0},   {"12", 0xBD},   {"sc", 0xA7},   {"at", '@'},    {"sh", '#'},    {"Do", '$'},    {"mi", 0x2212}, {":a", 0xE4},
    {":o", 0xF6},   {":u", 0xFC},   {":A", 0xC4},   {":O", 0xD6},   {":U", 0xDC},   {"ss", 0xDF},   {"'e", 0xE9},   {"`e", 0xE8},
    {"'a", 0xE1},   {"'o", 0xF3},   {"'i", 0xED},   {"'u", 0xFA},   {"~n", 0xF1},   {",c", 0xE7},   {"/o", 0xF8},   {"oa", 0xE5}};

void append_special(std::string& out, std::string_view name) {
  for (const Special& s : kSpecial)
    if (s.name == name) return append_utf8(out, s.c);
  if (name.starts_with('u') && name.size() >= 5 && name.size() <= 7) {
    uint32_t c = 0;
    for (const char d : name.substr(1)) {
      if (!std::isxdigit(static_cast<unsigned char>(d))) return;
      c = c * 16 + uint32_t(std::isdigit(static_cast<unsigned char>(d)) ? d - '0' : (d | 0x20) - 'a' + 10);
    }
    if (c < kInvalidChar && !(c >= 0xD800 && c < 0xE000)) append_utf8(out, c);
  }
}

// A name behind an escape: (xx, [name], or one character; `at` moves behind it.
std::string_view name_at(std::string_view text, size_t& at) {
  if (at >= text.size()) return {};
  if (text[at] == '(') {
    const auto name = text.substr(std::min(at + 1, text.size()), 2);
    at = std::min(text.size(), at + 3);
    return name;
  }
  if (text[at] == '[') {
    const size_t end = std::min(text.find(']', at), text.size());
    const auto name = text.substr(at + 1, end - at - 1);
    at = std::min(text.size(), end + 1);
    return name;
  }
  return text.substr(at++, 1);
}

// Escapes of a line of text or of an argument.
std::string unescaped(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (text[i] != '\\') {
      out += text[i++];
      continue;
    }
    if (++i >= text.size()) break;
    const char c = text[i++];
    switch (c) {
      case '"':
      case '#':
        return out;  // a comment
      case '-':
        out += '-';
        break;
      case 'e':
      case '\\':
        out += '\\';
        break;
      case ' ':
      case '~':
      case '0':
        out += ' ';
        break;
      case '\'':
      case '`':
      case '.':
        out += c;
        break;
      case 't':
        out += '\t';
        break;
      case '(':
      case '[':
        append_special(out, name_at(text, --i));
        break;
      case 'f':
      case 'F':
      case '*':
      case 'n':
      case 'm':
      case 'M':
      case 'k':
      case 'g':
        if (c == '*' && text.substr(i).starts_with("(Aq")) out += '\'';
        if (c == '*' && text.substr(i).starts_with("(lq")) out += "\xE2\x80\x9C";
        if (c == '*' && text.substr(i).starts_with("(rq")) out += "\xE2\x80\x9D";
        name_at(text, i);
        break;
      case 's':  // sizes: \s-1, \s0, \s(10
        if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
        name_at(text, i);
        break;
      case 'h':
      case 'v':
      case 'w':
      case 'o':
      case 'l':
      case 'L':
      case 'D':
      case 'b':
      case 'X':
      case 'Z':
      case 'C': {  // \h'1n'
        if (i >= text.size()) break;
        const size_t end = text.find(text[i], i + 1);
        if (c == 'C' && end != std::string_view::npos) append_special(out, text.substr(i + 1, end - i - 1));
        i = end == std::string_view::npos ? text.size() : end + 1;
        break;
      }
      default:  // \& \| \^ \/ \, \c \% \: and what is not known
        break;
    }
  }
  return out;
}

// "a b" c -> {a b, c}; two quotes inside of quotes are one.
std::vector<std::string> arguments(std::string_view text) {
  std::vector<std::string> out;
  for (size_t i = 0; i < text.size();) {
    while (i < text.size() && (text[i] == ' ' || text[i] == '\t')) ++i;
    if (i >= text.size() || text.substr(i).starts_with("\\\"")) break;
    std::string raw;
    if (text[i] == '"') {
      for (++i; i < text.size(); ++i) {
        if (text[i] == '"' && i + 1 < text.size() && text[i + 1] == '"')
          ++i;
        else if (text[i] == '"')
          break;
        raw += text[i];
      }
      ++i;
    } else {
      for (; i < text.size() && text[i] != ' ' && text[i] != '\t'; ++i) {
        raw += text[i];
        if (text[i] == '\\' && i + 1 < text.size()) raw += text[++i];
      }
    }
    out.push_back(unescaped(raw));
  }
  return out;
}

bool is_one_of(std::string_view name, std::string_view names) {
  return names.find(" " + std::string(name) + " ") != std::string_view::npos;
}

class Page {
 public:
  explicit Page(std::string& title) : title_(title) {}

  void line(std::string_view text) {
    if (skip_until_) {
      if (text.starts_with(skip_end_) || text.starts_with("." + skip_end_.substr(1))) skip_until_ = false;
      return;
    }
    if (!text.empty() && (text[0] == '.' || text[0] == '\'')) return request(text.substr(1));
    const std::string said = unescaped(text);
    if (as_is_) {
      end_paragraph(1);
      out_ += said + "\n";
    } else if (trim(said).empty()) {
      end_paragraph(2);
    } else if (said[0] == ' ' || said[0] == '\t') {  // a leading blank breaks the line
      end_paragraph(1);
      words(trim(said));
    } else {
      words(trim(said));
    }
  }
  std::string take() {
    end_paragraph(1);
    while (out_.ends_with('\n')) out_.pop_back();
    return out_.empty() ? "" : out_ + "\n";
  }

 private:
  void words(std::string_view text) {
    if (text.empty()) return;
    if (!paragraph_.empty() && !no_space_) paragraph_ += ' ';
    no_space_ = false;
    paragraph_ += text;
    if (tag_next_) {
      tag_next_ = false;
      end_paragraph(1);
    }
  }
  void end_paragraph(int lines) {
    if (!paragraph_.empty()) out_ += paragraph_ + "\n";
    paragraph_.clear();
    if (lines == 2 && !out_.empty() && !out_.ends_with("\n\n")) out_ += "\n";
  }

  void request(std::string_view text) {
    text = trim(text);
    size_t end = 0;
    while (end < text.size() && text[end] != ' ' && text[end] != '\t' && text[end] != '"' && text[end] != '\\') ++end;
    const std::string name(text.substr(0, end));
    if (name.empty()) return;
    const std::vector<std::string> args = arguments(text.substr(end));
    const auto joined = [&](std::string_view between) {
      std::string out;
      for (const std::string& a : args) out += (out.empty() ? "" : std::string(between)) + a;
      return out;
    };
    if (name == "TH" || name == "Dt") {
      if (!args.empty()) title_ = args[0] + (args.size() > 1 ? "(" + args[1] + ")" : "");
      title_ = lower_ascii(title_);
    } else if (is_one_of(name, " SH Sh SS Ss ")) {
      end_paragraph(2);
      tag_next_ = false;
      as_is_ = false;
      if (!args.empty()) out_ += joined(" ") + "\n\n";
    } else if (is_one_of(name, " PP P LP Pp HP sp RS RE ")) {
      end_paragraph(name == "RE" || name == "RS" ? 1 : 2);
    } else if (name == "br") {
      end_paragraph(1);
    } else if (name == "TP" || name == "TQ") {
      end_paragraph(name == "TP" ? 2 : 1);
      tag_next_ = true;
    } else if (name == "IP") {
      end_paragraph(2);
      if (!args.empty() && !trim(args[0]).empty()) {
        words(args[0]);
        if (args[0].size() > 3) end_paragraph(1);
      }
    } else if (is_one_of(name, " nf EX Bd ")) {
      end_paragraph(2);
      as_is_ = true;
    } else if (is_one_of(name, " fi EE Ed ")) {
      end_paragraph(1);
      as_is_ = false;
    } else if (is_one_of(name, " B I SM SB R ")) {
      put(joined(" "));
    } else if (is_one_of(name, " BR RB BI IB IR RI ")) {
      put(joined(""));
    } else if (name == "TS" || name == "EQ" || name == "PS" || name == "de" || name == "ig" || name == "am") {
      skip_until_ = true;
      skip_end_ = name == "TS" ? ".TE" : name == "EQ" ? ".EN" : name == "PS" ? ".PE" : "..";
    } else if (name == "UR" || name == "MT") {
      put(joined(" "));
    } else if (std::isupper(static_cast<unsigned char>(name[0])) && name.size() == 2) {
      mdoc(name, args);
    }
  }
  void put(std::string_view text) {
    if (as_is_)
      out_ += std::string(text) + "\n";
    else
      words(text);
  }

  // mdoc: the macro and those it calls on its line.
  void mdoc(const std::string& name, const std::vector<std::string>& args) {
    if (is_one_of(name, " Dd Os Bl El Bk Ek Sm Rs Re ")) return;
    if (name == "It") end_paragraph(2);
    if (name == "Nm" && !args.empty() && page_name_.empty()) page_name_ = args[0];
    std::string out;
    bool glue = true;
    const auto add = [&](std::string_view word) {
      const bool closes =
          word == "." || word == "," || word == ")" || word == "]" || word == ":" || word == ";" || word == "?" || word == "!";
      if (!out.empty() && !glue && !closes) out += ' ';
      out += word;
      glue = word == "(" || word == "[";
    };
    std::string closing;
    const auto macro = [&](const std::string& m) {
      if (m == "Fl")
        add("-"), glue = true;
      else if (m == "Op" || m == "Oo")
        add("["), glue = true, closing = "]" + closing;
      else if (m == "Pq" || m == "Po")
        add("("), glue = true, closing = ")" + closing;
      else if (m == "Dq" || m == "Qq" || m == "Do")
        add("\xE2\x80\x9C"), glue = true, closing = "\xE2\x80\x9D" + closing;
      else if (m == "Sq" || m == "So" || m == "Ql")
        add("\xE2\x80\x98"), glue = true, closing = "\xE2\x80\x99" + closing;
      else if (m == "Ns")
        glue = true;
      else if (m == "Nd")
        add("\xE2\x80\x93");
    };
    macro(name);
    if (name == "Nm" && args.empty()) add(page_name_);
    for (size_t i = 0; i < args.size(); ++i) {
      const std::string& a = args[i];
      if (name == "Xr" && i == 1)
        out += "(" + a + ")";
      else if (is_one_of(a,
                         " Fl Op Oo Pq Po Dq Qq Do Sq So Ql Ns Ar Cm Li Nm Pa Xr Em Sy Ev Va Dv Ic No Bq Brq Ta Ad An Er Fa Fn Ft In Lk Mt "
                         "St Tn Ux Vt Oc Pc Dc Sc "))
        macro(a);
      else
        add(a);
    }
    out += closing;
    put(out);
    if (name == "It") end_paragraph(1);
  }

  std::string& title_;
  std::string out_, paragraph_, page_name_, skip_end_;
  bool as_is_ = false, tag_next_ = false, no_space_ = false, skip_until_ = false;
};

}  // namespace

std::string text_of_roff(std::string_view roff, std::string& title) {
  Page page(title);
  for (size_t at = 0; at < roff.size();) {
    const size_t end = std::min(roff.find('\n', at), roff.size());
    page.line(roff.substr(at, end - at));
    at = end + 1;
  }
  return page.take();
}

bool is_man_page(std::string_view head) {
  head = head.substr(0, 8192);
  for (size_t at = 0; at < head.size();) {
    const std::string_view line = head.substr(at, std::min(head.find('\n', at), head.size()) - at);
    if (line.starts_with(".TH ") || line.starts_with(".Dd ") || line.starts_with(".Dt ")) return true;
    if (!line.empty() && line[0] != '.' && line[0] != '\'') return false;
    at += line.size() + 1;
  }
  return false;
}

}  // namespace r1::corpus
