// A blocking HTTP/1.1 client for tests and benches: whole answers, server-sent events, raw bytes, an abrupt end. Answers are taken apart as RFC
// 9112 has it and nothing is forgiven: what a server sends wrong is an Error here. Header only, so that other folders' tests and bench include it.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "r1/base/error.h"

namespace r1::http::test {

struct Answer {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case; of equal names the last
  std::string body;
  std::string header(const std::string& name) const {
    const auto at = headers.find(name);
    return at == headers.end() ? "" : at->second;
  }
};

struct Event {
  std::string event, data;
};

class Client {
 public:
  using Clock = std::chrono::steady_clock;

  // Connects to 127.0.0.1; every wait after that ends with an Error after `timeout` seconds.
  explicit Client(int port, double timeout = 20, int receive_buffer = 0) : timeout_(timeout) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(fd_ >= 0, "no socket");
    const int one = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (receive_buffer) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(uint16_t(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) {
      close();
      fail("can't connect to port ", port);
    }
  }
  ~Client() { close(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  Client(Client&& other) noexcept : fd_(std::exchange(other.fd_, -1)), timeout_(other.timeout_), buffer_(std::move(other.buffer_)) {}

  // False where the server has hung up.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      if (!ready(POLLOUT)) fail("the server takes no bytes");
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(size_t(n));
    }
    return true;
  }
  // Some bytes; empty at the end of the connection, also where it was reset.
  std::string receive() {
    if (!buffer_.empty()) return std::exchange(buffer_, {});
    fill();
    return std::exchange(buffer_, {});
  }
  std::string receive_all() {
    std::string all;
    for (std::string piece; !(piece = receive()).empty();) all += piece;
    return all;
  }

  static std::string request_text(const std::string& method, const std::string& target, const std::string& body = "",
                                  const std::vector<std::pair<std::string, std::string>>& headers = {}) {
    std::string text = method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n";
    for (const auto& [name, value] : headers) text.append(name).append(": ").append(value).append("\r\n");
    if (!body.empty() || method == "POST" || method == "PUT" || method == "PATCH")
      text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    return text + "\r\n" + body;
  }
  Answer request(const std::string& method, const std::string& target, const std::string& body = "",
                 const std::vector<std::pair<std::string, std::string>>& headers = {}) {
    send(request_text(method, target, body, headers));
    return answer(method == "HEAD");
  }
  Answer get(const std::string& target, const std::vector<std::pair<std::string, std::string>>& headers = {}) {
    return request("GET", target, "", headers);
  }
  Answer post(const std::string& target, const std::string& body, const std::vector<std::pair<std::string, std::string>>& headers = {}) {
    return request("POST", target, body, headers);
  }

  // Status line and headers; answers of 1xx are passed over unless `interim`.
  Answer head(bool interim = false) {
    while (true) {
      Answer out = one_head();
      if (out.status >= 200 || interim) return out;
    }
  }
  Answer answer(bool head_only = false) {
    Answer out = head();
    if (head_only || out.status == 204 || out.status == 304) return out;
    if (out.header("transfer-encoding") == "chunked") {
      for (std::string piece; !(piece = chunk()).empty();) out.body += piece;
    } else if (const std::string length = out.header("content-length"); !length.empty()) {
      out.body = exactly(std::stoul(length));
    } else {
      out.body = receive_all();
    }
    return out;
  }
  // The next chunk of a body whose head was read; empty: the last.
  std::string chunk() {
    const std::string size = line();
    check(!size.empty() && size.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos, "a chunk's size is '", size, "'");
    std::string bytes = exactly(std::stoul(size, nullptr, 16));
    check(line().empty(), "a chunk has no line end");
    return bytes;
  }
  // The next server-sent event of a chunked answer whose head was read; none at its end. Comments are passed over.
  std::optional<Event> event() {
    while (true) {
      size_t end;
      while ((end = events_.find("\n\n")) == std::string::npos) {
        const std::string piece = chunk();
        if (piece.empty()) {
          check(events_.empty(), "the stream ends within an event");
          return std::nullopt;
        }
        events_ += piece;
      }
      Event out;
      bool any = false;
      const std::string text = events_.substr(0, end + 1);
      events_.erase(0, end + 2);
      for (size_t begin = 0; begin < text.size();) {
        const size_t stop = text.find('\n', begin);
        const std::string one = text.substr(begin, stop - begin);
        begin = stop + 1;
        if (one.starts_with(':')) continue;
        any = true;
        if (one.starts_with("data: "))
          out.data += (out.data.empty() ? "" : "\n") + one.substr(6);
        else if (one.starts_with("event: "))
          out.event = one.substr(7);
        else
          fail("an event has the line '", printable(one), "'");
      }
      if (any) return out;
    }
  }

  // Whether the server has ended the connection, or does within `seconds`; what it still sends is dropped.
  bool ends_within(double seconds) {
    const auto until = Clock::now() + std::chrono::duration<double>(seconds);
    while (Clock::now() < until) {
      pollfd one{fd_, POLLIN, 0};
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
      if (::poll(&one, 1, int(left) + 1) <= 0) continue;
      char bytes[4096];
      if (::recv(fd_, bytes, sizeof(bytes), 0) <= 0) return true;
    }
    return false;
  }

  void shut_sending() { ::shutdown(fd_, SHUT_WR); }
  // An end with a FIN (a reset if there are unread bytes) ..
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  // .. and one with a reset.
  void abort() {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close();
  }
  int descriptor() const { return fd_; }

 private:
  bool ready(short what) {
    pollfd one{fd_, what, 0};
    return ::poll(&one, 1, int(timeout_ * 1000)) > 0;
  }
  bool fill() {
    if (!ready(POLLIN)) fail("no answer within ", timeout_, " s");
    char bytes[16384];
    const ssize_t n = ::recv(fd_, bytes, sizeof(bytes), 0);
    if (n <= 0) return false;
    buffer_.append(bytes, size_t(n));
    return true;
  }
  std::string exactly(size_t n) {
    while (buffer_.size() < n)
      if (!fill()) fail("the connection ended ", n - buffer_.size(), " bytes early");
    std::string out = buffer_.substr(0, n);
    buffer_.erase(0, n);
    return out;
  }
  std::string line() {
    size_t end;
    while ((end = buffer_.find("\r\n")) == std::string::npos)
      if (!fill()) fail("the connection ended where a line was due; it had '", printable(buffer_), "'");
    std::string out = buffer_.substr(0, end);
    buffer_.erase(0, end + 2);
    return out;
  }
  Answer one_head() {
    Answer out;
    const std::string status = line();
    check(status.size() > 12 && status.starts_with("HTTP/1.1 ") && status[12] == ' ', "a status line is '", printable(status), "'");
    out.status = std::stoi(status.substr(9, 3));
    for (std::string one; !(one = line()).empty();) {
      const size_t colon = one.find(": ");
      check(colon != std::string::npos && colon > 0, "a header line is '", printable(one), "'");
      std::string name = one.substr(0, colon);
      for (char& c : name) c = char(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
      check(name != "content-length" || !out.headers.count(name), "two lengths");
      out.headers[name] = one.substr(colon + 2);
    }
    check(!(out.headers.count("content-length") && out.headers.count("transfer-encoding")), "a length and a transfer coding");
    return out;
  }

  int fd_ = -1;
  double timeout_;
  std::string buffer_, events_;
};

}  // namespace r1::http::test
