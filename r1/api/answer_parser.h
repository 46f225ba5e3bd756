// An answer's text as it comes, taken apart: thought, content, tool calls. The same parts whether it comes whole or byte by byte; text that
// could still become a tag is held back.
//   thought:    <think> .. </think>, begun by the model or, if `in_thought`, already by the template; one that never closes is all thought
//   tool calls: <tool_call>{"name": .., "arguments": {..}}</tool_call> (Qwen, Hermes), DeepSeek's, Llama 3's bare JSON, by `tool_format`;
//               what does not parse as a call is content, so that nothing is lost
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "r1/api/generation.h"

namespace r1::api {

struct AnswerParserOptions {
  bool thoughts = true;     // look for them at all
  bool in_thought = false;  // the prompt ended inside of one
  std::string think_open = "<think>", think_close = "</think>";
  enum class ToolFormat { kNone, kHermes, kDeepSeek, kLlama3 } tool_format = ToolFormat::kNone;
  bool whole_is_arguments = false;  // tool_choice names a tool: the text is its arguments
  std::string tool_name;            // then
};

// Which format a chat template's source speaks.
AnswerParserOptions::ToolFormat tool_format_of(std::string_view chat_template);

class AnswerParser {
 public:
  explicit AnswerParser(const AnswerParserOptions& options);
  ~AnswerParser();
  Delta push(std::string_view text);
  Delta finish();           // what was held back
  bool in_thought() const;  // now
  int64_t tool_calls() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace r1::api
