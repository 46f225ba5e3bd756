// The request target: path and query percent-decoded, or refused. Strict, as a path is compared with routes and may come near files: no "." or
// ".." part, no control character, no backslash, no broken percent sign, valid UTF-8, whether spelled out or encoded.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace r1::http {

struct Target {
  std::string path;                          // starts with '/'; "*" for OPTIONS *
  std::map<std::string, std::string> query;  // the last of equal names
  std::string authority;                     // of an absolute target, "http://host:80/path"; else empty
};

// Throws ApiError 400.
Target parse_target(std::string_view target);

}  // namespace r1::http
