// The loop of commands for scripts: a JSON value a line on stdin, a JSON value a line on stdout.
#pragma once

#include <iostream>
#include <string>

#include "r1/app/command.h"
#include "r1/base/error.h"
#include "r1/base/json.h"

namespace r1::app {

inline constexpr const char* kTokenizerHelp = "a tokenizer.json, a HF folder, a .gguf or a .tiktoken file";

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
