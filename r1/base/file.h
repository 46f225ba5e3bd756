// Files: read whole, map, write so that a crash leaves either the old or the new file. Errors name the path and errno's text.
#pragma once

#include <cstddef>
#include <cstdint>
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

// The same for what does not fit in one string: write() as often as needed, then commit(). Without commit() the destructor removes the
// temporary and `path` stays as it was. A link is followed; what is no regular file (/dev/stdout, a pipe) is written in place.
class AtomicFile {
 public:
  explicit AtomicFile(const fs::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::string_view bytes);
  void write(std::span<const std::byte> bytes) { write({reinterpret_cast<const char*>(bytes.data()), bytes.size()}); }
  uint64_t size() const { return size_; }
  void commit();

 private:
  void abandon();
  fs::path path_, temporary_;  // temporary_ is empty when written in place
  int fd_ = -1;
  uint64_t size_ = 0;
};

// Appends and flushes to the OS (no fsync); for logs.
void append_file(const fs::path& path, std::string_view bytes);

// Creates a folder and its parents; an existing folder is fine.
void make_folder(const fs::path& path);

void fsync_path(const fs::path& path);

// Renames folder `from` to `to` and fsyncs the parent. If `to` exists the two change places in one system call: whoever looks sees the old
// or the new one, never neither; the old one is then at `from`.
void swap_in_folder(const fs::path& from, const fs::path& to);

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

// Every write-side system call of this file goes through here; tests make the Nth one fail.
// The hook gets the call's name ("open", "write", "fsync", "rename") and returns 0 or the errno to fail with.
using FileFault = std::function<int(const char* call)>;
void set_file_fault(FileFault hook);

// SHA-256 of bytes or a file, lower-case hex.
std::string sha256(std::span<const std::byte> bytes);
std::string sha256(std::string_view bytes);
std::string sha256_file(const fs::path& path);

// The same piece by piece, by any algorithm that OpenSSL names ("md5", "sha256").
class Digest {
 public:
  explicit Digest(const char* algorithm);
  ~Digest();
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;
  void update(std::span<const std::byte> bytes);
  std::string hex();  // lower case; ends it: call once

 private:
  void* context_;
};
class Sha256 : public Digest {
 public:
  Sha256() : Digest("sha256") {}
};

// Holds `path` (made if it is not there) for this process as long as it lives; kUsage with the words `complaint` if another one does.
class FileLock {
 public:
  FileLock(const fs::path& path, std::string_view complaint);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int fd_;
};

}  // namespace r1
