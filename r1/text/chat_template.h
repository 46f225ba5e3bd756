// Messages to prompt text by the model's own Jinja template, rendered exactly as transformers does it (jinja2
// ImmutableSandboxedEnvironment, trim_blocks, lstrip_blocks, tojson without HTML escapes, raise_exception, strftime_now, {% generation %}),
// under a budget of steps, depth and output, with no host objects.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "r1/base/json.h"

namespace r1::text {

struct RenderLimits {
  int64_t steps = 1'000'000;
  int64_t output_bytes = 4 << 20;
  int depth = 100;
  int64_t range = 100'000;
  int milliseconds = 2'000;
};

struct Rendered {
  std::string text;
  std::vector<std::pair<size_t, size_t>>
      generation_spans;  // byte ranges inside {% generation %}: the assistant's own words, for the training mask
};

class ChatTemplate {
 public:
  // Throws r1::Error "<where>:<line>: ..." on a template that does not parse, or is larger than a megabyte.
  explicit ChatTemplate(std::string_view source, RenderLimits limits = {}, const std::string& where = "chat template");
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  // Variables as a JSON object: messages, add_generation_prompt, bos_token, eos_token, tools, enable_thinking, ...
  // Errors name the template as its constructor was told, and the line.
  Rendered render(const Json& variables) const;
  const std::string& source() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace r1::text
