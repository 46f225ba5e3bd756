// Brotli's decoder (RFC 7932), which the program may have inside or find on the system when it is first needed: brotli_linked.cc or
// brotli_loaded.cc, as CMake picks.
#pragma once

#include <cstddef>
#include <cstdint>

namespace r1::data {

struct BrotliDecoder {
  // As in <brotli/decode.h>.
  void* (*create)(void* (*allocate)(void*, size_t), void (*release)(void*, void*), void* opaque);
  void (*destroy)(void* state);
  int (*decompress)(void* state, size_t* left_in, const uint8_t** in, size_t* left_out, uint8_t** out, size_t* total);
  int (*error_code)(const void* state);
  const char* (*error_text)(int code);
};
// What decompress() returns.
enum BrotliResult { kBrotliError = 0, kBrotliEnd = 1, kBrotliMoreInput = 2, kBrotliMoreOutput = 3 };

// Null: there is none.
const BrotliDecoder* brotli_decoder();

}  // namespace r1::data
