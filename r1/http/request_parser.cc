#include "r1/http/request_parser.h"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/version.hpp>
#include <cstring>

#include "r1/base/error.h"
#include "r1/base/strings.h"
#include "r1/http/error.h"

// An older parser refuses every body until it is told a limit, and compiles all the same.
static_assert(BOOST_VERSION >= 108100, "the server is written to Boost 1.81 and later: scripts/setup.sh installs it");

namespace r1::http {
namespace {

namespace beast = boost::beast;
using beast::http::error;

constexpr size_t kMaxMethodBytes = 32;

[[noreturn]] void malformed(const std::string& what) {
  throw ApiError(400, "malformed HTTP request: " + what, "", "bad_request");
}

[[noreturn]] void too_large(int64_t max_body) {
  throw ApiError(413, str("the body is over the limit of ", max_body, " bytes"), "", "request_too_large");
}

}  // namespace

struct RequestParser::Impl final : beast::http::basic_parser<true> {
  Impl(int64_t max_header_bytes, int64_t max_headers) : max_header_bytes(size_t(max_header_bytes)), max_headers(size_t(max_headers)) {
    header_limit(std::uint32_t(std::max<int64_t>(max_header_bytes + 64, int64_t(kMaxTrailerBytes))));
    body_limit(boost::none);  // ours is known only when the route is
  }

  size_t feed_head(std::string_view bytes) {
    // A client may send an empty line behind its last request (RFC 9112, 2.2).
    if (scanned == 0 && bytes.starts_with("\r\n")) {
      if (++empty_lines > 4) malformed("it starts with empty lines");
      return 2;
    }
    if (scanned == 0 && bytes == "\r") return 0;
    const size_t end = find_head_end(bytes);
    if (end == 0) return 0;
    put_all(bytes.substr(0, end));
    if (!is_header_done()) malformed("its head can't be read");
    check_framing();
    return end;
  }

  // Looks at what is new; the number of bytes up to behind the empty line, 0 if it is not there yet.
  size_t find_head_end(std::string_view bytes) {
    for (; scanned < bytes.size(); ++scanned) {
      const char c = bytes[scanned];
      if (c == '\0') malformed("it has a NUL in its head");
      if (c != '\n' && scanned > 0 && bytes[scanned - 1] == '\r') malformed("a CR stands alone");
      if (first_line == 0) check_first_line(c);
      if (c != '\n') continue;
      if (scanned == 0 || bytes[scanned - 1] != '\r') malformed("a line ends in LF without CR");
      if (scanned - line_start == 1) {
        const size_t end = ++scanned;
        if (end > max_header_bytes) too_long_head();
        return end;
      }
      if (first_line != 0 && (bytes[line_start] == ' ' || bytes[line_start] == '\t')) malformed("a header line is folded");
      if (first_line == 0) first_line = scanned + 1;
      line_start = scanned + 1;
    }
    if (bytes.size() > max_header_bytes) too_long_head();
    return 0;
  }

  // A stream that is no HTTP at all (TLS, say) is refused at its first bytes.
  void check_first_line(char c) {
    if (c == ' ') ++spaces;
    const auto upper = static_cast<unsigned char>(c);
    if (spaces == 0 && (upper <= ' ' || upper >= 127)) malformed("this is not an HTTP request (the port speaks plain HTTP, no TLS)");
    if (spaces == 0 && scanned >= kMaxMethodBytes) malformed("its method is too long");
    if (spaces > 0 && scanned > kMaxTargetBytes + kMaxMethodBytes)
      throw ApiError(414, str("the request target is over the limit of ", kMaxTargetBytes, " bytes"), "", "uri_too_long");
  }

  [[noreturn]] void too_long_head() const {
    throw ApiError(431, str("the request's head is over the limit of ", max_header_bytes, " bytes"), "", "headers_too_large");
  }

  void put_all(std::string_view bytes) {
    while (!bytes.empty() && !is_header_done()) {
      const size_t n = put_some(bytes);
      if (n == 0) return;
      bytes.remove_prefix(n);
    }
  }

  size_t put_some(std::string_view bytes) {
    beast::error_code ec;
    const size_t n = put(boost::asio::const_buffer(bytes.data(), bytes.size()), ec);
    if (ec && ec != error::need_more) refuse(ec);
    return n;
  }

  [[noreturn]] static void refuse(const beast::error_code& ec) {
    if (ec == error::bad_version) throw ApiError(505, "only HTTP/1.1 and HTTP/1.0 are spoken here", "", "http_version");
    if (ec == error::header_limit) throw ApiError(431, "the request's head is over the limit", "", "headers_too_large");
    malformed(ec.message());
  }

  void check_framing() {
    head.http10 = version_seen == 10;
    head.keep_alive = keep_alive();
    int lengths = 0, codings = 0;
    for (const auto& [name, value] : head.headers) {
      if (name == "content-length") {
        if (++lengths > 1) malformed("it has more than one Content-Length");
        if (value.empty() || value.size() > 18 || !std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; }))
          malformed("its Content-Length is not one number");
        head.content_length = std::stoll(value);
      }
      if (name == "transfer-encoding") {
        if (++codings > 1) malformed("it has more than one Transfer-Encoding");
        if (lower_ascii(value) != "chunked") throw ApiError(501, "the only Transfer-Encoding known is chunked", "", "transfer_encoding");
        if (head.http10) malformed("HTTP/1.0 has no Transfer-Encoding");
      }
      if (name == "expect") {
        if (lower_ascii(value) != "100-continue")
          throw ApiError(417, "the only expectation known is 100-continue", "", "expectation_failed");
        head.expect_continue = !head.http10;
      }
    }
    if (lengths && codings) malformed("it has both Content-Length and Transfer-Encoding");
    head.has_body = !is_done();
  }

  size_t feed_body(std::string_view bytes) {
    size_t taken = 0;
    while (taken < bytes.size() && !is_done()) {
      line_begin = bytes.data() + taken;
      const size_t n = put_some(bytes.substr(taken));
      taken += n;
      if (n == 0) break;
    }
    // The same limits whether the lines come whole or in pieces.
    if (is_done() && chunks_seen && size_t(bytes.data() + taken - line_begin) > kMaxTrailerBytes) long_line();
    // What Beast does not take yet is a chunk's line or the trailer.
    const size_t left = bytes.size() - taken;
    if (!is_done() && left > (last_chunk_line(bytes.substr(taken)) ? kMaxTrailerBytes : kMaxChunkLineBytes)) long_line();
    return taken;
  }

  [[noreturn]] static void long_line() { malformed("a chunk's line or the trailer is too long"); }

  static bool last_chunk_line(std::string_view left) {
    if (left.starts_with("\r\n")) left.remove_prefix(2);
    const size_t zeros = std::min(left.find_first_not_of('0'), left.size());
    return zeros > 0 && left.find("\r\n") < kMaxChunkLineBytes;
  }

  void count_body(size_t n) {
    body_bytes += int64_t(n);
    if (body_bytes > max_body) too_large(max_body);
  }

  // Beast's events.
  void on_request_impl(beast::http::verb, beast::string_view method, beast::string_view target, int version, beast::error_code&) override {
    head.method.assign(method.data(), method.size());
    head.target.assign(target.data(), target.size());
    version_seen = version;
    if (target.size() > kMaxTargetBytes)
      throw ApiError(414, str("the request target is over the limit of ", kMaxTargetBytes, " bytes"), "", "uri_too_long");
  }
  void on_response_impl(int, beast::string_view, int, beast::error_code&) override {}
  void on_field_impl(beast::http::field, beast::string_view name, beast::string_view value, beast::error_code&) override {
    if (++fields > max_headers) throw ApiError(431, str("more than ", max_headers, " header fields"), "", "headers_too_large");
    if (in_body) return;  // of the trailer, which nobody asked for
    head.headers.emplace_back(lower_ascii({name.data(), name.size()}), std::string(value.data(), value.size()));
  }
  void on_header_impl(beast::error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, beast::error_code&) override {}
  std::size_t on_body_impl(beast::string_view piece, beast::error_code&) override {
    count_body(piece.size());
    if (keep) body.append(piece.data(), piece.size());
    return piece.size();
  }
  void on_chunk_header_impl(std::uint64_t size, beast::string_view extensions, beast::error_code&) override {
    chunks_seen = true;
    if (size_t(extensions.data() + extensions.size() - line_begin) + 2 > kMaxChunkLineBytes) long_line();
    if (size > 0 && ++chunks > kMaxChunks) throw ApiError(413, str("the body has over ", kMaxChunks, " chunks"), "", "request_too_large");
    if (size > std::uint64_t(max_body - body_bytes)) too_large(max_body);
  }
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view piece, beast::error_code&) override {
    line_begin = piece.data() + piece.size();
    count_body(piece.size());
    if (keep) body.append(piece.data(), piece.size());
    return piece.size();
  }
  void on_finish_impl(beast::error_code&) override {}

  size_t max_header_bytes, max_headers;
  RequestHead head;
  std::string body;
  size_t scanned = 0, line_start = 0, first_line = 0, fields = 0;
  int spaces = 0, empty_lines = 0, version_seen = 11;
  const char* line_begin = nullptr;  // of the chunk line that is read, within what was fed last
  bool in_body = false, keep = true, chunks_seen = false;
  int64_t max_body = 0, body_bytes = 0, chunks = 0;
};

RequestParser::RequestParser(int64_t max_header_bytes, int64_t max_headers)
    : impl_(std::make_unique<Impl>(max_header_bytes, max_headers)) {}
RequestParser::~RequestParser() = default;

size_t RequestParser::feed(std::string_view bytes) {
  if (!impl_->is_header_done()) return impl_->feed_head(bytes);
  return impl_->in_body && !impl_->is_done() ? impl_->feed_body(bytes) : 0;
}

bool RequestParser::head_done() const {
  return impl_->is_header_done();
}
bool RequestParser::done() const {
  return impl_->is_header_done() && impl_->is_done();
}
RequestHead& RequestParser::head() {
  return impl_->head;
}
std::string& RequestParser::body() {
  return impl_->body;
}

void RequestParser::read_body(int64_t max_body, bool keep) {
  impl_->max_body = max_body;
  impl_->keep = keep;
  impl_->in_body = true;
  if (impl_->head.content_length > max_body) too_large(max_body);
}

}  // namespace r1::http
