// One client's connection, on the I/O thread: reads a request, has it admitted and answered, and again. Internal to http/: asio is in here.
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "r1/http/access.h"
#include "r1/http/exchange.h"
#include "r1/http/request_parser.h"
#include "r1/http/router.h"
#include "r1/http/server.h"
#include "r1/http/worker_pool.h"

namespace r1::http {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

class Connection;

// What all connections share. Only the I/O thread touches what is not atomic.
struct ServerCore {
  ServerCore(const ServerConfig& config, Router router);

  const ServerConfig config;
  // Routers that were replaced stay: requests under way hold their routes. Any thread.
  void use(Router next);
  std::atomic<const Router*> router = nullptr;
  std::mutex routers_mutex;
  std::vector<std::unique_ptr<const Router>> routers;
  const Access access;
  asio::io_context io{1};
  std::atomic<int64_t> accepted = 0, refused = 0, requests = 0, bytes_in = 0, bytes_out = 0, open = 0;
  std::shared_ptr<std::atomic<int64_t>> bodies = std::make_shared<std::atomic<int64_t>>(0);  // bytes; requests outlive the server
  std::unordered_map<Connection*, std::shared_ptr<Connection>> connections;
  std::unordered_map<std::string, int64_t> per_peer;
  std::vector<char> scratch = std::vector<char>(64 << 10);  // what a read fills, before it is known whose it is
  bool stopping = false;
  WorkerPool workers, waiters;  // last: their threads use the rest
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(ServerCore& core, asio::ip::tcp::socket socket, std::string peer);
  void start();
  // What deadlines have come to.
  void tick(Clock::time_point now);
  // The server stops: an idle connection goes, a busy one behind its answer; `now`: all go.
  void stop(bool now);

 private:
  // A request as read, and what to do with it: a handler, or an answer without one.
  struct Incoming {
    std::shared_ptr<Request> request;
    const Route* route = nullptr;
    std::optional<Response> instead;
    HeadContext context;
    bool head_only = false;
  };
  enum class Reading { kRequest, kAhead, kNothing };  // kAhead: what comes while an answer is under way

  asio::awaitable<void> serve();
  asio::awaitable<bool> first_bytes(double seconds);
  asio::awaitable<std::optional<Incoming>> read_request();
  asio::awaitable<bool> read_head(RequestParser& parser, Incoming& in);
  asio::awaitable<bool> read_body(RequestParser& parser, Incoming& in);
  asio::awaitable<bool> answer(Incoming in);
  asio::awaitable<void> linger();
  asio::awaitable<void> event();

  void refuse(Incoming& in, const std::exception& error, bool close);
  void admit(RequestHead& head, Incoming& in);
  void admit_origin(const Request& request, std::string_view host, Incoming& in);
  bool is_preflight(const Request& request, Incoming& in);
  bool find_route(Incoming& in);
  int64_t body_limit(const Incoming& in) const;
  void run_handler(const Route& route, const std::shared_ptr<Request>& request, const ResponderPtr& responder);

  void feed(RequestParser& parser);
  void watch();
  void on_readable();
  size_t room() const;
  void on_half_closed();
  void watch_for_reset();
  void flush();
  void send_now(std::string_view text);
  void notify();
  void set_deadline(double seconds);
  void hang_up(bool reset = false);

  ServerCore& core_;
  asio::ip::tcp::socket socket_;
  asio::steady_timer event_;
  const std::string peer_;
  std::string pending_;  // read and not yet used
  std::string out_;      // being written, from out_at_
  size_t out_at_ = 0;
  std::shared_ptr<Exchange> exchange_;
  Clock::time_point deadline_ = Clock::time_point::max(), write_deadline_ = Clock::time_point::max(),
                    gone_deadline_ = Clock::time_point::max(), last_sent_ = {};
  Reading reading_ = Reading::kRequest;
  bool busy_ = false, watching_ = false, writing_ = false, eof_ = false, half_closed_ = false, closed_ = false, expired_ = false;
  size_t discarded_ = 0;
};

}  // namespace r1::http
