// libFuzzer target: a SentencePiece vocabulary in a GGUF file, any bytes or a recipe for a small one, is refused or gives a tokenizer whose
// ids, offsets and streams agree on any text, with the ids of the definition.
//   scripts/build.sh fuzz fuzz_sentence_piece && mkdir -p build/new_sentence_piece
//   build/fuzz/fuzz_sentence_piece -max_len=4096 -max_total_time=60 build/new_sentence_piece tests/fuzz/corpus/sentence_piece
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/text/sentence_piece_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string fault = r1::text::testing::sentence_piece_fault({reinterpret_cast<const char*>(data), size});
  if (fault.empty()) return 0;
  std::fprintf(stderr, "%s\n", fault.c_str());
  std::abort();
}
