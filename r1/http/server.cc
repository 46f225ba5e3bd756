#include "r1/http/server.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <mutex>
#include <thread>

#include "r1/base/error.h"
#include "r1/base/log.h"
#include "r1/base/open_files.h"
#include "r1/http/connection.h"
#include "r1/http/error.h"

namespace r1::http {
namespace {

using asio::ip::tcp;
using boost::system::error_code;

constexpr auto kTick = std::chrono::milliseconds(50);

// The address to bind: "localhost", an address, or a name that the system knows.
asio::ip::address address_of(const std::string& host, asio::io_context& io) {
  if (host.empty()) fail_usage("[serve] --host is empty; 127.0.0.1 is this machine, 0.0.0.0 all that reaches it");
  if (host == "localhost") return asio::ip::address_v4::loopback();
  error_code ec;
  const auto address = asio::ip::make_address(host, ec);
  if (!ec) return address;
  const auto found = tcp::resolver(io).resolve(host, "", ec);
  if (ec || found.empty()) fail("[serve] --host ", printable(host), ": no such name or address");
  return found.begin()->endpoint().address();
}

tcp::acceptor listen(const ServerConfig& config, asio::io_context& io) {
  const tcp::endpoint endpoint(address_of(config.host, io), static_cast<unsigned short>(config.port));
  tcp::acceptor acceptor(io);
  error_code ec;
  acceptor.open(endpoint.protocol(), ec);
  if (!ec) acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec) acceptor.bind(endpoint, ec);
  if (!ec) acceptor.listen(4096, ec);
  if (!ec) return acceptor;
  const std::string way_out = ec == asio::error::address_in_use
                                  ? "; another program has that port: take another with --port, or 0 for any free one"
                              : ec == asio::error::access_denied ? "; ports below 1024 need privileges: take one above with --port"
                                                                 : "";
  fail("[serve] ", config.host, ":", config.port, ": ", ec.message(), way_out);
}

// A connection is a file descriptor, and the usual soft limit is 1024.
void allow_descriptors(int64_t connections) {
  const int64_t wanted = connections + 512, allowed = allow_open_files(wanted);
  if (allowed < wanted)
    log_warning("[serve] only ", allowed, " file descriptors are allowed (ulimit -n), fewer than max_connections ", connections);
}

void prepare(tcp::socket& socket, double write_timeout) {
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  const auto set = [&](int option, int value) { ::setsockopt(socket.native_handle(), IPPROTO_TCP, option, &value, sizeof(value)); };
  set(TCP_KEEPIDLE, 30);
  set(TCP_KEEPINTVL, 10);
  set(TCP_KEEPCNT, 3);
  set(TCP_USER_TIMEOUT, int(std::max(write_timeout, 1.0) * 1000));  // a peer that vanished is noticed although there is nothing to write
  set(TCP_NOTSENT_LOWAT, 128 << 10);                                // what is unread piles up where it is counted, not in the kernel
}

}  // namespace

void ServerConfig::visit(Fields& v) {
  v("host", host, "address to listen on; 0.0.0.0 is every network this machine is in");
  v("port", port, "port to listen on; 0: any free one", Range{0, 65535});
  v("api_key", api_key, "key that clients must send (Authorization: Bearer KEY, or x-api-key); may be given several times");
  v("api_key_file", api_key_file, "file of such keys, one a line");
  v("cors_origins", cors_origins, "origins of web pages that may ask, beside the server's own and localhost's; *: any");
  v("allowed_hosts", allowed_hosts, "names the server answers to, beside localhost and addresses; *: any");
  v("workers", workers, "threads that requests are read and prepared on", Range{1, 256});
  v("max_connections", max_connections, "open connections", Range{1, 1 << 20});
  v("max_connections_per_ip", max_connections_per_ip, "open connections of one address", Range{1, 1 << 20});
  v("max_header_bytes", max_header_bytes, "bytes of a request's head", Range{256, 1 << 20});
  v("max_headers", max_headers, "header fields of a request", Range{1, 10'000});
  v("max_body_bytes", max_body_bytes, "bytes of a request's body", Range{0, 1LL << 32});
  v("max_unread", max_unread, "bytes of an answer kept for a client that does not read", Range{1 << 10, 1LL << 32});
  v("max_bodies_bytes", max_bodies_bytes, "bytes of the bodies of all requests at a time", Range{1 << 10, 1LL << 40});
  v("header_timeout", header_timeout, "seconds for a request's head", Range{0.01, 86'400});
  v("body_timeout", body_timeout, "seconds for a request's body, and one more for each 16 KiB of it", Range{0.01, 86'400});
  v("idle_timeout", idle_timeout, "seconds that a connection is kept without a request", Range{0.01, 86'400});
  v("write_timeout", write_timeout, "seconds that a client may take none of its answer", Range{0.01, 86'400});
  v("event_keepalive", event_keepalive,
    "seconds of silence after which an event stream gets a comment, so that no proxy gives it up; 0: never", Range{0, 86'400});
}

struct Server::Impl {
  Impl(const ServerConfig& config, Router router) : core(config, std::move(router)), acceptor(listen(config, core.io)), ticker(core.io) {
    const tcp::endpoint bound = acceptor.local_endpoint();
    address = bound.address().to_string();
    if (bound.address().is_v6()) address = "[" + address + "]";
    port = bound.port();
    allow_descriptors(config.max_connections);
    if (!bound.address().is_loopback() && !core.access.asks_for_key())
      log_warning("[serve] listening on ", address, " without an API key: whoever reaches it may use it; --api_key_file asks for one");
    accept();
    tick();
    thread = std::thread([this] { core.io.run(); });
  }

  void accept() {
    acceptor.async_accept([this](const error_code& ec, tcp::socket socket) {
      if (core.stopping) return;
      if (ec) return accept_later(ec);
      take(std::move(socket));
      accept();
    });
  }

  // Out of descriptors, most likely: the next tick tries again.
  void accept_later(const error_code& ec) {
    if (!accept_failed) log_warning("[serve] can't accept connections: ", ec.message(), "; trying on");
    accept_failed = accept_waits = true;
  }

  void take(tcp::socket socket) {
    accept_failed = false;
    error_code ec;
    const auto endpoint = socket.remote_endpoint(ec);
    if (ec) return;
    prepare(socket, core.config.write_timeout);
    std::string peer = endpoint.address().to_string();
    const auto own = core.per_peer.find(peer);
    const bool full = core.open >= core.config.max_connections;
    if (full || (own != core.per_peer.end() && own->second >= core.config.max_connections_per_ip)) return refuse(socket, full);
    ++core.accepted;
    std::make_shared<Connection>(core, std::move(socket), std::move(peer))->start();
  }

  // Best effort, without waiting for what the client has to say.
  void refuse(tcp::socket& socket, bool full) {
    ++core.refused;
    ApiError error(full ? 503 : 429,
                   full ? "the server has as many connections as it may" : "your address has as many connections as it may", "",
                   "too_many_connections");
    error.retry_after = 1;
    HeadContext context;
    context.keep_alive = false;
    const std::string text = whole_answer(error_response(error), context, false);
    error_code ignored;
    socket.write_some(asio::buffer(text), ignored);
    socket.shutdown(tcp::socket::shutdown_send, ignored);
    while (socket.read_some(asio::buffer(core.scratch), ignored) == core.scratch.size()) {
    }
  }

  void tick() {
    ticker.expires_after(kTick);
    ticker.async_wait([this](const error_code& ec) {
      if (ec) return;
      const auto now = Clock::now();
      for_all([now](Connection& c) { c.tick(now); });
      if (core.stopping) {
        if (core.connections.empty() || now >= stop_by) return end();
      } else if (accept_waits) {
        accept_waits = false;
        accept();
      }
      tick();
    });
  }

  void begin_stop(double grace) {
    core.stopping = true;
    stop_by = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(grace));
    error_code ignored;
    acceptor.close(ignored);
    for_all([](Connection& c) { c.stop(false); });
    ticker.cancel();
    if (grace > 0 && !core.connections.empty()) return tick();
    end();
  }

  // Nothing is pending after that but what hung-up connections have left to do, so run() returns.
  void end() {
    for_all([](Connection& c) { c.stop(true); });
  }

  // Of a copy: what is done to one may take it, or another, off the list.
  template <class F>
  void for_all(F act) {
    std::vector<std::shared_ptr<Connection>> all;
    all.reserve(core.connections.size());
    for (const auto& [at, connection] : core.connections) all.push_back(connection);
    for (const auto& connection : all) act(*connection);
  }

  void stop(double grace) {
    const std::lock_guard lock(stop_mutex);
    if (!thread.joinable()) return;
    asio::post(core.io, [this, grace] { begin_stop(grace); });
    thread.join();
    core.workers.stop();
    core.waiters.stop();
  }

  ServerCore core;
  tcp::acceptor acceptor;
  asio::steady_timer ticker;
  std::string address;
  int port = 0;
  bool accept_failed = false, accept_waits = false;
  Clock::time_point stop_by;
  std::mutex stop_mutex;
  std::thread thread;
};

Server::Server(const ServerConfig& config, Router router) : impl_(std::make_unique<Impl>(config, std::move(router))) {}

Server::~Server() {
  stop(0);
}

void Server::replace(Router router) {
  impl_->core.use(std::move(router));
}

int Server::port() const {
  return impl_->port;
}

std::string Server::address() const {
  return str("http://", impl_->address, ":", impl_->port);
}

void Server::stop(double grace) {
  impl_->stop(grace);
}

ServerCounters Server::counters() const {
  const ServerCore& core = impl_->core;
  return {core.open, core.accepted, core.refused, core.requests, core.bytes_in, core.bytes_out};
}

}  // namespace r1::http
