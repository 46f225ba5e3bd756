// Descriptors that close themselves, and files that only live in memory.
#pragma once

#include <string_view>
#include <utility>

namespace r1::verify::sandbox {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset(int fd = -1);
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

struct Pipe {
  Fd read, write;
};
Pipe make_pipe();  // close-on-exec

// A file without a name. Opened again for reading only, so that it can be executed and each reader has its own place in it.
Fd memory_file(const char* name, std::string_view bytes, bool executable = false);
Fd reopen_for_reading(const Fd& file);

}  // namespace r1::verify::sandbox
