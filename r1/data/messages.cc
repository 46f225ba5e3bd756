#include "r1/data/messages.h"

#include "r1/base/error.h"

namespace r1::data {
namespace {

// The roles of ShareGPT files ("from") in the names of the chat API.
std::string role_of(const std::string& from, std::string_view where) {
  if (from == "human" || from == "user") return "user";
  if (from == "gpt" || from == "assistant" || from == "model") return "assistant";
  if (from == "system" || from == "tool") return from;
  fail(where, ": unknown role '", from, "'; known: system, user, assistant, tool (human, gpt)");
}

Message message(const Json& entry, const char* role, const char* content, std::string_view where) {
  if (!entry.is_object()) fail(where, ": expected a message object, got ", entry.type_name());
  return {role_of(json_get<std::string>(entry, role, where), where), json_get<std::string>(entry, content, where)};
}

Messages list(const Json& row, const char* key, const char* role, const char* content, std::string_view where) {
  const Json& entries = row.at(key);
  if (!entries.is_array() || entries.empty()) fail(where, ": '", key, "' expected a list of messages that is not empty");
  Messages out;
  for (const Json& entry : entries) out.push_back(message(entry, role, content, where));
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

}  // namespace

Json to_json(const Messages& messages) {
  Json out = Json::array();
  for (const Message& m : messages) out.push_back({{"role", m.role}, {"content", m.content}});
  return out;
}

Messages messages_from_json(const Json& row, std::string_view where) {
  if (!row.is_object()) fail(where, ": expected a JSON object, got ", row.type_name());
  if (row.contains("messages")) return list(row, "messages", "role", "content", where);
  if (row.contains("conversations")) {
    const Json& all = row["conversations"];
    const bool chat = all.is_array() && !all.empty() && all[0].is_object() && all[0].contains("role");
    return list(row, "conversations", chat ? "role" : "from", chat ? "content" : "value", where);
  }
  if (row.contains("prompt") && row.contains("completion")) {
    Messages out;
    append(out, row, "prompt", "user", where);
    append(out, row, "completion", "assistant", where);
    return out;
  }
  fail(where, ": expected 'messages', 'conversations' or 'prompt' and 'completion'");
}

}  // namespace r1::data
