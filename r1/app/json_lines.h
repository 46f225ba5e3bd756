// What commands read from standard input: the loop of those for scripts (a JSON value a line in, a JSON value a line out), and whether
// somebody sits there.
#pragma once

#include <unistd.h>

#include <iostream>
#include <string>

#include "r1/app/command.h"
#include "r1/base/error.h"
#include "r1/base/json.h"
#include "r1/base/log.h"

namespace r1::app {

inline constexpr const char* kTokenizerHelp = "a tokenizer.json, a HF folder, a .gguf or a .tiktoken file, or a name that r1 models lists";

// All of standard input, where it is a pipe or a file; "" at a terminal, where it would wait for a person who was not asked.
inline std::string piped_input() {
  return isatty(STDIN_FILENO) ? "" : std::string(std::istreambuf_iterator<char>(std::cin), {});
}

// A line that is no good has {"error": ..} in its place, with its "id" where that could be read, so that the others keep theirs; how many there
// were is told at the end.
class BadLines {
 public:
  Json in_place_of(const std::string& line, const Error& error) {
    if (error.kind() == ErrorKind::kInterrupted) throw error;
    if (count_++ == 0) first_ = error.what();
    Json out = Json::object();
    if (const Json row = Json::parse(line, nullptr, false); row.is_object() && row.contains("id")) out["id"] = row["id"];
    out["error"] = error.what();
    return out;
  }
  // The command's: 0, or 1 after a word about the lines.
  int exit_code() const {
    if (count_ == 1) log_error(first_);
    if (count_ > 1) log_error(first_, " (and ", count_ - 1, " more; \"error\" in their place says what)");
    return count_ > 0 ? 1 : 0;
  }

 private:
  int64_t count_ = 0;
  std::string first_;
};

// Calls body(JSON value, "stdin:17") for each line of stdin that isn't blank and prints what it returns, a line each. The exit code is BadLines'.
template <class Body>
int for_each_line(Body body) {
  BadLines bad;
  std::string line;
  for (int64_t number = 1; std::getline(std::cin, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = str("stdin:", number);
    Json out;
    try {
      out = body(parse_json(line, where), where);
    } catch (const Error& error) {
      out = bad.in_place_of(line, error);
    }
    print_text(dump_json(out) + "\n");
  }
  return bad.exit_code();
}

}  // namespace r1::app
