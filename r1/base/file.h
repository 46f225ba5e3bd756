// Files: read whole, map, write so that a crash leaves either the old or the new file. Errors name the path and errno's text.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace r1 {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path);

// Writes to a temporary file beside `path`, fsyncs file and folder, renames. ENOSPC and the like throw and remove the temporary.
void write_file_atomic(const fs::path& path, std::string_view bytes);

// Appends and flushes to the OS (no fsync); for logs.
void append_file(const fs::path& path, std::string_view bytes);

// Creates a folder and its parents; an existing folder is fine.
void make_folder(const fs::path& path);

void fsync_path(const fs::path& path);

// A read-only map of a whole file; an empty file gives an empty span. Movable.
class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const fs::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  size_t size() const { return size_; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// Every write-side system call of this file goes through here; tests make the Nth one fail (conventions_and_faults F2).
// The hook gets the call's name ("open", "write", "fsync", "rename") and returns 0 or the errno to fail with.
using FileFault = std::function<int(const char* call)>;
void set_file_fault(FileFault hook);

// SHA-256 of bytes or a file, lower-case hex.
std::string sha256(std::span<const std::byte> bytes);
std::string sha256_file(const fs::path& path);

}  // namespace r1
