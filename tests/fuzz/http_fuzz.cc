// libFuzzer target: bytes as HTTP requests, in two pieces, as a connection feeds them: requests or an ApiError. Built like jinja_fuzz.
#include <cstdint>
#include <string>

#include "r1/http/error.h"
#include "r1/http/request_parser.h"
#include "r1/http/target.h"

namespace {

// False at the end, or where no more is taken.
bool one_request(std::string& pending, const std::string& later, bool& added) {
  r1::http::RequestParser parser(16 << 10, 100);
  bool body = false;
  while (!parser.done()) {
    const size_t taken = parser.feed(pending);
    pending.erase(0, taken);
    if (parser.head_done() && !body) {
      body = true;
      r1::http::parse_target(parser.head().target);
      parser.read_body(1 << 16, true);
    } else if (taken == 0) {
      if (added) return false;
      added = true;
      pending += later;
    }
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string all(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t cut = all.size() * data[0] / 256;
  std::string pending = all.substr(0, cut);
  bool added = false;
  try {
    while (one_request(pending, all.substr(cut), added)) {
    }
  } catch (const r1::http::ApiError&) {
  }
  return 0;
}
