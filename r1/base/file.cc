#include "r1/base/file.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>  // renameat2
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "r1/base/error.h"

namespace r1 {
namespace {

FileFault& fault_hook() {
  static FileFault hook;
  return hook;
}

// True when a test wants this call to fail; errno is set.
bool fault(const char* call) {
  if (!fault_hook()) return false;
  const int code = fault_hook()(call);
  if (code) errno = code;
  return code != 0;
}

[[noreturn]] void fail_errno(const char* what, const fs::path& path) {
  const int code = errno;
  const char* advice = code == ENOSPC ? " (free some space or write elsewhere)" : "";
  fail("cannot ", what, " ", path.string(), ": ", std::strerror(code), advice);
}

template <class Call>
auto retry(const char* name, Call call) {
  for (;;) {
    const auto result = fault(name) ? decltype(call())(-1) : call();
    if (result != -1 || errno != EINTR) return result;
  }
}

void write_all(int fd, std::string_view bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = retry("write", [&] { return ::write(fd, bytes.data(), bytes.size()); });
    if (n < 0) fail_errno("write", path);
    bytes.remove_prefix(size_t(n));
  }
}

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

// What no other process but a forked child has: numbers of processes come again in other containers and on other machines, which may share a folder.
const std::string& own_mark() {
  static const std::string mark = [] {
    uint64_t random = 0;
    if (::getrandom(&random, sizeof random, 0) != ssize_t(sizeof random))
      random = uint64_t(std::chrono::steady_clock::now().time_since_epoch().count());
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(random));
    return std::string(digits);
  }();
  return mark;
}

}  // namespace

void set_file_fault(FileFault hook) {
  fault_hook() = std::move(hook);
}

std::string read_file(const fs::path& path) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) fail_errno("open", path);
  struct stat info {};
  if (::fstat(file.fd, &info) != 0) fail_errno("read", path);
  if (S_ISDIR(info.st_mode)) fail("cannot read ", path.string(), ": it is a folder");
  std::string bytes;
  bytes.resize(S_ISREG(info.st_mode) ? size_t(info.st_size) + 1 : 65536);  // one more, to see the end without growing
  size_t filled = 0;
  for (;;) {
    if (filled == bytes.size()) bytes.resize(bytes.size() * 2);
    const ssize_t n = ::read(file.fd, bytes.data() + filled, bytes.size() - filled);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno("read", path);
    if (n == 0) break;
    filled += size_t(n);
  }
  bytes.resize(filled);
  return bytes;
}

AtomicFile::AtomicFile(const fs::path& path) : path_(path) {
  std::error_code ignored;
  if (fs::is_symlink(path, ignored)) path_ = fs::weakly_canonical(path, ignored);
  const auto status = fs::status(path_, ignored);
  if (fs::is_directory(status)) fail("cannot write ", path.string(), ": it is a folder");
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    fd_ = retry("open", [&] { return ::open(path_.c_str(), O_WRONLY | O_CLOEXEC); });
    if (fd_ < 0) fail_errno("open", path);
    return;
  }
  static std::atomic<unsigned> count{0};
  temporary_ =
      folder_of(path_) / str(".", path_.filename().string().substr(0, 200), ".", ::getpid(), ".", own_mark(), ".", count++, ".tmp");
  fd_ = retry("open", [&] { return ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666); });
  if (fd_ < 0) fail_errno("create", path);
}

AtomicFile::~AtomicFile() {
  abandon();
}

void AtomicFile::abandon() {
  if (fd_ < 0) return;
  const int code = errno;
  ::close(std::exchange(fd_, -1));
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  errno = code;
}

void AtomicFile::write(std::string_view bytes) {
  check(fd_ >= 0, "write to ", path_.string(), " after commit");
  write_all(fd_, bytes, path_);
  size_ += bytes.size();
}

void AtomicFile::commit() {
  check(fd_ >= 0, "commit of ", path_.string(), " twice");
  if (temporary_.empty()) {
    ::close(std::exchange(fd_, -1));
    return;
  }
  struct stat old {};
  if (::stat(path_.c_str(), &old) == 0) ::fchmod(fd_, old.st_mode & 07777);
  if (retry("fsync", [&] { return ::fsync(fd_); }) != 0) fail_errno("write", path_);
  if (retry("rename", [&] { return ::rename(temporary_.c_str(), path_.c_str()); }) != 0) fail_errno("write", path_);
  ::close(std::exchange(fd_, -1));
  fsync_path(folder_of(path_));
}

void write_file_atomic(const fs::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void append_file(const fs::path& path, std::string_view bytes) {
  Descriptor file{retry("open", [&] { return ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666); })};
  if (file.fd < 0) fail_errno("open", path);
  write_all(file.fd, bytes, path);
}

void make_folder(const fs::path& path) {
  if (fault("mkdir")) fail_errno("create folder", path);
  std::error_code error;
  fs::create_directories(path, error);
  if (error) fail("cannot create folder ", path.string(), ": ", error.message());
  if (!fs::is_directory(path, error)) fail("cannot create folder ", path.string(), ": a file of that name is in the way");
}

void fsync_path(const fs::path& path) {
  Descriptor file{retry("open", [&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); })};
  if (file.fd < 0) fail_errno("open", path);
  // Some file systems know no fsync of a folder (EINVAL); they have nothing to lose either.
  if (retry("fsync", [&] { return ::fsync(file.fd); }) != 0 && errno != EINVAL) fail_errno("fsync", path);
}

void swap_in_folder(const fs::path& from, const fs::path& to) {
  const bool exchange = fs::exists(to);
  int result = retry("rename", [&] {
    return exchange ? ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) : ::rename(from.c_str(), to.c_str());
  });
  if (result != 0 && exchange && errno == EINVAL) {  // a file system without exchange (NFS): three renames, with a short gap
    const fs::path aside = to.string() + ".old";
    result = ::rename(to.c_str(), aside.c_str()) || ::rename(from.c_str(), to.c_str()) || ::rename(aside.c_str(), from.c_str());
  }
  if (result != 0) fail_errno("rename to", to);
  fsync_path(folder_of(to));
}

MappedFile::MappedFile(const fs::path& path) : path_(path) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) fail_errno("open", path);
  struct stat info {};
  if (::fstat(file.fd, &info) != 0) fail_errno("open", path);
  if (!S_ISREG(info.st_mode)) fail("cannot map ", path.string(), ": it is no regular file");
  if (info.st_size == 0) return;
  void* at = ::mmap(nullptr, size_t(info.st_size), PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (at == MAP_FAILED) fail_errno("map", path);
  data_ = static_cast<const std::byte*>(at);
  size_ = size_t(info.st_size);
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Digest::Digest(const char* algorithm) : context_(EVP_MD_CTX_new()) {
  const EVP_MD* kind = EVP_get_digestbyname(algorithm);
  if (!context_ || !kind || EVP_DigestInit_ex(static_cast<EVP_MD_CTX*>(context_), kind, nullptr) != 1) {
    EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_));
    fail("the digest ", algorithm, " cannot be made on this machine");
  }
}

Digest::~Digest() {
  EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_));
}

void Digest::update(std::span<const std::byte> bytes) {
  if (EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_), bytes.data(), bytes.size()) != 1) fail("a digest failed");
}

std::string Digest::hex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_), digest, &size) != 1) fail("a digest failed");
  std::string text;
  for (unsigned i = 0; i < size; ++i) {
    text += "0123456789abcdef"[digest[i] >> 4];
    text += "0123456789abcdef"[digest[i] & 15];
  }
  return text;
}

FileLock::FileLock(const fs::path& path, std::string_view complaint)
    : fd_(retry("open", [&] { return ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666); })) {
  if (fd_ < 0) fail_errno("create", path);
  if (::flock(fd_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {  // some file systems know no locks; there it is left to the user
    ::close(fd_);
    fail_usage(complaint);
  }
}

FileLock::~FileLock() {
  ::close(fd_);
}

std::string sha256(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}

std::string sha256(std::string_view bytes) {
  return sha256(std::as_bytes(std::span(bytes.data(), bytes.size())));
}

std::string sha256_file(const fs::path& path) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) fail_errno("open", path);
  Sha256 hash;
  std::vector<std::byte> buffer(1 << 20);
  for (;;) {
    const ssize_t n = ::read(file.fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno("read", path);
    if (n == 0) return hash.hex();
    hash.update({buffer.data(), size_t(n)});
  }
}

}  // namespace r1
