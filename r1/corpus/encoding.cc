#include "r1/corpus/encoding.h"

#include <iconv.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdint>

#include "r1/base/error.h"
#include "r1/base/utf8.h"
#include "r1/text/unicode.h"

namespace r1::corpus {
namespace {

using namespace std::literals;

// Labels that lead to each encoding, separated by blanks: the standard's, without the rarest. The first column is iconv's name.
struct Encoding {
  std::string_view name, labels;
};
constexpr Encoding kEncodings[] = {
    {"UTF-8", " utf-8 utf8 unicode-1-1-utf-8 us-ascii-8 "},
    {"windows-1252",
     " windows-1252 cp1252 x-cp1252 ascii us-ascii ansi_x3.4-1968 iso-8859-1 iso8859-1 iso88591 iso_8859-1 latin1 latin-1 l1 cp819 "},
    {"UTF-16LE", " utf-16 utf-16le unicode ucs-2 iso-10646-ucs-2 "},
    {"UTF-16BE", " utf-16be unicodefffe "},
    {"UTF-32LE", " utf-32le utf-32 "},
    {"UTF-32BE", " utf-32be "},
    {"CP437", " cp437 ibm437 437 "},
    {"CP850", " cp850 cp-850 ibm850 850 "},
    {"CP866", " ibm866 cp866 866 "},
    {"ISO-8859-2", " iso-8859-2 iso8859-2 iso_8859-2 latin2 l2 "},
    {"ISO-8859-3", " iso-8859-3 latin3 l3 "},
    {"ISO-8859-4", " iso-8859-4 latin4 l4 "},
    {"ISO-8859-5", " iso-8859-5 cyrillic "},
    {"ISO-8859-6", " iso-8859-6 arabic "},
    {"ISO-8859-7", " iso-8859-7 greek greek8 "},
    {"ISO-8859-8", " iso-8859-8 hebrew visual iso-8859-8-i logical "},
    {"ISO-8859-10", " iso-8859-10 latin6 l6 "},
    {"ISO-8859-13", " iso-8859-13 "},
    {"ISO-8859-14", " iso-8859-14 "},
    {"ISO-8859-15", " iso-8859-15 iso8859-15 latin9 latin-9 l9 "},
    {"ISO-8859-16", " iso-8859-16 "},
    {"KOI8-R", " koi8-r koi8 koi koi8_r "},
    {"KOI8-U", " koi8-u koi8-ru "},
    {"MACINTOSH", " macintosh mac x-mac-roman "},
    {"CP874", " windows-874 dos-874 tis-620 iso-8859-11 "},
    {"CP1250", " windows-1250 cp1250 x-cp1250 "},
    {"CP1251", " windows-1251 cp1251 x-cp1251 "},
    {"CP1253", " windows-1253 cp1253 "},
    {"CP1254", " windows-1254 cp1254 iso-8859-9 latin5 l5 "},
    {"CP1255", " windows-1255 cp1255 "},
    {"CP1256", " windows-1256 cp1256 "},
    {"CP1257", " windows-1257 cp1257 "},
    {"CP1258", " windows-1258 cp1258 "},
    {"GB18030", " gb18030 gbk gb2312 chinese gb_2312 gb_2312-80 x-gbk cp936 csgb2312 "},
    {"BIG5-HKSCS", " big5 big5-hkscs cn-big5 x-x-big5 csbig5 "},
    {"EUC-JP", " euc-jp x-euc-jp "},
    {"CP932", " shift_jis shift-jis sjis x-sjis ms_kanji windows-31j cp932 "},
    {"ISO-2022-JP", " iso-2022-jp csiso2022jp "},
    {"CP949", " euc-kr korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 windows-949 cp949 "},
};

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  return out;
}

// 0x80 to 0x9F of windows-1252; the standard gives the five free places their C1 controls.
constexpr uint16_t kWindows1252[32] = {0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
                                       0x2039, 0x0152, 0x8D,   0x017D, 0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
                                       0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178};

std::string from_windows_1252(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() + bytes.size() / 8);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80)
      out += c;
    else
      append_utf8(out, byte < 0xA0 ? kWindows1252[byte - 0x80] : byte);
  }
  return out;
}

std::string from_utf32(std::string_view bytes, bool big) {
  std::string out;
  for (size_t i = 0; i + 3 < bytes.size(); i += 4) {
    uint32_t c = 0;
    for (size_t k = 0; k < 4; ++k) c = c << 8 | uint8_t(bytes[i + (big ? k : 3 - k)]);
    append_utf8(out, c >= kInvalidChar || (c >= 0xD800 && c < 0xE000) ? 0xFFFD : c);
  }
  return out;
}

std::string by_iconv(std::string_view bytes, const std::string& name) {
  const iconv_t cd = iconv_open("UTF-8", name.c_str());
  if (cd == iconv_t(-1))
    fail("text in ", name, ", which this system cannot decode; install the C library's gconv modules, or turn it into UTF-8");
  std::string out, buffer(size_t{1} << 16, '\0');
  char* in = const_cast<char*>(bytes.data());
  size_t left = bytes.size();
  bool flushed = false;
  while (true) {
    char* to = buffer.data();
    size_t room = buffer.size();
    const size_t code = iconv(cd, flushed ? nullptr : &in, flushed ? nullptr : &left, &to, &room);
    const int error = code == size_t(-1) ? errno : 0;
    out.append(buffer.data(), buffer.size() - room);
    if (error == E2BIG) continue;
    if (error == 0 && flushed) break;
    if (error == 0) {
      flushed = left == 0;  // once more, for a character that waits for a mark to combine with
      continue;
    }
    out += "\xEF\xBF\xBD";  // EILSEQ, or EINVAL at the end
    if (left > 0) ++in, --left;
    if (left == 0) break;
    iconv(cd, nullptr, nullptr, nullptr, nullptr);
  }
  iconv_close(cd);
  return is_utf8(out) ? out : text::to_valid_utf8(out);
}

// Most of what is not ASCII is valid: UTF-8 with a few damaged places.
bool is_mostly_utf8(std::string_view bytes) {
  size_t good = 0, bad = 0;
  uint32_t c = 0;
  for (const char *p = bytes.data(), *end = p + bytes.size(); p < end;) {
    p += decode_utf8(p, end, &c);
    if (c == kInvalidChar)
      ++bad;
    else if (c >= 0x80)
      ++good;
  }
  return bad * 20 <= good;
}

std::string decoded(std::string_view bytes, const std::string& name) {
  if (name == "windows-1252") return from_windows_1252(bytes);
  if (name == "UTF-16LE" || name == "UTF-16BE") return utf8_of_utf16(bytes, name == "UTF-16BE");
  if (name == "UTF-32LE" || name == "UTF-32BE") return from_utf32(bytes, name == "UTF-32BE");
  return by_iconv(bytes, name);
}

}  // namespace

std::string utf8_of_utf16(std::string_view bytes, bool big) {
  std::string out;
  const auto unit = [&](size_t i) {
    const auto a = uint8_t(bytes[i]), b = uint8_t(bytes[i + 1]);
    return uint32_t(big ? a << 8 | b : b << 8 | a);
  };
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
    uint32_t c = unit(i);
    if (c >= 0xD800 && c < 0xDC00 && i + 3 < bytes.size() && unit(i + 2) >= 0xDC00 && unit(i + 2) < 0xE000) {
      c = 0x10000 + ((c - 0xD800) << 10) + (unit(i + 2) - 0xDC00);
      i += 2;
    }
    append_utf8(out, c >= 0xD800 && c < 0xE000 ? 0xFFFD : c);
  }
  return out;
}

bool is_utf8(std::string_view bytes) {
  uint32_t c = 0;
  for (const char *p = bytes.data(), *end = p + bytes.size(); p < end;) {
    if (end - p >= 8) {  // ASCII, eight bytes at a time
      uint64_t word;
      std::copy_n(p, 8, reinterpret_cast<char*>(&word));
      if ((word & 0x8080808080808080u) == 0) {
        p += 8;
        continue;
      }
    }
    p += decode_utf8(p, end, &c);
    if (c == kInvalidChar) return false;
  }
  return true;
}

std::string encoding_of(std::string_view label) {
  std::string key = lower(label);
  std::erase_if(key, [](unsigned char c) { return std::isspace(c) || c == '"' || c == '\''; });
  if (key.empty() || key.size() > 40) return "";
  for (const Encoding& e : kEncodings)
    if (e.labels.find(" " + key + " ") != std::string_view::npos) return std::string(e.name);
  return "";
}

std::string to_utf8(std::string_view bytes, std::string_view declared) {
  if (bytes.starts_with("\xEF\xBB\xBF")) {
    bytes.remove_prefix(3);
    declared = "utf-8";
  } else if (bytes.starts_with("\xFF\xFE\0\0"sv)) {
    return from_utf32(bytes.substr(4), false);
  } else if (bytes.starts_with("\0\0\xFE\xFF"sv)) {
    return from_utf32(bytes.substr(4), true);
  } else if (bytes.starts_with("\xFF\xFE")) {
    return utf8_of_utf16(bytes.substr(2), false);
  } else if (bytes.starts_with("\xFE\xFF")) {
    return utf8_of_utf16(bytes.substr(2), true);
  }
  const std::string name = encoding_of(declared);
  // Nobody's ASCII is UTF-16: a <meta> that says so is read as the standard reads it.
  const bool wide = name.starts_with("UTF-16") || name.starts_with("UTF-32");
  if (name.empty() || name == "UTF-8" || (wide && bytes.find('\0') == std::string_view::npos)) {
    if (is_utf8(bytes)) return std::string(bytes);
    return name == "UTF-8" && is_mostly_utf8(bytes) ? text::to_valid_utf8(bytes) : from_windows_1252(bytes);
  }
  return decoded(bytes, name);
}

std::string charset_of_content_type(std::string_view value) {
  const std::string text = lower(value);
  for (size_t at = 0; (at = text.find("charset", at)) != std::string::npos;) {
    at += 7;
    size_t from = at;
    while (from < text.size() && text[from] == ' ') ++from;
    if (from == text.size() || text[from] != '=') continue;
    from = text.find_first_not_of(" \"'", from + 1);
    if (from == std::string::npos) return "";
    return text.substr(from, std::min(text.find_first_of(" \"';,>/\t\r\n", from), text.size()) - from);
  }
  return "";
}

std::string charset_of_markup(std::string_view bytes) {
  const std::string head = lower(bytes.substr(0, 4096));
  if (head.starts_with("<?xml")) {
    const std::string declaration = head.substr(0, std::min(head.find("?>"), head.size()));
    if (const size_t at = declaration.find("encoding"); at != std::string::npos) {
      const size_t from = declaration.find_first_not_of(" =\"'", at + 8);
      if (from != std::string::npos)
        return declaration.substr(from, std::min(declaration.find_first_of(" \"'?", from), declaration.size()) - from);
    }
  }
  for (size_t at = 0; (at = head.find("<meta", at)) != std::string::npos; at += 5) {
    const std::string found = charset_of_content_type(std::string_view(head).substr(at, head.find('>', at) - at));
    if (!found.empty()) return found;
  }
  return "";
}

std::string with_plain_line_ends(std::string text) {
  if (text.find('\r') == std::string::npos) return text;
  size_t to = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') {
      text[to++] = '\n';
      if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
    } else {
      text[to++] = text[i];
    }
  }
  text.resize(to);
  return text;
}

bool is_binary(std::string_view bytes) {
  bytes = bytes.substr(0, size_t{1} << 16);
  if (bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF") || bytes.starts_with("\0\0\xFE\xFF"sv)) return false;
  size_t odd = 0;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    odd += byte < 0x20 && !(byte >= '\t' && byte <= '\r') && byte != 0x1B;
  }
  return odd * 50 > bytes.size();
}

}  // namespace r1::corpus
