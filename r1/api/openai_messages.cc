#include "r1/api/openai_messages.h"

#include <algorithm>

#include "r1/api/body.h"
#include "r1/api/turns.h"
#include "r1/base/error.h"
#include "r1/http/error.h"

namespace r1::api {
namespace {

using http::ApiError;

constexpr size_t kMaxName = 128, kMaxId = 256, kMaxText = size_t{8} << 20;

[[noreturn]] void refuse_type(const std::string& path, const std::string& expected, const Json& value) {
  refuse(path, str("expected ", expected, ", got ", value.type_name()), "invalid_type");
}

// The member of an object; null if it is absent or null.
const Json* member(const Json& object, const char* name) {
  const auto at = object.find(name);
  return at == object.end() || at->is_null() ? nullptr : &*at;
}

const Json& need(const Json& object, const char* name, const std::string& path) {
  if (const Json* found = member(object, name)) return *found;
  throw ApiError(400, str(path, ".", name, ": is missing"), str(path, ".", name), "missing_required_parameter");
}

std::string text_of(const Json& value, const std::string& path, size_t max_length) {
  std::string text;
  Body::read(value, text, path, {.max_length = max_length});
  return text;
}

void check_object(const Json& value, const std::string& path) {
  if (!value.is_object()) refuse_type(path, "an object", value);
}

void check_list(const Json& value, const std::string& path, size_t most) {
  if (!value.is_array()) refuse_type(path, "a list", value);
  if (value.size() > most) refuse(path, str("expected at most ", most, " items, got ", value.size()));
}

// A part of a content: text, whatever the protocol calls it.
std::string read_part(const Json& part, const std::string& path) {
  if (part.is_string()) return part.get<std::string>();
  check_object(part, path);
  const std::string type = text_of(need(part, "type", path), path + ".type", kMaxName);
  if (type == "text" || type == "input_text" || type == "output_text") return text_of(need(part, "text", path), path + ".text", kMaxText);
  if (type == "refusal") return text_of(need(part, "refusal", path), path + ".refusal", kMaxText);
  refuse(path + ".type", str("a part of type '", printable(type), "' can't be read; the model takes text"), "unsupported_content_type");
}

void read_content(const Json& content, const std::string& path, data::Message& out) {
  if (content.is_string()) {
    out.content = text_of(content, path, kMaxText);
    return;
  }
  if (!content.is_array()) refuse_type(path, "a string or a list of parts", content);
  check_list(content, path, kMaxParts);
  Json parts = Json::array();
  for (size_t i = 0; i < content.size(); ++i) {
    const std::string text = read_part(content[i], str(path, "[", i, "]"));
    out.content += (i ? "\n" : "") + text;
    parts.push_back({{"type", "text"}, {"text", text}});
  }
  if (parts.size() > 1) out.fields["content"] = std::move(parts);
}

// As an object, however the client writes it.
Json read_arguments(const Json& arguments, const std::string& path) {
  if (arguments.is_object()) return arguments;
  if (!arguments.is_string()) refuse_type(path, "JSON in a string, or an object", arguments);
  const std::string& text = arguments.get_ref<const std::string&>();
  if (text.find_first_not_of(" \t\r\n") == text.npos) return Json::object();
  Json object;
  try {
    object = parse_json(text, path);
  } catch (const Error& e) {
    throw ApiError(400, e.what(), path, "invalid_json");
  }
  if (!object.is_object()) refuse_type(path, "a JSON object in a string", object);
  return object;
}

Json read_call(const Json& function, const std::string& path) {
  check_object(function, path);
  const Json* arguments = member(function, "arguments");
  const std::string name = text_of(need(function, "name", path), path + ".name", kMaxName);
  if (name.empty()) refuse(path + ".name", "is empty");
  return {{"name", name}, {"arguments", arguments ? read_arguments(*arguments, path + ".arguments") : Json::object()}};
}

Json read_tool_calls(const Json& calls, const std::string& path) {
  check_list(calls, path, kMaxToolCalls);
  Json out = Json::array();
  for (size_t i = 0; i < calls.size(); ++i) {
    const std::string place = str(path, "[", i, "]");
    check_object(calls[i], place);
    Json call = {{"type", "function"}};
    if (const Json* type = member(calls[i], "type"); type && text_of(*type, place + ".type", kMaxName) != "function")
      refuse(place + ".type", "only calls of type 'function' are known");
    if (const Json* id = member(calls[i], "id")) call["id"] = text_of(*id, place + ".id", kMaxId);
    call["function"] = read_call(need(calls[i], "function", place), place + ".function");
    out.push_back(std::move(call));
  }
  return out;
}

std::string read_role(const Json& message, const std::string& path) {
  std::string role;
  Body::read(need(message, "role", path), role, path + ".role",
             {.one_of = {"system", "developer", "user", "assistant", "tool", "function"}});
  return role == "function" ? "tool" : role;
}

void read_assistant(const Json& message, const std::string& path, data::Message& out) {
  for (const char* name : {"reasoning_content", "reasoning"}) {
    const Json* thought = member(message, name);
    if (!thought) continue;
    const std::string text = text_of(*thought, str(path, ".", name), kMaxText);
    if (!text.empty()) {  // one after the other: an insertion moves what is there
      out.fields["reasoning_content"] = text;
      out.fields["reasoning"] = text;
    }
    break;
  }
  if (const Json* calls = member(message, "tool_calls")) {
    Json read = read_tool_calls(*calls, path + ".tool_calls");
    if (!read.empty()) out.fields["tool_calls"] = std::move(read);
  } else if (const Json* call = member(message, "function_call")) {
    out.fields["tool_calls"] = Json::array({{{"type", "function"}, {"function", read_call(*call, path + ".function_call")}}});
  }
}

data::Message read_message(const Json& message, const std::string& path) {
  check_object(message, path);
  data::Message out{read_role(message, path), "", {}};
  for (const char* name : {"name", "tool_call_id"})
    if (const Json* value = member(message, name)) out.fields[name] = text_of(*value, str(path, ".", name), kMaxId);
  if (out.role == "assistant") read_assistant(message, path, out);
  if (const Json* content = member(message, "content")) {
    read_content(*content, path + ".content", out);
  } else if (out.role != "assistant") {
    refuse(path + ".content", str("is missing; only an assistant's message may have none, this is a ", out.role, "'s"),
           "missing_required_parameter");
  } else if (out.fields.contains("tool_calls")) {
    out.fields["content"] = nullptr;  // what templates ask for
  }
  return out;
}

Tool read_tool(const Json& tool, const std::string& path) {
  check_object(tool, path);
  if (const std::string type = text_of(need(tool, "type", path), path + ".type", kMaxName); type != "function")
    refuse(path + ".type", str("a tool of type '", printable(type), "' is not known here; only 'function' is"));
  const Json& function = need(tool, "function", path);
  const std::string place = path + ".function";
  check_object(function, place);
  const std::string name = text_of(need(function, "name", place), place + ".name", kMaxName);
  const Json *description = member(function, "description"), *parameters = member(function, "parameters");
  const std::string text = description ? text_of(*description, place + ".description", kMaxText) : "";
  return make_tool(name, text, parameters ? *parameters : Json(), place);
}

}  // namespace

data::Messages read_messages(const Json& messages, const std::string& path) {
  check_list(messages, path, kMaxMessages);
  if (messages.empty()) refuse(path, "expected at least one message");
  data::Messages out;
  for (size_t i = 0; i < messages.size(); ++i) out.push_back(read_message(messages[i], str(path, "[", i, "]")));
  return out;
}

bool wants_text_arguments(std::string_view chat_template) {
  const auto has = [&](std::string_view text) { return chat_template.find(text) != chat_template.npos; };
  return (has("['arguments'] +") || has("['arguments']+") || has(".arguments +") || has("+ tool['function']['arguments']")) &&
         !has("arguments | tojson") && !has("['arguments'] | tojson") && !has("['arguments']|tojson");
}

void arguments_as_text(data::Messages& messages) {
  for (data::Message& message : messages) {
    if (!message.fields.is_object() || !message.fields.contains("tool_calls")) continue;
    for (Json& call : message.fields["tool_calls"])
      if (Json& arguments = call["function"]["arguments"]; !arguments.is_string()) arguments = dump_json(arguments);
  }
}

bool knows_null_contents(std::string_view chat_template) {
  return chat_template.find("is none") != chat_template.npos || chat_template.find("is not none") != chat_template.npos;
}

void null_contents_as_text(data::Messages& messages) {
  for (data::Message& message : messages)
    if (message.fields.is_object() && message.fields.contains("content") && message.fields["content"].is_null())
      message.fields.erase("content");  // the message's own, which is "", takes its place
}

std::vector<Tool> read_tools(const Json& tools, const std::string& path) {
  check_list(tools, path, kMaxTools);
  std::vector<Tool> out;
  for (size_t i = 0; i < tools.size(); ++i) {
    const std::string place = str(path, "[", i, "]");
    out.push_back(read_tool(tools[i], place));
    const auto same = [&](const Tool& tool) { return tool.name == out.back().name; };
    if (std::count_if(out.begin(), out.end(), same) > 1)
      refuse(place + ".function.name", str("a second tool is called '", out.back().name, "'"));
  }
  return out;
}

void read_tool_choice(const Json& choice, const std::string& path, GenerationRequest& request) {
  if (choice.is_object()) {
    if (const std::string type = text_of(need(choice, "type", path), path + ".type", kMaxName); type != "function")
      refuse(path + ".type", str("expected 'function', got '", printable(type), "'"));
    const Json* function = member(choice, "function");
    if (function) check_object(*function, path + ".function");
    const std::string place = function ? path + ".function" : path;
    const std::string name = text_of(need(function ? *function : choice, "name", place), place + ".name", kMaxName);
    return choose_tool(request, name, place + ".name");
  }
  if (!choice.is_string()) refuse_type(path, "'none', 'auto', 'required' or an object that names a function", choice);
  std::string word;
  Body::read(choice, word, path, {.one_of = {"none", "auto", "required"}});
  request.tool_choice = word == "none" ? ToolChoice::kNone : word == "auto" ? ToolChoice::kAuto : ToolChoice::kRequired;
  if (word == "required" && request.tools.empty()) refuse(path, "'required' needs tools, and none are given");
}

Json messages_schema() {
  const auto text = [](size_t most) { return Json{{"type", "string"}, {"maxLength", most}}; };
  const auto or_null = [](Json schema) { return Json{{"anyOf", Json::array({std::move(schema), Json{{"type", "null"}}})}}; };
  const auto object = [](Json properties, Json required) {
    return Json{{"type", "object"}, {"properties", std::move(properties)}, {"required", std::move(required)}};
  };
  const Json part = object({{"type", {{"type", "string"}, {"enum", {"text"}}}}, {"text", text(kMaxText)}}, {"type", "text"});
  const Json content = {{"anyOf", Json::array({text(kMaxText), Json{{"type", "array"}, {"items", part}, {"maxItems", kMaxParts}}})}};
  const Json function = object({{"name", {{"type", "string"}, {"minLength", 1}, {"maxLength", kMaxName}}},
                                {"arguments",
                                 {{"anyOf", Json::array({Json{{"type", "object"}}, Json{{"type", "string"}, {"enum", {"", "{}"}}}})},
                                  {"description", "an object, or its JSON in a string"}}}},
                               {"name"});
  const Json call =
      object({{"id", or_null(text(kMaxId))}, {"type", {{"type", "string"}, {"enum", {"function"}}}}, {"function", function}}, {"function"});
  const Json said = object({{"role", {{"type", "string"}, {"enum", {"system", "developer", "user", "tool"}}}},
                            {"content", content},
                            {"name", or_null(text(kMaxId))},
                            {"tool_call_id", or_null(text(kMaxId))}},
                           {"role", "content"});
  const Json answered = object({{"role", {{"type", "string"}, {"enum", {"assistant"}}}},
                                {"content", or_null(content)},
                                {"name", or_null(text(kMaxId))},
                                {"reasoning_content", or_null(text(kMaxText))},
                                {"reasoning", or_null(text(kMaxText))},
                                {"tool_calls", or_null({{"type", "array"}, {"items", call}, {"maxItems", kMaxToolCalls}})}},
                               {"role"});
  return {{"type", "array"}, {"items", {{"anyOf", Json::array({said, answered})}}}, {"minItems", 1}, {"maxItems", kMaxMessages}};
}

Json tools_schema() {
  const Json function = {{"type", "object"},
                         {"properties",
                          {{"name", {{"type", "string"}, {"pattern", "^[A-Za-z0-9_.:/-]+$"}, {"minLength", 1}, {"maxLength", kMaxName}}},
                           {"description", {{"type", "string"}}},
                           {"parameters", {{"type", "object"}}}}},
                         {"required", {"name"}}};
  return {{"type", "array"},
          {"items",
           {{"type", "object"},
            {"properties", {{"type", {{"type", "string"}, {"enum", {"function"}}}}, {"function", function}}},
            {"required", {"type", "function"}}}},
          {"maxItems", kMaxTools}};
}

Json tool_choice_schema() {
  const Json name = {{"type", "object"}, {"properties", {{"name", {{"type", "string"}, {"maxLength", kMaxName}}}}}, {"required", {"name"}}};
  const Json named = {{"type", "object"},
                      {"properties", {{"type", {{"type", "string"}, {"enum", {"function"}}}}, {"function", name}}},
                      {"required", {"type", "function"}}};
  return {{"anyOf", Json::array({Json{{"type", "string"}, {"enum", {"none", "auto", "required"}}}, named})}};
}

}  // namespace r1::api
