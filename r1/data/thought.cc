#include "r1/data/thought.h"

#include "r1/base/strings.h"

namespace r1::data {

bool ends_in_thought(std::string_view prompt) {
  return trim(prompt).ends_with("<think>");
}

std::string thought_suffix(std::string_view prompt, bool think) {
  const bool open = ends_in_thought(prompt);
  if (think) return open ? "" : "<think>\n";
  return open ? "\n</think>\n\n" : "<think>\n\n</think>\n\n";
}

}  // namespace r1::data
