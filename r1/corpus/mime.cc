#include "r1/corpus/mime.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <vector>

#include "r1/base/error.h"
#include "r1/base/strings.h"
#include "r1/corpus/encoding.h"
#include "r1/corpus/header_fields.h"
#include "r1/corpus/markup.h"

namespace r1::corpus {
namespace {

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char l = char(c | 0x20);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

constexpr std::array<int8_t, 256> base64_values() {
  std::array<int8_t, 256> values{};
  values.fill(-1);
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < kLetters.size(); ++i) values[size_t(kLetters[i])] = int8_t(i);
  return values;
}
constexpr auto kBase64 = base64_values();

// A field's value in front of its parameters, and a parameter's: `text/plain; charset="utf-8"; name*0=..`.
std::string_view main_value(std::string_view field) {
  return trim(field.substr(0, field.find(';')));
}

std::string parameter(std::string_view field, std::string_view name) {
  std::string joined;
  for (size_t at = field.find(';'); at != std::string_view::npos && at < field.size();) {
    ++at;
    size_t equals = at;
    while (equals < field.size() && field[equals] != '=' && field[equals] != ';') ++equals;
    if (equals >= field.size()) break;
    if (field[equals] == ';') {
      at = equals;
      continue;
    }
    std::string_view key = trim(field.substr(at, equals - at));
    size_t i = equals + 1;
    while (i < field.size() && (field[i] == ' ' || field[i] == '\t')) ++i;
    std::string value;
    if (i < field.size() && field[i] == '"') {
      for (++i; i < field.size() && field[i] != '"'; ++i) {
        if (field[i] == '\\' && i + 1 < field.size()) ++i;
        value += field[i];
      }
      at = field.find(';', i);
    } else {
      const size_t end = std::min(field.find(';', i), field.size());
      value = trim(field.substr(i, end - i));
      at = end;
    }
    const size_t star = key.find('*');
    const std::string_view base = key.substr(0, star);
    if (!same_word(base, name)) continue;
    if (star == std::string_view::npos) return value;
    // RFC 2231: name*, name*0, name*0*, ...; the first of those that end in a star has charset'language' in front
    if (key.ends_with('*')) {
      if (joined.empty())
        if (const size_t quote = value.find('\''); quote != std::string::npos)
          if (const size_t second = value.find('\'', quote + 1); second != std::string::npos) value.erase(0, second + 1);
      std::string plain;
      for (size_t k = 0; k < value.size(); ++k) {
        if (value[k] == '%' && k + 2 < value.size() && hex(value[k + 1]) >= 0 && hex(value[k + 2]) >= 0) {
          plain += char(hex(value[k + 1]) * 16 + hex(value[k + 2]));
          k += 2;
        } else {
          plain += value[k];
        }
      }
      value = plain;
    }
    joined += value;
  }
  return joined;
}

std::string_view next_line(std::string_view text, size_t& at) {
  const size_t end = std::min(text.find('\n', at), text.size());
  std::string_view line = text.substr(at, end - at);
  at = end + 1;
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// format=flowed (RFC 3676): a line that ends in a blank goes on in the next one.
std::string unflowed(std::string_view text, bool delete_space) {
  std::string out;
  size_t quoted = 0;
  bool open = false;
  for (size_t at = 0; at < text.size();) {
    std::string_view line = next_line(text, at);
    size_t depth = 0;
    while (depth < line.size() && line[depth] == '>') ++depth;
    std::string_view said = line.substr(depth);
    if (said.starts_with(' ')) said.remove_prefix(1);  // stuffed
    const bool signature = said == "-- ";
    if (open && (depth != quoted || signature)) out += '\n', open = false;
    if (!open && depth > 0) out += std::string(depth, '>') + " ";
    quoted = depth;
    open = said.ends_with(' ') && !signature;
    if (open && delete_space) said.remove_suffix(1);
    out += said;
    if (!open) out += '\n';
  }
  return out;
}

std::string without_quotes(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const std::string_view line = next_line(text, at);
    if (line.starts_with('>')) {
      // "On Monday, X wrote:" introduces what is left out
      const std::string_view before = trim(out);
      const size_t last = before.rfind('\n') + 1;  // npos + 1 == 0
      const std::string_view said = before.substr(last);
      if (said.ends_with("wrote:") || said.ends_with("writes:") || said.ends_with("schrieb:"))
        out.resize(size_t(before.data() - out.data()) + last);
      continue;
    }
    out += line;
    out += '\n';
  }
  return out;
}

class Message {
 public:
  explicit Message(const MailOptions& options) : options_(options) {}

  // The text of an entity: its header and body.
  std::string entity(std::string_view bytes, int depth, std::string_view standard_type) {
    size_t at = 0;
    const HeaderFields fields = HeaderFields::parse(bytes, at);
    return body(fields, bytes.substr(std::min(at, bytes.size())), depth, standard_type);
  }

  std::string body(const HeaderFields& fields, std::string_view bytes, int depth, std::string_view standard_type) {
    if (depth > kMaxMimeDepth || ++parts_ > kMaxMimeParts) return too_deep_ = true, "";
    const std::string content_type(fields.get("Content-Type"));
    std::string type = lower_ascii(main_value(content_type));
    if (type.find('/') == std::string::npos) type = standard_type;
    if (depth > 0 && same_word(main_value(fields.get("Content-Disposition")), "attachment") && !type.starts_with("message/")) return "";
    if (type.starts_with("multipart/")) return multipart(type, parameter(content_type, "boundary"), bytes, depth);
    if (type == "message/rfc822" || type == "message/news") {
      size_t at = 0;
      // not copied where nothing is encoded: messages may lie in messages
      std::string held;
      const std::string_view decoded = main_value(fields.get("Content-Transfer-Encoding")).find_first_of("64qQ") == std::string_view::npos
                                           ? bytes
                                           : std::string_view(held = transfer_decoded(fields, bytes));
      const HeaderFields inner = HeaderFields::parse(decoded, at);
      const std::string text = body(inner, decoded.substr(std::min(at, decoded.size())), depth + 1, "text/plain");
      const std::string subject = decode_words(inner.get("Subject"));
      return subject.empty() ? text : subject + "\n\n" + text;
    }
    if (!type.starts_with("text/") || type == "text/calendar" || type == "text/x-vcard" || type == "text/directory") return "";
    return leaf(type, content_type, fields, bytes);
  }

 private:
  static std::string transfer_decoded(const HeaderFields& fields, std::string_view bytes) {
    const std::string_view encoding = main_value(fields.get("Content-Transfer-Encoding"));
    if (same_word(encoding, "base64")) return decode_base64(bytes);
    if (same_word(encoding, "quoted-printable")) return decode_quoted_printable(bytes);
    return std::string(bytes);
  }

  std::string leaf(const std::string& type, const std::string& content_type, const HeaderFields& fields, std::string_view bytes) const {
    const std::string decoded = transfer_decoded(fields, bytes);
    if (is_binary(decoded)) return "";
    std::string charset = parameter(content_type, "charset");
    const bool html = type == "text/html";
    if (charset.empty() && html) charset = charset_of_markup(decoded);
    std::string text;
    try {
      text = with_plain_line_ends(to_utf8(decoded, charset));
    } catch (const Error&) {  // this system lacks the encoding
      return "";
    }
    if (html) {
      text = text_of_markup(text);
    } else if (same_word(parameter(content_type, "format"), "flowed")) {
      text = unflowed(text, same_word(parameter(content_type, "delsp"), "yes"));
    }
    if (!options_.quotes) text = without_quotes(text);
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
    return text.empty() ? "" : text + "\n";
  }

  std::string multipart(const std::string& type, const std::string& boundary, std::string_view bytes, int depth) {
    std::vector<std::string_view> parts;
    if (boundary.empty() || boundary.size() > 200) return "";
    const std::string mark = "--" + boundary;
    size_t begin = std::string_view::npos;
    for (size_t at = 0; at < bytes.size();) {
      const size_t from = at;
      std::string_view line = next_line(bytes, at);
      if (!line.starts_with(mark)) continue;
      std::string_view rest = line.substr(mark.size());
      const bool last = rest.starts_with("--");
      if (last) rest.remove_prefix(2);
      if (!trim(rest).empty()) continue;  // a longer boundary, of a part inside
      if (begin != std::string_view::npos && parts.size() < size_t(kMaxMimeParts)) parts.push_back(part_between(bytes, begin, from));
      begin = last ? std::string_view::npos : std::min(at, bytes.size());
      if (last) break;
    }
    if (begin != std::string_view::npos && parts.size() < size_t(kMaxMimeParts)) parts.push_back(bytes.substr(begin));  // it breaks off
    const std::string_view standard = type == "multipart/digest" ? "message/rfc822" : "text/plain";
    if (type == "multipart/alternative") return alternative(parts, depth);
    std::string out;
    for (const std::string_view part : parts) {
      if (type == "multipart/signed" && !out.empty()) break;  // the second part is the signature
      std::string text = entity(part, depth + 1, standard);
      if (text.empty()) continue;
      if (!out.empty()) out += '\n';
      out += text;
    }
    return out;
  }

  static std::string_view part_between(std::string_view bytes, size_t begin, size_t end) {
    std::string_view part = bytes.substr(begin, end - begin);  // the line end in front of a boundary is the boundary's
    if (part.ends_with('\n')) part.remove_suffix(1);
    if (part.ends_with('\r')) part.remove_suffix(1);
    return part;
  }

  std::string alternative(const std::vector<std::string_view>& parts, int depth) {
    std::string other;
    for (const std::string_view part : parts) {
      size_t at = 0;
      const HeaderFields fields = HeaderFields::parse(part, at);
      const std::string_view type = main_value(fields.get("Content-Type"));
      const std::string text = body(fields, part.substr(std::min(at, part.size())), depth + 1, "text/plain");
      if (text.empty()) continue;
      if (type.empty() || same_word(type, "text/plain")) return text;
      if (other.empty()) other = text;
    }
    return other;
  }

  MailOptions options_;
  int parts_ = 0;

 public:
  bool too_deep_ = false;
};

}  // namespace

std::string decode_base64(std::string_view text) {
  std::string out;
  out.reserve(text.size() / 4 * 3);
  uint32_t bits = 0;
  int n = 0;
  for (const char c : text) {
    if (c == '=') {
      bits = 0, n = 0;  // the padding ends a run; another may follow
      continue;
    }
    const int v = kBase64[static_cast<unsigned char>(c)];
    if (v < 0) continue;
    bits = bits << 6 | uint32_t(v);
    n += 6;
    if (n >= 8) {
      n -= 8;
      out += char(bits >> n & 0xFF);
    }
  }
  return out;
}

std::string decode_quoted_printable(std::string_view text, bool in_header) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (in_header && text[i] == '_') {
      out += ' ';
    } else if (text[i] != '=') {
      out += text[i];
    } else if (i + 2 < text.size() && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0) {
      out += char(hex(text[i + 1]) * 16 + hex(text[i + 2]));
      i += 2;
    } else {
      size_t end = i + 1;  // blanks and a line end: the line goes on
      while (end < text.size() && (text[end] == ' ' || text[end] == '\t' || text[end] == '\r')) ++end;
      if (end >= text.size() || text[end] == '\n')
        i = end;
      else
        out += '=';
    }
  }
  return out;
}

std::string decode_words(std::string_view value) {
  std::string out, blanks;
  bool after_word = false;
  for (size_t i = 0; i < value.size();) {
    if (value.substr(i).starts_with("=?")) {
      const size_t charset_end = value.find('?', i + 2);
      const size_t text_begin = charset_end == std::string_view::npos ? charset_end : charset_end + 3;
      const size_t end = text_begin >= value.size() || value[text_begin - 1] != '?' ? std::string_view::npos : value.find("?=", text_begin);
      if (end != std::string_view::npos && end - i < 2000) {
        std::string_view charset = value.substr(i + 2, charset_end - i - 2);
        charset = charset.substr(0, charset.find('*'));  // RFC 2231: a language behind it
        const char how = char(value[charset_end + 1] | 0x20);
        const std::string_view text = value.substr(text_begin, end - text_begin);
        if (how == 'q' || how == 'b') {
          if (!after_word) out += blanks;  // blanks between two encoded words are none
          blanks.clear();
          try {
            out += to_utf8(how == 'q' ? decode_quoted_printable(text, true) : decode_base64(text), charset);
          } catch (const Error&) {
            out += "\xEF\xBF\xBD";
          }
          after_word = true;
          i = end + 2;
          continue;
        }
      }
    }
    if (value[i] == ' ' || value[i] == '\t') {
      blanks += ' ';
      ++i;
      continue;
    }
    out += blanks;
    blanks.clear();
    after_word = false;
    size_t next = i + 1;
    while (next < value.size() && value[next] != ' ' && value[next] != '\t' && !value.substr(next).starts_with("=?")) ++next;
    out += to_utf8(value.substr(i, next - i));
    i = next;
  }
  return out;
}

std::string document_of_mail(std::string_view bytes, const MailOptions& options, Document& d) {
  size_t at = 0;
  const HeaderFields fields = HeaderFields::parse(bytes, at);
  if (fields.empty()) return "mail:no_header";
  Message message(options);
  d.text = message.body(fields, bytes.substr(std::min(at, bytes.size())), 0, "text/plain");
  d.title = decode_words(fields.get("Subject"));
  d.author = decode_words(fields.get("From"));
  d.date = decode_words(fields.get("Date"));
  for (const auto& [field, key] : {std::pair{"Message-ID", "message_id"}, {"In-Reply-To", "in_reply_to"}, {"List-Id", "list"}}) {
    const std::string value = decode_words(fields.get(field));
    if (value.empty()) continue;
    if (d.extra.is_null()) d.extra = Json::object();
    d.extra[key] = value;
  }
  if (!d.text.empty()) return "";
  return message.too_deep_ ? "mail:too_deep" : "mail:no_text";
}

}  // namespace r1::corpus
