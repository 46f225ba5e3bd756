// Frames over a socket: a length (32 bits, little-endian), then so many bytes. The other end is not trusted: a frame longer than the limit,
// a cut one or silence are statuses, never errors or waits beyond the deadline.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace r1::verify::judge {

using Clock = std::chrono::steady_clock;
Clock::time_point after(double seconds);  // from now on; clamped to [0, 1e8]
double seconds_until(Clock::time_point when);

// Takes bytes as they come and gives whole frames. Memory: at most the limit and what was appended last.
class FrameReader {
 public:
  explicit FrameReader(size_t longest = size_t{16} << 20) : longest_(longest) {}
  void append(std::string_view bytes);
  std::optional<std::string> next();
  bool broken() const { return broken_; }  // a frame longer than the limit was announced; nothing comes any more

 private:
  size_t longest_, begin_ = 0;
  std::string buffer_;
  bool broken_ = false;
};

enum class ChannelStatus { kOk, kClosed, kTimeout, kTooLong };

class Channel {
 public:
  Channel() = default;
  explicit Channel(int fd, size_t longest = size_t{16} << 20) : fd_(fd), reader_(longest) {}
  ~Channel() { close(); }
  Channel(Channel&& other) noexcept : fd_(std::exchange(other.fd_, -1)), reader_(std::move(other.reader_)) {}
  Channel& operator=(Channel&& other) noexcept;

  ChannelStatus send(std::string_view frame, Clock::time_point until);
  ChannelStatus receive(std::string& frame, Clock::time_point until);
  // Whichever of the two has a whole frame first (0: a, 1: b), or whose status is not kOk.
  static int receive_either(Channel& a, Channel& b, std::string& frame, ChannelStatus& status, Clock::time_point until);
  bool open() const { return fd_ >= 0; }
  void close();

 private:
  ChannelStatus fill();

  int fd_ = -1;
  FrameReader reader_;
};

// A connected pair: ours, closed on exec; theirs, for the program.
std::pair<int, int> channel_pair();

}  // namespace r1::verify::judge
