#include "r1/app/token_ids.h"

#include <charconv>

#include "r1/base/error.h"

namespace r1::app {

std::vector<int64_t> parse_ids(const std::string& list, int64_t vocab) {
  std::vector<int64_t> ids;
  const char *at = list.data(), *end = at + list.size();
  const auto skip = [&] {
    while (at < end && (*at == ' ' || *at == '[' || *at == ']')) ++at;
  };
  for (skip(); at < end; skip()) {
    int64_t id = 0;
    const auto [next, error] = std::from_chars(at, end, id);
    if (error != std::errc()) fail_usage("--ids: expected numbers with commas between, got '", list, "'");
    if (id < 0 || id >= vocab) fail_usage("--ids: token id ", id, " is outside the model's vocabulary of ", vocab);
    ids.push_back(id);
    at = next;
    skip();
    if (at < end && *at++ != ',') fail_usage("--ids: expected numbers with commas between, got '", list, "'");
  }
  return ids;
}

}  // namespace r1::app
