// Small things with strings that every floor needs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace r1 {

// Without the blanks (space, \t, \n, \v, \f, \r) at both ends; the view is into `text`.
std::string_view trim(std::string_view text);

// A to Z as a to z; all other bytes as they are.
std::string lower_ascii(std::string_view text);

// "16GB", "512 MiB", "8589934592"; kUsage that names `where` otherwise.
int64_t parse_bytes(const std::string& text, const std::string& where);

// "2025-01-31T23:59:59Z" (RFC 3339) of seconds since 1970, up to the year 9999; without an argument: now.
std::string utc_time(int64_t unix_seconds);
std::string utc_time();

}  // namespace r1
