#include "r1/corpus/markup.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <vector>

#include "r1/base/strings.h"
#include "r1/base/utf8.h"

namespace r1::corpus {
namespace {

struct Entity {
  std::string_view name;
  uint32_t c;
};
// HTML 4.01, section 24, sorted.
constexpr Entity kEntities[] = {
    // clang-format off
    {"AElig", 198}, {"Aacute", 193}, {"Acirc", 194}, {"Agrave", 192}, {"Alpha", 913}, {"Aring", 197}, {"Atilde", 195}, {"Auml", 196},
    {"Beta", 914}, {"Ccedil", 199}, {"Chi", 935}, {"Dagger", 8225}, {"Delta", 916}, {"ETH", 208}, {"Eacute", 201}, {"Ecirc", 202},
    {"Egrave", 200}, {"Epsilon", 917}, {"Eta", 919}, {"Euml", 203}, {"Gamma", 915}, {"Iacute", 205}, {"Icirc", 206}, {"Igrave", 204},
    {"Iota", 921}, {"Iuml", 207}, {"Kappa", 922}, {"Lambda", 923}, {"Mu", 924}, {"Ntilde", 209}, {"Nu", 925}, {"OElig", 338},
    {"Oacute", 211}, {"Ocirc", 212}, {"Ograve", 210}, {"Omega", 937}, {"Omicron", 927}, {"Oslash", 216}, {"Otilde", 213}, {"Ouml", 214},
    {"Phi", 934}, {"Pi", 928}, {"Prime", 8243}, {"Psi", 936}, {"Rho", 929}, {"Scaron", 352}, {"Sigma", 931}, {"THORN", 222},
    {"Tau", 932}, {"Theta", 920}, {"Uacute", 218}, {"Ucirc", 219}, {"Ugrave", 217}, {"Upsilon", 933}, {"Uuml", 220}, {"Xi", 926},
    {"Yacute", 221}, {"Yuml", 376}, {"Zeta", 918}, {"aacute", 225}, {"acirc", 226}, {"acute", 180}, {"aelig", 230}, {"agrave", 224},
    {"alefsym", 8501}, {"alpha", 945}, {"amp", 38}, {"and", 8743}, {"ang", 8736}, {"aring", 229}, {"asymp", 8776}, {"atilde", 227},
    {"auml", 228}, {"bdquo", 8222}, {"beta", 946}, {"brvbar", 166}, {"bull", 8226}, {"cap", 8745}, {"ccedil", 231}, {"cedil", 184},
    {"cent", 162}, {"chi", 967}, {"circ", 710}, {"clubs", 9827}, {"cong", 8773}, {"copy", 169}, {"crarr", 8629}, {"cup", 8746},
    {"curren", 164}, {"dArr", 8659}, {"dagger", 8224}, {"darr", 8595}, {"deg", 176}, {"delta", 948}, {"diams", 9830}, {"divide", 247},
    {"eacute", 233}, {"ecirc", 234}, {"egrave", 232}, {"empty", 8709}, {"emsp", 8195}, {"ensp", 8194}, {"epsilon", 949},
    {"equiv", 8801}, {"eta", 951}, {"eth", 240}, {"euml", 235}, {"euro", 8364}, {"exist", 8707}, {"fnof", 402}, {"forall", 8704},
    {"frac12", 189}, {"frac14", 188}, {"frac34", 190}, {"frasl", 8260}, {"gamma", 947}, {"ge", 8805}, {"gt", 62}, {"hArr", 8660},
    {"harr", 8596}, {"hearts", 9829}, {"hellip", 8230}, {"iacute", 237}, {"icirc", 238}, {"iexcl", 161}, {"igrave", 236},
    {"image", 8465}, {"infin", 8734}, {"int", 8747}, {"iota", 953}, {"iquest", 191}, {"isin", 8712}, {"iuml", 239}, {"kappa", 954},
    {"lArr", 8656}, {"lambda", 955}, {"lang", 9001}, {"laquo", 171}, {"larr", 8592}, {"lceil", 8968}, {"ldquo", 8220}, {"le", 8804},
    {"lfloor", 8970}, {"lowast", 8727}, {"loz", 9674}, {"lrm", 8206}, {"lsaquo", 8249}, {"lsquo", 8216}, {"lt", 60}, {"macr", 175},
    {"mdash", 8212}, {"micro", 181}, {"middot", 183}, {"minus", 8722}, {"mu", 956}, {"nabla", 8711}, {"nbsp", 160}, {"ndash", 8211},
    {"ne", 8800}, {"ni", 8715}, {"not", 172}, {"notin", 8713}, {"nsub", 8836}, {"ntilde", 241}, {"nu", 957}, {"oacute", 243},
    {"ocirc", 244}, {"oelig", 339}, {"ograve", 242}, {"oline", 8254}, {"omega", 969}, {"omicron", 959}, {"oplus", 8853}, {"or", 8744},
    {"ordf", 170}, {"ordm", 186}, {"oslash", 248}, {"otilde", 245}, {"otimes", 8855}, {"ouml", 246}, {"para", 182}, {"part", 8706},
    {"permil", 8240}, {"perp", 8869}, {"phi", 966}, {"pi", 960}, {"piv", 982}, {"plusmn", 177}, {"pound", 163}, {"prime", 8242},
    {"prod", 8719}, {"prop", 8733}, {"psi", 968}, {"quot", 34}, {"rArr", 8658}, {"radic", 8730}, {"rang", 9002}, {"raquo", 187},
    {"rarr", 8594}, {"rceil", 8969}, {"rdquo", 8221}, {"real", 8476}, {"reg", 174}, {"rfloor", 8971}, {"rho", 961}, {"rlm", 8207},
    {"rsaquo", 8250}, {"rsquo", 8217}, {"sbquo", 8218}, {"scaron", 353}, {"sdot", 8901}, {"sect", 167}, {"shy", 173}, {"sigma", 963},
    {"sigmaf", 962}, {"sim", 8764}, {"spades", 9824}, {"sub", 8834}, {"sube", 8838}, {"sum", 8721}, {"sup", 8835}, {"sup1", 185},
    {"sup2", 178}, {"sup3", 179}, {"supe", 8839}, {"szlig", 223}, {"tau", 964}, {"there4", 8756}, {"theta", 952}, {"thetasym", 977},
    {"thinsp", 8201}, {"thorn", 254}, {"tilde", 732}, {"times", 215}, {"trade", 8482}, {"uArr", 8657}, {"uacute", 250}, {"uarr", 8593},
    {"ucirc", 251}, {"ugrave", 249}, {"uml", 168}, {"upsih", 978}, {"upsilon", 965}, {"uuml", 252}, {"weierp", 8472}, {"xi", 958},
    {"yacute", 253}, {"yen", 165}, {"yuml", 255}, {"zeta", 950}, {"zwj", 8205}, {"zwnj", 8204},
    // clang-format on
};

uint32_t named(std::string_view name, bool xml) {
  if (xml) {
    for (const auto& [known, c] : {Entity{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}})
      if (name == known) return c;
    return 0;
  }
  const auto* found = std::ranges::lower_bound(kEntities, name, {}, &Entity::name);
  if (found != std::end(kEntities) && found->name == name) return found->c;
  return name == "apos" ? '\'' : 0;
}

// "#252", "#xFC": the code point; 0 if it is none. What the numbers 128 to 159 are meant to be is windows-1252, as browsers have it.
uint32_t numbered(std::string_view digits) {
  const bool hex = digits.starts_with('x') || digits.starts_with('X');
  if (hex) digits.remove_prefix(1);
  uint32_t c = 0;
  if (digits.empty()) return 0;
  for (const char d : digits) {
    const int v = d >= '0' && d <= '9'          ? d - '0'
                  : hex && d >= 'a' && d <= 'f' ? d - 'a' + 10
                  : hex && d >= 'A' && d <= 'F' ? d - 'A' + 10
                                                : -1;
    if (v < 0) return 0;
    c = std::min<uint32_t>(c * (hex ? 16 : 10) + uint32_t(v), kInvalidChar);
  }
  constexpr uint16_t kMeant[32] = {0x20AC, 0x81,   0x201A, 0x192,  0x201E, 0x2026, 0x2020, 0x2021, 0x2C6,  0x2030, 0x160,
                                   0x2039, 0x152,  0x8D,   0x17D,  0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
                                   0x2013, 0x2014, 0x2DC,  0x2122, 0x161,  0x203A, 0x153,  0x9D,   0x17E,  0x178};
  if (c >= 0x80 && c < 0xA0) return kMeant[c - 0x80];
  return c == 0 || c >= kInvalidChar || (c >= 0xD800 && c < 0xE000) ? 0xFFFD : c;
}

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

// The tag that begins at text[at] == '<'. Its end, behind the '>'; npos: it never closes.
struct Tag {
  std::string name;  // lower case, without a prefix ("xhtml:p" is p)
  bool closing = false, empty = false;
  std::string_view attributes;
  size_t end = std::string_view::npos;
};

Tag tag_at(std::string_view text, size_t at) {
  Tag tag;
  size_t i = at + 1;
  if (i < text.size() && text[i] == '/') tag.closing = true, ++i;
  for (; i < text.size() && (std::isalnum(static_cast<unsigned char>(text[i])) || text[i] == ':' || text[i] == '-'); ++i)
    tag.name += char(std::tolower(static_cast<unsigned char>(text[i])));
  if (const size_t colon = tag.name.rfind(':'); colon != std::string::npos) tag.name.erase(0, colon + 1);
  const size_t from = i;
  for (char quote = 0; i < text.size(); ++i) {
    if (quote) {
      if (text[i] == quote) quote = 0;
    } else if ((text[i] == '"' || text[i] == '\'') && i > from && text[i - 1] == '=') {
      quote = text[i];
    } else if (text[i] == '>') {
      tag.attributes = text.substr(from, i - from);
      tag.empty = tag.attributes.ends_with('/');
      tag.end = i + 1;
      return tag;
    }
  }
  // a quote that never closes: the next '>' will do
  if (const size_t end = text.find('>', from); end != std::string_view::npos) tag.end = end + 1;
  return tag;
}

std::string attribute(std::string_view attributes, std::string_view name) {
  for (size_t at = 0; (at = attributes.find(name, at)) != std::string_view::npos; at += name.size()) {
    if (at > 0 && !is_blank(attributes[at - 1])) continue;
    size_t from = at + name.size();
    while (from < attributes.size() && is_blank(attributes[from])) ++from;
    if (from >= attributes.size() || attributes[from] != '=') continue;
    ++from;
    while (from < attributes.size() && is_blank(attributes[from])) ++from;
    if (from >= attributes.size()) return "";
    const char quote = attributes[from];
    const bool quoted = quote == '"' || quote == '\'';
    const size_t begin = from + (quoted ? 1 : 0);
    const size_t end = quoted ? attributes.find(quote, begin) : attributes.find_first_of(" \t\r\n/", begin);
    return decode_entities(attributes.substr(begin, end == std::string_view::npos ? end : end - begin));
  }
  return "";
}

bool is_one_of(std::string_view name, std::string_view names) {
  const std::string key = " " + std::string(name) + " ";
  return names.find(key) != std::string_view::npos;
}
constexpr std::string_view kBlocks =
    " p div h1 h2 h3 h4 h5 h6 ul ol dl table section article header footer nav aside main figure figcaption blockquote form fieldset "
    "address "
    "details summary hr body html caption center ";
constexpr std::string_view kLines = " br li dt dd tr thead tbody tfoot option ";
constexpr std::string_view kUnseen = " script style template noscript head iframe svg object ";

// Writes text with blanks folded and asks for line ends, of which the largest wins.
class Writer {
 public:
  void text(std::string_view part) {
    for (const char c : part) {
      if (pre_) {
        begin();
        out_ += c;
      } else if (is_blank(c)) {
        space_ = true;
      } else {
        begin();
        out_ += c;
      }
    }
  }
  void lines(int n) {
    ends_ = std::max(ends_, n);
    space_ = false;
  }
  void mark(std::string_view text) {  // in front of what comes next, without a blank of its own
    begin();
    out_ += text;
  }
  // Behind what was written, even if a blank was waiting.
  void close(std::string_view text) { out_ += text; }
  void pre(bool on) { pre_ = on; }
  bool is_pre() const { return pre_; }
  bool at_line_start() const { return out_.empty() || ends_ > 0 || out_.ends_with('\n'); }
  std::string take() {
    while (!out_.empty() && is_blank(out_.back())) out_.pop_back();
    return std::move(out_);
  }

 private:
  void begin() {
    if (!out_.empty()) {
      int there = 0;
      while (there < 2 && size_t(there) < out_.size() && out_[out_.size() - 1 - size_t(there)] == '\n') ++there;
      out_.append(size_t(std::max(0, ends_ - there)), '\n');
      if (space_ && ends_ == 0 && !out_.ends_with('\n') && !out_.ends_with('\t')) out_ += ' ';
    }
    ends_ = 0;
    space_ = false;
  }
  std::string out_;
  int ends_ = 0;
  bool space_ = false, pre_ = false;
};

// Behind the closing tag of `name` that follows; the end of the text if there is none.
size_t past_closing(std::string_view text, size_t at, const std::string& name) {
  while ((at = text.find("</", at)) != std::string_view::npos) {
    const Tag tag = tag_at(text, at);
    if (tag.name == name) return tag.end == std::string_view::npos ? text.size() : tag.end;
    at += 2;
  }
  return text.size();
}

class Reading {
 public:
  explicit Reading(std::string_view markup) : text_(markup) {}

  std::string run() {
    while (at_ < text_.size()) {
      const size_t open = std::min(text_.find('<', at_), text_.size());
      if (open > at_) writer_.text(decode_entities(text_.substr(at_, open - at_)));
      at_ = open;
      if (at_ < text_.size()) element();
    }
    if (writer_.is_pre()) end_pre();
    return writer_.take();
  }

 private:
  void element() {
    const std::string_view left = text_.substr(at_);
    if (left.starts_with("<!--")) return past("-->");
    if (left.starts_with("<![CDATA[")) {
      const size_t end = std::min(left.find("]]>"), left.size());
      writer_.text(left.substr(9, end - 9));
      at_ = std::min(text_.size(), at_ + end + 3);
      return;
    }
    if (left.starts_with("<!")) return past(">");
    if (left.starts_with("<?")) return past(">");
    const char next = left.size() > 1 ? left[1] : ' ';
    if (next != '/' && !std::isalpha(static_cast<unsigned char>(next))) {  // a less-than sign
      writer_.text("<");
      ++at_;
      return;
    }
    const Tag tag = tag_at(text_, at_);
    if (tag.end == std::string_view::npos) {
      at_ = text_.size();
      return;
    }
    at_ = tag.end;
    if (!tag.closing && !tag.empty && is_one_of(tag.name, kUnseen)) {
      at_ = past_closing(text_, at_, tag.name);
      return;
    }
    apply(tag);
  }

  void apply(const Tag& tag) {
    const std::string& name = tag.name;
    if (name == "pre") {
      if (!tag.closing && !writer_.is_pre()) {
        writer_.lines(2);
        writer_.mark("```\n");
        writer_.pre(true);
        if (at_ < text_.size() && text_[at_] == '\n') ++at_;
      } else if (tag.closing && writer_.is_pre()) {
        end_pre();
      }
    } else if (writer_.is_pre()) {
      if (name == "br") writer_.text("\n");
    } else if (name == "code" || name == "tt") {
      if (!tag.empty) tag.closing ? writer_.close("`") : writer_.mark("`");
    } else if (name == "td" || name == "th") {
      if (!tag.closing && !writer_.at_line_start()) writer_.lines(0), writer_.close("\t");
    } else if (name == "ol" || name == "ul") {
      list(tag);
    } else if (name == "li") {
      writer_.lines(1);
      if (!tag.closing) item();
    } else if (name == "img") {
      writer_.text(attribute(tag.attributes, "alt"));
    } else if (is_one_of(name, kBlocks)) {
      writer_.lines(inside_item_ ? 1 : 2);
      if (tag.closing) inside_item_ = false;
    } else if (is_one_of(name, kLines)) {
      writer_.lines(1);
    }
  }

  void list(const Tag& tag) {
    constexpr size_t kDeep = 64;  // deeper lists count as the last one
    if (!tag.closing) {
      writer_.lines(numbers_.empty() ? 2 : 1);
      if (numbers_.size() < kDeep) numbers_.push_back(tag.name == "ol" ? 1 : 0);
    } else if (!numbers_.empty()) {
      numbers_.pop_back();
      writer_.lines(numbers_.empty() ? 2 : 1);
    }
    inside_item_ = false;
  }
  void item() {
    std::string mark(2 * (numbers_.empty() ? 0 : numbers_.size() - 1), ' ');
    if (!numbers_.empty() && numbers_.back() > 0)
      mark += std::to_string(numbers_.back()++) + ". ";
    else
      mark += "- ";
    writer_.mark(mark);
    inside_item_ = true;  // its first paragraph stands beside the mark
    skip_paragraph();
  }
  // "<li><p>": the paragraph begins on the item's line.
  void skip_paragraph() {
    size_t i = at_;
    while (i < text_.size() && is_blank(text_[i])) ++i;
    if (i + 1 < text_.size() && text_[i] == '<' && (text_[i + 1] == 'p' || text_[i + 1] == 'P')) {
      const Tag tag = tag_at(text_, i);
      if (tag.name == "p" && tag.end != std::string_view::npos) i = tag.end;
    }
    while (i < text_.size() && is_blank(text_[i])) ++i;
    at_ = i;
  }
  void end_pre() {
    writer_.pre(false);
    writer_.lines(1);
    writer_.mark("```");
    writer_.lines(2);
  }
  void past(std::string_view end) {
    const size_t found = text_.find(end, at_);
    at_ = found == std::string_view::npos ? text_.size() : found + end.size();
  }

  std::string_view text_;
  size_t at_ = 0;
  Writer writer_;
  std::vector<int> numbers_;  // of the lists that are open: the next item's; 0 in those without
  bool inside_item_ = false;
};

}  // namespace

std::string decode_entities(std::string_view text, bool xml) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const size_t amp = std::min(text.find('&', i), text.size());
    out.append(text, i, amp - i);
    i = amp;
    if (i == text.size()) break;
    size_t end = i + 1;
    while (end < text.size() && end - i < 34 && (std::isalnum(static_cast<unsigned char>(text[end])) || text[end] == '#')) ++end;
    const std::string_view name = text.substr(i + 1, end - i - 1);
    const bool closed = end < text.size() && text[end] == ';';
    const uint32_t c = !closed ? 0 : name.starts_with('#') ? numbered(name.substr(1)) : named(name, xml);
    if (c == 0) {
      out += '&';
      ++i;
    } else {
      append_utf8(out, c);
      i = end + 1;
    }
  }
  return out;
}

std::string text_of_markup(std::string_view markup) {
  return Reading(markup).run();
}

std::string title_of_markup(std::string_view markup) {
  for (size_t at = 0; (at = markup.find('<', at)) != std::string_view::npos; ++at) {
    if (at + 5 >= markup.size() || std::tolower(static_cast<unsigned char>(markup[at + 1])) != 't') continue;
    const Tag tag = tag_at(markup, at);
    if (tag.end == std::string_view::npos) break;
    if (tag.name != "title" || tag.closing) continue;
    std::string out;
    for (const char c : decode_entities(markup.substr(tag.end, std::min(markup.find('<', tag.end), markup.size()) - tag.end))) {
      if (!is_blank(c))
        out += c;
      else if (!out.empty() && out.back() != ' ')
        out += ' ';
    }
    return std::string(trim(out));
  }
  return "";
}

}  // namespace r1::corpus
