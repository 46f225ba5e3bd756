// libFuzzer target: bytes as an ARPA file or as a model's own file give scores, or are an r1::Error. Seeds: tests/golden/ngram, unpacked. Built
// like jinja_fuzz.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <string>

#include "r1/base/error.h"
#include "r1/corpus/ngram_lm.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string path = "/dev/shm/r1_ngram_fuzz_" + std::to_string(getpid());
  if (size == 0) return 0;
  FILE* out = std::fopen(path.c_str(), "wb");
  if (!out) return 0;
  std::fwrite(data, 1, size, out);
  std::fclose(out);
  try {
    const auto model = r1::corpus::NgramModel::load(path);
    model.document("bal never one\nthe </s> a\n");
    r1::corpus::NgramModel::State state = model.begin_sentence();
    for (const char* word : {"a", "bal", "</s>", "x"}) model.score(state, model.id(word), state);
  } catch (const r1::Error&) {
  }
  return 0;
}
