// Files below a root that somebody else may write to, opened so that nothing outside of it can be reached: no "..", no absolute path, no
// symbolic link that leads out (openat2 with RESOLVE_BENEATH; on a kernel without it no symbolic link at all) or, if so asked, none whatever.
// Only regular files are opened, so a pipe that bears a log's name does not hang its reader. What is not there, or may not be read, is
// "nothing", not an error.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace r1 {

// 1 to 8 parts between slashes, each [A-Za-z0-9._-]{1,128} and not "." or "..".
bool is_plain_path(std::string_view path);

struct FileStatus {
  int64_t size = 0;
  double modified = 0;  // seconds since 1970
  uint64_t device = 0, inode = 0;

  bool operator==(const FileStatus&) const = default;
};

class OpenFile {
 public:
  explicit OpenFile(int fd) : fd_(fd) {}
  ~OpenFile();
  OpenFile(OpenFile&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  OpenFile& operator=(OpenFile&&) = delete;

  FileStatus status() const;
  // At most `bytes` of them from `offset`; fewer at the end of the file or when reading fails.
  std::string read(int64_t offset, int64_t bytes) const;
  int64_t read(int64_t offset, char* out, int64_t bytes) const;  // how many it were
  int fd() const { return fd_; }

 private:
  int fd_;
};

struct FolderEntry {
  std::string name;
  bool may_be_folder = false;  // a folder, or a link that may lead to one
};

enum class Links { kBelow, kNone };  // which are followed: those that lead to what is below the root, or none

class FilesBelow {
 public:
  explicit FilesBelow(const std::filesystem::path& root, Links links = Links::kBelow);

  std::optional<OpenFile> file(const std::string& path) const;
  std::optional<OpenFile> folder(const std::string& path) const;  // "": the root
  std::optional<FileStatus> status(const std::string& path) const;
  // Names of a folder in order, whatever they are; "." and ".." left out; at most `most`.
  std::vector<FolderEntry> entries(const std::string& path, size_t most) const;
  // The whole file, if it has at most `most` bytes. `fault`: why not, where it is there ("is 1.0 GiB, more than the 16 MiB read here").
  std::optional<std::string> read(const std::string& path, int64_t most, std::string* fault = nullptr) const;

 private:
  std::optional<OpenFile> open(const std::string& path, int flags) const;

  OpenFile root_;
  Links links_;
};

}  // namespace r1
