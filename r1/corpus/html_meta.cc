#include "r1/corpus/html_meta.h"

#include <algorithm>
#include <array>
#include <vector>

#include "r1/base/error.h"
#include "r1/base/json.h"
#include "r1/base/strings.h"
#include "r1/corpus/html_roles.h"
#include "r1/corpus/html_text.h"
#include "r1/text/unicode.h"

namespace r1::corpus {
namespace {

constexpr size_t kMaxJsonBytes = size_t{1} << 20, kMaxValue = 2000;

// The fields in the order of trust of those who state them: a better one replaces a worse.
enum Trust { kMarkup = 1, kPlainMeta, kOpenGraph, kLd };

class Reader {
 public:
  Reader(const HtmlTree& tree, HtmlPage& page) : tree_(tree), page_(page) {}

  std::string run() {
    page_.language = one_line(tree_.attribute(0, Attr::kLang), References::kAttribute);
    for (int32_t i = 0; i < tree_.size(); ++i) {
      switch (tree_[i].tag) {
        case Tag::kTitle:
          // An svg has titles too.
          if (title_.empty() && (tree_[i].parent == 0 || tree_[tree_[i].parent].tag == Tag::kHead)) title_ = one_line(tree_[i].text);
          break;
        case Tag::kMeta:
          meta(i);
          break;
        case Tag::kLink:
        case Tag::kA:
          link(i);
          break;
        case Tag::kScript:
          if (tree_.attribute(i, Attr::kType) == "application/ld+json") linked_data(tree_[i].text);
          break;
        case Tag::kH1:
          if (h1_.empty()) h1_ = plain_text(tree_, i);
          ++h1_count_;
          break;
        case Tag::kTime:
          if (const auto when = tree_.attribute(i, Attr::kDatetime); !when.empty()) set(page_.date, kDate, kMarkup, when);
          break;
        default:
          break;
      }
      if (const auto prop = tree_.attribute(i, Attr::kItemprop); !prop.empty()) property(i, prop);
    }
    choose_title();
    page_.language = lower_ascii(trim(page_.language));
    std::replace(page_.language.begin(), page_.language.end(), '_', '-');
    if (page_.language.size() > 35) page_.language.clear();
    return text::to_valid_utf8(body_);
  }

 private:
  enum Field { kTitleField, kAuthor, kDate, kLanguage, kUrl, kLicence, kSite, kDescription, kFields };

  void set_plain(std::string& to, Field field, Trust trust, std::string value) {
    if (value.empty() || value.size() > kMaxValue || trust <= trust_[field]) return;
    to = text::to_valid_utf8(value);
    trust_[field] = trust;
  }
  void set(std::string& to, Field field, Trust trust, std::string_view value) {
    set_plain(to, field, trust, one_line(value, References::kAttribute));
  }
  void set_author(Trust trust, std::string_view value) {
    const std::string name = one_line(value, References::kAttribute);
    if (name.find("://") != name.npos || name.size() > 200) return;  // a profile's address is no name
    set_plain(page_.author, kAuthor, trust, name);
  }

  void meta(int32_t i) {
    const std::string_view content = tree_.attribute(i, Attr::kContent);
    if (content.empty()) return;
    std::string key = lower_ascii(trim(tree_.attribute(i, Attr::kProperty)));
    if (key.empty()) key = lower_ascii(trim(tree_.attribute(i, Attr::kName)));
    if (key.empty()) return;
    if (key == "og:title")
      set(og_title_, kTitleField, kOpenGraph, content);
    else if (key == "twitter:title")
      set(og_title_, kTitleField, kPlainMeta, content);
    else if (key == "og:site_name" || key == "application-name")
      set(page_.site, kSite, key[0] == 'o' ? kOpenGraph : kPlainMeta, content);
    else if (key == "og:url")
      set(page_.url, kUrl, kPlainMeta, content);
    else if (key == "og:locale")
      set(page_.language, kLanguage, kMarkup, page_.language.empty() ? content : page_.language);
    else if (key == "og:description")
      set(page_.description, kDescription, kOpenGraph, content);
    else if (key == "description" || key == "dc.description" || key == "twitter:description")
      set(page_.description, kDescription, kPlainMeta, content);
    else if (key == "article:published_time" || key == "og:published_time")
      set(page_.date, kDate, kOpenGraph, content);
    else if (key == "date" || key == "dc.date" || key == "dc.date.issued" || key == "dcterms.date" || key == "dcterms.created" ||
             key == "pubdate" || key == "publishdate" || key == "publish-date" || key == "citation_publication_date" ||
             key == "citation_date" || key == "parsely-pub-date" || key == "sailthru.date" || key == "article.published")
      set(page_.date, kDate, kPlainMeta, content);
    else if (key == "author" || key == "dc.creator" || key == "dcterms.creator" || key == "article:author" || key == "citation_author" ||
             key == "parsely-author" || key == "sailthru.author")
      set_author(key == "article:author" ? kMarkup : kPlainMeta, content);
    else if (key == "dc.rights" || key == "dcterms.rights" || key == "dcterms.license" || key == "dc.rights.license" || key == "license" ||
             key == "cc:license")
      set(page_.licence, kLicence, kPlainMeta, content);
    else if ((key == "language" || key == "content-language" || key == "dc.language") && page_.language.empty())
      page_.language = one_line(content, References::kAttribute);
  }

  void link(int32_t i) {
    const std::string rel = lower_ascii(tree_.attribute(i, Attr::kRel));
    if (rel.empty()) return;
    const auto says = [&](std::string_view word) {
      for (size_t at = rel.find(word); at != rel.npos; at = rel.find(word, at + 1))
        if ((at == 0 || rel[at - 1] == ' ') && (at + word.size() == rel.size() || rel[at + word.size()] == ' ')) return true;
      return false;
    };
    const std::string_view href = tree_.attribute(i, Attr::kHref);
    if (says("canonical") && tree_[i].tag == Tag::kLink) set(page_.url, kUrl, kOpenGraph, href);
    if (says("license") || says("licence")) set(page_.licence, kLicence, kOpenGraph, href);
    if (says("author") && tree_[i].tag == Tag::kA) set_author(kMarkup, plain_text(tree_, i));
  }

  void property(int32_t i, std::string_view prop) {
    const auto value = [&] {
      for (const Attr a : {Attr::kContent, Attr::kDatetime})
        if (const auto v = tree_.attribute(i, a); !v.empty()) return one_line(v, References::kAttribute);
      return plain_text(tree_, i);
    };
    if (prop == "datePublished") set_plain(page_.date, kDate, kPlainMeta, value());
    if (prop == "author" && page_.author.empty() && tree_[i].end - uint32_t(i) < 20) set_author(kMarkup, value());
    if (prop == "license" && tree_.has_attribute(i, Attr::kHref)) set(page_.licence, kLicence, kPlainMeta, tree_.attribute(i, Attr::kHref));
  }

  void linked_data(std::string_view text) {
    text = trim(text);
    if (text.starts_with("<!--")) text = trim(text.substr(4));
    if (text.ends_with("-->")) text = trim(text.substr(0, text.size() - 3));
    if (text.empty() || ld_bytes_ + text.size() > kMaxJsonBytes) return;
    ld_bytes_ += text.size();
    try {
      linked_object(parse_json(text::to_valid_utf8(text), "JSON-LD"), 0);
    } catch (const Error&) {
      // Many a page's is broken; the markup says the rest.
    }
  }

  // Of the things a page describes, those that are the page's text.
  void linked_object(const Json& json, int depth) {
    if (depth > 4) return;
    if (json.is_array()) {
      for (const Json& one : json) linked_object(one, depth + 1);
      return;
    }
    if (!json.is_object()) return;
    if (const auto graph = json.find("@graph"); graph != json.end()) linked_object(*graph, depth + 1);
    if (!is_text(json)) return;
    set(page_.date, kDate, kLd, string_at(json, "datePublished"));
    set_author(kLd, names(json, "author"));
    if (ld_headline_.empty()) ld_headline_ = one_line(string_at(json, "headline"), References::kAttribute);
    set(page_.licence, kLicence, kLd, string_at(json, "license"));
    if (page_.language.empty()) page_.language = string_at(json, "inLanguage");
    if (body_.empty()) body_ = body_text(string_at(json, "articleBody"));
  }

  static bool is_text(const Json& json) {
    const auto at = json.find("@type");
    if (at == json.end()) return false;
    const auto is = [](const Json& type) {
      if (!type.is_string()) return false;
      const auto& name = type.get_ref<const std::string&>();
      return name.ends_with("Article") || name.ends_with("Posting") || name == "Report" || name == "WebPage" || name == "Recipe" ||
             name == "Review" || name == "DiscussionForumPosting" || name == "QAPage";
    };
    return at->is_array() ? std::any_of(at->begin(), at->end(), is) : is(*at);
  }

  static std::string string_at(const Json& json, const char* key) {
    const auto at = json.find(key);
    if (at == json.end()) return {};
    if (at->is_string()) return at->get<std::string>();
    if (at->is_object())
      for (const char* inner : {"url", "@id", "name"})
        if (const auto v = at->find(inner); v != at->end() && v->is_string()) return v->get<std::string>();
    return {};
  }

  static std::string names(const Json& json, const char* key) {
    const auto at = json.find(key);
    if (at == json.end()) return {};
    std::string all;
    const auto add = [&](const Json& one) {
      std::string name;
      if (one.is_string()) name = one.get<std::string>();
      if (one.is_object())
        if (const auto n = one.find("name"); n != one.end() && n->is_string()) name = n->get<std::string>();
      if (name.empty()) return;
      if (!all.empty()) all += ", ";
      all += name;
    };
    if (at->is_array()) {
      for (size_t i = 0; i < at->size() && i < 20; ++i) add((*at)[i]);
    } else {
      add(*at);
    }
    return all;
  }

  // Stated text often carries references and tags.
  static std::string body_text(const std::string& stated) {
    if (stated.empty()) return {};
    const HtmlTree tree(stated);
    std::string text;
    std::string line;
    const auto end_line = [&] {
      while (!line.empty() && line.back() == ' ') line.pop_back();
      if (!line.empty()) text += (text.empty() ? "" : "\n\n") + line;
      line.clear();
    };
    for (int32_t i = 1; i < tree.size(); ++i) {
      const Node& n = tree[i];
      if (n.tag != Tag::kText) {
        if (traits(n.tag) & kBlock || n.tag == Tag::kBr) end_line();
        continue;
      }
      std::string_view rest = n.text;
      while (!rest.empty()) {
        const size_t at = std::min(rest.find('\n'), rest.size());
        const std::string part = one_line(rest.substr(0, at));
        if (!part.empty()) line += (line.empty() ? "" : " ") + part;
        if (at == rest.size()) break;
        end_line();
        rest.remove_prefix(at + 1);
      }
    }
    end_line();
    return text;
  }

  // The page's own heading if its <title> has it too; else what was stated for sharing; else <title> without the site's name.
  void choose_title() {
    if (!h1_.empty() && h1_count_ == 1 && !title_.empty() && title_.find(h1_) != title_.npos &&
        (title_.starts_with(h1_) || !title_.ends_with(h1_))) {
      page_.title = h1_;
    } else if (!og_title_.empty()) {
      page_.title = without_site(og_title_);
    } else if (!ld_headline_.empty()) {
      page_.title = ld_headline_;
    } else {
      page_.title = without_site(title_);
    }
    if (page_.title.empty()) page_.title = h1_;
    page_.title = text::to_valid_utf8(page_.title);
    if (page_.title.size() > kMaxValue) page_.title.clear();
  }

  std::string without_site(const std::string& title) const {
    for (std::string_view bar : {" | ", " - ", " \xE2\x80\x93 ", " \xE2\x80\x94 ", " :: ", " \xC2\xBB ", " \xC2\xB7 "}) {
      const size_t at = title.rfind(bar);
      if (at == title.npos || at == 0) continue;
      const std::string tail = title.substr(at + bar.size());
      const std::string head = title.substr(0, at);
      const bool is_site = (!page_.site.empty() && lower_ascii(tail) == lower_ascii(page_.site)) ||
                           (h1_count_ == 1 && tail == h1_);  // a site's name as the heading of each page
      if (is_site || (!h1_.empty() && head == h1_)) return head;
      if (page_.site.empty() && tail.size() < 30 && head.size() > 2 * tail.size()) return head;
    }
    return title;
  }

  const HtmlTree& tree_;
  HtmlPage& page_;
  std::array<int, kFields> trust_{};
  std::string title_, og_title_, ld_headline_, h1_, body_;
  int h1_count_ = 0;
  size_t ld_bytes_ = 0;
};

}  // namespace

std::string read_metadata(const HtmlTree& tree, HtmlPage& page) {
  return Reader(tree, page).run();
}

}  // namespace r1::corpus
