// What commands read from standard input: the loop of those for scripts (a JSON value a line in, a JSON value a line out), and whether
// somebody sits there.
#pragma once

#include <unistd.h>

#include <iostream>
#include <string>

#include "r1/app/command.h"
#include "r1/base/error.h"
#include "r1/base/json.h"

namespace r1::app {

inline constexpr const char* kTokenizerHelp = "a tokenizer.json, a HF folder, a .gguf or a .tiktoken file, or a name that r1 models lists";

// All of standard input, where it is a pipe or a file; "" at a terminal, where it would wait for a person who was not asked.
inline std::string piped_input() {
  return isatty(STDIN_FILENO) ? "" : std::string(std::istreambuf_iterator<char>(std::cin), {});
}

// Calls body(JSON value, "stdin:17") for each line of stdin that isn't blank and prints what it returns, a line each.
template <class Body>
int for_each_line(Body body) {
  std::string line;
  for (int64_t number = 1; std::getline(std::cin, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = str("stdin:", number);
    print_text(dump_json(body(parse_json(line, where), where)) + "\n");
  }
  return 0;
}

}  // namespace r1::app
