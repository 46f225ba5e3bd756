// HTTP/1.1 on one I/O thread (Boost.Asio coroutines, Beast's grammar) and a few workers that handlers run on. Safe by default: bound to
// 127.0.0.1, limits on everything a client sends and a deadline on everything it may wait with (docs/serve.md lists them); no TLS (a reverse
// proxy's work), no decompression of bodies.
//
// A client that hangs up while its answer is made is noticed at once, by its reset or its FIN. A FIN alone may also come from one that only
// shut down its sending side (nc -N): what tells the two apart is what they do with bytes. So one goes out that changes nothing: "100
// Continue" before the answer's head, a comment in an event stream; who is gone answers it with a reset. Where there is no such byte
// (HTTP/1.0, a stream of another type) the client has 0.15 s more, then it counts as gone.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "r1/base/config.h"
#include "r1/http/router.h"

namespace r1::http {

struct ServerConfig {
  std::string host = "127.0.0.1";
  int64_t port = 8080;                     // 0: any free one
  std::vector<std::string> api_key;        // none: no key is asked for
  std::string api_key_file;                // a key a line
  std::vector<std::string> cors_origins;   // allowed beside its own and localhost's; "*": any, "chrome-extension://*": of a scheme
  std::vector<std::string> allowed_hosts;  // names it answers to beside localhost and addresses (DNS rebinding); "*": any
  int64_t workers = 2;
  int64_t max_connections = 8192, max_connections_per_ip = 8192;
  int64_t max_header_bytes = 16 << 10, max_headers = 100, max_body_bytes = 8 << 20, max_unread = 1 << 20;
  int64_t max_bodies_bytes = 512 << 20;                                                  // of all requests that are read or answered
  double header_timeout = 10, body_timeout = 30, idle_timeout = 75, write_timeout = 30;  // seconds
  double event_keepalive = 15;  // seconds; an event stream that is silent that long gets a comment; 0: never

  void visit(Fields& v);
};

struct ServerCounters {
  int64_t connections = 0, accepted = 0, refused = 0, requests = 0, bytes_in = 0, bytes_out = 0;
};

class Server {
 public:
  // Binds and listens; throws (kFailed) "[serve] 127.0.0.1:8080: address already in use; ..." if it can't. Serves from here on.
  Server(const ServerConfig& config, Router router);
  ~Server();  // stop(0)
  // Requests that come from now on go by this table; those under way end by the old one, whose handlers must stay callable. Any thread.
  void replace(Router router);
  int port() const;
  std::string address() const;  // "http://127.0.0.1:8080"
  // No new connections and requests; waits up to `grace` seconds for answers under way, then hangs up and waits for handlers to return. Not
  // from a handler.
  void stop(double grace);
  ServerCounters counters() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace r1::http
