// Header fields as HTTP, WARC and mail have them: "Name: value" lines, a value going on in lines that begin with a blank, up to an empty line.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace r1::corpus {

class HeaderFields {
 public:
  // Reads from text[at]; at moves behind the empty line (to the end if there is none). Lines that are no field are passed over. At most
  // kMost fields are kept.
  static HeaderFields parse(std::string_view text, size_t& at);
  static constexpr size_t kMost = 1000;

  // The first of a name, whatever its case; "" if there is none.
  std::string_view get(std::string_view name) const;
  bool empty() const { return fields_.empty(); }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

// Are they the same but for the case of ASCII letters?
bool same_word(std::string_view a, std::string_view b);

}  // namespace r1::corpus
