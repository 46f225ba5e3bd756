#include "r1/base/files_below.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "r1/base/error.h"
#include "r1/base/progress.h"

namespace r1 {
namespace {

constexpr size_t kMaxPart = 128, kMaxParts = 8;

bool is_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

bool is_name(std::string_view part) {
  return !part.empty() && part.size() <= kMaxPart && part != "." && part != ".." && std::all_of(part.begin(), part.end(), is_name_byte);
}

// Part after part, each without following a link: for kernels (and filters of system calls) without openat2.
int open_step_by_step(int root, const std::string& path, int flags) {
  int at = ::dup(root);
  for (size_t begin = 0; at >= 0 && begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const bool last = end == path.size();
    const std::string part = path.substr(begin, end - begin);
    const int next = ::openat(at, part.c_str(), O_NOFOLLOW | O_CLOEXEC | (last ? flags : O_PATH | O_DIRECTORY));
    ::close(at);
    at = next;
    begin = end + 1;
  }
  return at;
}

int open_beneath(int root, const std::string& path, int flags, Links links) {
  open_how how{};
  how.flags = uint64_t(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | (links == Links::kNone ? RESOLVE_NO_SYMLINKS : 0);
  const int fd = int(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how));
  if (fd < 0 && (errno == ENOSYS || errno == EPERM)) return open_step_by_step(root, path, flags);
  return fd;
}

FileStatus status_of(const struct stat& s) {
  return {int64_t(s.st_size), double(s.st_mtim.tv_sec) + 1e-9 * double(s.st_mtim.tv_nsec), uint64_t(s.st_dev), uint64_t(s.st_ino)};
}

}  // namespace

bool is_plain_path(std::string_view path) {
  for (size_t parts = 1;; ++parts) {
    const size_t slash = path.find('/');
    if (parts > kMaxParts || !is_name(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

OpenFile::~OpenFile() {
  if (fd_ >= 0) ::close(fd_);
}

FileStatus OpenFile::status() const {
  struct stat s {};
  return ::fstat(fd_, &s) == 0 ? status_of(s) : FileStatus{};
}

int64_t OpenFile::read(int64_t offset, char* out, int64_t bytes) const {
  int64_t have = 0;
  while (have < bytes) {
    const ssize_t n = ::pread(fd_, out + have, size_t(bytes - have), off_t(offset + have));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    have += n;
  }
  return have;
}

std::string OpenFile::read(int64_t offset, int64_t bytes) const {
  // What is asked for is a limit: memory is taken for what the file has.
  std::string out(size_t(std::clamp<int64_t>(status().size - offset, 0, bytes)), '\0');
  out.resize(size_t(read(offset, out.data(), int64_t(out.size()))));
  return out;
}

FilesBelow::FilesBelow(const std::filesystem::path& root, Links links)
    : root_(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)), links_(links) {}

std::optional<OpenFile> FilesBelow::open(const std::string& path, int flags) const {
  if (root_.fd() < 0 || (!path.empty() && !is_plain_path(path))) return {};
  const int fd = open_beneath(root_.fd(), path.empty() ? "." : path, flags, links_);
  if (fd < 0) return {};
  return OpenFile(fd);
}

std::optional<OpenFile> FilesBelow::file(const std::string& path) const {
  auto file = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  struct stat s {};
  if (!file || ::fstat(file->fd(), &s) != 0 || !S_ISREG(s.st_mode)) return {};
  return file;
}

std::optional<OpenFile> FilesBelow::folder(const std::string& path) const {
  return open(path, O_RDONLY | O_DIRECTORY);
}

std::optional<FileStatus> FilesBelow::status(const std::string& path) const {
  const auto file = this->file(path);
  if (!file) return {};
  return file->status();
}

std::vector<FolderEntry> FilesBelow::entries(const std::string& path, size_t most) const {
  std::vector<FolderEntry> out;
  const auto folder = this->folder(path);
  DIR* dir = folder ? ::fdopendir(::dup(folder->fd())) : nullptr;
  if (!dir) return out;
  while (const dirent* entry = ::readdir(dir)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (out.size() >= most) break;
    out.push_back({std::string(name), entry->d_type == DT_DIR || entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN});
  }
  ::closedir(dir);
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return out;
}

std::optional<std::string> FilesBelow::read(const std::string& path, int64_t most, std::string* fault) const {
  const auto file = this->file(path);
  if (!file) return {};
  const int64_t size = file->status().size;
  if (size <= most) return file->read(0, most);
  if (fault) *fault = str("is ", human_bytes(double(size)), ", more than the ", human_bytes(double(most)), " read here");
  return {};
}

}  // namespace r1
