// Conversations as JSON: what the routes of the store answer and take, and the file of an export.
#pragma once

#include <string>
#include <vector>

#include "r1/api/store.h"

namespace r1::api {

Json to_json(const Message& message);
// Keys id, title, settings, pinned, leaf, created, updated and "messages": their number, or with `messages` they themselves.
Json to_json(const Conversation& conversation, bool messages);

// A message from a body, its values checked; `id` as in the path. Throws http::ApiError 400.
Message message_from_json(const std::string& id, const Json& body);
Conversation conversation_from_json(const Json& body);  // to make one: no messages
ConversationChange change_from_json(const Json& body);

// {"format": "r1-conversations", "version": 1, "conversations": [..]}.
Json export_json(const std::vector<Conversation>& conversations);
// What an import may hold: an export, or a conversation or list of them as chat APIs have it ({"messages": [{"role", "content"}, ..]}). Everything
// is checked: values, ids, that parents stand before their children. Throws http::ApiError 400 with the place as param.
std::vector<Conversation> conversations_from_export(const Json& file);

// The schemas of the bodies, for /openapi.json.
Json message_schema();
Json conversation_schema();
Json conversation_change_schema();

}  // namespace r1::api
