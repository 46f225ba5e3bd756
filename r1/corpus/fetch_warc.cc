#include "r1/corpus/fetch_warc.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>

#include "r1/base/error.h"
#include "r1/base/strings.h"

namespace r1::corpus {
namespace {

std::string gzip_member(std::string_view bytes) {
  z_stream stream{};
  check(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK, "no memory to compress");
  std::string out(deflateBound(&stream, uLong(bytes.size())) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = uInt(bytes.size());  // pages have at most kMaxDocumentBytes
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = uInt(out.size());
  const int code = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  check(code == Z_STREAM_END, "a page cannot be compressed");
  return out;
}

// The head without the fields that spoke of the body's way here: it is joined now, and its length is known.
std::string stored_head(const std::string& head, size_t body) {
  std::string out;
  bool left_out = false, first = true;
  for (size_t at = 0; at < head.size(); first = false) {
    const size_t end = head.find('\n', at);
    std::string_view line = std::string_view(head).substr(at, end - at);
    at = end == std::string::npos ? head.size() : end + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) break;
    if (!first && line[0] != ' ' && line[0] != '\t') {
      const std::string name = lower_ascii(trim(line.substr(0, line.find(':'))));
      left_out = name == "transfer-encoding" || name == "content-length" || name == "trailer";
    }
    if (!left_out) out.append(line).append("\r\n");
  }
  return out + str("Content-Length: ", body, "\r\n\r\n");
}

std::string without_line_ends(std::string text) {
  for (char& c : text)
    if (c == '\r' || c == '\n') c = ' ';
  return text;
}

}  // namespace

std::string warc_record(const Page& page) {
  const std::string head = stored_head(page.head, page.body.size());
  // The same page at the same time has the same id: a UUID of version 8 (RFC 9562) over both.
  std::string id = sha256(page.url + "\n" + page.date + "\n" + sha256(page.body)).substr(0, 32);
  id[12] = '8';
  id[16] = "89ab"[(id[16] >= 'a' ? id[16] - 'a' + 10 : id[16] - '0') & 3];
  for (const size_t at : {20, 16, 12, 8}) id.insert(at, "-");
  std::string out = "WARC/1.1\r\nWARC-Type: response\r\n";
  out += "WARC-Target-URI: " + without_line_ends(page.url) + "\r\n";
  out += "WARC-Date: " + page.date + "\r\n";
  out += "WARC-Record-ID: <urn:uuid:" + id + ">\r\n";
  if (!page.peer.empty()) out += "WARC-IP-Address: " + page.peer + "\r\n";
  out += "WARC-Payload-Digest: sha256:" + sha256(page.body) + "\r\n";
  out += "Content-Type: application/http; msgtype=response\r\n";
  out += str("Content-Length: ", head.size() + page.body.size(), "\r\n\r\n");
  out += head;
  out += page.body;
  return out + "\r\n\r\n";
}

WarcWriter::WarcWriter(const fs::path& root, const std::map<std::string, int64_t>& ends) : root_(root) {
  std::error_code none;
  for (const auto& [file, end] : ends) {
    const auto size = fs::file_size(root_ / file, none);
    if (!none && int64_t(size) > end) fs::resize_file(root_ / file, uintmax_t(end));
  }
  while (fs::exists(root_ / name(), none)) ++number_;
  // The last one goes on, unless the ledger does not know it: who can say how it ends?
  if (number_ > 0) {
    --number_;
    if (!ends.contains(name())) ++number_;
  }
}

WarcWriter::~WarcWriter() {
  if (fd_ >= 0) ::close(fd_);
}

std::string WarcWriter::name() const {
  const std::string digits = std::to_string(number_);
  return "pages/" + std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits + ".warc.gz";
}

void WarcWriter::open() {
  if (fd_ >= 0 && size_ < kMaxFile) return;
  if (fd_ >= 0) {
    sync();
    ::close(fd_);
    ++number_;
  }
  make_folder(root_ / "pages");
  while (true) {
    const fs::path path = root_ / name();
    fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd_ < 0) fail("cannot create ", path.string(), ": ", std::strerror(errno));
    struct stat info {};
    if (::fstat(fd_, &info) != 0) fail("cannot read ", path.string(), ": ", std::strerror(errno));
    size_ = info.st_size;
    if (size_ < kMaxFile) return;
    ::close(fd_);
    ++number_;
  }
}

WarcWriter::Place WarcWriter::add(const Page& page) {
  open();
  const std::string member = gzip_member(warc_record(page));
  Place place{name(), size_, int64_t(member.size())};
  for (std::string_view left = member; !left.empty();) {
    const ssize_t n = ::write(fd_, left.data(), left.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int code = errno;
      [[maybe_unused]] const int cut = ::ftruncate(fd_, size_);
      fail("cannot write ", (root_ / place.file).string(), ": ", std::strerror(code));
    }
    left.remove_prefix(size_t(n));
  }
  size_ += place.length;
  return place;
}

void WarcWriter::sync() {
  if (fd_ >= 0 && ::fsync(fd_) != 0) fail("cannot write ", (root_ / name()).string(), ": ", std::strerror(errno));
}

}  // namespace r1::corpus
