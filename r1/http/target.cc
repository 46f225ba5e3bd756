#include "r1/http/target.h"

#include <algorithm>
#include <cstdint>

#include "r1/base/error.h"
#include "r1/base/utf8.h"
#include "r1/http/error.h"

namespace r1::http {
namespace {

[[noreturn]] void refuse(std::string_view target, const char* what) {
  throw ApiError(400, str("request target '", printable(target), "': ", what), "", "invalid_target");
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string decode(std::string_view text, bool plus_is_space, std::string_view target) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += plus_is_space && text[i] == '+' ? ' ' : text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1, low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) refuse(target, "a '%' is not followed by two hex digits");
    out += char(high * 16 + low);
    i += 2;
  }
  uint32_t code_point = 0;
  for (const char *p = out.data(), *end = p + out.size(); p < end;) {
    const int length = decode_utf8(p, end, &code_point);
    if (code_point == kInvalidChar) refuse(target, "it is not UTF-8");
    if (code_point == 0) refuse(target, "it has a NUL");
    p += length;
  }
  return out;
}

void check_path(std::string_view path, std::string_view target) {
  for (char c : path)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '\\') refuse(target, "its path has a control character or backslash");
  for (size_t begin = 1; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part == "." || part == "..") refuse(target, "its path has a '.' or '..' part");
    begin = end + 1;
  }
}

std::map<std::string, std::string> parse_query(std::string_view query, std::string_view target) {
  std::map<std::string, std::string> out;
  for (size_t begin = 0; begin < query.size();) {
    const size_t end = std::min(query.find('&', begin), query.size());
    const std::string_view pair = query.substr(begin, end - begin);
    const size_t equal = std::min(pair.find('='), pair.size());
    if (!pair.empty())
      out[decode(pair.substr(0, equal), true, target)] = equal < pair.size() ? decode(pair.substr(equal + 1), true, target) : "";
    begin = end + 1;
  }
  return out;
}

}  // namespace

Target parse_target(std::string_view target) {
  Target out;
  std::string_view rest = target;
  if (rest == "*") return {.path = "*"};
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!rest.starts_with(scheme)) continue;
    rest.remove_prefix(scheme.size());
    const size_t end = std::min(rest.find_first_of("/?"), rest.size());
    out.authority = rest.substr(0, end);
    if (out.authority.empty()) refuse(target, "it names no host");
    rest.remove_prefix(end);
    if (rest.empty()) rest = "/";
    break;
  }
  if (!rest.starts_with('/')) refuse(target, "it starts with no '/'");
  if (rest.find('#') != std::string_view::npos) refuse(target, "it has a fragment");
  const size_t question = std::min(rest.find('?'), rest.size());
  out.path = decode(rest.substr(0, question), false, target);
  check_path(out.path, target);
  if (question < rest.size()) out.query = parse_query(rest.substr(question + 1), target);
  return out;
}

}  // namespace r1::http
