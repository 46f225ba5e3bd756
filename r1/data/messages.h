// A conversation, as chat JSONL holds it: messages, and what else a chat template is told.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "r1/base/json.h"
#include "r1/data/columns.h"

namespace r1::data {

struct Message {
  std::string role;     // system, developer, user, assistant, tool
  std::string content;  // its text, that of all parts together; empty if it has none
  // What else the chat API knows of a message, for the template: tool_calls, tool_call_id, name, reasoning_content, ... And `content`,
  // where it is null or a list of parts [{"type": "text", "text": "..."}]. Null if there is nothing.
  Json fields = {};
};
using Messages = std::vector<Message>;

struct Conversation {
  Messages messages;
  Json variables = {};  // for the template beside messages: tools, documents, enable_thinking, ...; an object, or null
};

// One document for training: ids and which of them are learned (1) or only read (0).
struct Document {
  std::vector<int32_t> ids;
  std::vector<uint8_t> learned;
};

// As the chat API writes them; conversation_from_json() reads that back.
Json to_json(const Messages& messages);

// Which keys beside the messages are for the template: in rows of a data set, which have columns of all kinds, tools, documents,
// enable_thinking and what stands in chat_template_kwargs; in a conversation that somebody wrote for this program, all.
enum class TemplateKeys { kKnown, kAll };

// What a row may look like, the first that fits:
//   {"messages": [{"role", "content"}, ..]}           the chat API
//   {"conversations": [{"from", "value"}, ..]}        ShareGPT: human, gpt, system
//   {"prompt", "completion"}                          each a text or a list of messages
//   {"instruction", "input"?, "output", "history"?}   Alpaca; the input follows the instruction on a line of its own
//   {"question", "answer"}
// A text under "system" becomes the first message, if the conversation has none. `columns` renames the row's keys first, and the shape is
// then one that uses all of them. Keys with null count as absent, but for a content. tools may be JSON inside of a string. Content parts of
// another type than text are refused by name; errors name `where` (file:line), the message, and, where no shape fits, the keys found.
Conversation conversation_from_json(const Json& row, std::string_view where, TemplateKeys keys = TemplateKeys::kKnown,
                                    const Columns& columns = {});

// Usage error if a column is given for what no shape knows.
void check_conversation_columns(const Columns& columns);

}  // namespace r1::data
