#include "r1/http/connection.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <random>

#include "r1/base/error.h"
#include "r1/base/log.h"
#include "r1/http/error.h"
#include "r1/http/target.h"

namespace r1::http {
namespace {

using boost::system::error_code;

constexpr size_t kReadRoom = 64 << 10,
                 kAheadRoom = 16 << 10;           // bytes kept unread by the parser: while a request is read, while one is answered
constexpr int64_t kDrainedBody = 64 << 10;        // the body of a refused request is read up to this, so that the connection lives on
constexpr double kBodyBytesPerSecond = 16 << 10;  // slower than this a body may not come, once body_timeout is over
constexpr size_t kMaxLingering = 16 << 20;
constexpr int64_t kWaiters = 8;  // threads of routes that wait
constexpr double kLingering = 2, kGoneAfterFin = 0.15;

Clock::time_point after(double seconds) {
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

bool is_id(std::string_view text) {
  return !text.empty() && text.size() <= 128 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == ':' ||
           c == '/';
  });
}

std::string random_id() {
  static const char kDigits[] = "0123456789abcdef";
  thread_local std::mt19937_64 rng{std::random_device{}()};
  std::string id = "req_";
  for (int word = 0; word < 2; ++word)
    for (uint64_t bits = rng(), i = 0; i < 12; ++i, bits >>= 4) id += kDigits[bits & 15];
  return id;
}

bool is_header_list(std::string_view text) {
  return text.size() <= 1024 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == ',' ||
                  c == ' ';
         });
}

std::string join(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

[[noreturn]] void too_many_bodies() {
  ApiError busy(503, "the server holds as many bytes of requests as it may; try again later", "", "overloaded");
  busy.retry_after = 1;
  throw busy;
}

// What a request's body adds to the server's sum, until the last one who holds the request lets go.
struct BodyCount {
  explicit BodyCount(std::shared_ptr<std::atomic<int64_t>> sum) : sum(std::move(sum)) {}
  ~BodyCount() { *sum -= bytes; }
  BodyCount(const BodyCount&) = delete;
  BodyCount& operator=(const BodyCount&) = delete;
  void grow_to(int64_t now) {
    *sum += now - bytes;
    bytes = now;
  }
  const std::shared_ptr<std::atomic<int64_t>> sum;
  int64_t bytes = 0;
};

bool changes_state(std::string_view method) {
  return method != "GET" && method != "HEAD" && method != "OPTIONS";
}

}  // namespace

ServerCore::ServerCore(const ServerConfig& c, Router r) : config(c), access(c), workers(c.workers), waiters(kWaiters) {
  use(std::move(r));
}

void ServerCore::use(Router next) {
  const std::lock_guard lock(routers_mutex);
  routers.push_back(std::make_unique<const Router>(std::move(next)));
  router = routers.back().get();
}

Connection::Connection(ServerCore& core, asio::ip::tcp::socket socket, std::string peer)
    : core_(core), socket_(std::move(socket)), event_(core.io), peer_(std::move(peer)) {}

void Connection::start() {
  core_.connections.emplace(this, shared_from_this());
  ++core_.per_peer[peer_];
  ++core_.open;
  asio::co_spawn(
      core_.io, [self = shared_from_this()] { return self->serve(); }, asio::detached);
}

asio::awaitable<void> Connection::serve() {
  try {
    for (bool first = true; co_await first_bytes(first ? core_.config.header_timeout : core_.config.idle_timeout); first = false) {
      busy_ = true;
      std::optional<Incoming> in = co_await read_request();
      if (!in || !co_await answer(std::move(*in))) break;
      busy_ = false;
    }
    co_await linger();
  } catch (const std::exception& error) {  // out of memory: this client's end, not the server's
    log_error("[serve] a connection of ", peer_, " ended: ", printable(error.what()));
  }
  hang_up();
  if (const auto at = core_.per_peer.find(peer_); --at->second == 0) core_.per_peer.erase(at);
  --core_.open;
  core_.connections.erase(this);
}

// Waits until something happened: bytes, an end, a deadline. Whoever waits looks again himself.
asio::awaitable<void> Connection::event() {
  error_code ignored;
  event_.expires_at(asio::steady_timer::time_point::max());
  co_await event_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

void Connection::notify() {
  event_.cancel();
}

void Connection::set_deadline(double seconds) {
  deadline_ = seconds > 0 ? after(seconds) : Clock::time_point::max();
  expired_ = false;
}

asio::awaitable<bool> Connection::first_bytes(double seconds) {
  if (pending_.capacity() > 1024 && pending_.empty()) std::string().swap(pending_);
  reading_ = Reading::kRequest;
  set_deadline(seconds);
  watch();
  while (pending_.empty() && !eof_ && !closed_ && !expired_ && !core_.stopping) co_await event();
  co_return !pending_.empty() && !closed_ && !core_.stopping;
}

asio::awaitable<std::optional<Connection::Incoming>> Connection::read_request() {
  Incoming in;
  RequestParser parser(core_.config.max_header_bytes, core_.config.max_headers);
  if (!co_await read_head(parser, in) || !co_await read_body(parser, in)) co_return std::nullopt;
  ++core_.requests;
  co_return in;
}

void Connection::feed(RequestParser& parser) {
  while (!pending_.empty()) {
    const size_t taken = parser.feed(pending_);
    if (taken == 0) break;
    pending_.erase(0, taken);
    if (parser.head_done()) break;
  }
  watch();
}

// False: the connection ended, or never made it to a request.
asio::awaitable<bool> Connection::read_head(RequestParser& parser, Incoming& in) {
  set_deadline(core_.config.header_timeout);
  bool framed = false;  // it is known where the request ends
  try {
    while (true) {
      feed(parser);
      if (parser.head_done()) break;
      if (closed_ || eof_) co_return false;
      if (expired_) throw ApiError(408, "the request's head took too long", "", "request_timeout");
      co_await event();
    }
    framed = true;
    admit(parser.head(), in);
  } catch (const std::exception& error) {
    refuse(in, error, !framed);
  }
  co_return !closed_;
}

void Connection::refuse(Incoming& in, const std::exception& error, bool close) {
  in.instead = error_response(error);
  in.route = nullptr;
  if (close) in.context.keep_alive = false;
  if (in.context.lines.empty()) append_header(in.context.lines, "x-request-id", random_id());
}

// From the head alone: may this be asked, and of which route? Throws ApiError if not.
void Connection::admit(RequestHead& head, Incoming& in) {
  auto request = std::make_shared<Request>();
  request->method = std::move(head.method);
  request->headers = std::move(head.headers);
  request->peer = peer_;
  in.context.http10 = head.http10;
  in.context.keep_alive = head.keep_alive;
  in.head_only = request->method == "HEAD";
  const std::string_view given_id = request->header("x-request-id");
  const std::string id = is_id(given_id) ? std::string(given_id) : random_id();
  std::erase_if(request->headers, [](const auto& header) { return header.first == "x-request-id"; });
  request->headers.emplace_back("x-request-id", id);
  append_header(in.context.lines, "x-request-id", id);
  in.request = request;

  Target target = parse_target(head.target);
  request->path = std::move(target.path);
  request->query = std::move(target.query);
  const auto hosts =
      std::count_if(request->headers.begin(), request->headers.end(), [](const auto& header) { return header.first == "host"; });
  std::string host(request->header("host"));
  if (hosts > 1 || (hosts == 0 && !head.http10)) throw ApiError(400, "a request has one Host header", "", "invalid_host");
  if (!target.authority.empty()) {
    if (hosts == 1 && host != target.authority) throw ApiError(400, "Host and the request target name different hosts", "", "invalid_host");
    host = target.authority;
  }
  if (!host.empty())
    core_.access.check_host(host);
  else if (hosts == 1)
    throw ApiError(400, "the Host header is empty", "", "invalid_host");
  admit_origin(*request, host, in);
  if (is_preflight(*request, in) || !find_route(in)) return;
  if (!in.route->open) request->key = core_.access.key_of(*request);
  if (head.has_body) {
    const std::string_view encoding = request->header("content-encoding");
    if (!encoding.empty() && encoding != "identity")
      throw ApiError(415, str("a body in Content-Encoding '", printable(encoding), "' is not taken; send it plain"), "",
                     "unsupported_encoding");
    if (core_.bodies->load() > core_.config.max_bodies_bytes) too_many_bodies();
  }
}

void Connection::admit_origin(const Request& request, std::string_view host, Incoming& in) {
  const std::string_view origin = request.header("origin");
  if (origin.empty()) {
    // A page elsewhere sends these along even where it sends no Origin.
    if (request.header("sec-fetch-site") == "cross-site" && changes_state(request.method))
      throw ApiError(403, "a page of another site may not ask this", "", "origin_not_allowed");
    return;
  }
  if (!core_.access.origin_allowed(origin, host))
    throw ApiError(
        403, str("pages of ", printable(origin), " may not ask; if they should, start the server with --cors_origins ", printable(origin)),
        "", "origin_not_allowed");
  append_header(in.context.lines, "Access-Control-Allow-Origin", origin);
  append_header(in.context.lines, "Access-Control-Expose-Headers", "x-request-id, retry-after");
  append_header(in.context.lines, "Vary", "Origin");
}

bool Connection::is_preflight(const Request& request, Incoming& in) {
  if (request.method != "OPTIONS") return false;
  std::vector<std::string> allowed = {"OPTIONS"};
  if (request.path != "*") {
    Match match = core_.router.load()->find("OPTIONS", request.path);
    if (match.route) return false;
    if (match.allowed.empty()) throw ApiError(404, str("there is no ", printable(request.path), " here"), "", "not_found");
    allowed.insert(allowed.end(), match.allowed.begin(), match.allowed.end());
  }
  in.instead = Response{.status = 204, .body = "", .content_type = ""};
  Headers& headers = in.instead->headers;
  headers.emplace_back("Allow", join(allowed));
  if (request.header("origin").empty() || request.header("access-control-request-method").empty()) return true;
  headers.emplace_back("Access-Control-Allow-Methods", join(allowed));
  const std::string_view wanted = request.header("access-control-request-headers");
  if (!wanted.empty() && is_header_list(wanted)) headers.emplace_back("Access-Control-Allow-Headers", wanted);
  if (request.header("access-control-request-private-network") == "true")
    headers.emplace_back("Access-Control-Allow-Private-Network", "true");
  headers.emplace_back("Access-Control-Max-Age", "600");
  return true;
}

// False: there is an answer already.
bool Connection::find_route(Incoming& in) {
  Request& request = *in.request;
  Match match = core_.router.load()->find(request.method, request.path);
  if (!match.route) {
    if (match.allowed.empty())
      throw ApiError(404, str("there is no ", printable(request.method), " ", printable(request.path), " here"), "", "not_found");
    match.allowed.push_back("OPTIONS");
    const std::string allowed = join(match.allowed);
    in.instead = error_response(ApiError(
        405, str(printable(request.path), " does not take ", printable(request.method), ", only ", allowed), "", "method_not_allowed"));
    in.instead->headers.emplace_back("Allow", allowed);
    return false;
  }
  in.route = match.route;
  request.captures = std::move(match.captures);
  return true;
}

int64_t Connection::body_limit(const Incoming& in) const {
  if (in.instead) return kDrainedBody;
  return in.route && in.route->max_body > 0 ? in.route->max_body : core_.config.max_body_bytes;
}

asio::awaitable<bool> Connection::read_body(RequestParser& parser, Incoming& in) {
  if (!in.request || parser.done()) co_return true;  // refused before it was one, or without a body
  const RequestHead& head = parser.head();
  const bool wanted = !in.instead;
  // A refusal goes out before a body that would be long, or is not yet sent; the connection can't be used on then.
  if (!wanted && (head.expect_continue || head.content_length < 0 || head.content_length > kDrainedBody)) {
    in.context.keep_alive = false;
    co_return true;
  }
  set_deadline(core_.config.body_timeout);
  const Clock::time_point deadline = deadline_;
  const auto count = std::make_shared<BodyCount>(core_.bodies);
  try {
    parser.read_body(body_limit(in), wanted);
    if (head.expect_continue && pending_.empty()) send_now("HTTP/1.1 100 Continue\r\n\r\n");
    size_t received = 0;
    while (true) {
      received += pending_.size();
      feed(parser);
      received -= pending_.size();
      count->grow_to(int64_t(parser.body().size()));
      if (parser.done()) break;
      if (core_.bodies->load() > core_.config.max_bodies_bytes) too_many_bodies();
      if (closed_ || eof_) co_return false;
      if (deadline != Clock::time_point::max())
        deadline_ =
            deadline + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(double(received) / kBodyBytesPerSecond));
      if (expired_) throw ApiError(408, "the request's body took too long", "", "request_timeout");
      co_await event();
    }
    if (wanted) {
      in.request->body = std::move(parser.body());
      Request* request = in.request.get();
      in.request = std::shared_ptr<Request>(request, [whole = std::move(in.request), count](Request*) {});
    }
  } catch (const std::exception& error) {
    refuse(in, error, true);
  }
  co_return !closed_;
}

asio::awaitable<bool> Connection::answer(Incoming in) {
  set_deadline(0);
  reading_ = Reading::kAhead;
  if (core_.stopping) in.context.keep_alive = false;
  // The exchange outlives this connection where a handler keeps it, but calls nothing after close().
  exchange_ = std::make_shared<Exchange>(std::move(in.context), in.head_only, core_.config.max_unread,
                                         [this] { asio::post(core_.io, [self = shared_from_this()] { self->flush(); }); });
  if (in.instead)
    exchange_->send(*in.instead);
  else
    run_handler(*in.route, in.request, exchange_->responder());
  in.request.reset();
  in.instead.reset();
  if (eof_) on_half_closed();
  flush();
  while (!closed_ && exchange_->state() != Exchange::State::kComplete) co_await event();
  const bool again = !closed_ && exchange_->keep_alive();
  exchange_->close();
  exchange_.reset();
  gone_deadline_ = Clock::time_point::max();
  half_closed_ = false;
  std::string().swap(out_);
  out_at_ = 0;
  co_return again;
}

void Connection::run_handler(const Route& route, const std::shared_ptr<Request>& request, const ResponderPtr& responder) {
  const auto run = [&route](const RequestPtr& request, const ResponderPtr& responder) {
    try {
      route.handler(request, responder);
    } catch (const std::exception& error) {
      responder->send(error_response(error));
    } catch (...) {
      responder->send(error_response(ApiError(500, "internal error")));
    }
  };
  if (route.quick) return run(request, responder);
  (route.waits ? core_.waiters : core_.workers).post([run, request, responder] {
    if (!responder->gone()) run(request, responder);
  });
}

// Once the answer is out the client should see it before it sees a reset for what it sent that nobody read.
asio::awaitable<void> Connection::linger() {
  if (closed_ || eof_) co_return;
  error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  std::string().swap(pending_);
  reading_ = Reading::kNothing;
  set_deadline(core_.stopping ? kLingering / 10 : kLingering);
  watch();
  while (!closed_ && !eof_ && !expired_ && discarded_ < kMaxLingering) co_await event();
}

size_t Connection::room() const {
  if (reading_ == Reading::kNothing) return core_.scratch.size();
  const size_t limit = reading_ == Reading::kRequest ? std::max(kReadRoom, size_t(core_.config.max_header_bytes) * 2) : kAheadRoom;
  return pending_.size() < limit ? std::min(limit - pending_.size(), core_.scratch.size()) : 0;
}

// Keeps a read pending all the time, so that an end is seen at once; but for a client that sends far ahead.
void Connection::watch() {
  if (watching_ || closed_ || eof_ || room() == 0) return;
  watching_ = true;
  socket_.async_wait(asio::ip::tcp::socket::wait_read, [self = shared_from_this()](const error_code& ec) {
    self->watching_ = false;
    if (!ec) self->on_readable();
  });
}

void Connection::on_readable() {
  if (closed_) return;
  error_code ec;
  const size_t n = room() ? socket_.read_some(asio::buffer(core_.scratch.data(), room()), ec) : 0;
  if (ec == asio::error::would_block || ec == asio::error::try_again) return watch();
  if (ec == asio::error::eof) {
    eof_ = true;
    if (exchange_) on_half_closed();
    return notify();
  }
  if (ec) return hang_up();
  core_.bytes_in += int64_t(n);
  if (reading_ == Reading::kNothing)
    discarded_ += n;
  else
    pending_.append(core_.scratch.data(), n);
  notify();
  watch();
}

void Connection::on_half_closed() {
  if (half_closed_) return;
  half_closed_ = true;
  if (!exchange_->probe()) gone_deadline_ = after(kGoneAfterFin);
  watch_for_reset();
}

void Connection::watch_for_reset() {
  socket_.async_wait(asio::ip::tcp::socket::wait_error, [self = shared_from_this()](const error_code& ec) {
    if (!ec && !self->closed_) self->hang_up();
  });
}

// Writes what the exchange has, until the socket takes no more.
void Connection::flush() {
  if (closed_ || !exchange_) return;
  if (!exchange_->look()) return hang_up(true);
  if (writing_) return;
  while (true) {
    if (out_at_ == out_.size()) {
      out_.clear();
      if (out_.capacity() > 4096) std::string().swap(out_);
      out_at_ = 0;
      exchange_->take(out_);
      if (out_.empty()) break;
    }
    error_code ec;
    const size_t n = socket_.write_some(asio::buffer(out_.data() + out_at_, out_.size() - out_at_), ec);
    if (ec == asio::error::would_block || ec == asio::error::try_again) {
      writing_ = true;
      write_deadline_ = after(core_.config.write_timeout);
      socket_.async_wait(asio::ip::tcp::socket::wait_write, [self = shared_from_this()](const error_code& failed) {
        self->writing_ = false;
        self->write_deadline_ = Clock::time_point::max();
        if (!failed) self->flush();
      });
      return;
    }
    if (ec) return hang_up();
    out_at_ += n;
    last_sent_ = Clock::now();
    core_.bytes_out += int64_t(n);
    exchange_->sent(n);
  }
  switch (exchange_->state()) {
    case Exchange::State::kOpen:
      break;
    case Exchange::State::kCut:
      return hang_up();  // the last chunk is missing: the client sees that there should be more
    case Exchange::State::kComplete:
      notify();
  }
}

// A line that stands outside of any exchange, when nothing else is on its way.
void Connection::send_now(std::string_view text) {
  error_code ignored;
  core_.bytes_out += int64_t(socket_.write_some(asio::buffer(text.data(), text.size()), ignored));
}

void Connection::tick(Clock::time_point now) {
  if (closed_) return;
  if (now > write_deadline_ || now > gone_deadline_) return hang_up(true);
  if (now > deadline_) {
    deadline_ = Clock::time_point::max();
    expired_ = true;
    notify();
  }
  const double silence = std::chrono::duration<double>(now - last_sent_).count();
  if (exchange_ && core_.config.event_keepalive > 0 && silence > core_.config.event_keepalive) exchange_->comment();
  // A client that sent far ahead is not read from; its end still shows.
  if (exchange_ && !watching_ && !eof_) {
    pollfd state{socket_.native_handle(), POLLRDHUP, 0};
    if (::poll(&state, 1, 0) > 0 && (state.revents & (POLLHUP | POLLERR))) return hang_up();
    if (state.revents & POLLRDHUP) on_half_closed();
  }
}

void Connection::stop(bool now) {
  if (now || !busy_) return hang_up();
  notify();
}

void Connection::hang_up(bool reset) {
  if (closed_) return;
  closed_ = true;
  error_code ignored;
  if (reset) socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  socket_.close(ignored);
  if (exchange_) exchange_->close();
  notify();
}

}  // namespace r1::http
