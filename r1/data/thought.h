// Where a prompt stands with a thought, for models that write theirs between <think> and </think>: whether the template has opened one, and what
// has to follow the prompt so that the answer begins with a thought or without, where the template can't be told.
#pragma once

#include <string>
#include <string_view>

namespace r1::data {

// `prompt`: its text, or the last words of it.
bool ends_in_thought(std::string_view prompt);
// Opens a thought, or ends or leaves out the one that would come.
std::string thought_suffix(std::string_view prompt, bool think);

}  // namespace r1::data
