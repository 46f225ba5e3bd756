#include "r1/corpus/fetch_part.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "r1/base/error.h"
#include "r1/base/interrupt.h"

namespace r1::corpus {
namespace {

constexpr int64_t kFlush = int64_t{32} << 20;

[[noreturn]] void fail_errno(const char* what, const fs::path& path) {
  const int code = errno;
  fail("cannot ", what, " ", path.string(), ": ", std::strerror(code),
       code == ENOSPC || code == EDQUOT ? " (free some space; the same command goes on)" : "");
}

void move_to_place(const fs::path& from, const fs::path& to) {
  make_folder(to.parent_path());
  if (::rename(from.c_str(), to.c_str()) != 0) fail_errno("write", to);
}

}  // namespace

std::string FetchPart::key_of(const std::string& url) {
  return sha256(url).substr(0, 32);
}

FetchPart::FetchPart(const fs::path& folder, const std::string& url, bool with_md5)
    : bytes_(folder / (key_of(url) + ".part")), note_(folder / (key_of(url) + ".json")), url_(url), with_md5_(with_md5) {
  fd_ = ::open(bytes_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd_ < 0) fail_errno("create", bytes_);
  struct stat info {};
  if (::fstat(fd_, &info) != 0) fail_errno("read", bytes_);
  size_ = flushed_ = info.st_size;
  bool known = false;
  if (std::error_code ignored; size_ > 0 && fs::exists(note_, ignored)) {
    try {
      const Json note = parse_json_file(note_);
      origin_ = {json_get<std::string>(note, "url", note_.string()), json_get<std::string>(note, "etag", note_.string()),
                 json_get<std::string>(note, "last_modified", note_.string()), json_get<int64_t>(note, "size", note_.string())};
      known = origin_.url == url;
    } catch (const Error&) {  // of another version, or damaged: as if it were not there
    }
  }
  if (!known) {
    origin_ = {};
    if (size_ > 0) cut(0);
  }
}

FetchPart::~FetchPart() {
  if (fd_ >= 0) ::close(fd_);
}

// Whole or not at all after a kill. After a loss of power it may be an older one or none, which costs a second fetch and no more: no fsync, of
// which there would be several a file.
void FetchPart::write_note(const Json& note) const {
  const fs::path temporary = note_.string() + ".new";
  const std::string text = dump_json(note) + "\n";
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) fail_errno("create", temporary);
  const ssize_t n = ::write(fd, text.data(), text.size());
  ::close(fd);
  if (n >= 0 && size_t(n) < text.size()) errno = ENOSPC;
  if (n < 0 || size_t(n) < text.size() || ::rename(temporary.c_str(), note_.c_str()) != 0) fail_errno("write", note_);
}

void FetchPart::restart(const PartOrigin& origin) {
  cut(0);
  origin_ = origin;
  origin_.url = url_;
  write_note({{"url", url_}, {"etag", origin.etag}, {"last_modified", origin.last_modified}, {"size", origin.size}});
}

void FetchPart::cut(int64_t size) {
  if (::ftruncate(fd_, size) != 0) fail_errno("shorten", bytes_);
  size_ = size;
  flushed_ = std::min(flushed_, size);
  if (hashed_ > size) {
    hashed_ = 0;
    sha256_.reset();
    md5_.reset();
  }
}

void FetchPart::append(std::string_view bytes) {
  hash_up_to(size_);
  for (std::string_view left = bytes; !left.empty();) {
    const ssize_t n = ::pwrite(fd_, left.data(), left.size(), size_);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno("write", bytes_);
    size_ += n;
    left.remove_prefix(size_t(n));
  }
  sha256_->update(std::as_bytes(std::span(bytes)));
  if (md5_) md5_->update(std::as_bytes(std::span(bytes)));
  hashed_ = size_;
  // On its way to the disk now, so that the end need not wait for all of it.
  if (size_ - flushed_ >= kFlush) {
    ::sync_file_range(fd_, flushed_, size_ - flushed_, SYNC_FILE_RANGE_WRITE);
    flushed_ = size_;
  }
}

// What an earlier process brought is read once.
void FetchPart::hash_up_to(int64_t size) {
  if (!sha256_) {
    sha256_ = std::make_unique<Digest>("sha256");
    if (with_md5_) md5_ = std::make_unique<Digest>("md5");
    hashed_ = 0;
  }
  if (hashed_ == size) return;
  std::vector<std::byte> buffer(size_t{1} << 20);
  while (hashed_ < size) {
    throw_if_interrupted();
    const ssize_t n = ::pread(fd_, buffer.data(), size_t(std::min<int64_t>(int64_t(buffer.size()), size - hashed_)), hashed_);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail_errno("read", bytes_);
    sha256_->update({buffer.data(), size_t(n)});
    if (md5_) md5_->update({buffer.data(), size_t(n)});
    hashed_ += n;
  }
}

FetchPart::Digests FetchPart::digests() {
  hash_up_to(size_);
  Digests out{sha256_->hex(), md5_ ? md5_->hex() : ""};
  sha256_.reset();  // whoever goes on begins anew
  md5_.reset();
  hashed_ = 0;
  return out;
}

void FetchPart::begin_sync() const {
  ::sync_file_range(fd_, 0, 0, SYNC_FILE_RANGE_WRITE);
}

void FetchPart::finish(const fs::path& file, const Json& row) {
  if (::fsync(fd_) != 0) fail_errno("write", bytes_);
  write_note({{"whole", row}});
  move_to_place(bytes_, file);
}

void FetchPart::done() {
  ::unlink(note_.c_str());
}

void FetchPart::drop() {
  ::unlink(bytes_.c_str());
  ::unlink(note_.c_str());
}

void finish_noted(const fs::path& folder, const fs::path& root, const std::function<void(const Json&)>& record) {
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".json") continue;
    Json row;
    try {
      const Json note = parse_json_file(entry.path());
      if (!note.contains("whole")) continue;
      row = note["whole"];
      const fs::path bytes = fs::path(entry.path()).replace_extension(".part");
      const fs::path file = root / json_get<std::string>(row, "file", entry.path().string());
      const auto size = json_get<int64_t>(row, "bytes", entry.path().string());
      std::error_code none;
      if (const auto there = fs::file_size(bytes, none); !none && int64_t(there) == size) move_to_place(bytes, file);
      if (const auto there = fs::file_size(file, none); none || int64_t(there) != size) row = nullptr;
    } catch (const Error&) {
      continue;  // no note of ours: the part decides
    }
    if (!row.is_null()) record(row);
    ::unlink(entry.path().c_str());
  }
}

}  // namespace r1::corpus
