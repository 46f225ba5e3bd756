#include <string>

#include "r1/base/plugin.h"
#include "r1/data/brotli.h"

namespace r1::data {
namespace {

struct Loaded {
  BrotliDecoder decoder{};
  bool whole = false;
};

Loaded load() {
  Loaded loaded;
  std::string fault;
  void* library = open_library("libbrotlidec.so.1", fault);
  if (!library) return loaded;
  bool whole = true;
  const auto take = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(find_symbol(library, name));
    whole &= function != nullptr;
  };
  take(loaded.decoder.create, "BrotliDecoderCreateInstance");
  take(loaded.decoder.destroy, "BrotliDecoderDestroyInstance");
  take(loaded.decoder.decompress, "BrotliDecoderDecompressStream");
  take(loaded.decoder.error_code, "BrotliDecoderGetErrorCode");
  take(loaded.decoder.error_text, "BrotliDecoderErrorString");
  loaded.whole = whole;
  return loaded;
}

}  // namespace

const BrotliDecoder* brotli_decoder() {
  static const Loaded loaded = load();
  return loaded.whole ? &loaded.decoder : nullptr;
}

}  // namespace r1::data
