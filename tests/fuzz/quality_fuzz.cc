// libFuzzer target: any bytes are a text that every rule of quality decides on, and whose words are parts of it in their order. Built like
// jinja_fuzz.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "r1/corpus/quality.h"
#include "r1/corpus/words.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const r1::corpus::QualityText t(text);
  const char* at = text.data();
  for (const std::string_view word : t.words) {
    if (word.empty() || word.data() < at || word.data() + word.size() > text.data() + text.size()) std::abort();
    at = word.data() + word.size();
  }
  r1::corpus::repetition_reason(t, {});
  r1::corpus::gopher_reason(t, {});
  r1::corpus::fineweb_reason(t, {});
  r1::corpus::C4Lines lines;
  r1::corpus::c4_reason(text, {}, lines);
  return 0;
}
