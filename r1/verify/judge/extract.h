// Where in a completion is the program? Rules, in this order:
//   1. Only what stands after the last </think>; a thought that was opened and not closed holds no program. Inside <answer>..</answer>,
//      if there is one (the last).
//   2. Fenced blocks (``` or ~~~ at a line's beginning, up to 3 blanks before it). Those of another language's tag don't count; one that
//      is not closed goes to the end; a language's name alone on the first line of one without tag is its tag. If a name is wanted, the
//      last block that defines it ("def f", "class f"); else the last block with a tag, else the last block.
//   3. A first fence without tag, after text that defines the wanted name at a line's beginning: that text (the prompt had opened it).
//   4. No fence: from the first line that begins as code ("def ", "class ", "import ", "from .. import", "@") on, up to the first line
//      at the margin that is no Python statement. Only for Python; other languages need a fence.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace r1::verify::judge {

struct ExtractedCode {
  std::string code, tag;  // tag: the fence's, lower case; "" without
  bool fenced = false;
};

// `language`: of language.h; "" takes blocks of any tag. `wanted`: a function or class that the program must define; "" if none.
std::optional<ExtractedCode> extract_code(std::string_view completion, std::string_view language = "python", std::string_view wanted = "");

// Does a line at the margin define `name` as a function or class?
bool defines(std::string_view code, std::string_view name);

// A base model's continuation of a function's body, cut where it leaves the function: at the first line at the margin that is neither blank
// nor a comment nor the closing of a bracket, or at a fence.
std::string cut_continuation(std::string_view completion);

}  // namespace r1::verify::judge
