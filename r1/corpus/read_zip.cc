// EPUB books: one document a book, its chapters in the order of its spine. And other zip archives: each entry by its own kind.
#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <set>

#include "r1/base/error.h"
#include "r1/base/strings.h"
#include "r1/corpus/encoding.h"
#include "r1/corpus/markup.h"
#include "r1/corpus/reader_parts.h"
#include "r1/corpus/xml_reader.h"
#include "r1/corpus/zip.h"

namespace r1::corpus {
namespace {

// "OEBPS/content.opf" and "text/a%20b.xhtml#c": "OEBPS/text/a b.xhtml".
std::string resolved(std::string_view base, std::string_view href) {
  std::string path(base.substr(0, base.rfind('/') + 1));  // npos + 1 == 0
  href = href.substr(0, href.find('#'));
  const auto hex = [](char c) { return std::isdigit(static_cast<unsigned char>(c)) ? c - '0' : (c | 0x20) - 'a' + 10; };
  for (size_t i = 0; i < href.size(); ++i) {
    if (href[i] == '%' && i + 2 < href.size() && std::isxdigit(static_cast<unsigned char>(href[i + 1])) &&
        std::isxdigit(static_cast<unsigned char>(href[i + 2]))) {
      path += char(hex(href[i + 1]) * 16 + hex(href[i + 2]));
      i += 2;
    } else {
      path += href[i];
    }
  }
  std::vector<std::string> parts;
  for (size_t at = 0; at <= path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    const std::string part = path.substr(at, end - at);
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else if (part != "." && !part.empty()) {
      parts.push_back(part);
    }
    at = end + 1;
  }
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : "/") + part;
  return out;
}

class Epub : public Reader {
 public:
  Epub(Input input, const Opening& opening) : input_(std::move(input)), opening_(opening) {}

  bool next(Document& d, Counts& counts) override {
    if (done_) return false;
    done_ = true;
    bool cut = false;
    const std::string bytes = input_.rest(size_t(kMaxWholeBytes), cut);
    std::string reason;
    d = {};
    try {
      if (cut)
        reason = "too_large";
      else if (const auto zip = Zip::open(bytes, reason))
        reason = book(*zip, d, counts);
    } catch (const Error&) {  // a charset that this system cannot decode
      reason = "charset";
    }
    if (reason.empty()) return true;
    counts.broken(input_.name() + "#0", reason, int64_t(bytes.size()));
    return false;
  }

 private:
  struct Package {
    std::map<std::string, std::pair<std::string, std::string>> manifest;  // id: href, media type
    std::vector<std::string> spine;
    std::string title, author, date, language, rights;
  };

  std::string book(const Zip& zip, Document& d, Counts& counts) const {
    std::string fault, package_name;
    if (const Zip::Entry* container = zip.find("META-INF/container.xml")) {
      const auto xml = zip.read(*container, size_t{1} << 20, fault);
      if (!xml) return fault;
      Input in = Input::memory(*xml, "");
      XmlReader reader(in, size_t{1} << 20);
      for (XmlReader::Event e; package_name.empty() && reader.next(e);)
        if (e.kind == XmlReader::Kind::kOpen && e.name == "rootfile")
          if (const std::string* path = e.attribute("full-path")) package_name = *path;
    }
    const Zip::Entry* entry = zip.find(package_name);
    if (!entry)
      for (const Zip::Entry& e : zip.entries())
        if (ending_of(e.name) == ".opf" && !entry) entry = &e;
    if (!entry) return "epub:no_package";
    const auto opf = zip.read(*entry, size_t{8} << 20, fault);
    if (!opf) return fault;
    const Package package = read_package(*opf);

    std::map<std::string, const Zip::Entry*> by_name;
    for (const Zip::Entry& e : zip.entries()) by_name.emplace(e.name, &e);
    const std::set<std::string> encrypted = encrypted_entries(zip);
    std::map<std::string, int> read;  // a spine may name a chapter a thousand times: a bomb
    for (const std::string& id : package.spine) {
      const auto item = package.manifest.find(id);
      if (item == package.manifest.end()) continue;
      const std::string name = resolved(entry->name, item->second.first);
      if (!is_chapter(item->second.second, name)) continue;
      if (read[name]++ > 0) continue;
      const auto chapter = by_name.find(name);
      const auto broken = [&](const std::string& reason) { counts.broken(input_.name() + "!" + name + "#0", reason); };
      if (chapter == by_name.end()) {
        broken("epub:missing_chapter");
        continue;
      }
      if (encrypted.contains(name)) {
        broken("epub:encrypted");
        continue;
      }
      const auto markup = zip.read(*chapter->second, size_t(opening_.options.max_document_bytes), fault);
      if (!markup) {
        broken(fault);
        continue;
      }
      std::string text = text_of_markup(with_plain_line_ends(to_utf8(*markup, charset_of_markup(*markup))));
      if (text.empty()) continue;
      if (!d.text.empty()) d.text += "\n\n";
      d.text += text;
      if (int64_t(d.text.size()) > opening_.options.max_document_bytes) return "too_large";
    }
    if (d.text.empty()) return "epub:no_text";
    d.text += '\n';
    d.source = input_.name();
    d.kind = "epub";
    d.title = package.title;
    d.author = package.author;
    d.date = package.date;
    d.language = package.language;
    d.licence = opening_.licence;
    if (!package.rights.empty() && package.rights.size() < 1000) d.extra = {{"rights", package.rights}};
    return "";
  }

  // XHTML under any of the names that it bears in books; the table of contents says what the chapters say.
  static bool is_chapter(std::string type, std::string_view name) {
    type = lower_ascii(type);
    if (type.find("html") != std::string::npos) return true;
    const std::string ending = ending_of(name);
    return (type.empty() || type.find("xml") != std::string::npos) &&
           (ending == ".xhtml" || ending == ".html" || ending == ".htm" || ending == ".xml");
  }

  // Entries that digital rights management encrypts. Fonts that are only obfuscated stand in the same list, and harm nobody.
  static std::set<std::string> encrypted_entries(const Zip& zip) {
    std::set<std::string> names;
    std::string fault;
    const Zip::Entry* entry = zip.find("META-INF/encryption.xml");
    const auto xml = entry ? zip.read(*entry, size_t{8} << 20, fault) : std::nullopt;
    if (!xml) return names;
    Input in = Input::memory(*xml, "");
    XmlReader reader(in, size_t{1} << 16);
    bool font = false;
    for (XmlReader::Event e; reader.next(e);) {
      if (e.kind != XmlReader::Kind::kOpen) continue;
      if (e.name == "EncryptedData") font = false;
      if (const std::string* algorithm = e.attribute("Algorithm"); e.name == "EncryptionMethod" && algorithm)
        font = *algorithm == "http://www.idpf.org/2008/embedding" || *algorithm == "http://ns.adobe.com/pdf/enc#RC";
      if (const std::string* uri = e.attribute("URI"); e.name == "CipherReference" && uri && !font) names.insert(resolved("", *uri));
    }
    return names;
  }

  static Package read_package(const std::string& opf) {
    Package p;
    Input in = Input::memory(opf, "");
    XmlReader reader(in, size_t{1} << 20);
    std::string said;
    for (XmlReader::Event e; reader.next(e);) {
      if (e.kind == XmlReader::Kind::kOpen) {
        said.clear();
        const std::string *id = e.attribute("id"), *href = e.attribute("href"), *type = e.attribute("media-type"),
                          *ref = e.attribute("idref");
        const std::string* properties = e.attribute("properties");
        const bool contents = properties && properties->find("nav") != std::string::npos;
        if (e.name == "item" && id && href && !contents && p.manifest.size() < 100'000) p.manifest[*id] = {*href, type ? *type : ""};
        if (e.name == "itemref" && ref && p.spine.size() < 100'000) p.spine.push_back(*ref);
      } else if (e.kind == XmlReader::Kind::kText) {
        said += e.text;
      } else {
        for (const auto& [name, field] : {std::pair{"title", &Package::title},
                                          {"creator", &Package::author},
                                          {"date", &Package::date},
                                          {"language", &Package::language},
                                          {"rights", &Package::rights}})
          if (e.name == name && (p.*field).empty()) p.*field = std::string(trim(said));
        said.clear();
      }
    }
    return p;
  }

  Input input_;
  Opening opening_;
  bool done_ = false;
};

class ZipMembers : public Reader {
 public:
  ZipMembers(Input input, const Opening& opening) : input_(std::move(input)), opening_(opening) { ++opening_.depth; }

  bool next(Document& d, Counts& counts) override {
    if (!begun_) begin(counts);
    while (true) {
      if (member_ && member_->next(d, counts)) return true;
      member_.reset();
      if (!zip_ || at_ >= zip_->entries().size()) return false;
      open(zip_->entries()[at_++], counts);
    }
  }

 private:
  void begin(Counts& counts) {
    begun_ = true;
    bool cut = false;
    bytes_ = input_.rest(size_t(kMaxWholeBytes), cut);
    std::string fault = cut ? "too_large" : "";
    if (!cut) zip_ = Zip::open(bytes_, fault);
    if (!zip_) counts.broken(input_.name() + "#0", fault, int64_t(bytes_.size()));
  }
  void open(const Zip::Entry& entry, Counts& counts) {
    if (entry.name.ends_with('/')) return;
    const std::string name = input_.name() + "!" + shown_name(entry.name);
    std::string fault;
    if (is_evil_name(entry.name)) {
      counts.broken(name + "#0", "evil_name", int64_t(entry.packed));
      return;
    }
    auto bytes = zip_->read(entry, size_t{64} << 20, fault);
    if (!bytes) {
      counts.broken(name + "#0", fault, int64_t(entry.packed));
      return;
    }
    const int64_t size = int64_t(bytes->size());
    try {
      member_ = open_input(Input::memory(std::move(*bytes), name), opening_);
      if (!member_) counts.broken(name + "#0", "unknown_kind", size);
    } catch (const Error&) {
      counts.broken(name + "#0", "refused_kind", size);
    }
  }

  Input input_;
  Opening opening_;
  std::string bytes_;
  std::optional<Zip> zip_;
  size_t at_ = 0;
  std::unique_ptr<Reader> member_;
  bool begun_ = false;
};

}  // namespace

std::unique_ptr<Reader> read_epub(Input input, const Opening& opening) {
  return std::make_unique<Epub>(std::move(input), opening);
}
std::unique_ptr<Reader> read_zip(Input input, const Opening& opening) {
  return std::make_unique<ZipMembers>(std::move(input), opening);
}

}  // namespace r1::corpus
