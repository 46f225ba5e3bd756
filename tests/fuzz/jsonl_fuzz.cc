// libFuzzer target: bytes as a .jsonl file give rows, messages or an r1::Error. Built like jinja_fuzz.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <string>

#include "r1/base/error.h"
#include "r1/data/jsonl.h"
#include "r1/data/messages.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string path = "/dev/shm/r1_jsonl_fuzz_" + std::to_string(getpid());
  FILE* out = std::fopen(path.c_str(), "wb");
  if (!out) return 0;
  std::fwrite(data, 1, size, out);
  std::fclose(out);
  try {
    r1::data::JsonlReader reader(path, 1 << 20);
    while (auto row = reader.next()) {
      try {
        r1::data::conversation_from_json(*row, reader.where());
      } catch (const r1::Error&) {
      }
    }
  } catch (const r1::Error&) {
  }
  return 0;
}
