#include "r1/corpus/header_fields.h"

#include <algorithm>
#include <cctype>

#include "r1/base/strings.h"

namespace r1::corpus {

bool same_word(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

HeaderFields HeaderFields::parse(std::string_view text, size_t& at) {
  HeaderFields h;
  while (at < text.size()) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    at = std::min(text.size(), end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) break;
    if (line[0] == ' ' || line[0] == '\t') {
      if (!h.fields_.empty()) h.fields_.back().second += " " + std::string(trim(line));
      continue;
    }
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || h.fields_.size() == kMost) continue;
    h.fields_.emplace_back(trim(line.substr(0, colon)), trim(line.substr(colon + 1)));
  }
  return h;
}

std::string_view HeaderFields::get(std::string_view name) const {
  for (const auto& [known, value] : fields_)
    if (same_word(known, name)) return value;
  return "";
}

}  // namespace r1::corpus
