// XML as the large dumps have it (MediaWiki, StackExchange, a book's package), a tag at a time from an Input that may be of any size. Not a
// validating parser, on purpose: damage in one record must not end the file, so what does not fit is passed over, and who reads goes on at the
// next tag it knows. Entities that a document declares are never expanded (a bomb stays as small as it is); declared() says that there were.
// Bytes in UTF-16 and in the encoding of the declaration are read.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "r1/corpus/input.h"

namespace r1::corpus {

class XmlReader {
 public:
  // Text or a tag of more than `most` bytes is cut there.
  XmlReader(Input& input, size_t most);

  enum class Kind { kEnd, kOpen, kClose, kText };
  struct Event {
    Kind kind = Kind::kEnd;
    std::string name;  // of a tag, without a prefix
    std::string text;  // decoded
    std::vector<std::pair<std::string, std::string>> attributes;
    bool empty = false;   // <a/>: no closing follows
    bool cut = false;     // longer than `most`
    bool broken = false;  // a tag that does not end
    const std::string* attribute(std::string_view name) const;
  };
  // False at the end.
  bool next(Event& event);
  // Of the input, where the event began. In UTF-16: of the file's bytes as UTF-8.
  int64_t at() const { return at_; }
  bool declared_entities() const { return declared_; }

 private:
  bool markup(Event& event);
  void past(std::string_view end);
  void past_doctype();
  void tag(std::string_view raw, Event& event) const;
  std::string decode(std::string_view raw) const;

  size_t most_;
  std::string charset_;
  std::optional<Input> utf8_;  // UTF-16, turned
  Input* from_ = nullptr;
  int64_t at_ = 0;
  bool declared_ = false;
  std::string raw_;
};

}  // namespace r1::corpus
