// YAML and JSON: any bytes end in a value or in r1::Error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "r1/base/config_io.h"
#include "r1/base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    r1::parse_yaml(text, "fuzz");
  } catch (const r1::Error&) {
  }
  try {
    r1::dump_json(r1::parse_json(text, "fuzz"));
  } catch (const r1::Error&) {
  }
  return 0;
}
