#include "r1/data/tar.h"

#include <algorithm>
#include <cctype>

namespace r1::data {
namespace {

using namespace std::literals;

// An octal number, or, above 8 GiB, GNU's binary one; -1 if it is neither.
int64_t tar_number(std::string_view field) {
  if (!field.empty() && (uint8_t(field[0]) & 0x80)) {
    int64_t value = uint8_t(field[0]) & 0x3F;
    if (uint8_t(field[0]) & 0x40) return -1;
    for (const char c : field.substr(1)) {
      if (value >> 54) return -1;
      value = value << 8 | uint8_t(c);
    }
    return value;
  }
  int64_t value = 0;
  bool any = false;
  for (const char c : field) {
    if (c == ' ' && !any) continue;
    if (c < '0' || c > '7') break;
    value = value * 8 + (c - '0');
    any = true;
  }
  return any ? value : -1;
}

std::string_view until_zero(std::string_view field) {
  return field.substr(0, field.find('\0'));
}

}  // namespace

bool is_tar_header(std::string_view block) {
  if (block.size() < kTarBlock) return false;
  int64_t sum = 0, signed_sum = 0;
  for (size_t i = 0; i < kTarBlock; ++i) {
    const bool own = i >= 148 && i < 156;
    sum += own ? ' ' : uint8_t(block[i]);
    signed_sum += own ? ' ' : int8_t(block[i]);
  }
  const int64_t said = tar_number(block.substr(148, 8));
  return block[0] != '\0' && (said == sum || said == signed_sum);
}

int64_t tar_end(int64_t begin, int64_t size) {
  constexpr int64_t kMost = INT64_MAX / 4;
  return begin + (std::min(size, kMost) + int64_t(kTarBlock) - 1) / int64_t(kTarBlock) * int64_t(kTarBlock);
}

bool TarHeaders::is_of_next(const TarMember& header) {
  return std::string_view("LKxgX").find(header.type) != std::string_view::npos;
}

TarMember TarHeaders::header(std::string_view block) {
  TarMember m;
  m.type = block[156] == '\0' ? '0' : block[156];
  m.size = tar_number(block.substr(124, 12));
  if (m.size < 0 || is_of_next(m)) return m;
  m.name = until_zero(block.substr(0, 100));
  // GNU's own headers ("ustar  ") may have times there
  if (block.substr(257, 6) == "ustar\0"sv && block[345] != '\0') m.name = std::string(until_zero(block.substr(345, 155))) + "/" + m.name;
  if (!long_name_.empty()) m.name = long_name_;
  if (!sparse_name_.empty()) m.name = sparse_name_;
  if (size_ >= 0) m.size = size_;
  if (sparse_) m.type = 'S';  // as GNU tar's own headers say it: the bytes are a map of blocks
  long_name_.clear();
  sparse_name_.clear();
  size_ = -1;
  sparse_ = false;
  return m;
}

void TarHeaders::take(const TarMember& header, std::string_view bytes) {
  if (header.type == 'L')
    long_name_ = until_zero(bytes);
  else if (header.type == 'x' || header.type == 'X')
    take_pax(bytes);
}

// "30 path=dir/file\n20 size=123\n"
void TarHeaders::take_pax(std::string_view text) {
  while (!text.empty()) {
    size_t length = 0, i = 0;
    while (i < text.size() && std::isdigit(static_cast<unsigned char>(text[i])) && i < 8) length = length * 10 + size_t(text[i++] - '0');
    if (length <= i + 1 || length > text.size()) return;
    const std::string_view record = text.substr(i + 1, length - i - 2);
    text.remove_prefix(length);
    const size_t equals = record.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
    if (key == "path") long_name_ = value;
    if (key.starts_with("GNU.sparse.")) sparse_ = true;
    if (key == "GNU.sparse.name") sparse_name_ = value;
    if (key == "size") {
      size_ = 0;
      for (const char c : value.substr(0, 18)) size_ = std::isdigit(static_cast<unsigned char>(c)) ? size_ * 10 + (c - '0') : size_;
    }
  }
}

}  // namespace r1::data
