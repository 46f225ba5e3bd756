// Bytes as a file that lies in memory, for programs and libraries that want a file (pdftotext, Arrow), and what closes a descriptor.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace r1::corpus {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { close(); }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }
  void close();

 private:
  int fd_ = -1;
};

class MemoryFile {
 public:
  MemoryFile() = default;
  // `name` is for errors. `inherited`: programs that are started have it under the same path.
  MemoryFile(const std::string& name, std::string_view bytes, bool inherited = false);
  std::string path() const { return "/proc/self/fd/" + std::to_string(file_.get()); }

 private:
  Descriptor file_;
};

}  // namespace r1::corpus
