// What a handler gets and gives: one request, and the way to answer it, whole or as a stream. No socket, no asio: those are server.cc's.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace r1::http {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method;                        // upper case
  std::string path;                          // percent-decoded, without the query; starts with '/'
  std::map<std::string, std::string> query;  // percent-decoded; the last of equal names
  Headers headers;                           // names in lower case
  std::string body;
  std::string peer;                             // the client's address
  std::string key;                              // which API key it came with: an opaque short name of it, "" where none is asked for
  std::map<std::string, std::string> captures;  // of the route's pattern: /v1/models/{id}

  // The header's value, "" if it is not there.
  std::string_view header(std::string_view lower_case_name) const;
};

struct Response {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  Headers headers = {};
};

// The answer to an error: as_api_error() as JSON, with Retry-After where it has one.
Response error_response(const std::exception& error);

// Answers one request, from any thread, once: either send(), or begin(), write() any number of times, end(). Calls after the client has gone
// do nothing. When the last reference goes without an answer the client gets a 500. What the client does not read is kept up to
// ServerConfig::max_unread bytes; a client that lets more pile up counts as gone.
class Responder {
 public:
  virtual ~Responder() = default;
  virtual void send(Response response) = 0;
  // Chunked transfer (to an HTTP/1.0 client: until the connection ends); for server-sent events content_type is "text/event-stream", and a
  // piece is then one or several whole events.
  virtual void begin(int status, std::string content_type, Headers headers = {}) = 0;
  virtual void write(std::string piece) = 0;
  virtual void end() = 0;
  // Whether the client hung up (or was hung up on) before the answer was complete.
  virtual bool gone() const = 0;
  // Called once, as soon as that is known, on the I/O thread: must be quick. At once if it is known already; never after the answer is
  // complete. The last callback given counts.
  virtual void on_gone(std::function<void()> callback) = 0;
};

using RequestPtr = std::shared_ptr<const Request>;
using ResponderPtr = std::shared_ptr<Responder>;
using Handler = std::function<void(const RequestPtr&, const ResponderPtr&)>;

// "data: <text>\n\n", with an "event: <name>\n" line before it if there is a name. `text` has no line break (JSON has none).
std::string sse(std::string_view text, std::string_view event = {});

}  // namespace r1::http
