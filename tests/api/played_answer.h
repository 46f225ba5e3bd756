// Answers as the service gives them to a writer, for golden transcripts.
#pragma once

#include <string>
#include <vector>

#include "r1/api/generation.h"

namespace r1::api {

inline Delta thought(std::string text) {
  return {.content = {}, .reasoning = std::move(text), .tool_calls = {}, .tokens = {}};
}
inline Delta text(std::string text) {
  return {.content = std::move(text), .reasoning = {}, .tool_calls = {}, .tokens = {}};
}
inline Delta call(int64_t index, std::string id, std::string name, std::string arguments) {
  return {.content = {}, .reasoning = {}, .tool_calls = {{index, std::move(id), std::move(name), std::move(arguments)}}, .tokens = {}};
}

inline AnswerWriter::Head played_head() {
  return {.id = "abcdefghijklmnopqrstuvwx", .model = "tiny", .created = 1764426000, .choices = 1, .prompt_tokens = 11};
}

// 11 tokens of prompt, 4 of them from the cache; 7 made, 3 of them thought.
inline void play(AnswerWriter& writer, const std::vector<Delta>& deltas, const AnswerWriter::Finish& finish) {
  writer.start(played_head());
  for (const Delta& delta : deltas) writer.delta(0, delta);
  writer.finish(0, finish);
  writer.end({.prompt_tokens = 11, .completion_tokens = 7, .reasoning_tokens = 3, .cached_tokens = 4},
             {.queued = 0.001, .prompt = 0.01, .first_token = 0.02, .total = 0.1});
}

inline AnswerWriter::Finish finished(std::string reason, std::string stop_string = "") {
  return {.reason = std::move(reason), .stop_string = std::move(stop_string)};
}

}  // namespace r1::api
