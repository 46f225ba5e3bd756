// Dumps of MediaWiki (export-0.x.xml, bzip2 in many streams or otherwise packed, UTF-16 too): each article's last revision in the dump as plain
// text. Redirects, other namespaces and pages that are no wikitext are counted by what they are.
#include <algorithm>
#include <charconv>
#include <cstdint>

#include "r1/base/error.h"
#include "r1/base/strings.h"
#include "r1/corpus/reader_parts.h"
#include "r1/corpus/wikitext.h"
#include "r1/corpus/xml_reader.h"

namespace r1::corpus {
namespace {

class Wikipedia : public Reader {
 public:
  Wikipedia(Input input, const Opening& opening)
      : input_(std::move(input)), opening_(opening), xml_(input_, size_t(opening.options.max_document_bytes)) {}

  bool next(Document& d, Counts& counts) override {
    while (true) {
      XmlReader::Event event;
      if (!xml_.next(event)) {
        if (page_.open) counts.broken(where(), "truncated", int64_t(page_.text.size()));
        page_ = {};
        if (input_.fault().empty()) break;
        counts.broken(str(input_.name(), "#", xml_.at()), input_.fault());
        if (!input_.resync()) break;
        continue;
      }
      if (event.kind == XmlReader::Kind::kOpen)
        opened(event, counts);
      else if (event.kind == XmlReader::Kind::kText)
        page_.said += page_.said.empty() ? event.text : page_.said.size() > kMost ? "" : event.text, page_.cut |= event.cut;
      else if (closed(event.name, d, counts))
        return true;
    }
    if (xml_.declared_entities() && !told_) counts.broken(input_.name() + "#0", "xml:entities");
    told_ = true;
    return false;
  }

 private:
  static constexpr size_t kMost = size_t{64} << 20;
  struct Page {
    bool open = false, redirect = false, revision = false, cut = false, text_cut = false;
    int64_t begin = 0;
    std::string title, space, id, revision_id, timestamp, model, format, author, text;
    std::string said;  // of the element that is open
  };

  std::string where() const { return str(input_.name(), "#", page_.begin); }

  void opened(const XmlReader::Event& event, Counts& counts) {
    page_.said.clear();
    page_.cut = false;
    if (event.name == "page") {
      // the one before never closed: damage
      if (page_.open) counts.broken(where(), "broken_record", int64_t(page_.text.size()));
      page_ = {};
      page_.open = true;
      page_.begin = xml_.at();
    } else if (event.name == "text") {
      page_.text.clear();  // <text/>: this revision has none
    } else if (event.name == "redirect") {
      page_.redirect = true;
    } else if (event.name == "revision") {
      page_.revision = true;
    } else if (event.name == "namespace") {
      const std::string* key = event.attribute("key");
      silent_ = key && (*key == "6" || *key == "14" || *key == "-2");
    } else if (event.name == "mediawiki") {
      if (const std::string* language = event.attribute("lang")) language_ = *language;
    }
  }

  // True: a document.
  bool closed(const std::string& name, Document& d, Counts& counts) {
    Page& p = page_;
    std::string said = std::move(p.said);
    p.said.clear();
    if (name == "namespace" && silent_) {
      const std::string key = lower_ascii(trim(said));
      if (!key.empty()) names_.silent.insert(key);
    } else if (name == "base") {
      base_ = said.substr(0, said.rfind('/') + 1);
    } else if (name == "title") {
      p.title = said;
    } else if (name == "ns") {
      p.space = said;
    } else if (name == "id" && p.id.empty()) {
      p.id = said;
    } else if (name == "timestamp") {
      p.timestamp = said;
    } else if (name == "model") {
      p.model = said;
    } else if (name == "text") {
      p.text = std::move(said);
      p.text_cut = p.cut;
    } else if (name == "page" && p.open) {
      const std::string reason = document(d);
      const std::string place = where();
      const int64_t bytes = int64_t(p.text.size());
      page_ = {};
      if (reason.empty()) return true;
      counts.broken(place, reason, bytes);
    }
    return false;
  }

  std::string document(Document& d) {
    const Page& p = page_;
    if (!p.space.empty() && p.space != "0") return "wiki:namespace";
    if (p.redirect || is_wiki_redirect(p.text)) return "wiki:redirect";
    if (!p.model.empty() && p.model != "wikitext") return "wiki:model";
    if (!p.revision) return "broken_record";
    if (p.text_cut) return "too_large";
    d = {};
    d.text = text_of_wikitext(p.text, names_);
    if (trim(d.text).empty()) return "empty";
    d.source = input_.name();
    d.offset = p.begin;
    d.kind = "wikipedia";
    d.title = p.title;
    d.date = p.timestamp;
    d.language = language_;
    d.licence = opening_.licence;
    if (!base_.empty()) {
      d.url = base_ + p.title;
      std::ranges::replace(d.url, ' ', '_');
    }
    if (!p.id.empty()) d.extra = {{"id", p.id}};
    return "";
  }

  Input input_;
  Opening opening_;
  XmlReader xml_;
  Page page_;
  WikiNames names_;
  std::string base_, language_;
  bool silent_ = false, told_ = false;
};

}  // namespace

std::unique_ptr<Reader> read_wikipedia(Input input, const Opening& opening) {
  return std::make_unique<Wikipedia>(std::move(input), opening);
}

}  // namespace r1::corpus
