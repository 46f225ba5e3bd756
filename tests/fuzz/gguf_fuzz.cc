// GGUF files: whatever the bytes, GgufFile gives an error or a file whose every value and tensor can be read.
//   cmake --preset fuzz && ninja -C build/fuzz fuzz_gguf && mkdir -p build/new_gguf
//   build/fuzz/fuzz_gguf -max_len=4096 -max_total_time=60 build/new_gguf tests/fuzz/corpus/gguf
#include "r1/base/error.h"
#include "r1/base/gguf_file.h"

namespace {

template <class Call>
void attempt(Call call) {
  try {
    call();
  } catch (const r1::Error&) {
  }
}

void read_everything(const r1::GgufFile& file) {
  for (const std::string& key : file.keys()) {
    attempt([&] { (void)file.integer(key); });
    attempt([&] { (void)file.number(key); });
    attempt([&] { (void)file.boolean(key); });
    attempt([&] { (void)file.string(key); });
    attempt([&] { (void)file.strings(key); });
    attempt([&] { (void)file.integers(key); });
    attempt([&] { (void)file.numbers(key); });
  }
  unsigned sum = 0;
  for (const r1::GgufTensor& tensor : file.tensors()) {
    attempt([&] {
      for (const std::byte b : file.data(tensor)) sum += unsigned(b);
    });
  }
  volatile unsigned keep = sum;
  (void)keep;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  for (const bool truncated : {false, true}) {
    attempt([&] { read_everything(r1::GgufFile::from_bytes(bytes, "fuzz.gguf", {.allow_truncated = truncated})); });
  }
  return 0;
}
