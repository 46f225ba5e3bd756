// libFuzzer target: bytes as a robots.txt, and its end as a path: an answer, which does not depend on how lines end or letters of names are
// written. Built like jinja_fuzz.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "r1/corpus/fetch_robots.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const std::string path = "/" + text.substr(size - size / 4);
  const auto robots = r1::corpus::Robots::parse(text, "foobot");
  const bool allowed = robots.allows(path);
  if (robots.crawl_delay() < 0) std::abort();
  if (!robots.allows("/robots.txt")) std::abort();
  if (size < 100'000 && text.find('\r') == std::string::npos) {
    std::string other;
    for (const char c : text) other += c == '\n' ? std::string("\r\n") : std::string(1, c);
    if (r1::corpus::Robots::parse(other, "FooBot/2.0").allows(path) != allowed) std::abort();
  }
  r1::corpus::product_of_user_agent(text);
  return 0;
}
