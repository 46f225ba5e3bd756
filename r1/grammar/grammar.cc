#include "r1/grammar/grammar.h"

#include "r1/base/error.h"
#include "r1/grammar/ebnf.h"
#include "r1/grammar/json_schema.h"
#include "r1/grammar/regex.h"

namespace r1::grammar {

namespace {

const Json& parameters_of(const ToolSignature& tool) {
  static const Json none = {{"type", "object"}, {"properties", Json::object()}};
  return tool.parameters.is_null() ? none : tool.parameters;
}

int32_t arguments_rule(Expressions& x, const ToolSignature& tool) {
  try {
    // Arguments are an object, whatever else the schema says.
    const Json& schema = parameters_of(tool);
    if (!schema.is_object()) fail_usage("[json_schema] expected an object, got ", schema.type_name());
    return json_schema_rule(x, schema);
  } catch (const Error& e) {
    throw Error(str("[tool ", printable(tool.name), "] ", e.what()), e.kind());
  }
}

template <class Make>
Grammar compiled(const char* what, const Limits& limits, Make make) {
  Budget budget(limits, what);
  Expressions x(budget);
  const int32_t root = make(x);
  return compile(x, root);
}

}  // namespace

Grammar compile_json_schema(const Json& schema, const Limits& limits) {
  return compiled("json_schema", limits, [&](Expressions& x) { return json_schema_rule(x, schema); });
}

Grammar compile_json_object(const Limits& limits) {
  return compiled("json_object", limits, [](Expressions& x) { return json_object_rule(x); });
}

Grammar compile_regex(std::string_view pattern, const Limits& limits) {
  return compiled("regex", limits, [&](Expressions& x) {
    const int32_t root = x.new_rule("root", true);
    x.set_rule(root, x.dfa(regex_whole(x, pattern, "regex")));
    return root;
  });
}

Grammar compile_gbnf(std::string_view text, const Limits& limits) {
  return compiled("grammar", limits, [&](Expressions& x) { return parse_ebnf(x, text); });
}

Grammar compile_tool_arguments(const ToolSignature& tool, const Limits& limits) {
  return compiled("tool", limits, [&](Expressions& x) { return arguments_rule(x, tool); });
}

Grammar compile_tool_calls(const std::vector<ToolSignature>& tools, const ToolCallOptions& options, const Limits& limits) {
  if (tools.empty()) fail_usage("[tools] expected at least one tool");
  return compiled("tools", limits, [&](Expressions& x) {
    std::vector<Node> calls;
    for (const ToolSignature& tool : tools) {
      const std::string begin = "\n{\"name\": " + dump_json(Json(tool.name)) + ", \"arguments\": ";
      calls.push_back(x.concat({x.literal(begin), x.rule(arguments_rule(x, tool)), x.literal("}\n" + options.close)}));
    }
    const int32_t one = x.new_rule("tool call", true), another = x.new_rule("another tool call", true),
                  root = x.new_rule("tool calls", true);
    x.set_rule(one, x.choice(std::move(calls)));
    x.set_rule(another, x.concat({x.literal("\n" + options.open), x.rule(one)}));
    const Node open = x.literal(options.opened ? "" : options.open);
    const Node more = options.parallel ? x.counted(another, 0, options.most_calls - 1) : x.empty();
    x.set_rule(root, x.concat({open, x.rule(one), more}));
    return root;
  });
}

}  // namespace r1::grammar
