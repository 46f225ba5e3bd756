// WARC (ISO 28500) as crawls write it: HTTP responses, whose HTML is handed on as it is (extra {"html": true}, in UTF-8), and WET's conversion
// records, which are text. WAT's metadata, requests and all other records are counted by their type.
//
// A record whose Content-Length lies shows in what follows it: then the next record's first line is looked for, inside of what was taken for
// the block too. A gzip member that is damaged costs its record; the next member is the next record.
#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "r1/base/error.h"
#include "r1/base/strings.h"
#include "r1/corpus/encoding.h"
#include "r1/corpus/header_fields.h"
#include "r1/corpus/markup.h"
#include "r1/corpus/reader_parts.h"
#include "r1/corpus/warc_cuts.h"
#include "r1/data/unpack.h"

namespace r1::corpus {
namespace {

constexpr size_t kMaxHead = size_t{1} << 20;

// Transfer-Encoding: chunked, if it is what it says (many archives have joined the chunks and left the field). nullopt: it is not.
std::optional<std::string> joined_chunks(std::string_view body) {
  std::string out;
  for (size_t at = 0; at < body.size();) {
    const size_t end = body.find("\r\n", at);
    if (end == std::string_view::npos) return std::nullopt;
    std::string_view line = body.substr(at, end - at);
    line = trim(line.substr(0, line.find(';')));
    uint64_t size = 0;
    const auto [stop, error] = std::from_chars(line.data(), line.data() + line.size(), size, 16);
    if (error != std::errc() || stop != line.data() + line.size()) return std::nullopt;
    at = end + 2;
    if (size == 0) return out;
    const size_t there = std::min<uint64_t>(size, body.size() - at);
    out.append(body, at, there);
    at += there + 2;
  }
  return out;  // cut short, as records are
}

// What the bytes unpack to; reason if they cannot be had. What came out before damage is kept.
std::string unpacked(Input packed, std::string& body, size_t most) {
  bool cut = false;
  body = packed.rest(most, cut);
  if (cut) return "too_large";
  return body.empty() && !packed.fault().empty() ? packed.fault() : "";
}

// Content-Encoding: gzip, deflate, zstd, br. What does not begin as the encoding does was unpacked by the archive. Reason if it cannot be had.
std::string unpack_body(std::string& body, std::string_view encoding, size_t most) {
  if (encoding.empty() || same_word(encoding, "identity") || same_word(encoding, "none")) return "";
  const bool gzip = same_word(encoding, "gzip") || same_word(encoding, "x-gzip");
  if (gzip || same_word(encoding, "zstd")) {
    if (data::packing_of(body) != (gzip ? data::Packing::kGzip : data::Packing::kZstd)) return "";
    return unpacked(Input::memory(std::move(body), ""), body, most);
  }
  if (same_word(encoding, "deflate")) {
    // zlib's form, as the standard has it, or raw, as some servers do
    if (!body.empty() && (body[0] == '<' || body[0] == ' ' || body[0] == '\n')) return "";
    for (const int window : {15, -15}) {
      z_stream stream{};
      if (inflateInit2(&stream, window) != Z_OK) return "out_of_memory";
      std::string out;
      std::string buffer(size_t{1} << 16, '\0');
      stream.next_in = reinterpret_cast<Bytef*>(body.data());
      stream.avail_in = uInt(body.size());
      int code = Z_OK;
      while (code == Z_OK && out.size() <= most) {
        stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
        stream.avail_out = uInt(buffer.size());
        code = inflate(&stream, Z_NO_FLUSH);
        out.append(buffer.data(), buffer.size() - stream.avail_out);
      }
      inflateEnd(&stream);
      if (out.size() > most) return "too_large";
      if (code == Z_STREAM_END || (code == Z_BUF_ERROR && !out.empty())) return body = std::move(out), "";
    }
    return "damaged_packing";
  }
  // packed bytes are no UTF-8 with a tag in it; a page is
  if (body.find('<') < 256 && is_utf8(std::string_view(body).substr(0, 256))) return "";
  if (!same_word(encoding, "br")) return "encoding:other";
  return data::has_brotli() ? unpacked(Input::brotli(std::move(body)), body, most) : "encoding:br";
}

std::string_view media_type(std::string_view content_type) {
  return trim(content_type.substr(0, content_type.find(';')));
}
bool is_html(std::string_view type) {
  return same_word(type, "text/html") || same_word(type, "application/xhtml+xml");
}

class Warc : public Reader {
 public:
  Warc(Input input, const Opening& opening) : input_(std::move(input)), opening_(opening) {}

  bool next(Document& d, Counts& counts) override {
    while (true) {
      if (!to_record(counts)) {
        if (input_.fault().empty()) return false;
        counts.broken(where(input_.place()), input_.fault());
        if (!input_.resync()) return false;
        continue;
      }
      d = {};
      if (record(d, counts)) return true;
    }
  }

 private:
  std::string where(int64_t at) const { return str(input_.name(), "#", at); }

  // To a line that begins a record. False at the end. Lines that are passed over are one broken record.
  bool to_record(Counts& counts) {
    input_.peek(1);  // or the place is behind the member before
    const int64_t from = input_.at(), place = input_.place();
    bool strange = false;
    while (true) {
      const std::string_view ahead = input_.peek(8);
      if (ahead.starts_with("WARC/")) break;
      if (ahead.empty()) break;
      bool cut = false;
      if (!input_.line(line_, 1024, cut)) break;
      strange |= !trim(line_).empty();
    }
    if (strange) counts.broken(where(place), "warc:no_record", input_.at() - from);
    return !input_.at_end();
  }

  bool record(Document& d, Counts& counts) {
    const int64_t begin = input_.at(), place = input_.place();
    std::string head;
    bool cut = false;
    while (input_.until('\n', line_, kMaxHead, cut) && !cut && head.size() < kMaxHead) {
      head += line_;
      if (line_ == "\n" || line_ == "\r\n") break;
    }
    if (!input_.fault().empty() && line_ != "\r\n" && line_ != "\n") return false;  // counted by next()
    size_t at = std::min(head.find('\n'), head.size() - 1) + 1;
    const HeaderFields fields = HeaderFields::parse(head, at);
    const int64_t length = warc_block_length(fields);
    if (cut || length < 0) return counts.broken(where(place), "warc:bad_length", int64_t(head.size())), false;

    const std::string_view type = fields.get("WARC-Type");
    const bool wanted = type == "response" || type == "conversion" || type == "resource";
    std::string block;
    if (length > opening_.options.max_document_bytes + int64_t{65'536}) {
      // more than a document may be, or a lie: then a record begins inside of it
      const bool whole = skip_to_record_or(length);
      counts.broken(where(place), whole ? "too_large" : "warc:bad_length", input_.at() - begin);
      return false;
    }
    block.resize(size_t(length));
    size_t have = 0;
    while (have < block.size()) {
      const size_t n = input_.read(block.data() + have, block.size() - have);
      if (n == 0) break;
      have += n;
    }
    block.resize(have);
    if (!input_.fault().empty() && int64_t(have) < length) return false;  // counted by next(), as is what it says
    const std::string_view after = input_.peek(4);
    if (int64_t(have) < length || !(after.empty() || after.starts_with("\r\n") || after.starts_with("\n") || after.starts_with("WARC/"))) {
      // The next record may begin inside of what was taken, even so late that only a part of its first word was.
      block += input_.peek(16).substr(0, 16);
      const size_t inside = block.find("\r\n\r\nWARC/1.");
      block.resize(have);
      if (inside != std::string::npos && inside + 4 < have) input_.unread(std::string_view(block).substr(inside + 4));
      counts.broken(where(place), int64_t(have) < length && inside == std::string::npos ? "truncated" : "warc:bad_length", int64_t(have));
      return false;
    }
    if (!wanted) return counts.broken(where(place), "warc:" + (type.empty() ? "no_type" : short_name(type)), length), false;

    d.source = input_.name();
    d.offset = place;
    d.url = to_utf8(fields.get("WARC-Target-URI"));
    if (d.url.starts_with('<') && d.url.ends_with('>')) d.url = d.url.substr(1, d.url.size() - 2);
    d.date = to_utf8(fields.get("WARC-Date"));
    d.licence = opening_.licence;
    if (const std::string_view why = fields.get("WARC-Truncated"); !why.empty()) d.marks.push_back("truncated:" + short_name(why));
    std::string reason;
    try {
      reason = type == "response" ? response(block, fields, d) : body(std::move(block), fields.get("Content-Type"), fields, d);
    } catch (const Error&) {  // a charset that this system cannot decode
      reason = "charset";
    }
    if (!reason.empty()) return counts.broken(where(place), reason, length), false;
    return true;
  }

  // Passes over `length` bytes; false if a record began inside of them, where the input then stands.
  bool skip_to_record_or(int64_t length) {
    const int64_t end = length > INT64_MAX - input_.at() ? INT64_MAX : input_.at() + length;
    bool cut = false, empty = false;
    while (input_.at() < end && !input_.at_end()) {
      if (empty && input_.peek(7).starts_with("WARC/1.")) return false;
      if (end - input_.at() < int64_t{65'536}) {
        input_.skip(end - input_.at());
        break;
      }
      // no further than the block's end, whose place is only known if there is no line end before it
      if (!input_.until('\n', line_, 4, cut)) break;
      empty = line_ == "\r\n";
      if (input_.at() > end) return true;
    }
    return input_.at() >= end;
  }

  std::string response(std::string& block, const HeaderFields& record, Document& d) const {
    if (!block.starts_with("HTTP/")) {
      const std::string_view type = record.get("Content-Type");
      return same_word(media_type(type), "application/http") || type.empty() ? "http:no_response" : body(std::move(block), type, record, d);
    }
    const std::string_view status = std::string_view(block).substr(0, block.find('\n'));
    const size_t blank = status.find(' ');
    if (blank == std::string_view::npos || status.substr(blank + 1, 3) != "200") return "http:status";
    size_t at = status.size() + 1;
    if (at > block.size()) return "http:no_body";
    const HeaderFields http = HeaderFields::parse(block, at);
    std::string content = block.substr(at);
    if (lower_ascii(http.get("Transfer-Encoding")).find("chunked") != std::string::npos)
      if (auto joined = joined_chunks(content)) content = std::move(*joined);
    const std::string reason = unpack_body(content, http.get("Content-Encoding"), size_t(opening_.options.max_document_bytes));
    if (!reason.empty()) return reason;
    const std::string_view language = http.get("Content-Language");
    if (language.size() >= 2 && language.size() <= 20 && language.find(',') == std::string_view::npos) d.language = to_utf8(language);
    std::string_view type = http.get("Content-Type");
    if (type.empty()) type = record.get("WARC-Identified-Payload-Type");
    return body(std::move(content), type, record, d);
  }

  std::string body(std::string content, std::string_view content_type, const HeaderFields& record, Document& d) const {
    const std::string_view type = media_type(content_type);
    const bool html = is_html(type);
    const bool conversion = record.get("WARC-Type") == "conversion";
    if (!html && !conversion && !same_word(type, "text/plain") && !same_word(type, "text/markdown"))
      return type.empty() ? "media:none" : "media:" + media_class(type);
    if (is_binary(content)) return "binary";
    std::string charset = charset_of_content_type(content_type);
    if (charset.empty() && html) charset = charset_of_markup(content);
    d.kind = conversion ? "wet" : "warc";
    d.text = with_plain_line_ends(to_utf8(content, charset));
    if (html) {
      d.extra = {{"html", true}};
      d.title = title_of_markup(std::string_view(d.text).substr(0, size_t{1} << 18));
    }
    if (const std::string_view language = record.get("WARC-Identified-Content-Language"); !language.empty())
      d.language = to_utf8(language.substr(0, language.find(',')));  // most of the text first
    return "";
  }
  // image/png -> image: a table has few columns.
  static std::string media_class(std::string_view type) { return short_name(type.substr(0, type.find('/'))); }
  static std::string short_name(std::string_view text) {
    std::string out;
    for (const char c : text.substr(0, 20))
      out += std::isalnum(static_cast<unsigned char>(c)) ? char(std::tolower(static_cast<unsigned char>(c))) : '_';
    return out;
  }

  Input input_;
  Opening opening_;
  std::string line_;
};

}  // namespace

std::unique_ptr<Reader> read_warc(Input input, const Opening& opening) {
  return std::make_unique<Warc>(std::move(input), opening);
}

}  // namespace r1::corpus
