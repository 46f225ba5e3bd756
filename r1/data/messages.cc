#include "r1/data/messages.h"

#include <algorithm>

#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/data/rows.h"

namespace r1::data {
namespace {

// The roles of ShareGPT files ("from") in the names of the chat API.
std::string role_of(const std::string& from, std::string_view where) {
  if (from == "human" || from == "user") return "user";
  if (from == "gpt" || from == "assistant" || from == "model" || from == "chatgpt") return "assistant";
  if (from == "observation") return "tool";
  if (from == "system" || from == "developer" || from == "tool") return from;
  fail(where, ": unknown role '", printable(from),
       "'; known: system, developer, user (human), assistant (gpt, chatgpt, model), tool (observation)");
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

bool has(const Json& row, const char* key) {
  const auto at = row.find(key);
  return at != row.end() && !at->is_null();
}

std::string text(const Json& row, const char* key, std::string_view where) {
  const auto at = row.find(key);
  return at == row.end() ? json_get<std::string>(row, key, where) : field_text(*at, str("'", key, "'"), where);
}

Messages from_messages(const Json& row, std::string_view where) {
  const Json& all = row["messages"];
  const bool share = all.is_array() && !all.empty() && all[0].is_object() && !all[0].contains("role") && all[0].contains("from");
  return list(row, "messages", share ? "from" : "role", share ? "value" : "content", where);
}

Messages from_conversations(const Json& row, std::string_view where) {
  const Json& all = row["conversations"];
  const bool chat = all.is_array() && !all.empty() && all[0].is_object() && all[0].contains("role");
  return list(row, "conversations", chat ? "role" : "from", chat ? "content" : "value", where);
}

Messages from_pair(const Json& row, std::string_view where) {
  Messages out;
  append(out, row, "prompt", "user", where);
  append(out, row, "completion", "assistant", where);
  return out;
}

// Earlier turns, [[said, answered], ..], stand under "history"; the input is further text of the instruction.
Messages from_alpaca(const Json& row, std::string_view where) {
  Messages out;
  if (has(row, "history")) {
    const Json& turns = row["history"];
    if (!turns.is_array()) fail(where, ": history: expected a list of [said, answered], got ", turns.type_name());
    for (const Json& turn : turns) {
      if (!turn.is_array() || turn.size() != 2 || !turn[0].is_string() || !turn[1].is_string())
        fail(where, ": history: expected a list of [said, answered], two texts each");
      out.push_back({"user", turn[0].get<std::string>()});
      out.push_back({"assistant", turn[1].get<std::string>()});
    }
  }
  const std::string input = has(row, "input") ? text(row, "input", where) : "";
  out.push_back({"user", text(row, "instruction", where) + (input.empty() ? "" : "\n" + input)});
  out.push_back({"assistant", text(row, "output", where)});
  return out;
}

Messages from_question(const Json& row, std::string_view where) {
  return {{"user", text(row, "question", where)}, {"assistant", text(row, "answer", where)}};
}

// What rows of conversations look like; of several that fit, the first.
struct Shape {
  std::vector<const char*> needed, more;
  Messages (*read)(const Json& row, std::string_view where);

  bool names(std::string_view key) const {
    return std::ranges::find(needed, key) != needed.end() || std::ranges::find(more, key) != more.end();
  }
};
const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all = {
      {{"messages"}, {"system"}, from_messages},           {{"conversations"}, {"system"}, from_conversations},
      {{"prompt", "completion"}, {"system"}, from_pair},   {{"instruction", "output"}, {"input", "history", "system"}, from_alpaca},
      {{"question", "answer"}, {"system"}, from_question},
  };
  return all;
}

std::vector<std::string> shape_names() {
  std::vector<std::string> names;
  for (const Shape& shape : shapes())
    for (const auto* keys : {&shape.needed, &shape.more})
      for (const char* key : *keys)
        if (std::ranges::find(names, key) == names.end()) names.emplace_back(key);
  return names;
}

[[noreturn]] void fail_shape(const Json& row, const Columns& columns, std::string_view where) {
  if (has(row, "content") || has(row, "value"))
    fail(where, ": the row is one message (found: ", keys_of(row), "); a row is a whole conversation: {\"messages\": [..]}");
  const std::string mapped = columns.empty() ? "" : str(" (with columns.", columns.begin()->first, columns.size() > 1 ? " .." : "", ")");
  fail(where, ": no conversation in it", mapped, "; found: ", keys_of(row),
       "; known: messages | conversations | prompt, completion | instruction, output (input, history) | question, answer. Name yours: "
       "--columns.prompt=KEY --columns.completion=KEY");
}

// The messages, and which keys of the row they were made of. A shape uses every column that was given for one.
std::pair<Messages, std::vector<std::string>> messages_of(const Json& row, const Columns& columns, std::string_view where) {
  for (const Shape& shape : shapes()) {
    const auto present = [&](const char* key) { return has(row, key); };
    const auto meant = [&](const auto& column) { return shape.names(column.first); };
    if (!std::ranges::all_of(shape.needed, present) || !std::ranges::all_of(columns, meant)) continue;
    Messages out = shape.read(row, where);
    std::vector<std::string> used(shape.needed.begin(), shape.needed.end());
    used.insert(used.end(), shape.more.begin(), shape.more.end());
    for (const auto& [name, key] : columns) used.push_back(key);
    if (has(row, "system") && row["system"].is_string() && out.front().role != "system" && !text(row, "system", where).empty())
      out.insert(out.begin(), {"system", text(row, "system", where)});
    return {std::move(out), std::move(used)};
  }
  fail_shape(row, columns, where);
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

void check_conversation_columns(const Columns& columns) {
  const auto known = shape_names();
  for (const auto& [name, key] : columns)
    if (std::ranges::find(known, name) == known.end()) {
      std::string list;
      for (const std::string& k : known) list += (list.empty() ? "" : ", ") + k;
      fail_usage("columns.", name, ": no part of a conversation is called so", did_you_mean(name, known), " (known: ", list, ")");
    }
}

Conversation conversation_from_json(const Json& given, std::string_view where, TemplateKeys keys, const Columns& columns) {
  if (!given.is_object()) fail(where, ": expected a JSON object, got ", given.type_name());
  Json named;
  if (!columns.empty()) apply_columns(named = given, columns, where);
  const Json& row = columns.empty() ? given : named;
  auto [messages, used] = messages_of(row, columns, where);
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
