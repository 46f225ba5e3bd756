#include "r1/verify/judge/channel.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "r1/base/error.h"

namespace r1::verify::judge {
namespace {

// poll() for one or two descriptors; false: the time is up.
bool wait_for(pollfd* fds, nfds_t n, Clock::time_point until) {
  for (;;) {
    const double left = seconds_until(until);
    const int ready = ::poll(fds, n, left <= 0 ? 0 : int(std::min(left * 1000 + 1, 1e6)));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR && errno != EAGAIN) fail("[judge] poll: ", std::strerror(errno));
    if (ready == 0 && seconds_until(until) <= 0) return false;
  }
}

}  // namespace

Clock::time_point after(double seconds) {
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(std::clamp(seconds, 0.0, 1e8)));
}
double seconds_until(Clock::time_point when) {
  return std::chrono::duration<double>(when - Clock::now()).count();
}

void FrameReader::append(std::string_view bytes) {
  if (broken_) return;
  if (begin_ > 0 && begin_ >= buffer_.size() / 2) buffer_.erase(0, std::exchange(begin_, 0));
  buffer_.append(bytes);
}

std::optional<std::string> FrameReader::next() {
  if (broken_ || buffer_.size() - begin_ < 4) return std::nullopt;
  uint32_t n = 0;
  for (int i = 0; i < 4; ++i) n |= uint32_t(static_cast<unsigned char>(buffer_[begin_ + size_t(i)])) << (8 * i);
  if (n > longest_) {
    broken_ = true;
    buffer_.clear();
    return std::nullopt;
  }
  if (buffer_.size() - begin_ - 4 < n) return std::nullopt;
  std::string frame = buffer_.substr(begin_ + 4, n);
  begin_ += 4 + n;
  return frame;
}

Channel& Channel::operator=(Channel&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(reader_, other.reader_);
  return *this;
}

void Channel::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

ChannelStatus Channel::send(std::string_view frame, Clock::time_point until) {
  std::string bytes;
  for (int i = 0; i < 4; ++i) bytes += char(uint32_t(frame.size()) >> (8 * i) & 0xFF);
  bytes.append(frame);
  for (size_t at = 0; at < bytes.size();) {
    if (fd_ < 0) return ChannelStatus::kClosed;
    const ssize_t sent = ::send(fd_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      at += size_t(sent);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return ChannelStatus::kClosed;
    pollfd p{fd_, POLLOUT, 0};
    if (!wait_for(&p, 1, until)) return ChannelStatus::kTimeout;
  }
  return ChannelStatus::kOk;
}

// What is there now; kTimeout: nothing.
ChannelStatus Channel::fill() {
  char buffer[65536];
  if (fd_ < 0) return ChannelStatus::kClosed;
  for (;;) {
    const ssize_t got = ::recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got > 0) {
      reader_.append({buffer, size_t(got)});
      return ChannelStatus::kOk;
    }
    if (got < 0 && errno == EINTR) continue;
    return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? ChannelStatus::kTimeout : ChannelStatus::kClosed;
  }
}

ChannelStatus Channel::receive(std::string& frame, Clock::time_point until) {
  for (;;) {
    if (auto whole = reader_.next()) {
      frame = std::move(*whole);
      return ChannelStatus::kOk;
    }
    if (reader_.broken()) return ChannelStatus::kTooLong;
    if (seconds_until(until) < 0) return ChannelStatus::kTimeout;
    const ChannelStatus filled = fill();
    if (filled == ChannelStatus::kClosed) return filled;
    if (filled == ChannelStatus::kOk) continue;
    pollfd p{fd_, POLLIN, 0};
    if (!wait_for(&p, 1, until)) return ChannelStatus::kTimeout;
  }
}

int Channel::receive_either(Channel& a, Channel& b, std::string& frame, ChannelStatus& status, Clock::time_point until) {
  Channel* const both[] = {&a, &b};
  for (;;) {
    for (int i = 0; i < 2; ++i) {
      status = ChannelStatus::kOk;
      if (auto whole = both[i]->reader_.next()) {
        frame = std::move(*whole);
        return i;
      }
      if (both[i]->reader_.broken()) return status = ChannelStatus::kTooLong, i;
    }
    if (seconds_until(until) < 0) return status = ChannelStatus::kTimeout, 0;
    bool more = false;
    for (int i = 0; i < 2; ++i) {
      status = both[i]->fill();
      if (status == ChannelStatus::kClosed) return i;
      more |= status == ChannelStatus::kOk;
    }
    pollfd p[2] = {{a.fd_, POLLIN, 0}, {b.fd_, POLLIN, 0}};
    if (!more && !wait_for(p, 2, until)) return status = ChannelStatus::kTimeout, 0;
  }
}

std::pair<int, int> channel_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) fail("[judge] socketpair: ", std::strerror(errno));
  return {ends[0], ends[1]};
}

}  // namespace r1::verify::judge
