// A conversation, as chat JSONL holds it.
#pragma once

#include <string>
#include <vector>

#include "r1/base/json.h"

namespace r1::data {

struct Message {
  std::string role;  // system, user, assistant
  std::string content;
};
using Messages = std::vector<Message>;

// One document for training: ids and which of them are learned (1) or only read (0).
struct Document {
  std::vector<int32_t> ids;
  std::vector<uint8_t> learned;
};

Json to_json(const Messages& messages);
// Accepts {"messages":[...]}, {"prompt","completion"} and {"conversations":[{"from","value"}]}; errors name `where` (file:line).
Messages messages_from_json(const Json& row, std::string_view where);

}  // namespace r1::data
