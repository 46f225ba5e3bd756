#include "r1/verify/worker_channel.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace r1::verify {
namespace {

constexpr uint32_t kLongest = 1'000'000;  // of one text; longer answers never come here

struct Header {
  uint32_t first, second, code;
  EqualityOptions options;
};

// Waits for the socket; with a deadline, until then.
bool ready(int fd, short events, const WorkerClock::time_point* until) {
  for (;;) {
    const auto left = until ? std::chrono::duration_cast<std::chrono::milliseconds>(*until - WorkerClock::now()).count() : -1;
    if (until && left <= 0) return false;
    pollfd p{fd, events, 0};
    const int n = ::poll(&p, 1, int(std::min<int64_t>(left, 1 << 30)));
    if (n < 0 && errno == EINTR) continue;
    return n > 0;
  }
}
bool send_all(int fd, const char* data, size_t n, const WorkerClock::time_point* until, bool* late) {
  while (n) {
    if (until && !ready(fd, POLLOUT, until)) return *late = true, false;
    const ssize_t sent = ::send(fd, data, n, MSG_NOSIGNAL | (until ? MSG_DONTWAIT : 0));
    if (sent < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (sent <= 0) return false;
    data += sent, n -= size_t(sent);
  }
  return true;
}
bool receive_all(int fd, char* data, size_t n, const WorkerClock::time_point* until, bool* late) {
  while (n) {
    if (until && !ready(fd, POLLIN, until)) return *late = true, false;
    const ssize_t got = ::recv(fd, data, n, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    data += got, n -= size_t(got);
  }
  return true;
}

}  // namespace

bool send_message(int socket, const WorkerMessage& message, const WorkerClock::time_point* until, bool* late) {
  const Header h{uint32_t(message.first.size()), uint32_t(message.second.size()), message.code, message.options};
  std::string all(reinterpret_cast<const char*>(&h), sizeof h);
  all.append(message.first).append(message.second);
  return send_all(socket, all.data(), all.size(), until, late);
}

bool receive_message(int socket, WorkerMessage& message, const WorkerClock::time_point* until, bool* late) {
  Header h;
  if (!receive_all(socket, reinterpret_cast<char*>(&h), sizeof h, until, late)) return false;
  if (h.first > kLongest || h.second > kLongest) return false;
  message.first.resize(h.first);
  message.second.resize(h.second);
  message.code = h.code;
  message.options = h.options;
  return receive_all(socket, message.first.data(), h.first, until, late) &&
         receive_all(socket, message.second.data(), h.second, until, late);
}

}  // namespace r1::verify
