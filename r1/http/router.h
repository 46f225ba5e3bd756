// Which handler a request goes to, and what it must show first. The table is made before the server starts and does not change.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "r1/http/message.h"

namespace r1::http {

struct Route {
  std::string method;   // "GET"; a GET route answers HEAD too
  std::string pattern;  // "/v1/models/{id}"; {name...} as the last part takes all that is left
  Handler handler;
  bool open = false;   // needs no API key: /health and the pages' own files
  bool quick = false;  // runs on the I/O thread: must not block or take over 100 us. Else on one of the workers
  bool waits =
      false;  // waits for others, perhaps long (for a model's answer, say): runs beside the workers, so that nobody stands behind it
  int64_t max_body = 0;  // bytes; 0: ServerConfig's
};

struct Match {
  const Route* route = nullptr;  // null: see `allowed`
  std::map<std::string, std::string> captures;
  std::vector<std::string> allowed;  // methods of the path where only the method is wrong (405); empty: 404
};

class Router {
 public:
  // Two routes that could take the same request are an error, but that a literal part is taken before a capture.
  void add(Route route);
  void get(std::string pattern, Handler handler) { add({"GET", std::move(pattern), std::move(handler)}); }
  void post(std::string pattern, Handler handler) { add({"POST", std::move(pattern), std::move(handler)}); }
  Match find(std::string_view method, std::string_view path) const;
  const std::vector<Route>& routes() const { return routes_; }

 private:
  std::vector<Route> routes_;
};

}  // namespace r1::http
