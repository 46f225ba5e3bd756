// One request off the wire, byte by byte: Beast's grammar of HTTP/1, and on top of it what a server must refuse so that it and a proxy before it
// never disagree where a request ends (RFC 9112, 11.2): a Content-Length that is not one plain number, any beside Transfer-Encoding, codings
// other than chunked, folded header lines, bare CR or LF, NUL. Counts and sizes are bounded before memory is taken. No socket.
//
//   size_t n = parser.feed(pending); pending.erase(0, n);      // until head_done()
//   parser.read_body(limit);                                    // once it is known who asks, and for what
//   size_t n = parser.feed(pending); ...                        // until done()
//
// Everything wrong is an ApiError (400, 413, 414, 417, 431, 501, 505); after one the connection can't be used on.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "r1/http/message.h"

namespace r1::http {

inline constexpr int64_t kMaxChunks = 65'536;
inline constexpr size_t kMaxTargetBytes = 8 << 10, kMaxChunkLineBytes = 1 << 10, kMaxTrailerBytes = 4 << 10;

struct RequestHead {
  std::string method, target;
  Headers headers;  // names in lower case
  bool http10 = false;
  bool keep_alive = true;        // as the client asks
  bool expect_continue = false;  // it waits for "100 Continue" before the body
  bool has_body = false;
  int64_t content_length = -1;  // -1: chunked, or no body
};

class RequestParser {
 public:
  RequestParser(int64_t max_header_bytes, int64_t max_headers);
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  // Takes bytes from the front of `bytes`, which are all that were not taken before; how many. Stops behind the head until read_body(), and
  // behind the request.
  size_t feed(std::string_view bytes);
  bool head_done() const;
  bool done() const;
  RequestHead& head();
  // Goes on with the body: at most `max_body` bytes; they are kept, or only counted.
  void read_body(int64_t max_body, bool keep);
  std::string& body();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace r1::http
