// Readers of files that are one document as a whole: text, Markdown, source code, HTML, LaTeX, Project Gutenberg's books, subtitles, manual
// pages. Each is a function from the file's text to the document; the reading itself is the same.
#include <algorithm>
#include <cctype>

#include "r1/base/error.h"
#include "r1/base/strings.h"
#include "r1/corpus/encoding.h"
#include "r1/corpus/html_entities.h"
#include "r1/corpus/licence.h"
#include "r1/corpus/markup.h"
#include "r1/corpus/reader_parts.h"
#include "r1/corpus/roff.h"

namespace r1::corpus {
namespace {

// Makes document.text of the file's, and fills what else it finds; "" or the reason why there is no document.
using Turn = std::string (*)(std::string text, Document& document);

class WholeFile : public Reader {
 public:
  WholeFile(Input input, const Opening& opening, const char* kind, Turn turn)
      : input_(std::move(input)), opening_(opening), kind_(kind), turn_(turn) {}

  bool next(Document& d, Counts& counts) override {
    if (done_) return false;
    done_ = true;
    bool cut = false;
    const std::string bytes = input_.rest(size_t(opening_.options.max_document_bytes), cut);
    const std::string where = input_.name() + "#0";
    const auto broken = [&](const std::string& reason) { return counts.broken(where, reason, int64_t(bytes.size())), false; };
    if (cut) return broken("too_large");
    if (!input_.fault().empty()) return broken(input_.fault());
    if (is_binary(bytes)) return broken("binary");
    d.source = input_.name();
    d.kind = kind_;
    d.licence = opening_.licence;
    const std::string reason =
        turn_(with_plain_line_ends(to_utf8(bytes, kind_ == std::string_view("html") ? charset_of_markup(bytes) : "")), d);
    return reason.empty() || broken(reason);
  }

 private:
  Input input_;
  Opening opening_;
  const char* kind_;
  Turn turn_;
  bool done_ = false;
};

// A text that is larger than a document may be becomes several, cut after an empty line (else a line) about every kPiece bytes.
class PlainText : public Reader {
 public:
  PlainText(Input input, const Opening& opening)
      : input_(std::move(input)),
        opening_(opening),
        piece_(std::min<size_t>(size_t{8} << 20, size_t(opening.options.max_document_bytes))) {}

  bool next(Document& d, Counts& counts) override {
    if (!from_ && !begin()) {
      ended_ = true;
      counts.broken(input_.name() + "#0", "binary");
    }
    const size_t most = size_t(opening_.options.max_document_bytes);
    while (!ended_ && !from_->at_end()) {
      const int64_t at = from_->at();
      std::string text, line;
      bool cut = false;
      while (!cut && text.size() < piece_ && from_->until('\n', line, most, cut))
        if (!cut) text += line;
      if (cut)
        counts.broken(r1::str(input_.name(), "#", at + int64_t(text.size())), "too_large", int64_t(line.size()));
      else if (!from_->at_end())
        to_empty_line(text);
      if (trim(text).empty() && cut) continue;  // what stood before the line is a document
      d.source = input_.name();
      d.offset = at;
      d.kind = "text";
      d.licence = opening_.licence;
      d.text = with_plain_line_ends(to_utf8(text));
      return true;
    }
    if (!ended_ && !input_.fault().empty()) counts.broken(r1::str(input_.name(), "#", from_->at()), input_.fault());
    ended_ = true;
    return false;
  }

 private:
  // UTF-16 is turned on the way. False: these bytes are no text.
  bool begin() {
    const std::string_view head = input_.peek(size_t{1} << 16);
    const bool big = head.starts_with("\xFE\xFF");
    from_ = &input_;
    if (is_binary(head)) return false;
    if (big || head.starts_with("\xFF\xFE")) {
      input_.skip(2);
      utf8_ = std::make_unique<Input>(Input::of_utf16(input_, big));
      from_ = utf8_.get();
    }
    return true;
  }
  // The lines behind the last empty one, if that stands in the second half, wait for the next piece.
  void to_empty_line(std::string& text) {
    const size_t at = text.rfind("\n\n");
    if (at == std::string::npos || at < text.size() / 2) return;
    from_->unread(std::string_view(text).substr(at + 2));
    text.resize(at + 2);
  }

  Input input_;
  std::unique_ptr<Input> utf8_;
  Input* from_ = nullptr;
  Opening opening_;
  size_t piece_;
  bool ended_ = false;
};

// "key: value" lines of a front matter.
void put_field(Document& d, std::string_view key, std::string_view value) {
  value = trim(value);
  if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'') && value.back() == value.front())
    value = value.substr(1, value.size() - 2);
  if (value.empty()) return;
  for (const auto& [known, field] : {std::pair{"title", &Document::title},
                                     {"author", &Document::author},
                                     {"date", &Document::date},
                                     {"license", &Document::licence},
                                     {"licence", &Document::licence},
                                     {"lang", &Document::language},
                                     {"language", &Document::language},
                                     {"url", &Document::url}})
    if (key == known) d.*field = std::string(value);
}

std::string turn_markdown(std::string text, Document& d) {
  if (text.starts_with("---\n")) {
    const size_t end = text.find("\n---\n", 3);
    if (end != std::string::npos && end < 16'384) {
      const std::string_view front = std::string_view(text).substr(4, end - 3);
      for (size_t at = 0; at < front.size();) {
        const size_t stop = std::min(front.find('\n', at), front.size());
        const std::string_view line = front.substr(at, stop - at);
        if (const size_t colon = line.find(':'); colon != std::string_view::npos)
          put_field(d, line.substr(0, colon), line.substr(colon + 1));
        at = stop + 1;
      }
      text.erase(0, text.find_first_not_of('\n', end + 5));
    }
  }
  if (d.title.empty() && text.starts_with("# ")) d.title = std::string(trim(std::string_view(text).substr(2, text.find('\n') - 2)));
  d.text = std::move(text);
  return "";
}

std::string turn_code(std::string text, Document& d) {
  const std::string declared = declared_licence(text);
  if (!declared.empty()) d.licence = declared;
  d.extra = {{"code", code_language(d.source)}};
  d.text = std::move(text);
  return "";
}

std::string turn_html(std::string text, Document& d) {
  d.title = title_of_markup(std::string_view(text).substr(0, size_t{1} << 18));
  d.extra = {{"html", true}};
  d.text = std::move(text);
  return "";
}

std::string turn_latex(std::string text, Document& d) {
  d.text = text_of_latex(text, d);
  return "";
}

std::string_view next_line(std::string_view text, size_t& at) {
  const size_t end = std::min(text.find('\n', at), text.size());
  const std::string_view line = text.substr(at, end - at);
  at = end + 1;
  return line;
}

// Between "*** START OF THE PROJECT GUTENBERG EBOOK ... ***" and "*** END OF ..."; older files have "*END*THE SMALL PRINT!" in front, and
// "End of (the) Project Gutenberg's" behind.
std::string turn_gutenberg(std::string text, Document& d) {
  size_t begin = 0, end = text.size();
  bool started = false;
  std::string_view view = text;
  for (size_t at = 0; at < view.size();) {
    const size_t from = at;
    std::string line(trim(next_line(view, at)));
    std::string_view l = line;
    if (!started) {
      if (const size_t colon = l.find(": "); colon != std::string_view::npos && from < 16'384) {
        const std::string_view key = l.substr(0, colon), value = trim(l.substr(colon + 2));
        if (key == "Title")
          d.title = value;
        else if (key == "Author")
          d.author = value;
        else if (key == "Language")
          d.language = value;
        else if (key == "Release Date" || key == "Release date")
          d.date = value.substr(0, value.find(" ["));
      }
    }
    const bool stars = l.starts_with("***") || l.starts_with("*END*");
    const bool ours = l.find("PROJECT GUTENBERG") != std::string_view::npos || l.find("Project Gutenberg") != std::string_view::npos;
    if ((l.starts_with("***") && ours && l.find("START OF") != std::string_view::npos) || l.starts_with("*END*THE SMALL PRINT") ||
        l.starts_with("*END THE SMALL PRINT")) {
      begin = std::min(at, view.size());
      started = true;
    } else if (started && ours &&
               ((stars && l.find("END OF") != std::string_view::npos) || l.starts_with("End of the Project Gutenberg") ||
                l.starts_with("End of Project Gutenberg"))) {
      end = from;
      break;
    }
  }
  if (!started) return "gutenberg:no_start";
  view = trim(view.substr(begin, end - begin));
  if (view.starts_with("Produced by") || view.starts_with("E-text prepared by"))
    if (const size_t stop = view.find("\n\n"); stop != std::string_view::npos && stop < 1'000) view = trim(view.substr(stop));
  d.text = std::string(view) + "\n";
  return "";
}

// <i>, <c.yellow>, {\an8}: out.
std::string without_tags(std::string_view line) {
  std::string out;
  for (size_t i = 0; i < line.size(); ++i) {
    const bool opens =
        (line[i] == '<' && i + 1 < line.size() && (std::isalnum(static_cast<unsigned char>(line[i + 1])) || line[i + 1] == '/')) ||
        (line[i] == '{' && i + 1 < line.size() && line[i + 1] == '\\');
    const size_t close = opens ? line.find(line[i] == '<' ? '>' : '}', i) : std::string_view::npos;
    if (close == std::string_view::npos)
      out += line[i];
    else
      i = close;
  }
  return unescaped(out, References::kClosed);
}

// SRT and WebVTT: the lines that are said. Cues that roll (the last line said once more, and a new one) say each line once.
std::string turn_subtitles(std::string text, Document& d) {
  std::string out, last;
  bool skipping = false, any = false;
  std::string_view view = text;
  std::string_view before;
  for (size_t at = 0; at <= view.size();) {
    const std::string_view line = trim(next_line(view, at));
    if (line.empty()) {
      skipping = false;
    } else if (line.find("-->") != std::string_view::npos) {
      // the line in front was the cue's number or name
      if (!before.empty() && out.ends_with(std::string(before) + "\n")) out.resize(out.size() - before.size() - 1);
      any = true;
      skipping = false;
    } else if (!any && (line.starts_with("WEBVTT") || line.starts_with("Kind:") || line.starts_with("Language:"))) {
      if (line.starts_with("Language:")) d.language = std::string(trim(line.substr(9)));
    } else if (line.starts_with("NOTE") || line == "STYLE" || line == "REGION") {
      skipping = true;
    } else if (!skipping) {
      const std::string said = without_tags(line);
      const bool number = std::ranges::all_of(line, [](unsigned char c) { return std::isdigit(c); });
      if (before.empty() && (number || !any)) {  // waits for its arrow
        out += std::string(line) + "\n";
        before = line;
        continue;
      }
      if (!trim(said).empty() && said != last) out += said + "\n";
      last = said;
    }
    before = line;
  }
  if (!any) return "subtitles:no_cue";
  d.text = std::move(out);
  return "";
}

std::string turn_man(std::string text, Document& d) {
  d.text = text_of_roff(text, d.title);
  return "";
}

template <Turn turn>
std::unique_ptr<Reader> whole(Input input, const Opening& opening, const char* kind) {
  return std::make_unique<WholeFile>(std::move(input), opening, kind, turn);
}

}  // namespace

std::unique_ptr<Reader> read_text(Input input, const Opening& opening) {
  return std::make_unique<PlainText>(std::move(input), opening);
}
std::unique_ptr<Reader> read_markdown(Input input, const Opening& opening) {
  return whole<turn_markdown>(std::move(input), opening, "markdown");
}
std::unique_ptr<Reader> read_code(Input input, const Opening& opening) {
  return whole<turn_code>(std::move(input), opening, "code");
}
std::unique_ptr<Reader> read_html(Input input, const Opening& opening) {
  return whole<turn_html>(std::move(input), opening, "html");
}
std::unique_ptr<Reader> read_latex(Input input, const Opening& opening) {
  return whole<turn_latex>(std::move(input), opening, "latex");
}
std::unique_ptr<Reader> read_gutenberg(Input input, const Opening& opening) {
  return whole<turn_gutenberg>(std::move(input), opening, "gutenberg");
}
std::unique_ptr<Reader> read_subtitles(Input input, const Opening& opening) {
  return whole<turn_subtitles>(std::move(input), opening, "subtitles");
}
std::unique_ptr<Reader> read_man(Input input, const Opening& opening) {
  return whole<turn_man>(std::move(input), opening, "man");
}

}  // namespace r1::corpus
