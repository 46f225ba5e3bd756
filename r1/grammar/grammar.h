// Grammars for answers: from a JSON schema, for any JSON object, from a regular expression, from GBNF text, for tool calls. Compiling is
// bounded in time, states, size and depth (Limits); whatever is wrong or unsupported is an Error of kind kUsage that names the place. The
// result is immutable: threads share it. How it meets a vocabulary: matcher.h, grammar_constraint.h.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "r1/base/json.h"
#include "r1/grammar/automaton.h"

namespace r1::grammar {

using Grammar = std::shared_ptr<const Automaton>;

Grammar compile_json_schema(const Json& schema, const Limits& limits = {});  // what is supported: json_schema.h
Grammar compile_json_object(const Limits& limits = {});
Grammar compile_regex(std::string_view pattern, const Limits& limits = {});  // the whole answer matches; regex.h
Grammar compile_gbnf(std::string_view text, const Limits& limits = {});      // ebnf.h

struct ToolSignature {
  std::string name;
  Json parameters;  // JSON schema of an object; null: an object without properties
};

struct ToolCallOptions {
  std::string open = "<tool_call>", close = "</tool_call>";
  bool parallel = true;     // several calls, a line end between them
  int64_t most_calls = 32;  // then
  bool opened = false;      // the first `open` is out already (TriggerConstraint)
};

// <tool_call>\n{"name": "..", "arguments": {..}}\n</tool_call>, once or several times, with the arguments of the tool that is named.
Grammar compile_tool_calls(const std::vector<ToolSignature>& tools, const ToolCallOptions& options = {}, const Limits& limits = {});
// The arguments alone.
Grammar compile_tool_arguments(const ToolSignature& tool, const Limits& limits = {});

}  // namespace r1::grammar
