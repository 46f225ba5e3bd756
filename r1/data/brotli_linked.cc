#include <brotli/decode.h>

#include "r1/data/brotli.h"

namespace r1::data {
namespace {

static_assert(BROTLI_DECODER_RESULT_ERROR == int(kBrotliError) && BROTLI_DECODER_RESULT_SUCCESS == int(kBrotliEnd) &&
              BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT == int(kBrotliMoreInput) &&
              BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT == int(kBrotliMoreOutput));

BrotliDecoderState* state_of(void* state) {
  return static_cast<BrotliDecoderState*>(state);
}

constexpr BrotliDecoder kDecoder = {
    .create = [](void* (*allocate)(void*, size_t), void (*release)(void*, void*), void* opaque) -> void* {
      return BrotliDecoderCreateInstance(allocate, release, opaque);
    },
    .destroy = [](void* state) { BrotliDecoderDestroyInstance(state_of(state)); },
    .decompress = [](void* state, size_t* left_in, const uint8_t** in, size_t* left_out, uint8_t** out, size_t* total) -> int {
      return BrotliDecoderDecompressStream(state_of(state), left_in, in, left_out, out, total);
    },
    .error_code = [](const void* state) -> int { return BrotliDecoderGetErrorCode(static_cast<const BrotliDecoderState*>(state)); },
    .error_text = [](int code) { return BrotliDecoderErrorString(BrotliDecoderErrorCode(code)); },
};

}  // namespace

const BrotliDecoder* brotli_decoder() {
  return &kDecoder;
}

}  // namespace r1::data
