#include "r1/corpus/charset.h"

#include <iconv.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "r1/base/strings.h"
#include "r1/text/unicode.h"

namespace r1::corpus {
namespace {

std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c += 32;
  return out;
}

struct Label {
  std::string_view label, name, iconv;
};
// Labels without their '-', '_', ' ' and ':'; the third is iconv's name.
constexpr Label kLabels[] = {
    {"utf8", "utf-8", "UTF-8"},
    {"unicode11utf8", "utf-8", "UTF-8"},
    {"ascii", "windows-1252", ""},
    {"usascii", "windows-1252", ""},
    {"iso88591", "windows-1252", ""},
    {"latin1", "windows-1252", ""},
    {"l1", "windows-1252", ""},
    {"cp1252", "windows-1252", ""},
    {"xcp1252", "windows-1252", ""},
    {"windows1252", "windows-1252", ""},
    {"ansi", "windows-1252", ""},
    {"iso88592", "iso-8859-2", "ISO-8859-2"},
    {"latin2", "iso-8859-2", "ISO-8859-2"},
    {"iso88593", "iso-8859-3", "ISO-8859-3"},
    {"iso88594", "iso-8859-4", "ISO-8859-4"},
    {"iso88595", "iso-8859-5", "ISO-8859-5"},
    {"iso88596", "iso-8859-6", "ISO-8859-6"},
    {"iso88597", "iso-8859-7", "ISO-8859-7"},
    {"iso88598", "iso-8859-8", "ISO-8859-8"},
    {"iso88598i", "iso-8859-8", "ISO-8859-8"},
    {"iso88599", "windows-1254", "CP1254"},
    {"latin5", "windows-1254", "CP1254"},
    {"iso885910", "iso-8859-10", "ISO-8859-10"},
    {"iso885913", "iso-8859-13", "ISO-8859-13"},
    {"iso885914", "iso-8859-14", "ISO-8859-14"},
    {"iso885915", "iso-8859-15", "ISO-8859-15"},
    {"latin9", "iso-8859-15", "ISO-8859-15"},
    {"iso885916", "iso-8859-16", "ISO-8859-16"},
    {"windows1250", "windows-1250", "CP1250"},
    {"cp1250", "windows-1250", "CP1250"},
    {"windows1251", "windows-1251", "CP1251"},
    {"cp1251", "windows-1251", "CP1251"},
    {"windows1253", "windows-1253", "CP1253"},
    {"cp1253", "windows-1253", "CP1253"},
    {"windows1254", "windows-1254", "CP1254"},
    {"cp1254", "windows-1254", "CP1254"},
    {"windows1255", "windows-1255", "CP1255"},
    {"cp1255", "windows-1255", "CP1255"},
    {"windows1256", "windows-1256", "CP1256"},
    {"cp1256", "windows-1256", "CP1256"},
    {"windows1257", "windows-1257", "CP1257"},
    {"cp1257", "windows-1257", "CP1257"},
    {"windows1258", "windows-1258", "CP1258"},
    {"cp1258", "windows-1258", "CP1258"},
    {"windows874", "windows-874", "CP874"},
    {"tis620", "windows-874", "CP874"},
    {"iso885911", "windows-874", "CP874"},
    {"koi8r", "koi8-r", "KOI8-R"},
    {"koi8", "koi8-r", "KOI8-R"},
    {"koi8u", "koi8-u", "KOI8-U"},
    {"ibm866", "ibm866", "CP866"},
    {"cp866", "ibm866", "CP866"},
    {"macintosh", "macintosh", "MACINTOSH"},
    {"gbk", "gb18030", "GB18030"},
    {"gb2312", "gb18030", "GB18030"},
    {"gb18030", "gb18030", "GB18030"},
    {"xgbk", "gb18030", "GB18030"},
    {"hzgb2312", "gb18030", "GB18030"},
    {"big5", "big5", "BIG5-HKSCS"},
    {"big5hkscs", "big5", "BIG5-HKSCS"},
    {"xxbig5", "big5", "BIG5-HKSCS"},
    {"shiftjis", "shift_jis", "CP932"},
    {"sjis", "shift_jis", "CP932"},
    {"xsjis", "shift_jis", "CP932"},
    {"windows31j", "shift_jis", "CP932"},
    {"cp932", "shift_jis", "CP932"},
    {"ms932", "shift_jis", "CP932"},
    {"eucjp", "euc-jp", "EUC-JP-MS"},
    {"xeucjp", "euc-jp", "EUC-JP-MS"},
    {"iso2022jp", "iso-2022-jp", "ISO-2022-JP"},
    {"euckr", "euc-kr", "CP949"},
    {"ksc5601", "euc-kr", "CP949"},
    {"ksc56011987", "euc-kr", "CP949"},
    {"windows949", "euc-kr", "CP949"},
    {"cp949", "euc-kr", "CP949"},
    {"uhc", "euc-kr", "CP949"},
    {"utf16", "utf-16le", "UTF-16LE"},
    {"utf16le", "utf-16le", "UTF-16LE"},
    {"utf16be", "utf-16be", "UTF-16BE"},
};

const Label* label_row(std::string_view label) {
  std::string key;
  for (char c : lower(trim(label)))
    if (c != '-' && c != '_' && c != ' ' && c != ':' && c != '"' && c != '\'') key += c;
  const auto* row = std::find_if(std::begin(kLabels), std::end(kLabels), [&](const Label& l) { return l.label == key; });
  return row == std::end(kLabels) ? nullptr : row;
}

// 0x80..0x9F of windows-1252; the five bytes without a character are the C1 controls, as browsers read them.
constexpr std::array<uint16_t, 32> k1252 = {0x20AC, 0x81,   0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
                                            0x2039, 0x0152, 0x8D,   0x017D, 0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
                                            0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D,   0x017E, 0x0178};

std::string from_1252(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() + bytes.size() / 8);
  for (char c : bytes) {
    const uint8_t b = uint8_t(c);
    if (b < 0x80) {
      out += c;
    } else {
      append_utf8(out, b < 0xA0 ? k1252[b - 0x80] : b);
    }
  }
  return out;
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

// The value after `key` ("charset", "encoding") and '=', with or without quotes; "" if there is none.
std::string_view value_after(std::string_view text, std::string_view key) {
  for (size_t at = text.find(key); at != text.npos; at = text.find(key, at + 1)) {
    size_t i = at + key.size();
    while (i < text.size() && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r')) ++i;
    if (i >= text.size() || text[i] != '=') continue;
    ++i;
    while (i < text.size() && (text[i] == ' ' || text[i] == '"' || text[i] == '\'' || text[i] == '\t')) ++i;
    const size_t end = text.find_first_of(" \t\r\n\"';>/?", i);
    return text.substr(i, end == text.npos ? text.npos : end - i);
  }
  return {};
}

std::string declared_inside(std::string_view bytes) {
  const std::string head = lower(bytes.substr(0, 4096));
  if (head.starts_with("<?xml")) {
    const std::string_view first = std::string_view(head).substr(0, head.find('>'));
    if (std::string name = charset_of_label(value_after(first, "encoding")); !name.empty()) return name;
  }
  for (size_t at = head.find("<meta"); at != head.npos; at = head.find("<meta", at + 5)) {
    const size_t end = std::min(head.find('>', at), head.size());
    std::string name = charset_of_label(value_after(std::string_view(head).substr(at, end - at), "charset"));
    // A page that says so in ASCII bytes is not UTF-16.
    if (name.starts_with("utf-16")) name = "utf-8";
    if (!name.empty()) return name;
  }
  return {};
}

}  // namespace

std::string charset_of_label(std::string_view label) {
  const Label* row = label_row(label);
  return row ? std::string(row->name) : std::string();
}

std::string charset_of_page(std::string_view bytes, std::string_view declared) {
  if (bytes.starts_with("\xEF\xBB\xBF")) return "utf-8";
  if (bytes.starts_with("\xFF\xFE")) return "utf-16le";
  if (bytes.starts_with("\xFE\xFF")) return "utf-16be";
  std::string name = charset_of_label(declared);
  if (name.starts_with("utf-16")) return name;
  const Utf8Shape shape = utf8_shape(bytes);
  if (shape.broken == 0 && shape.characters >= 4) return "utf-8";
  // A few broken bytes in a page of UTF-8 (a cut, a foreign snippet) leave it UTF-8.
  if (shape.characters > 100 && shape.characters > 50 * shape.broken) return "utf-8";
  if (name.empty()) name = declared_inside(bytes);
  if (name == "utf-8" && shape.broken > 0 && shape.characters < shape.broken) name = "";  // it is not
  if (!name.empty()) return name;
  return shape.broken == 0 || shape.characters > shape.broken ? "utf-8" : "windows-1252";
}

std::string utf8_of_page(std::string_view bytes, std::string_view charset) {
  const Label* row = label_row(charset);
  const std::string_view name = row ? row->name : "utf-8";
  if (name == "utf-8") {
    if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
    return text::to_valid_utf8(bytes);
  }
  if (name == "windows-1252") return from_1252(bytes);
  if (name.starts_with("utf-16") && (bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF"))) bytes.remove_prefix(2);
  const iconv_t converter = iconv_open("UTF-8", std::string(row->iconv).c_str());
  if (converter == iconv_t(-1)) return utf8_shape(bytes).broken ? from_1252(bytes) : text::to_valid_utf8(bytes);
  std::string out;
  out.reserve(bytes.size() * 3 / 2);
  char* in = const_cast<char*>(bytes.data());  // iconv reads only
  size_t left = bytes.size();
  char buffer[16384];
  while (true) {
    char* to = buffer;
    size_t room = sizeof buffer;
    const size_t done = iconv(converter, left ? &in : nullptr, &left, &to, &room);
    const int error = errno;
    out.append(buffer, size_t(to - buffer));
    if (done != size_t(-1)) {
      if (left == 0) break;
      continue;
    }
    if (error == E2BIG) continue;
    // A sequence the charset does not have, or one that the end cuts.
    out += "\xEF\xBF\xBD";
    const size_t skip = std::min(left, name.starts_with("utf-16") ? size_t{2} : size_t{1});
    in += skip;
    left -= skip;
    if (left == 0) break;
  }
  iconv_close(converter);
  return text::to_valid_utf8(out);
}

}  // namespace r1::corpus
