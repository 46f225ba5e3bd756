// The program without the process around it: arguments and input in; exit code, stdout and stderr out.
#pragma once

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

inline ProgramResult run_r1(const Arguments& arguments, const std::string& input = "") {
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  std::istringstream in(input);
  std::streambuf* const before = std::cin.rdbuf(in.rdbuf());
  std::cin.clear();
  const int code = run_program(arguments);
  std::cin.rdbuf(before);
  std::fflush(stdout);
  return {code, ::testing::internal::GetCapturedStdout(), ::testing::internal::GetCapturedStderr()};
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
