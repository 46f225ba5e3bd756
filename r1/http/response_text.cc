#include "r1/http/response_text.h"

#include <charconv>
#include <ctime>

namespace r1::http {
namespace {

const char* reason(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return status < 400 ? "OK" : "Error";
  }
}

void append_date(std::string& out) {
  static const char* const kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static const char* const kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t now = std::time(nullptr);
  std::tm t{};
  gmtime_r(&now, &t);
  char text[64];
  std::snprintf(text, sizeof(text), "%s, %02d %s %d %02d:%02d:%02d GMT", kDays[t.tm_wday], t.tm_mday, kMonths[t.tm_mon], t.tm_year + 1900,
                t.tm_hour, t.tm_min, t.tm_sec);
  append_header(out, "Date", text);
}

bool same_name(std::string_view a, std::string_view b) {
  const auto fold = [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; };
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (fold(a[i]) != fold(b[i])) return false;
  return true;
}

bool has(const Headers& headers, std::string_view name) {
  for (const auto& [other, value] : headers)
    if (same_name(other, name)) return true;
  return false;
}

std::string common_head(int status, std::string_view content_type, const Headers& headers, const HeadContext& context, bool keep_alive) {
  std::string out;
  out.reserve(384);
  out.append("HTTP/1.1 ").append(std::to_string(status)).append(" ").append(reason(status)).append("\r\n");
  append_date(out);
  if (!content_type.empty() && has_body(status)) append_header(out, "Content-Type", content_type);
  if (!has(headers, "X-Content-Type-Options")) append_header(out, "X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : headers)
    if (!same_name(name, "content-length") && !same_name(name, "transfer-encoding") && !same_name(name, "connection"))
      append_header(out, name, value);
  out += context.lines;
  if (!keep_alive)
    append_header(out, "Connection", "close");
  else if (context.http10)
    append_header(out, "Connection", "keep-alive");
  return out;
}

}  // namespace

bool has_body(int status) {
  return status >= 200 && status != 204 && status != 304;
}

void append_header(std::string& out, std::string_view name, std::string_view value) {
  const auto append = [&](std::string_view text) {
    for (char c : text) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c;
  };
  append(name);
  out += ": ";
  append(value);
  out += "\r\n";
}

std::string whole_answer(const Response& response, const HeadContext& context, bool head_only) {
  std::string out = common_head(response.status, response.content_type, response.headers, context, context.keep_alive);
  if (has_body(response.status)) append_header(out, "Content-Length", std::to_string(response.body.size()));
  out += "\r\n";
  if (has_body(response.status) && !head_only) out += response.body;
  return out;
}

std::string stream_head(int status, std::string_view content_type, const Headers& headers, const HeadContext& context) {
  std::string out = common_head(status, content_type, headers, context, context.keep_alive && !context.http10);
  if (content_type.starts_with("text/event-stream")) {
    if (!has(headers, "Cache-Control")) append_header(out, "Cache-Control", "no-cache");
    if (!has(headers, "X-Accel-Buffering")) append_header(out, "X-Accel-Buffering", "no");  // a proxy passes events on as they come
  }
  if (!context.http10) append_header(out, "Transfer-Encoding", "chunked");
  out += "\r\n";
  return out;
}

void append_chunk(std::string& out, std::string_view piece) {
  char size[20];
  const auto end = std::to_chars(size, size + sizeof(size), piece.size(), 16).ptr;
  out.append(size, size_t(end - size)).append("\r\n").append(piece).append("\r\n");
}

}  // namespace r1::http
