#include "r1/data/messages.h"

#include <algorithm>

#include "r1/base/error.h"

namespace r1::data {
namespace {

// The roles of ShareGPT files ("from") in the names of the chat API.
std::string role_of(const std::string& from, std::string_view where) {
  if (from == "human" || from == "user") return "user";
  if (from == "gpt" || from == "assistant" || from == "model") return "assistant";
  if (from == "system" || from == "developer" || from == "tool") return from;
  fail(where, ": unknown role '", printable(from), "'; known: system, developer, user, assistant, tool (human, gpt)");
}

// The text of a list of content parts.
std::string text_of(const Json& parts, std::string_view where) {
  std::string text;
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string place = str(where, ": content[", i, "]");
    if (!parts[i].is_object()) fail(place, ": expected a content part {\"type\": ..}, got ", parts[i].type_name());
    const std::string type = json_get<std::string>(parts[i], "type", place);
    if (type != "text") fail(place, ": content of type '", printable(type), "' can't be read, only 'text' can");
    text += (i ? "\n" : "") + json_get<std::string>(parts[i], "text", place);
  }
  return text;
}

Message message(const Json& entry, const char* role, const char* content, std::string_view where) {
  if (!entry.is_object()) fail(where, ": expected a message object, got ", entry.type_name());
  Message out{role_of(json_get<std::string>(entry, role, where), where), "", {}};
  for (const auto& [key, value] : entry.items())
    if (key != role && key != content && key != "role" && key != "content" && !value.is_null()) out.fields[key] = value;
  const auto it = entry.find(content);
  const bool calls = out.fields.is_object() && (out.fields.contains("tool_calls") || out.fields.contains("function_call"));
  if (it == entry.end() && !calls) fail(where, ": key '", content, "' is missing");
  if (it == entry.end() || it->is_null()) {
    if (out.role != "assistant") fail(where, ": the ", content, " of a ", out.role, " message is null; only an assistant's may be");
    out.fields["content"] = nullptr;
  } else if (it->is_array()) {
    out.content = text_of(*it, where);
    out.fields["content"] = *it;
  } else {
    out.content = json_get<std::string>(entry, content, where);
  }
  return out;
}

Messages list(const Json& row, const char* key, const char* role, const char* content, std::string_view where) {
  const Json& entries = row.at(key);
  if (!entries.is_array() || entries.empty()) fail(where, ": '", key, "' expected a list of messages that is not empty");
  Messages out;
  for (size_t i = 0; i < entries.size(); ++i) out.push_back(message(entries[i], role, content, str(where, ": ", key, "[", i, "]")));
  return out;
}

// A prompt or completion is a string or itself a list of messages.
void append(Messages& out, const Json& row, const char* key, const char* role, std::string_view where) {
  if (row.at(key).is_string()) {
    out.push_back({role, row.at(key).get<std::string>()});
    return;
  }
  for (Message& m : list(row, key, "role", "content", where)) out.push_back(std::move(m));
}

// The messages, and which keys of the row they were made of.
std::pair<Messages, std::vector<std::string>> messages_of(const Json& row, std::string_view where) {
  if (row.contains("messages")) return {list(row, "messages", "role", "content", where), {"messages"}};
  if (row.contains("conversations")) {
    const Json& all = row["conversations"];
    const bool chat = all.is_array() && !all.empty() && all[0].is_object() && all[0].contains("role");
    return {list(row, "conversations", chat ? "role" : "from", chat ? "content" : "value", where), {"conversations"}};
  }
  if (row.contains("prompt") && row.contains("completion")) {
    Messages out;
    append(out, row, "prompt", "user", where);
    append(out, row, "completion", "assistant", where);
    return {std::move(out), {"prompt", "completion"}};
  }
  fail(where, ": expected 'messages', 'conversations' or 'prompt' and 'completion'");
}

}  // namespace

Json to_json(const Messages& messages) {
  Json out = Json::array();
  for (const Message& m : messages) {
    Json entry = {{"role", m.role}, {"content", m.content}};
    if (m.fields.is_object()) entry.update(m.fields);
    out.push_back(std::move(entry));
  }
  return out;
}

Conversation conversation_from_json(const Json& row, std::string_view where, TemplateKeys keys) {
  if (!row.is_object()) fail(where, ": expected a JSON object, got ", row.type_name());
  auto [messages, used] = messages_of(row, where);
  Conversation out{std::move(messages), {}};
  for (const auto& [key, value] : row.items()) {
    const bool known = key == "tools" || key == "documents" || key == "enable_thinking";
    if (value.is_null() || key == "chat_template_kwargs" || std::ranges::find(used, key) != used.end()) continue;
    if (known || keys == TemplateKeys::kAll) out.variables[key] = value;
  }
  if (const auto it = row.find("chat_template_kwargs"); it != row.end() && !it->is_null()) {
    if (!it->is_object()) fail(where, ": chat_template_kwargs: expected a JSON object, got ", it->type_name());
    for (const auto& [key, value] : it->items()) out.variables[key] = value;
  }
  if (out.variables.is_object() && out.variables.contains("tools")) {
    Json& tools = out.variables["tools"];
    if (tools.is_string()) tools = parse_json(tools.get<std::string>(), str(where, ": tools"));
    if (!tools.is_array()) fail(where, ": tools: expected a list, got ", tools.type_name());
  }
  return out;
}

}  // namespace r1::data
