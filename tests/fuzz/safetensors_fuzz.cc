// safetensors files: whatever the bytes, SafetensorsFile gives an error or a file whose tensors tile its data.
//   cmake --preset fuzz && ninja -C build/fuzz fuzz_safetensors && mkdir -p build/new_safetensors
//   build/fuzz/fuzz_safetensors -max_len=4096 -max_total_time=60 build/new_safetensors tests/fuzz/corpus/safetensors
#include <cstdlib>
#include <cstring>

#include "r1/base/error.h"
#include "r1/base/safetensors_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto file = r1::SafetensorsFile::from_bytes(std::as_bytes(std::span(data, size)), "fuzz.safetensors");
    uint64_t total = 0;
    unsigned sum = 0;
    for (const r1::SafeTensor& tensor : file.tensors()) {
      const auto bytes = file.data(tensor);
      total += bytes.size();
      for (const std::byte b : bytes) sum += unsigned(b);
      if (file.find(tensor.name) == nullptr) std::abort();
    }
    uint64_t header = 0;
    std::memcpy(&header, data, sizeof(header));
    if (total + header + sizeof(header) != size) std::abort();  // accepted, but not tiled
    volatile unsigned keep = sum;
    (void)keep;
  } catch (const r1::Error&) {
  }
  return 0;
}
