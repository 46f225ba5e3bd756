// A server on a free port that answers as a test says, wrongly too: raw bytes, cut connections, silence. One thread a connection.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "r1/base/error.h"
#include "r1/base/strings.h"

namespace r1::corpus {

struct Asked {
  std::string method, target;
  std::map<std::string, std::string> headers;  // names in lower case
  int number = 0;                              // how many requests for this target came before

  std::string header(const std::string& name) const {
    const auto at = headers.find(name);
    return at == headers.end() ? "" : at->second;
  }
  // Of "Range: bytes=N-"; 0 without.
  size_t from() const {
    const std::string range = header("range");
    return range.starts_with("bytes=") ? std::stoul(range.substr(6)) : 0;
  }
};

class Connection {
 public:
  explicit Connection(int fd) : fd_(fd) {}
  // False: nobody takes it.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return open = false;
      bytes.remove_prefix(size_t(n));
    }
    return true;
  }
  // A whole answer with its length.
  void answer(const std::string& status, std::string_view body, const std::string& headers = "") {
    send(str("HTTP/1.1 ", status, "\r\nContent-Length: ", body.size(), "\r\n", headers, "\r\n"));
    send(body);
  }
  // Says `size` and sends less.
  void cut(const std::string& status, std::string_view body, size_t size, const std::string& headers = "") {
    send(str("HTTP/1.1 ", status, "\r\nContent-Length: ", size, "\r\n", headers, "\r\n"));
    send(body);
    open = false;
  }
  // Nothing more comes; until the client leaves, or the server ends.
  void be_silent(const std::atomic<bool>& end) {
    pollfd one{fd_, POLLIN | POLLRDHUP, 0};
    while (!end && ::poll(&one, 1, 10) == 0) {
    }
    open = false;
  }
  bool open = true;

 private:
  int fd_;
};

class FetchServer {
 public:
  using Handler = std::function<void(const Asked&, Connection&)>;

  explicit FetchServer(Handler handler) : handler_(std::move(handler)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(at);
    check(::bind(listener_, reinterpret_cast<sockaddr*>(&at), size) == 0 && ::listen(listener_, 128) == 0, "no port");
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size);
    port_ = ntohs(at.sin_port);
    accepting_ = std::thread([this] { accept(); });
  }
  ~FetchServer() {
    ending = true;
    accepting_.join();
    {
      const std::lock_guard lock(mutex_);
      for (const int fd : fds_) ::shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
    ::close(listener_);
  }

  int port() const { return port_; }
  std::string url(const std::string& path = "") const { return str("http://127.0.0.1:", port_, path); }
  // What was asked, in order; of one target only, if it is named.
  std::vector<Asked> asked(const std::string& target = "") const {
    const std::lock_guard lock(mutex_);
    std::vector<Asked> out;
    for (const Asked& a : asked_)
      if (target.empty() || a.target == target) out.push_back(a);
    return out;
  }
  int most_at_once() const { return most_at_once_; }

  std::atomic<bool> ending{false};

 private:
  void accept() {
    while (!ending) {
      pollfd one{listener_, POLLIN, 0};
      if (::poll(&one, 1, 5) <= 0) continue;
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      const int now = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &now, sizeof now);
      const std::lock_guard lock(mutex_);
      fds_.push_back(fd);
      threads_.emplace_back([this, fd] { serve(fd); });
    }
  }

  void serve(int fd) {
    Connection connection(fd);
    std::string buffer;
    while (connection.open) {
      size_t end;
      while ((end = buffer.find("\r\n\r\n")) == std::string::npos) {
        char bytes[4096];
        const ssize_t n = ::recv(fd, bytes, sizeof bytes, 0);
        if (n <= 0) break;
        buffer.append(bytes, size_t(n));
      }
      if (end == std::string::npos) break;
      const Asked asked = parsed(buffer.substr(0, end));
      buffer.erase(0, end + 4);
      most_at_once_ = std::max<int>(most_at_once_, ++at_once_);
      handler_(asked, connection);
      --at_once_;
    }
    const std::lock_guard lock(mutex_);
    std::erase(fds_, fd);
    ::close(fd);
  }

  Asked parsed(const std::string& head) {
    Asked out;
    size_t at = head.find("\r\n");
    const std::string line = head.substr(0, at);
    out.method = line.substr(0, line.find(' '));
    out.target = line.substr(out.method.size() + 1, line.rfind(' ') - out.method.size() - 1);
    while (at < head.size()) {
      const size_t end = std::min(head.find("\r\n", at + 2), head.size());
      const std::string field = head.substr(at + 2, end - at - 2);
      const size_t colon = field.find(':');
      if (colon != std::string::npos) out.headers[lower_ascii(field.substr(0, colon))] = std::string(trim(field.substr(colon + 1)));
      at = end;
    }
    const std::lock_guard lock(mutex_);
    out.number = count_[out.target]++;
    asked_.push_back(out);
    return out;
  }

  Handler handler_;
  int listener_ = -1, port_ = 0;
  std::thread accepting_;
  mutable std::mutex mutex_;
  std::list<std::thread> threads_;
  std::vector<int> fds_;
  std::vector<Asked> asked_;
  std::map<std::string, int> count_;
  std::atomic<int> at_once_{0}, most_at_once_{0};
};

}  // namespace r1::corpus
