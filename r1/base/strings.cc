#include "r1/base/strings.h"

#include <algorithm>
#include <ctime>
#include <sstream>
#include <utility>

#include "r1/base/error.h"

namespace r1 {

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\n\v\f\r";
  const size_t begin = text.find_first_not_of(kBlank);
  return begin == std::string_view::npos ? std::string_view() : text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

std::string lower_ascii(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
  return out;
}

int64_t parse_bytes(const std::string& text, const std::string& where) {
  std::istringstream in(text);
  double value = 0;
  std::string unit;
  const bool ok = bool(in >> value) && value >= 0;
  in >> unit;
  static constexpr std::pair<const char*, double> kUnits[] = {{"", 1},
                                                              {"B", 1},
                                                              {"kB", 1e3},
                                                              {"KB", 1e3},
                                                              {"MB", 1e6},
                                                              {"GB", 1e9},
                                                              {"TB", 1e12},
                                                              {"KiB", 1024.0},
                                                              {"MiB", 1048576.0},
                                                              {"GiB", 1073741824.0},
                                                              {"TiB", 1099511627776.0},
                                                              {"K", 1024.0},
                                                              {"M", 1048576.0},
                                                              {"G", 1073741824.0},
                                                              {"T", 1099511627776.0}};
  for (const auto& [name, factor] : kUnits) {
    if (ok && unit == name && value * factor < 0x1p63) return int64_t(value * factor);
  }
  fail_usage(where, ": expected a size like 16GB or 512MiB, got '", text, "'");
}

std::string utc_time(int64_t unix_seconds) {
  const auto seconds = std::time_t(std::clamp<int64_t>(unix_seconds, 0, 253'402'300'799));
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char out[32];
  std::strftime(out, sizeof out, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return out;
}

std::string utc_time() {
  return utc_time(std::time(nullptr));
}

}  // namespace r1
