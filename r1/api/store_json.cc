#include "r1/api/store_json.h"

#include <unordered_set>

#include "r1/api/body.h"
#include "r1/api/characters.h"
#include "r1/api/random_id.h"
#include "r1/http/error.h"

namespace r1::api {
namespace {

constexpr const char* kFormat = "r1-conversations";
constexpr double kMaxCount = 1e12, kMaxSeconds = 1e9, kMaxTime = 1e14;
constexpr size_t kMaxTitle = 1000, kMaxObject = 256 << 10;

struct MessageBody : Message {
  void visit(Body& v) {
    v("parent", parent, "the message that this one follows; \"\" for the first", {.max_length = 128});
    v("role", role, "who speaks", {.one_of = {"user", "assistant", "system", "tool"}, .required = true});
    v("content", content, "the text", {.max_length = size_t{kMaxTextBytes}});
    v("reasoning", reasoning, "the thoughts before it", {.max_length = size_t{kMaxTextBytes}});
    v("model", model, "which model answered", {.max_length = 512});
    v("sampling", sampling, "what the answer was asked with", {.schema = {{"type", "object"}}});
    v("prompt_tokens", prompt_tokens, "tokens of the prompt", {.min = 0, .max = kMaxCount});
    v("completion_tokens", completion_tokens, "tokens of the answer, thoughts included", {.min = 0, .max = kMaxCount});
    v("reasoning_tokens", reasoning_tokens, "tokens of the thoughts", {.min = 0, .max = kMaxCount});
    v("thinking_seconds", thinking_seconds, "how long it thought", {.min = 0, .max = kMaxSeconds});
    v("seconds", seconds, "how long the answer took", {.min = 0, .max = kMaxSeconds});
    v("tokens_per_second", tokens_per_second, "how fast it came", {.min = 0, .max = kMaxSeconds});
    v("finish_reason", finish_reason, "why it ended; \"\" while it is being made", {.max_length = 64});
    v("error", error, "what went wrong with the answer", {.max_length = 8192});
    v("version", version, "counts the changes; only a higher one replaces what is stored", {.min = 1, .max = kMaxCount});
  }
};

struct StoredMessageBody : MessageBody {
  void visit(Body& v) {
    v("id", id, "unique in its conversation", {.max_length = 128, .required = true});
    v("created", created, "milliseconds since 1970", {.min = 0, .max = kMaxTime});
    v("updated", updated, "milliseconds since 1970", {.min = 0, .max = kMaxTime});
    MessageBody::visit(v);
  }
};

struct ConversationBody : Conversation {
  void visit(Body& v) {
    v("id", id, "a name of its own; absent: a random one", {.max_length = 128});
    v("title", title, "what it is about", {.max_length = kMaxTitle});
    v("settings", settings, "whatever the client wants to keep with it", {.schema = {{"type", "object"}}});
    v("pinned", pinned, "stands before the others");
  }
};

struct StoredConversationBody : ConversationBody {
  std::vector<StoredMessageBody> stored;
  void visit(Body& v) {
    ConversationBody::visit(v);
    v("leaf", leaf, "where the branch ends that was last looked at", {.max_length = 128});
    v("created", created, "milliseconds since 1970", {.min = 0, .max = kMaxTime});
    v("updated", updated, "milliseconds since 1970", {.min = 0, .max = kMaxTime});
    v("messages", stored, "parents before children", {.max_items = size_t{kMaxStoredMessages}, .required = true});
  }
};

struct ExportBody {
  std::string format;
  int64_t version = 0;
  std::vector<StoredConversationBody> conversations;
  void visit(Body& v) {
    v("format", format, "what kind of file it is", {.one_of = {kFormat}, .required = true});
    v("version", version, "of the format", {.min = 1, .max = 1, .required = true});
    v("conversations", conversations, "with their messages", {.max_items = 100'000, .required = true});
  }
};

// A conversation as chat APIs have it.
struct PlainBody {
  struct Line {
    std::string role, content, reasoning;
    void visit(Body& v) {
      v("role", role, "who speaks", {.one_of = {"user", "assistant", "system", "tool"}, .required = true});
      v("content", content, "the text", {.max_length = size_t{kMaxTextBytes}, .required = true});
      v("reasoning_content", reasoning, "the thoughts before it", {.max_length = size_t{kMaxTextBytes}});
    }
  };
  std::string title;
  std::vector<Line> messages;
  void visit(Body& v) {
    v("title", title, "what it is about", {.max_length = kMaxTitle});
    v("messages", messages, "in order", {.min_items = 1, .max_items = size_t{kMaxStoredMessages}, .required = true});
  }
};

struct ChangeBody {
  std::optional<std::string> title, leaf;
  Json settings;
  std::optional<bool> pinned;
  void visit(Body& v) {
    v("title", title, "what it is about", {.max_length = kMaxTitle});
    v("leaf", leaf, "the message where the branch ends that is looked at", {.max_length = 128});
    v("settings", settings, "whatever the client wants to keep with it", {.schema = {{"type", "object"}}});
    v("pinned", pinned, "stands before the others");
  }
};

void check_object(const Json& value, const std::string& param) {
  if (!value.is_object()) refuse(param, "expected an object", "invalid_type");
  if (dump_json(value).size() > kMaxObject) refuse(param, str("over ", kMaxObject >> 10, " KiB"), "too_large");
}

void check_stored(StoredConversationBody& c, const std::string& place) {
  if (!c.id.empty() && !is_store_id(c.id)) refuse(place + "id", "1 to 128 of A-Z a-z 0-9 . _ -");
  check_object(c.settings, place + "settings");
  std::unordered_set<std::string> ids;
  for (size_t i = 0; i < c.stored.size(); ++i) {
    StoredMessageBody& m = c.stored[i];
    const std::string here = str(place, "messages[", i, "].");
    if (!is_store_id(m.id)) refuse(here + "id", "1 to 128 of A-Z a-z 0-9 . _ -");
    if (!m.parent.empty() && !ids.contains(m.parent))
      refuse(here + "parent", str("no message '", printable(m.parent), "' stands before it"));
    if (!ids.insert(m.id).second) refuse(here + "id", str("'", printable(m.id), "' is there twice"));
    check_object(m.sampling, here + "sampling");
    c.messages.push_back(m);
  }
  c.message_count = int64_t(c.messages.size());
  if (!ids.contains(c.leaf)) c.leaf = c.messages.empty() ? "" : c.messages.back().id;
}

Conversation from_plain(const Json& json, const std::string& place) {
  PlainBody body;
  Body reader(json, place);
  body.visit(reader);
  reader.finish();
  Conversation c;
  c.id = random_id(24);
  c.title = body.title.empty() ? first_bytes(body.messages.front().content, 60) : body.title;
  for (PlainBody::Line& line : body.messages) {
    Message m;
    m.id = random_id(24);
    m.parent = c.leaf;
    m.role = line.role;
    m.content = std::move(line.content);
    m.reasoning = std::move(line.reasoning);
    m.finish_reason = "stop";
    c.leaf = m.id;
    c.messages.push_back(std::move(m));
  }
  c.message_count = int64_t(c.messages.size());
  return c;
}

}  // namespace

Json to_json(const Message& m) {
  return {{"id", m.id},
          {"parent", m.parent},
          {"role", m.role},
          {"content", m.content},
          {"reasoning", m.reasoning},
          {"model", m.model},
          {"sampling", m.sampling},
          {"prompt_tokens", m.prompt_tokens},
          {"completion_tokens", m.completion_tokens},
          {"reasoning_tokens", m.reasoning_tokens},
          {"thinking_seconds", m.thinking_seconds},
          {"seconds", m.seconds},
          {"tokens_per_second", m.tokens_per_second},
          {"finish_reason", m.finish_reason},
          {"error", m.error},
          {"version", m.version},
          {"created", m.created},
          {"updated", m.updated}};
}

Json to_json(const Conversation& c, bool messages) {
  Json out = {{"id", c.id},     {"title", c.title},     {"settings", c.settings}, {"pinned", c.pinned},
              {"leaf", c.leaf}, {"created", c.created}, {"updated", c.updated},   {"messages", c.message_count}};
  if (messages) {
    Json list = Json::array();
    for (const Message& m : c.messages) list.push_back(to_json(m));
    out["messages"] = std::move(list);
  }
  return out;
}

Message message_from_json(const std::string& id, const Json& json) {
  MessageBody body;
  read_body(json, body);
  check_object(body.sampling, "sampling");
  body.id = id;
  return body;
}

Conversation conversation_from_json(const Json& json) {
  ConversationBody body;
  read_body(json, body);
  check_object(body.settings, "settings");
  return body;
}

ConversationChange change_from_json(const Json& json) {
  ChangeBody body;
  read_body(json, body);
  ConversationChange change{body.title, body.leaf, {}, body.pinned};
  if (!body.settings.is_null()) {
    check_object(body.settings, "settings");
    change.settings = body.settings;
  }
  return change;
}

Json export_json(const std::vector<Conversation>& conversations) {
  Json list = Json::array();
  for (const Conversation& c : conversations) list.push_back(to_json(c, true));
  return {{"format", kFormat}, {"version", 1}, {"conversations", std::move(list)}};
}

std::vector<Conversation> conversations_from_export(const Json& file) {
  std::vector<Conversation> out;
  if (file.is_array()) {
    for (size_t i = 0; i < file.size(); ++i) out.push_back(from_plain(file[i], str("[", i, "].")));
    return out;
  }
  if (file.is_object() && !file.contains("format") && file.contains("messages")) return {from_plain(file, "")};
  ExportBody body;
  read_body(file, body);
  for (size_t i = 0; i < body.conversations.size(); ++i) {
    check_stored(body.conversations[i], str("conversations[", i, "]."));
    out.push_back(std::move(body.conversations[i]));
  }
  return out;
}

Json message_schema() {
  return body_schema<MessageBody>();
}
Json conversation_schema() {
  return body_schema<ConversationBody>();
}
Json conversation_change_schema() {
  return body_schema<ChangeBody>();
}

}  // namespace r1::api
