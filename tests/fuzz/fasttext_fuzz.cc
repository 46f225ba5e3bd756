// libFuzzer target: bytes as a fastText model are read and predict something, or are an r1::Error. Seeds: tests/golden/fasttext. Built like
// jinja_fuzz.
#include <cstdint>
#include <string>

#include "r1/base/error.h"
#include "r1/corpus/fasttext.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto model = r1::corpus::FastText::parse({reinterpret_cast<const std::byte*>(data), size}, "fuzz.bin");
    if (model.dim() > 4096) return 0;  // right, but slow
    for (const char* text : {"the cat sat", "кошка __label__de 猫", ""}) model.predict(text, 3);
  } catch (const r1::Error&) {
  }
  return 0;
}
