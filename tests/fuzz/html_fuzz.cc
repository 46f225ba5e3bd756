// libFuzzer target: any bytes as a page, as text to clean and to mask. No crash, no hang; what comes out is valid UTF-8, and cleaning twice is
// cleaning once.
//   clang++-14 -std=c++20 -g -O1 -fsanitize=fuzzer,address -I. tests/fuzz/html_fuzz.cc r1/corpus/*.cc r1/text/unicode.cc r1/base/*.cc ... -lxxhash
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "r1/corpus/clean.h"
#include "r1/corpus/html.h"
#include "r1/corpus/pii.h"
#include "r1/text/unicode.h"

using namespace r1::corpus;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  HtmlOptions options;
  options.links = bytes[0] & 1;
  options.comments = bytes[0] & 2;
  options.tables = bytes[0] & 4;
  options.lists = bytes[0] & 8;
  bytes.remove_prefix(1);
  const HtmlPage page = read_html(bytes, options);
  if (r1::text::to_valid_utf8(page.text) != page.text || r1::text::to_valid_utf8(page.title) != page.title) std::abort();
  const std::string clean = with_normal_blanks(without_boilerplate(repair_unicode(bytes)));
  if (r1::text::to_valid_utf8(clean) != clean) std::abort();
  PiiCounts counts;
  PiiOptions pii;
  pii.private_addresses = true;
  mask_pii(bytes, pii, counts);
  return 0;
}
