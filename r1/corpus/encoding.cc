#include "r1/corpus/encoding.h"

#include <iconv.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdint>

#include "r1/base/error.h"
#include "r1/base/strings.h"
#include "r1/base/utf8.h"
#include "r1/text/unicode.h"

namespace r1::corpus {
namespace {

using namespace std::literals;

// The standard's name of an encoding, iconv's (none for those decoded here), and the labels that lead to it, without '-', '_' and ':', separated by
// blanks: the standard's without the rarest, and what is seen beside them.
struct Encoding {
  std::string_view name, iconv, labels;
};
constexpr Encoding kEncodings[] = {
    {"utf-8", "", " utf8 unicode11utf8 usascii8 "},
    {"windows-1252", "", " windows1252 cp1252 xcp1252 ascii usascii ansix3.41968 iso88591 latin1 l1 cp819 ansi "},
    {"utf-16le", "", " utf16 utf16le unicode ucs2 iso10646ucs2 "},
    {"utf-16be", "", " utf16be unicodefffe "},
    {"utf-32le", "", " utf32le utf32 "},
    {"utf-32be", "", " utf32be "},
    {"cp437", "CP437", " cp437 ibm437 437 "},
    {"cp850", "CP850", " cp850 ibm850 850 "},
    {"ibm866", "CP866", " ibm866 cp866 866 "},
    {"iso-8859-2", "ISO-8859-2", " iso88592 latin2 l2 "},
    {"iso-8859-3", "ISO-8859-3", " iso88593 latin3 l3 "},
    {"iso-8859-4", "ISO-8859-4", " iso88594 latin4 l4 "},
    {"iso-8859-5", "ISO-8859-5", " iso88595 cyrillic "},
    {"iso-8859-6", "ISO-8859-6", " iso88596 arabic "},
    {"iso-8859-7", "ISO-8859-7", " iso88597 greek greek8 "},
    {"iso-8859-8", "ISO-8859-8", " iso88598 hebrew visual iso88598i logical "},
    {"iso-8859-10", "ISO-8859-10", " iso885910 latin6 l6 "},
    {"iso-8859-13", "ISO-8859-13", " iso885913 "},
    {"iso-8859-14", "ISO-8859-14", " iso885914 "},
    {"iso-8859-15", "ISO-8859-15", " iso885915 latin9 l9 "},
    {"iso-8859-16", "ISO-8859-16", " iso885916 "},
    {"koi8-r", "KOI8-R", " koi8r koi8 koi "},
    {"koi8-u", "KOI8-U", " koi8u koi8ru "},
    {"macintosh", "MACINTOSH", " macintosh mac xmacroman "},
    {"windows-874", "CP874", " windows874 dos874 tis620 iso885911 "},
    {"windows-1250", "CP1250", " windows1250 cp1250 xcp1250 "},
    {"windows-1251", "CP1251", " windows1251 cp1251 xcp1251 "},
    {"windows-1253", "CP1253", " windows1253 cp1253 "},
    {"windows-1254", "CP1254", " windows1254 cp1254 iso88599 latin5 l5 "},
    {"windows-1255", "CP1255", " windows1255 cp1255 "},
    {"windows-1256", "CP1256", " windows1256 cp1256 "},
    {"windows-1257", "CP1257", " windows1257 cp1257 "},
    {"windows-1258", "CP1258", " windows1258 cp1258 "},
    {"gb18030", "GB18030", " gb18030 gbk gb2312 chinese gb231280 xgbk cp936 csgb2312 hzgb2312 "},
    {"big5", "BIG5-HKSCS", " big5 big5hkscs cnbig5 xxbig5 csbig5 "},
    {"euc-jp", "EUC-JP-MS", " eucjp xeucjp "},
    {"shift_jis", "CP932", " shiftjis sjis xsjis mskanji windows31j cp932 ms932 "},
    {"iso-2022-jp", "ISO-2022-JP", " iso2022jp csiso2022jp "},
    {"euc-kr", "CP949", " euckr korean ksc56011987 ksc56011989 ksc5601 windows949 cp949 uhc "},
};

std::string from_windows_1252(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() + bytes.size() / 8);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80)
      out += c;
    else
      append_utf8(out, of_windows_1252(byte));
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

struct Utf8Shape {
  size_t characters = 0, broken = 0;  // sequences beyond ASCII; bytes that are none
};
Utf8Shape utf8_shape(std::string_view bytes) {
  Utf8Shape shape;
  const char *p = bytes.data(), *end = p + bytes.size();
  while (p < end) {
    if (uint8_t(*p) < 0x80) {
      ++p;
      continue;
    }
    uint32_t cp;
    const int n = decode_utf8(p, end, &cp);
    if (cp != kInvalidChar) {
      ++shape.characters;
    } else if (shape.characters == 0 || end - p > 3) {  // a sequence that the end cuts is not broken
      ++shape.broken;
    }
    p += n;
  }
  return shape;
}

const Encoding* find_encoding(std::string_view label) {
  std::string key = lower_ascii(label);
  std::erase_if(key, [](unsigned char c) { return std::isspace(c) || std::string_view("-_:\"'").find(char(c)) != std::string_view::npos; });
  if (key.empty() || key.size() > 40) return nullptr;
  const auto* row =
      std::ranges::find_if(kEncodings, [&](const Encoding& e) { return e.labels.find(" " + key + " ") != std::string_view::npos; });
  return row == std::end(kEncodings) ? nullptr : row;
}

bool can_decode(const Encoding& e) {
  if (e.iconv.empty()) return true;
  const iconv_t cd = iconv_open("UTF-8", std::string(e.iconv).c_str());
  if (cd == iconv_t(-1)) return false;
  iconv_close(cd);
  return true;
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

uint32_t of_windows_1252(uint8_t byte) {
  // 0x80 to 0x9F; the standard gives the five free places their C1 controls.
  constexpr uint16_t kUpper[32] = {0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
                                   0x2039, 0x0152, 0x8D,   0x017D, 0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
                                   0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178};
  return byte >= 0x80 && byte < 0xA0 ? kUpper[byte - 0x80] : byte;
}

std::string encoding_of(std::string_view label) {
  const Encoding* e = find_encoding(label);
  return e ? std::string(e->name) : "";
}

std::string decode(std::string_view bytes, std::string_view label) {
  const Encoding* e = find_encoding(label);
  if (!e || e->name == "utf-8") return text::to_valid_utf8(bytes.substr(bytes.starts_with("\xEF\xBB\xBF") ? 3 : 0));
  if (e->name == "windows-1252") return from_windows_1252(bytes);
  if (e->name.starts_with("utf-16")) {
    if (bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF")) bytes.remove_prefix(2);
    return utf8_of_utf16(bytes, e->name == "utf-16be");
  }
  if (e->name.starts_with("utf-32")) return from_utf32(bytes, e->name == "utf-32be");
  return by_iconv(bytes, std::string(e->iconv));
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
  const bool wide = name.starts_with("utf-16") || name.starts_with("utf-32");
  if (!name.empty() && name != "utf-8" && !(wide && bytes.find('\0') == std::string_view::npos)) return decode(bytes, name);
  if (is_utf8(bytes)) return std::string(bytes);
  // A few damaged places in much that is right.
  const Utf8Shape shape = utf8_shape(bytes);
  return name == "utf-8" && shape.broken * 20 <= shape.characters ? text::to_valid_utf8(bytes) : from_windows_1252(bytes);
}

std::string encoding_of_page(std::string_view bytes, std::string_view declared) {
  if (bytes.starts_with("\xEF\xBB\xBF")) return "utf-8";
  if (bytes.starts_with("\xFF\xFE")) return "utf-16le";
  if (bytes.starts_with("\xFE\xFF")) return "utf-16be";
  std::string name = encoding_of(declared);
  if (name.starts_with("utf-16")) return name;
  const Utf8Shape shape = utf8_shape(bytes);
  if (shape.broken == 0 && shape.characters >= 4) return "utf-8";
  // A few broken bytes in a page of UTF-8 (a cut, a foreign snippet) leave it UTF-8.
  if (shape.characters > 100 && shape.characters > 50 * shape.broken) return "utf-8";
  if (name.empty()) {
    name = encoding_of(charset_of_markup(bytes));
    if (name.starts_with("utf-16")) name = "utf-8";  // who says so in ASCII is not
  }
  if (name == "utf-8" && shape.broken > 0 && shape.characters < shape.broken) name = "";  // it is not
  if (!name.empty() && can_decode(*find_encoding(name))) return name;
  return shape.broken == 0 || shape.characters > shape.broken ? "utf-8" : "windows-1252";
}

std::string charset_of_content_type(std::string_view value) {
  const std::string text = lower_ascii(value);
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
  const std::string head = lower_ascii(bytes.substr(0, 4096));
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
