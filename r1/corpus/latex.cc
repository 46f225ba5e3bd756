// LaTeX to text, as training wants it: words as they are read, mathematics as it is written. Commands of layout vanish, unknown ones leave their
// arguments; macros that a paper defines are not expanded.
#include <algorithm>
#include <cctype>
#include <set>

#include "r1/base/strings.h"
#include "r1/corpus/reader_parts.h"
#include "r1/text/unicode.h"

namespace r1::corpus {
namespace {

bool is_one_of(std::string_view name, std::string_view names) {
  return names.find(" " + std::string(name) + " ") != std::string_view::npos;
}
bool is_letter(char c) {
  return std::isalpha(static_cast<unsigned char>(c));
}

constexpr std::string_view kMathEnvironments =
    " equation equation* align align* gather gather* multline multline* eqnarray eqnarray* displaymath math flalign flalign* alignat "
    "alignat* ";
constexpr std::string_view kVerbatim = " verbatim verbatim* lstlisting minted Verbatim alltt ";
constexpr std::string_view kFloats =
    " figure figure* table table* wrapfigure wraptable sidewaysfigure sidewaystable SCfigure algorithm algorithm* ";
constexpr std::string_view kDropped =
    " tikzpicture pgfpicture picture tabular tabular* tabularx longtable thebibliography comment filecontents filecontents* CCSXML ";
// Commands whose arguments say nothing to a reader.
constexpr std::string_view kWithoutArguments =
    " label cite citep citet citeauthor citeyear citealp citealt nocite autocite parencite textcite ref eqref pageref autoref cref Cref "
    "vspace hspace "
    "vskip hskip includegraphics bibliography bibliographystyle usepackage documentclass pagestyle thispagestyle setcounter addtocounter "
    "setlength "
    "addtolength newcommand renewcommand providecommand def newtheorem index footnote footnotetext thanks input include graphicspath "
    "hypersetup "
    "addcontentsline markboth markright color pagenumbering newenvironment renewenvironment DeclareMathOperator title author date "
    "maketitle "
    "affiliation address email institute keywords pacs fontsize selectfont rule hfill vfill vphantom hphantom phantom href@ raisebox "
    "marginpar ";
constexpr std::string_view kHeadings = " part chapter section subsection subsubsection paragraph subparagraph ";

struct Mark {
  char command;
  const char* combining;
};
constexpr Mark kAccents[] = {{'\'', "\xCC\x81"}, {'`', "\xCC\x80"}, {'^', "\xCC\x82"}, {'"', "\xCC\x88"},
                             {'~', "\xCC\x83"},  {'=', "\xCC\x84"}, {'.', "\xCC\x87"}};
constexpr Mark kLetterAccents[] = {{'c', "\xCC\xA7"}, {'v', "\xCC\x8C"}, {'u', "\xCC\x86"}, {'H', "\xCC\x8B"},
                                   {'k', "\xCC\xA8"}, {'r', "\xCC\x8A"}, {'d', "\xCC\xA3"}, {'b', "\xCC\xB1"}};
struct Sign {
  std::string_view name, text;
};
constexpr Sign kSigns[] = {{"ss", "\xC3\x9F"},
                           {"ae", "\xC3\xA6"},
                           {"AE", "\xC3\x86"},
                           {"oe", "\xC5\x93"},
                           {"OE", "\xC5\x92"},
                           {"o", "\xC3\xB8"},
                           {"O", "\xC3\x98"},
                           {"aa", "\xC3\xA5"},
                           {"AA", "\xC3\x85"},
                           {"l", "\xC5\x82"},
                           {"L", "\xC5\x81"},
                           {"i", "\xC4\xB1"},
                           {"j", "\xC8\xB7"},
                           {"ldots", "..."},
                           {"dots", "..."},
                           {"S", "\xC2\xA7"},
                           {"P", "\xC2\xB6"},
                           {"copyright", "\xC2\xA9"},
                           {"pounds", "\xC2\xA3"},
                           {"textbackslash", "\\"},
                           {"textasciitilde", "~"},
                           {"textasciicircum", "^"},
                           {"textendash", "\xE2\x80\x93"},
                           {"textemdash", "\xE2\x80\x94"},
                           {"LaTeX", "LaTeX"},
                           {"TeX", "TeX"},
                           {"quad", " "},
                           {"qquad", " "},
                           {"newline", "\n"},
                           {"textless", "<"},
                           {"textgreater", ">"},
                           {"textbar", "|"},
                           {"euro", "\xE2\x82\xAC"},
                           {"textdegree", "\xC2\xB0"}};

// Without comments: from a % that is not escaped to the line's end, with the blanks that the next line begins with.
std::string without_comments(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      if (text.substr(i).starts_with("\\begin{verbatim}") || text.substr(i).starts_with("\\begin{lstlisting}")) {
        const std::string_view end = text[i + 7] == 'v' ? "\\end{verbatim}" : "\\end{lstlisting}";
        const size_t stop = std::min(text.find(end, i), text.size());
        out.append(text, i, stop - i);
        i = stop;
        if (i >= text.size()) break;
      }
      out += text[i];
      out += text[i + 1];
      i += 2;
    } else if (text[i] == '%') {
      const bool whole_line = out.empty() || out.back() == '\n';
      i = std::min(text.find('\n', i), text.size());
      if (i < text.size()) ++i;
      if (!whole_line)
        while (i < text.size() && (text[i] == ' ' || text[i] == '\t')) ++i;
    } else {
      out += text[i++];
    }
  }
  return out;
}

class Turning {
 public:
  explicit Turning(std::string_view text, int depth = 0) : text_(text), depth_(depth), budget_(64 * text.size() + 4096) {}

  // {..} at `at` (blanks in front allowed), its inside; moves `at` behind it. False: there is none that closes.
  bool group(size_t& at, std::string_view& inside, char open = '{', char close = '}') {
    size_t i = at;
    while (i < text_.size() && (text_[i] == ' ' || text_[i] == '\n')) ++i;
    if (i >= text_.size() || text_[i] != open) return false;
    int64_t depth = 0;
    const size_t from = i + 1;
    for (; i < text_.size() && budget_ > 0; ++i, --budget_) {
      if (text_[i] == '\\') {
        ++i;
      } else if (text_[i] == open) {
        ++depth;
      } else if (text_[i] == close && --depth == 0) {
        inside = text_.substr(from, i - from);
        at = i + 1;
        return true;
      }
    }
    return false;
  }

  std::string run() {
    while (at_ < text_.size()) step();
    // no more than one empty line, no blanks at line ends
    std::string out;
    int ends = 2;
    for (const char c : out_) {
      if (c == '\n') {
        while (out.ends_with(' ')) out.pop_back();
        if (++ends <= 2) out += c;
      } else if (c == ' ' && (ends > 0 || out.ends_with(' '))) {
        continue;
      } else {
        out += c == '\x01' ? ' ' : c;
        ends = 0;
      }
    }
    while (out.ends_with('\n') || out.ends_with(' ')) out.pop_back();
    if (text::nfc_may_change(out)) out = text::nfc(out, false).text;
    return out.empty() ? out : out + "\n";
  }

 private:
  void step() {
    const char c = text_[at_];
    const std::string_view left = text_.substr(at_);
    if (c == '\\') {
      command();
    } else if (c == '$') {
      const bool two = left.starts_with("$$");
      size_t end = at_ + (two ? 2 : 1);
      while (end < text_.size() && !(text_[end] == '$' && text_[end - 1] != '\\')) {
        if (!two && text_.substr(end).starts_with("\n\n")) break;  // a lone dollar ends with its paragraph
        ++end;
      }
      end = std::min(text_.size(), end + (two ? 2 : 1));
      out_ += text_.substr(at_, end - at_);
      at_ = end;
    } else if (c == '{' || c == '}') {
      ++at_;
    } else if (c == '~') {
      out_ += ' ';
      ++at_;
    } else if (left.starts_with("---")) {
      out_ += "\xE2\x80\x94";
      at_ += 3;
    } else if (left.starts_with("--")) {
      out_ += "\xE2\x80\x93";
      at_ += 2;
    } else if (left.starts_with("``")) {
      out_ += "\xE2\x80\x9C";
      at_ += 2;
    } else if (left.starts_with("''")) {
      out_ += "\xE2\x80\x9D";
      at_ += 2;
    } else {
      out_ += c == '\t' ? ' ' : c;
      ++at_;
    }
  }

  void command() {
    size_t i = at_ + 1;
    if (i >= text_.size()) {
      at_ = i;
      return;
    }
    const char c = text_[i];
    if (!is_letter(c)) {
      at_ = i + 1;
      if (c == '[' || c == '(') {
        const std::string_view end = c == '[' ? "\\]" : "\\)";
        const size_t stop = endless_.contains(std::string(end)) ? std::string_view::npos : text_.find(end, at_);
        if (stop == std::string_view::npos) endless_.insert(std::string(end));
        const size_t to = stop == std::string_view::npos ? at_ : stop + 2;
        out_ += text_.substr(i - 1, to - (i - 1));
        at_ = to;
      } else if (c == '\\') {
        std::string_view inside;
        if (at_ < text_.size() && text_[at_] == '*') ++at_;
        group(at_, inside, '[', ']');
        out_ += '\n';
      } else if (c == ' ' || c == ',' || c == ';' || c == ':' || c == '\n') {
        out_ += ' ';
      } else if (c == '!' || c == '/' || c == '-' || c == '>') {
      } else if (!accent(kAccents, c)) {
        out_ += c;  // \% \& \_ \{ and their like
      }
      return;
    }
    while (i < text_.size() && is_letter(text_[i])) ++i;
    const std::string name(text_.substr(at_ + 1, i - at_ - 1));
    if (i < text_.size() && text_[i] == '*') ++i;
    at_ = i;
    if (name == "begin") return begin();
    std::string_view inside;
    if (name == "end") {
      if (group(at_, inside))
        out_ += is_one_of(inside, " itemize enumerate description abstract quote quotation theorem lemma proof ") ? "\n\n" : "\n";
    } else if (name == "item") {
      out_ += "\n- ";
      if (group(at_, inside, '[', ']')) out_ += nested(inside) + " ";
      blanks();
    } else if (is_one_of(name, kHeadings)) {
      group(at_, inside, '[', ']');
      if (group(at_, inside)) out_ += "\n\n" + nested(inside) + "\n\n";
    } else if (name == "href") {
      group(at_, inside);  // its text follows
    } else if (name == "url" || name == "verb" || name == "path") {
      if (name == "verb" && at_ < text_.size()) {
        const size_t end = text_.find(text_[at_], at_ + 1);
        if (end != std::string_view::npos) out_ += "`" + std::string(text_.substr(at_ + 1, end - at_ - 1)) + "`", at_ = end + 1;
      } else if (group(at_, inside)) {
        out_ += inside;
      }
    } else if (is_one_of(name, kWithoutArguments)) {
      if (name == "def") {
        at_ = std::min(text_.find('{', at_), text_.size());
      }
      for (int n = 0; n < 4 && (group(at_, inside, '[', ']') || group_here(inside)); ++n) {
      }
    } else if (name == "par") {
      out_ += "\n\n";
    } else if (const auto* sign = std::ranges::find(kSigns, name, &Sign::name); sign != std::end(kSigns)) {
      out_ += sign->text;
      blanks();
    } else if (name.size() == 1 && accent(kLetterAccents, name[0])) {
    } else {  // its arguments stay: braces vanish by themselves
      group(at_, inside, '[', ']');
      if (at_ < text_.size() && text_[at_] == ' ') blanks();
    }
  }
  // Only directly behind the command: what follows a blank is a group of its own.
  bool group_here(std::string_view& inside) { return at_ < text_.size() && text_[at_] == '{' && group(at_, inside); }
  void blanks() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  std::string nested(std::string_view part) {
    if (depth_ >= 8) return std::string(part);
    std::string out = Turning(part, depth_ + 1).run();
    while (out.ends_with('\n')) out.pop_back();
    return out;
  }

  template <size_t n>
  bool accent(const Mark (&marks)[n], char command) {
    const Mark* mark = std::ranges::find(marks, command, &Mark::command);
    if (mark == std::end(marks)) return false;
    size_t i = at_;
    while (i < text_.size() && text_[i] == ' ') ++i;
    const bool braced = i < text_.size() && text_[i] == '{';
    if (braced) ++i;
    if (i + 1 < text_.size() && text_[i] == '\\' && (text_[i + 1] == 'i' || text_[i + 1] == 'j')) ++i;
    if (i >= text_.size() || !is_letter(text_[i])) return false;
    out_ += text_[i];
    out_ += mark->combining;
    at_ = i + 1;
    if (braced && at_ < text_.size() && text_[at_] == '}') ++at_;
    return true;
  }

  void begin() {
    std::string_view name;
    const size_t from = at_ - 6;
    if (!group(at_, name)) return;
    const bool math = is_one_of(name, kMathEnvironments), verbatim = is_one_of(name, kVerbatim);
    const bool floats = is_one_of(name, kFloats), dropped = is_one_of(name, kDropped);
    if (math || verbatim || floats || dropped) {
      const std::string end = "\\end{" + std::string(name) + "}";
      const size_t stop = endless_.contains(end) ? std::string_view::npos : text_.find(end, at_);
      if (stop == std::string_view::npos) {
        endless_.insert(end);
        return;
      }
      if (math) {
        out_ += "\n" + std::string(text_.substr(from, stop + end.size() - from)) + "\n";
      } else if (verbatim) {
        std::string code(text_.substr(at_, stop - at_));
        std::ranges::replace(code, ' ', '\x01');
        out_ += "\n\n```" + std::string(code.starts_with('\n') ? "" : "\n") + code + (code.ends_with('\n') ? "" : "\n") + "```\n\n";
      } else if (floats) {
        size_t caption = text_.find("\\caption", at_);
        if (caption < stop) {
          caption += 8;
          std::string_view inside;
          group(caption, inside, '[', ']');
          if (group(caption, inside)) out_ += "\n\n" + nested(inside) + "\n\n";
        }
      }
      at_ = stop + end.size();
      return;
    }
    std::string_view ignored;
    group(at_, ignored, '[', ']');
    out_ += "\n\n";
  }

  std::string_view text_;
  int depth_;
  size_t budget_;  // characters that looking for closing braces may still pass: nested ones that never close must not cost the square
  size_t at_ = 0;
  std::string out_;
  std::set<std::string> endless_;
};

// Is there a % in front of it in its line? (No line is that long; one of megabytes must not be searched a million times.)
bool is_commented(std::string_view latex, size_t at) {
  const std::string_view before = latex.substr(at - std::min<size_t>(at, 1024), std::min<size_t>(at, 1024));
  return before.substr(before.rfind('\n') + 1).find('%') != std::string_view::npos;  // npos + 1 == 0
}

std::string argument_of(std::string_view text, std::string_view command) {
  for (size_t at = 0; (at = text.find(command, at)) != std::string_view::npos;) {
    at += command.size();
    if (at < text.size() && is_letter(text[at])) continue;
    Turning turning(text);
    std::string_view inside;
    turning.group(at, inside, '[', ']');
    if (!turning.group(at, inside)) break;
    std::string out = Turning(inside).run();
    std::ranges::replace(out, '\n', ' ');
    return std::string(trim(out));
  }
  return "";
}

}  // namespace

bool is_latex_document(std::string_view latex) {
  for (const std::string_view mark : {"\\documentclass", "\\documentstyle"})
    for (size_t at = 0; (at = latex.find(mark, at)) != std::string_view::npos; at += mark.size()) {
      if (!is_commented(latex, at)) return true;
    }
  return false;
}

LatexInput next_latex_input(std::string_view latex, size_t from) {
  for (size_t at = from; (at = latex.find("\\in", at)) != std::string_view::npos; at += 3) {
    const std::string_view left = latex.substr(at);
    const size_t length = left.starts_with("\\input") ? 6
                          : left.starts_with("\\include") && !left.starts_with("\\includegraphics") && !left.starts_with("\\includeonly")
                              ? 8
                              : 0;
    if (length == 0) continue;
    if (is_commented(latex, at)) continue;
    size_t i = at + length;
    while (i < latex.size() && latex[i] == ' ') ++i;
    LatexInput found{.begin = at, .end = 0, .name = ""};
    if (i < latex.size() && latex[i] == '{') {
      found.end = latex.find('}', i);
      if (found.end == std::string_view::npos || found.end - i > 200) continue;
      found.name = std::string(trim(latex.substr(i + 1, found.end - i - 1)));
      ++found.end;
    } else {
      found.end = i;
      while (found.end < latex.size() && !std::isspace(static_cast<unsigned char>(latex[found.end])) && latex[found.end] != '\\')
        ++found.end;
      found.name = std::string(latex.substr(i, found.end - i));
    }
    if (!found.name.empty()) return found;
  }
  return {};
}

std::string text_of_latex(std::string_view latex, Document& document) {
  const std::string text = without_comments(latex);
  std::string_view body = text;
  if (const size_t begin = body.find("\\begin{document}"); begin != std::string_view::npos) {
    const std::string_view front = body.substr(0, std::min(body.size(), begin + 65'536));
    if (document.title.empty()) document.title = argument_of(front, "\\title");
    if (document.author.empty()) document.author = argument_of(front, "\\author");
    body.remove_prefix(begin + 16);
    body = body.substr(0, body.find("\\end{document}"));
  }
  std::string out = Turning(body).run();
  if (!document.title.empty() && body.find("\\maketitle") != std::string_view::npos) out = document.title + "\n\n" + out;
  return out;
}

}  // namespace r1::corpus
