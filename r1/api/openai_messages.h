// Conversations and tools in OpenAI's form, checked: every error carries the place (messages[2].content[0].type) as its param.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "r1/api/generation.h"

namespace r1::api {

inline constexpr size_t kMaxMessages = 4096, kMaxParts = 1024, kMaxToolCalls = 128, kMaxTools = 128;

// A list of messages: system, developer, user, assistant, tool (function, the old name). Contents are a text, a list of text parts, or, for
// the assistant, null or absent. Of an assistant's message also tool_calls (arguments: JSON in a string, or an object; kept as an object) and
// what it thought, as reasoning_content or reasoning (kept as both). What else a message has is left out.
data::Messages read_messages(const Json& messages, const std::string& path);

// For templates that paste arguments into the text as they are (DeepSeek's) in place of writing the object they are given.
bool wants_text_arguments(std::string_view chat_template);
void arguments_as_text(data::Messages& messages);
// For templates that never ask whether a message has a content and paste it as it is, where null is an error or the word None: most.
bool knows_null_contents(std::string_view chat_template);
void null_contents_as_text(data::Messages& messages);

// [{"type": "function", "function": {"name", "description", "parameters"}}]
std::vector<Tool> read_tools(const Json& tools, const std::string& path);
// "none", "auto", "required" or {"type": "function", "function": {"name"}}, into request's tool_choice and tool_name; its tools are read.
void read_tool_choice(const Json& choice, const std::string& path, GenerationRequest& request);

// For /openapi.json.
Json messages_schema();
Json tools_schema();
Json tool_choice_schema();

}  // namespace r1::api
