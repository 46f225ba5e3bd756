// A server on a free port with routes that tests ask, and what its handlers saw.
#pragma once

#include <atomic>
#include <chrono>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "r1/http/error.h"
#include "r1/http/server.h"
#include "tests/http/client.h"

namespace r1::http::test {

// Whether `condition` becomes true within `seconds`.
inline bool eventually(const std::function<bool()>& condition, double seconds = 10) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

inline Json body_of(const Answer& answer) {
  return parse_json(answer.body, "answer");
}
// Of the error in the answer; "" if it has none.
inline std::string code_of(const Answer& answer) {
  const Json code = body_of(answer).at("error").at("code");
  return code.is_null() ? "" : code.get<std::string>();
}

// What this process has in memory.
inline int64_t resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::stoll(line.substr(6));
  return 0;
}

// Answers that wait until the test makes them.
class Held {
 public:
  void add(ResponderPtr responder) {
    const std::lock_guard lock(mutex_);
    all_.push_back(std::move(responder));
  }
  size_t size() const {
    const std::lock_guard lock(mutex_);
    return all_.size();
  }
  std::vector<ResponderPtr> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(all_, {});
  }
  // Waits for one.
  ResponderPtr next() {
    check(eventually([this] { return size() > 0; }), "no request came");
    const std::lock_guard lock(mutex_);
    ResponderPtr first = all_.front();
    all_.erase(all_.begin());
    return first;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<ResponderPtr> all_;
};

class TestServer {
 public:
  explicit TestServer(const std::function<void(ServerConfig&)>& change = {}, const std::function<void(Router&)>& more = {}) {
    ServerConfig config;
    config.port = 0;
    if (change) change(config);
    Router router;
    router.add({.method = "GET",
                .pattern = "/health",
                .handler = [](const RequestPtr&, const ResponderPtr& responder) { responder->send({.body = R"({"status":"ok"})"}); },
                .open = true,
                .quick = true});
    router.get("/text",
               [](const RequestPtr&, const ResponderPtr& responder) { responder->send({.body = "text", .content_type = "text/plain"}); });
    // What arrived, told back.
    const Handler echo = [this](const RequestPtr& request, const ResponderPtr& responder) {
      ++echoed;
      Json out = {{"method", request->method}, {"path", request->path}, {"key", request->key}, {"peer", request->peer}};
      out["size"] = request->body.size();
      out["body"] = request->body.substr(0, 4096);
      for (const auto& [name, value] : request->query) out["query"][name] = value;
      for (const auto& [name, value] : request->captures) out["captures"][name] = value;
      for (const auto& [name, value] : request->headers) out["headers"][name] = value;
      responder->send({.body = dump_json(out)});
    };
    router.post("/echo", echo);
    router.get("/echo", echo);
    router.get("/item/{id}", echo);
    router.get("/rest/{path...}", echo);
    router.add({.method = "POST", .pattern = "/small", .handler = echo, .max_body = 10});
    router.add({.method = "POST",
                .pattern = "/hold",
                .handler =
                    [this](const RequestPtr&, const ResponderPtr& responder) {
                      responder->on_gone([this] { ++gone; });
                      held.add(responder);
                    },
                .quick = true});
    router.add({.method = "GET",
                .pattern = "/stream",
                .handler =
                    [this](const RequestPtr&, const ResponderPtr& responder) {
                      responder->on_gone([this] { ++gone; });
                      responder->begin(200, "text/event-stream");
                      responder->write(sse("first"));
                      held.add(responder);
                    },
                .quick = true});
    router.get("/throw/{what}", [](const RequestPtr& request, const ResponderPtr&) {
      const std::string what = request->captures.at("what");
      if (what == "usage") fail_usage("wrong use");
      if (what == "error") fail("it failed");
      if (what == "full") {
        ApiError full(429, "the queue is full");
        full.retry_after = 3;
        throw full;
      }
      if (what == "length") throw ApiError(400, "too long", "messages", "context_length_exceeded");
      if (what == "other") throw std::runtime_error("secret inside");
    });
    if (more) more(router);
    server = std::make_unique<Server>(config, std::move(router));
  }
  int port() const { return server->port(); }

  Held held;
  std::atomic<int> gone = 0, echoed = 0;
  std::unique_ptr<Server> server;  // first to go: its handlers use the rest
};

}  // namespace r1::http::test
