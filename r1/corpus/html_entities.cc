#include "r1/corpus/html_entities.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>

#include "r1/base/utf8.h"
#include "r1/corpus/encoding.h"

namespace r1::corpus {
namespace {

struct Entity {
  std::string_view name, text;
};
constexpr Entity kEntities[] = {
#include "r1/corpus/html_entities.inc"
};
constexpr size_t kLongestName = 32;
constexpr std::string_view kXmlNames[] = {"amp;", "lt;", "gt;", "quot;", "apos;"};

bool is_alnum(char c) {
  return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

// The longest name that `text` (after '&') starts with.
const Entity* longest_entity(std::string_view text) {
  size_t n = 0;
  while (n < text.size() && n < kLongestName && is_alnum(text[n])) ++n;
  if (n < text.size() && text[n] == ';') ++n;
  for (; n >= 2; --n) {
    const std::string_view name = text.substr(0, n);
    const auto* at =
        std::lower_bound(std::begin(kEntities), std::end(kEntities), name, [](const Entity& e, std::string_view s) { return e.name < s; });
    if (at != std::end(kEntities) && at->name == name) return at;
  }
  return nullptr;
}

// Bytes of the number after "&#"; 0 if there is none.
size_t append_number(std::string& out, std::string_view text) {
  size_t i = 0;
  const bool hex = !text.empty() && (text[0] | 32) == 'x';
  if (hex) ++i;
  const size_t begin = i;
  uint32_t value = 0;
  for (; i < text.size(); ++i) {
    const char c = text[i], l = char(c | 32);
    int digit;
    if (c >= '0' && c <= '9') {
      digit = c - '0';
    } else if (hex && l >= 'a' && l <= 'f') {
      digit = l - 'a' + 10;
    } else {
      break;
    }
    value = std::min<uint32_t>(value * (hex ? 16 : 10) + uint32_t(digit), 0x110000);
  }
  if (i == begin) return 0;
  if (i < text.size() && text[i] == ';') ++i;
  if (value >= 0x80 && value < 0xA0) value = of_windows_1252(uint8_t(value));
  if (value == 0 || value >= 0x110000 || (value >= 0xD800 && value < 0xE000)) value = 0xFFFD;
  append_utf8(out, value);
  return i;
}

bool may_stand(const Entity& entity, std::string_view text, References which) {
  if (which == References::kXml) return std::ranges::find(kXmlNames, entity.name) != std::end(kXmlNames);
  if (entity.name.back() == ';' || which == References::kText) return true;
  if (which == References::kClosed) return false;
  const size_t end = entity.name.size();
  return end == text.size() || (text[end] != '=' && !is_alnum(text[end]));
}

}  // namespace

void append_unescaped(std::string& out, std::string_view text, References which) {
  const bool closed = which == References::kClosed || which == References::kXml;
  while (true) {
    const size_t amp = text.find('&');
    out.append(text.substr(0, amp));
    if (amp == text.npos) return;
    text.remove_prefix(amp + 1);
    if (text.starts_with('#')) {
      const size_t before = out.size();
      size_t n = append_number(out, text.substr(1));
      if (closed && text[n] != ';') {
        out.resize(before);
        n = 0;
      }
      if (n == 0) out += '&';
      if (n > 0) text.remove_prefix(n + 1);
      continue;
    }
    const Entity* entity = longest_entity(text);
    if (entity && !may_stand(*entity, text, which)) entity = nullptr;
    if (!entity) {
      out += '&';
      continue;
    }
    out.append(entity->text);
    text.remove_prefix(entity->name.size());
  }
}

std::string unescaped(std::string_view text, References which) {
  std::string out;
  append_unescaped(out, text, which);
  return out;
}

}  // namespace r1::corpus
