// libFuzzer target: a chat template from anywhere gives text or an r1::Error, quickly.
//   cmake -S tests/fuzz -B build/fuzz -G Ninja -DCMAKE_CXX_COMPILER=clang++-14 && ninja -C build/fuzz jinja_fuzz && build/fuzz/jinja_fuzz
//   -max_total_time=60
#include <cstdint>
#include <string_view>

#include "r1/base/error.h"
#include "r1/text/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const r1::Json variables = r1::Json::parse(
      R"({"messages":[{"role":"system","content":"s"},{"role":"user","content":"Hi"},{"role":"assistant","content":"<think>a</think>b","tool_calls":[{"function":{"name":"f","arguments":{"x":1}}}]}],
          "tools":[{"type":"function","function":{"name":"f"}}],"add_generation_prompt":true,"bos_token":"<s>","eos_token":"</s>","n":3,"f":1.5})");
  try {
    r1::text::ChatTemplate(std::string_view(reinterpret_cast<const char*>(data), size),
                           {.steps = 20'000, .output_bytes = 1 << 20, .milliseconds = 500})
        .render(variables);
  } catch (const r1::Error&) {
  }
  return 0;
}
