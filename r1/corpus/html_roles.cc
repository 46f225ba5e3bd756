#include "r1/corpus/html_roles.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>

namespace r1::corpus {
namespace {

struct Word {
  std::string_view word;
  uint8_t role;
  bool prefix = false;  // also longer words that begin so
};

// Words of a class or id, cut at '-', '_', blanks, digits and before capitals. Sorted.
constexpr Word kWords[] = {
    {"ad", kAroundRole},
    {"adbox", kAroundRole},
    {"addthis", kAroundRole},
    {"addtoany", kAroundRole},
    {"ads", kAroundRole},
    {"adsense", kAroundRole},
    {"adslot", kAroundRole},
    {"adunit", kAroundRole},
    {"advert", kAroundRole, true},
    {"affiliate", kAroundRole},
    {"alsolike", kAroundRole},
    {"banner", kAroundRole},
    {"bookmark", kAroundRole},
    {"breadcrumb", kAroundRole, true},
    {"byline", kMetaRole},
    {"caption", kMetaRole},
    {"carousel", kAroundRole},
    {"colophon", kAroundRole},
    {"comment", kCommentRole},
    {"commentlist", kCommentRole},
    {"comments", kCommentRole},
    {"consent", kAroundRole},
    {"cookie", kAroundRole},
    {"cookies", kAroundRole},
    {"credit", kMetaRole},
    {"credits", kMetaRole},
    {"cta", kAroundRole},
    {"dateline", kMetaRole},
    {"disqus", kCommentRole},
    {"donate", kAroundRole},
    {"donation", kAroundRole},
    {"dropdown", kAroundRole},
    {"editsection", kAroundRole},
    {"facebook", kAroundRole},
    {"flyout", kAroundRole},
    {"followus", kAroundRole},
    {"footer", kAroundRole},
    {"gallery", kMetaRole},
    {"gdpr", kAroundRole},
    {"gutter", kLineNumber},
    {"headerlink", kHiddenRole},
    {"infobox", kMetaRole},
    {"jetpack", kAroundRole},
    {"jumplink", kAroundRole},
    {"lineno", kLineNumber},
    {"linenos", kLineNumber},
    {"linenumber", kLineNumber},
    {"linenumbers", kLineNumber},
    {"login", kAroundRole},
    {"mailinglist", kAroundRole},
    {"marketing", kAroundRole},
    {"masthead", kAroundRole},
    {"megamenu", kAroundRole},
    {"menu", kAroundRole},
    {"mobilenav", kAroundRole},
    {"modal", kAroundRole},
    {"nav", kAroundRole},
    {"navbar", kAroundRole},
    {"navbox", kAroundRole},
    {"navigation", kAroundRole},
    {"newsletter", kAroundRole, true},
    {"noprint", kAroundRole},
    {"outbrain", kAroundRole},
    {"overlay", kAroundRole},
    {"pager", kAroundRole},
    {"pagination", kAroundRole},
    {"paywall", kAroundRole},
    {"permalink", kAroundRole},
    {"popular", kAroundRole},
    {"popup", kAroundRole},
    {"postmeta", kMetaRole},
    {"postmetadata", kMetaRole},
    {"prevnext", kAroundRole},
    {"printonly", kAroundRole},
    {"promo", kAroundRole, true},
    {"pullquote", kMetaRole},
    {"rail", kAroundRole},
    {"readmore", kAroundRole},
    {"recirc", kAroundRole, true},
    {"recommend", kAroundRole, true},
    {"related", kAroundRole, true},
    {"replies", kCommentRole},
    {"respond", kCommentRole},
    {"search", kAroundRole},
    {"searchbox", kAroundRole},
    {"share", kAroundRole},
    {"sharebar", kAroundRole},
    {"sharedaddy", kAroundRole},
    {"shares", kAroundRole},
    {"shariff", kAroundRole},
    {"sharing", kAroundRole},
    {"sidebar", kAroundRole, true},
    {"signin", kAroundRole},
    {"signup", kAroundRole},
    {"skiplink", kAroundRole},
    {"skiplinks", kAroundRole},
    {"social", kAroundRole, true},
    {"sponsor", kAroundRole, true},
    {"subnav", kAroundRole},
    {"subscribe", kAroundRole},
    {"subscription", kAroundRole},
    {"suggested", kAroundRole},
    {"suggestions", kAroundRole},
    {"syndication", kAroundRole},
    {"taboola", kAroundRole},
    {"tagcloud", kAroundRole},
    {"taglist", kAroundRole},
    {"tags", kAroundRole},
    {"teaser", kAroundRole},
    {"teasers", kAroundRole},
    {"timestamp", kMetaRole},
    {"toolbar", kAroundRole},
    {"tooltip", kAroundRole},
    {"topbar", kAroundRole},
    {"trending", kAroundRole},
    {"widget", kAroundRole},
    {"widgets", kAroundRole},
    {"yarpp", kAroundRole},
};
static_assert(std::is_sorted(std::begin(kWords), std::end(kWords), [](const Word& a, const Word& b) { return a.word < b.word; }));

struct Pair {
  std::string_view first, second;
  uint8_t role;
};
// Two words in a row, or either half of a joined name.
constexpr Pair kPairs[] = {
    {"also", "like", kAroundRole},       {"also", "read", kAroundRole},     {"article", "body", kMainRole},
    {"article", "content", kMainRole},   {"article", "text", kMainRole},    {"author", "bio", kAroundRole},
    {"author", "box", kAroundRole},      {"author", "info", kMetaRole},     {"author", "name", kMetaRole},
    {"entry", "content", kMainRole},     {"entry", "footer", kAroundRole},  {"entry", "meta", kMetaRole},
    {"entry", "utility", kMetaRole},     {"follow", "us", kAroundRole},     {"jump", "link", kAroundRole},
    {"line", "numbers", kLineNumber},    {"line", "number", kLineNumber},   {"mailing", "list", kAroundRole},
    {"main", "content", kMainRole},      {"markdown", "body", kMainRole},   {"meta", "data", kMetaRole},
    {"more", "stories", kAroundRole},    {"more", "news", kAroundRole},     {"more", "from", kAroundRole},
    {"more", "on", kAroundRole},         {"most", "popular", kAroundRole},  {"most", "read", kAroundRole},
    {"next", "post", kAroundRole},       {"photo", "credit", kMetaRole},    {"post", "author", kMetaRole},
    {"post", "body", kMainRole},         {"post", "content", kMainRole},    {"post", "date", kMetaRole},
    {"post", "footer", kAroundRole},     {"post", "info", kMetaRole},       {"post", "meta", kMetaRole},
    {"post", "tags", kAroundRole},       {"posted", "on", kMetaRole},       {"prev", "next", kAroundRole},
    {"previous", "post", kAroundRole},   {"print", "only", kAroundRole},    {"read", "also", kAroundRole},
    {"read", "more", kAroundRole},       {"read", "next", kAroundRole},     {"right", "column", kAroundRole},
    {"see", "also", kAroundRole},        {"sign", "in", kAroundRole},       {"sign", "up", kAroundRole},
    {"site", "header", kAroundRole},     {"skip", "link", kAroundRole},     {"skip", "to", kAroundRole},
    {"sr", "only", kHiddenRole},         {"screen", "reader", kHiddenRole}, {"story", "body", kMainRole},
    {"story", "content", kMainRole},     {"tag", "cloud", kAroundRole},     {"tag", "list", kAroundRole},
    {"top", "stories", kAroundRole},     {"up", "next", kAroundRole},       {"user", "comments", kCommentRole},
    {"visually", "hidden", kHiddenRole},
};

constexpr size_t kWordLength = 24, kNameWords = 6;

// The words of one class or id, in lower case.
struct Words {
  std::array<std::array<char, kWordLength>, kNameWords> buffer;
  std::array<std::string_view, kNameWords> word;
  size_t n = 0;

  explicit Words(std::string_view name) {
    size_t i = 0;
    while (i < name.size() && n < kNameWords) {
      while (i < name.size() && !is_alnum(name[i])) ++i;
      size_t length = 0;
      const size_t begin = i;
      while (i < name.size() && is_alnum(name[i])) {
        if (i > begin && is_upper(name[i]) && !is_upper(name[i - 1])) break;
        if (i > begin && is_digit(name[i]) && !is_digit(name[i - 1])) break;
        if (length < kWordLength) buffer[n][length++] = is_upper(name[i]) ? char(name[i] + 32) : name[i];
        ++i;
      }
      if (length == 0) break;
      word[n] = {buffer[n].data(), length};
      ++n;
    }
  }
  static bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  static bool is_alnum(char c) { return is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'z'); }
};

uint8_t role_of_word(std::string_view word) {
  const auto* at =
      std::upper_bound(std::begin(kWords), std::end(kWords), word, [](std::string_view w, const Word& row) { return w < row.word; });
  // The nearest row that is not behind it, and the few before that could be its beginning.
  for (int back = 0; back < 4 && at != std::begin(kWords); ++back) {
    --at;
    if (at->word == word || (at->prefix && word.starts_with(at->word))) return at->role;
    if (at->word[0] != word[0]) break;
  }
  return 0;
}

// First words of names that speak of the page as a whole or of what is elsewhere: "has-sidebar", "no-comments", "tag-social", "js-nav".
bool says_nothing(std::string_view first) {
  constexpr std::string_view kFirst[] = {"has",    "no",   "not",  "with", "without", "is",      "js",   "tag", "category",
                                         "format", "type", "hide", "show", "enable",  "disable", "open", "col", "wp"};
  return std::find(std::begin(kFirst), std::end(kFirst), first) != std::end(kFirst);
}

uint8_t roles_of_name(std::string_view name) {
  if (name.size() > 80) return 0;  // a hash or a sentence
  const Words words(name);
  if (words.n == 0 || says_nothing(words.word[0])) return 0;
  uint8_t roles = 0;
  for (size_t i = 0; i < words.n; ++i) {
    roles |= role_of_word(words.word[i]);
    if (i + 1 == words.n) break;
    for (const Pair& p : kPairs)
      if (p.first == words.word[i] && p.second == words.word[i + 1]) roles |= p.role;
  }
  return roles;
}

uint8_t roles_of_names(std::string_view names) {
  uint8_t roles = 0;
  size_t i = 0;
  for (int n = 0; n < 24; ++n) {
    const size_t begin = names.find_first_not_of(" \t\r\n\f", i);
    if (begin == names.npos) break;
    i = std::min(names.find_first_of(" \t\r\n\f", begin), names.size());
    roles |= roles_of_name(names.substr(begin, i - begin));
  }
  return roles;
}

bool contains_without_blanks(std::string_view style, std::string_view wanted) {
  size_t matched = 0;
  for (char c : style) {
    if (c == ' ' || c == '\t' || c == '\n') continue;
    c = c >= 'A' && c <= 'Z' ? char(c + 32) : c;
    matched = c == wanted[matched] ? matched + 1 : (c == wanted[0] ? 1 : 0);
    if (matched == wanted.size()) return true;
  }
  return false;
}

uint8_t roles_of_attribute(const Attribute& a, Tag tag) {
  switch (a.name) {
    case Attr::kClass:
    case Attr::kId:
      return roles_of_names(a.value);
    case Attr::kHidden:
      return a.value == "until-found" ? 0 : kHiddenRole;
    case Attr::kAriaHidden:
      return a.value == "true" ? kHiddenRole : 0;
    case Attr::kStyle:
      return contains_without_blanks(a.value, "display:none") || contains_without_blanks(a.value, "visibility:hidden") ? kHiddenRole : 0;
    case Attr::kItemprop:
      if (a.value == "articleBody" || a.value == "text") return kMainRole;
      return a.value == "author" || a.value == "datePublished" || a.value == "dateModified" ? kMetaRole : 0;
    case Attr::kRel:
      return a.value == "author" && tag == Tag::kA ? kMetaRole : 0;
    case Attr::kRole: {
      constexpr std::string_view kAround[] = {"navigation", "banner",  "contentinfo", "search", "complementary", "menu",
                                              "menubar",    "toolbar", "tablist",     "alert",  "form",          "doc-pagelist"};
      if (std::find(std::begin(kAround), std::end(kAround), a.value) != std::end(kAround)) return kAroundRole;
      if (a.value == "dialog" || a.value == "alertdialog" || a.value == "tooltip" || a.value == "button") return kHiddenRole;
      return a.value == "main" ? kMainRole : 0;
    }
    default:
      return 0;
  }
}

}  // namespace

uint8_t roles_of(const HtmlTree& tree, int32_t node) {
  const Node& n = tree[node];
  uint8_t roles = 0;
  switch (n.tag) {
    case Tag::kNav:
    case Tag::kSearch:
    case Tag::kFooter:
      roles = kAroundRole;
      break;
    case Tag::kAside:
      roles = kAroundRole;
      break;
    case Tag::kFigcaption:
      roles = kMetaRole;
      break;
    case Tag::kMain:
      roles = kMainRole;
      break;
    default:
      if (traits(n.tag) & kSkipped) return kHiddenRole;
  }
  for (uint32_t i = 0; i < n.attributes; ++i) {
    const Attribute& a = tree.attribute_at(n.first_attribute + i);
    uint8_t more = roles_of_attribute(a, n.tag);
    // What holds the whole page is named after its parts.
    if (n.tag == Tag::kBody || n.tag == Tag::kHtml) more = 0;
    // What is quoted is text, whatever the quotation is called.
    if (n.tag == Tag::kBlockquote) more &= kHiddenRole;
    roles |= more;
  }
  return roles;
}

}  // namespace r1::corpus
