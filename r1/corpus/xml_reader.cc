#include "r1/corpus/xml_reader.h"

#include <algorithm>
#include <cctype>

#include "r1/corpus/encoding.h"
#include "r1/corpus/html_entities.h"

namespace r1::corpus {
namespace {

using namespace std::literals;

constexpr size_t kMaxTag = size_t{1} << 24;  // bytes of a tag: a StackExchange post is an attribute of one

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

std::string_view local_name(std::string_view name) {
  const size_t colon = name.rfind(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

}  // namespace

const std::string* XmlReader::Event::attribute(std::string_view wanted) const {
  for (const auto& [known, value] : attributes)
    if (known == wanted) return &value;
  return nullptr;
}

XmlReader::XmlReader(Input& input, size_t most) : most_(most), from_(&input) {
  const std::string_view head = input.peek(4096);
  const bool big = head.starts_with("\xFE\xFF") || head.starts_with("\0<"sv);
  if (big || head.starts_with("\xFF\xFE") || head.starts_with("<\0"sv)) {
    input.skip(head.starts_with("\0<"sv) || head.starts_with("<\0"sv) ? 0 : 2);
    utf8_ = Input::of_utf16(input, big);
    from_ = &*utf8_;
  } else {
    if (head.starts_with("\xEF\xBB\xBF")) input.skip(3);
    charset_ = encoding_of(charset_of_markup(head));
    if (charset_ == "utf-8" || charset_.starts_with("utf-16")) charset_.clear();
  }
}

std::string XmlReader::decode(std::string_view raw) const {
  return unescaped(to_utf8(raw, charset_), References::kXml);
}

bool XmlReader::next(Event& event) {
  event = {};
  while (!from_->at_end()) {
    at_ = from_->at();
    if (from_->peek(1)[0] == '<') {
      if (markup(event)) return true;
      continue;
    }
    // text, up to the next tag
    from_->until('<', raw_, most_, event.cut);
    if (!event.cut && raw_.ends_with('<')) {
      raw_.pop_back();
      from_->unread("<");
    } else if (event.cut) {
      from_->unread(from_->at_end() ? "" : "<");
    }
    event.kind = Kind::kText;
    event.text = decode(raw_);
    return true;
  }
  return false;
}

// What begins with '<'. False: it was nothing to tell of.
bool XmlReader::markup(Event& event) {
  const std::string_view head = from_->peek(9).substr(0, 9);
  if (head.starts_with("<!--")) return past("-->"), false;
  if (head.starts_with("<?")) return past("?>"), false;
  if (head == "<![CDATA[") {
    from_->skip(9);
    event.kind = Kind::kText;
    // pieces up to each '>', until one ends the section
    bool cut = false;
    while (from_->until('>', raw_, most_ + 3, cut)) {
      event.cut |= cut || event.text.size() + raw_.size() > most_ + 3;
      if (!event.cut) event.text += raw_;
      if (raw_.ends_with("]]>") || (cut && from_->at_end())) break;
      if (raw_ == ">" && event.text.ends_with("]]>")) break;
    }
    if (event.text.ends_with("]]>")) event.text.resize(event.text.size() - 3);
    event.text = to_utf8(event.text, charset_);
    return true;
  }
  if (head.starts_with("<!")) return past_doctype(), false;

  // a tag: up to the '>' that stands in no quotes. A '<' may not stand in it at all: there it broke off, and something new begins.
  std::string whole, piece;
  char quote = 0;
  bool cut = false;
  while (from_->until('>', piece, kMaxTag, cut)) {
    if (const size_t open = piece.find('<', whole.empty() ? 1 : 0); open != std::string::npos && !cut) {
      from_->unread(std::string_view(piece).substr(open));
      piece.resize(open);
      whole += piece;
      event.broken = true;
      break;
    }
    for (size_t i = 0; i < piece.size(); ++i) {
      if (quote ? piece[i] == quote : piece[i] == '"' || piece[i] == '\'') quote = quote ? 0 : piece[i];
    }
    if (whole.size() + piece.size() > kMaxTag) cut = true;
    if (!cut) whole += piece;
    event.cut |= cut;
    // a tag as long as that is damage, or a bomb: its quotes mean nothing
    if (quote == 0 || cut) break;
  }
  event.broken |= quote != 0 || !(cut || event.broken || whole.ends_with('>'));
  if (event.cut) whole.clear();
  tag(whole, event);
  return !event.name.empty() || event.cut;
}

void XmlReader::past(std::string_view end) {
  bool cut = false;
  for (std::string tail; from_->until('>', raw_, kMaxTag, cut) && !cut;) {
    tail += raw_;
    if (tail.ends_with(end)) return;
    tail.erase(0, tail.size() - std::min<size_t>(tail.size(), 8));
  }
}

// <!DOCTYPE x [ ... ]>: whatever it declares.
void XmlReader::past_doctype() {
  int64_t depth = 0;
  bool cut = false, quoted = false;
  while (from_->until('>', raw_, size_t{1} << 16, cut)) {
    if (raw_.find("<!ENTITY") != std::string::npos) declared_ = true;
    for (const char c : raw_) {
      if (c == '"') quoted = !quoted;
      if (!quoted) depth += c == '[' ? 1 : c == ']' ? -1 : 0;
    }
    if (depth <= 0 && !quoted) return;
  }
}

void XmlReader::tag(std::string_view raw, Event& event) const {
  event.kind = Kind::kOpen;
  if (raw.starts_with('<')) raw.remove_prefix(1);
  if (raw.ends_with('>')) raw.remove_suffix(1);
  if (raw.starts_with('/')) {
    event.kind = Kind::kClose;
    raw.remove_prefix(1);
  }
  if (raw.ends_with('/')) {
    event.empty = true;
    raw.remove_suffix(1);
  }
  size_t i = 0;
  while (i < raw.size() && !is_blank(raw[i])) ++i;
  event.name = local_name(raw.substr(0, i));
  while (i < raw.size()) {
    while (i < raw.size() && is_blank(raw[i])) ++i;
    const size_t name = i;
    while (i < raw.size() && !is_blank(raw[i]) && raw[i] != '=') ++i;
    const std::string_view key = raw.substr(name, i - name);
    while (i < raw.size() && is_blank(raw[i])) ++i;
    if (i >= raw.size() || raw[i] != '=') continue;
    ++i;
    while (i < raw.size() && is_blank(raw[i])) ++i;
    if (i >= raw.size() || (raw[i] != '"' && raw[i] != '\'')) continue;
    const size_t end = raw.find(raw[i], i + 1);
    if (end == std::string_view::npos) break;
    event.attributes.emplace_back(local_name(key), decode(raw.substr(i + 1, end - i - 1)));
    i = end + 1;
  }
}

}  // namespace r1::corpus
