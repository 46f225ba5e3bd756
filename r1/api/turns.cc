#include "r1/api/turns.h"

#include <algorithm>

#include "r1/api/body.h"
#include "r1/base/error.h"

namespace r1::api {

void Turns::append(std::string& to, const std::string& text) {
  if (!to.empty() && !text.empty()) to += '\n';
  to += text;
}

Turns::Message& Turns::last(const std::string& role) {
  if (messages_.empty() || messages_.back().role != role) messages_.push_back({role, {}, {}});
  return messages_.back();
}

void Turns::say(const std::string& role, const std::string& text) {
  const bool instructs = role == "system" || role == "developer";
  const bool in_front = messages_.empty() || (messages_.size() == 1 && messages_[0].role == "system");
  append(last(instructs && in_front ? "system" : role).text, text);
}

void Turns::answer(const std::string& text) {
  Message& message = last("assistant");
  append(message.text, text);
  message.has_text = true;
}

void Turns::think(const std::string& text) {
  append(last("assistant").thought, text);
}

void Turns::call(std::string id, const std::string& name, Json arguments) {
  if (id.empty()) {  // nine letters and digits: what the strictest templates take
    id = std::to_string(++calls_);
    id = "call" + std::string(id.size() < 5 ? 5 - id.size() : 0, '0') + id;
  }
  names_[id] = name;
  open_.push_back(id);
  last("assistant")
      .calls.push_back({{"id", std::move(id)}, {"type", "function"}, {"function", {{"name", name}, {"arguments", std::move(arguments)}}}});
}

void Turns::result(std::string id, const std::string& name, const std::string& text) {
  if (id.empty() && !open_.empty()) id = open_.front();
  std::erase(open_, id);
  Message message{"tool", text, {}};
  if (const auto at = names_.find(id); name.empty() && at != names_.end())
    message.name = at->second;
  else
    message.name = name;
  message.call_id = std::move(id);
  messages_.push_back(std::move(message));
}

void Turns::move_to(GenerationRequest& request) {
  request.continue_final_message = ends_with_answer();
  request.add_generation_prompt = !request.continue_final_message;
  request.chat.emplace().messages = take();
  request.chat->variables = Json::object();
}

data::Messages Turns::take() {
  data::Messages out;
  for (Message& message : messages_) {
    data::Message one{message.role, std::move(message.text)};
    if (message.role == "assistant" && !message.has_text) one.fields["content"] = nullptr;
    if (!message.thought.empty()) {
      one.fields["reasoning_content"] = message.thought;
      one.fields["reasoning"] = std::move(message.thought);
    }
    if (!message.calls.empty()) one.fields["tool_calls"] = std::move(message.calls);
    if (!message.call_id.empty()) one.fields["tool_call_id"] = std::move(message.call_id);
    if (!message.name.empty()) one.fields["name"] = std::move(message.name);
    out.push_back(std::move(one));
  }
  messages_.clear();
  return out;
}

Tool make_tool(const std::string& name, const std::string& description, Json parameters, const std::string& path) {
  const auto fits = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("_-.:/").find(c) != std::string_view::npos;
  };
  if (name.empty() || name.size() > 128 || !std::ranges::all_of(name, fits))
    refuse(path + ".name", str("expected 1 to 128 letters, digits and _ - . : /, got '", printable(name), "'"));
  if (!parameters.is_null() && !parameters.is_object())
    refuse(path + ".parameters", str("expected a JSON schema, an object, got ", parameters.type_name()), "invalid_type");
  if (parameters.empty()) parameters = {{"type", "object"}, {"properties", Json::object()}};
  Tool tool{name, description, std::move(parameters), {}};
  Json function = {{"name", name}};
  if (!description.empty()) function["description"] = description;
  function["parameters"] = tool.parameters;
  tool.whole = {{"type", "function"}, {"function", std::move(function)}};
  return tool;
}

void choose_tool(GenerationRequest& request, const std::string& name, const std::string& path) {
  if (std::ranges::none_of(request.tools, [&](const Tool& tool) { return tool.name == name; }))
    refuse(path, str("no tool is called '", printable(name), "'"));
  request.tool_choice = ToolChoice::kNamed;
  request.tool_name = name;
}

AnswerFormat schema_format(const Json& schema, const std::string& path) {
  if (!schema.is_object()) refuse(path, str("expected a JSON schema, an object, got ", schema.type_name()), "invalid_type");
  return {.kind = AnswerFormat::Kind::kJsonSchema, .schema = schema, .pattern = {}};
}

void set_effort(GenerationRequest& request, const std::string& effort) {
  if (effort.empty()) return;
  request.thinking.enabled = effort != "none";
  if (request.chat) request.chat->variables["reasoning_effort"] = effort;
}

void tell_tools(GenerationRequest& request) {
  if (request.tools.empty() || request.tool_choice == ToolChoice::kNone) return;
  Json list = Json::array();
  for (const Tool& tool : request.tools) list.push_back(tool.whole);
  request.chat->variables["tools"] = std::move(list);
}

void tell_template(GenerationRequest& request) {
  if (!request.chat) return;
  if (request.thinking.enabled) request.chat->variables["enable_thinking"] = *request.thinking.enabled;
  tell_tools(request);
}

}  // namespace r1::api
