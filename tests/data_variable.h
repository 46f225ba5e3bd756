// R1_DATA as a test wants it ("": not set), and as it was at the end.
#pragma once

#include <cstdlib>
#include <string>

namespace r1 {

class DataVariable {
 public:
  explicit DataVariable(const std::string& value) {
    if (const char* now = std::getenv("R1_DATA")) before_ = now;
    set(value);
  }
  ~DataVariable() { set(before_); }
  DataVariable(const DataVariable&) = delete;
  DataVariable& operator=(const DataVariable&) = delete;

 private:
  static void set(const std::string& value) { value.empty() ? ::unsetenv("R1_DATA") : ::setenv("R1_DATA", value.c_str(), 1); }
  std::string before_;
};

}  // namespace r1
