// The program without the process around it: arguments and input in; exit code, stdout and stderr out.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "r1/app/command.h"
#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/json.h"

namespace r1::app::testing {

struct ProgramResult {
  int code;
  std::string out, err;
};

// Nobody sits at standard input, wherever the test runs.
class NoTerminal {
 public:
  NoTerminal() : before_(::dup(STDIN_FILENO)) {
    const int nothing = ::open("/dev/null", O_RDONLY);
    ::dup2(nothing, STDIN_FILENO);
    ::close(nothing);
  }
  ~NoTerminal() {
    ::dup2(before_, STDIN_FILENO);
    ::close(before_);
  }
  NoTerminal(const NoTerminal&) = delete;
  NoTerminal& operator=(const NoTerminal&) = delete;

 private:
  int before_;
};

// body() gives the exit code.
template <class Body>
ProgramResult captured(Body body) {
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  const int code = body();
  std::fflush(stdout);
  return {code, ::testing::internal::GetCapturedStdout(), ::testing::internal::GetCapturedStderr()};
}

inline ProgramResult run_r1(const Arguments& arguments, const std::string& input = "") {
  const NoTerminal piped;
  std::istringstream in(input);
  std::streambuf* const before = std::cin.rdbuf(in.rdbuf());
  std::cin.clear();
  const ProgramResult result = captured([&] { return run_program(arguments); });
  std::cin.rdbuf(before);
  std::cin.clear();
  return result;
}

// One JSON value a line and nothing else.
inline std::vector<Json> json_lines(const std::string& text) {
  std::vector<Json> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(parse_json(line, "stdout"));
  EXPECT_TRUE(text.empty() || text.back() == '\n');
  return lines;
}

}  // namespace r1::app::testing
