// A tar archive (ustar) in memory.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace r1 {

struct TarFile {
  std::string name, bytes;
  char type = '0';
};

inline std::string tar(const std::vector<TarFile>& files) {
  std::string out;
  for (const TarFile& file : files) {
    std::string header(512, '\0');
    const auto put = [&](size_t at, const std::string& text) { std::memcpy(header.data() + at, text.data(), text.size()); };
    const auto octal = [](uint64_t n, int digits) {
      std::string text(size_t(digits), '0');
      for (size_t i = text.size(); i-- > 0; n /= 8) text[i] = char('0' + n % 8);
      return text;
    };
    put(0, file.name.substr(0, 100));
    put(100, "0000644");
    put(124, octal(file.bytes.size(), 11));
    header[156] = file.type;
    put(257, std::string("ustar\0", 6) + "00");
    put(148, "        ");
    uint64_t sum = 0;
    for (const char c : header) sum += uint8_t(c);
    put(148, octal(sum, 6) + std::string("\0 ", 2));
    out += header + file.bytes;
    out.append((512 - file.bytes.size() % 512) % 512, '\0');
  }
  return out + std::string(1024, '\0');
}

}  // namespace r1
