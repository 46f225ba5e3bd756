#include "r1/data/byte_source.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "r1/base/error.h"
#include "r1/data/unpack.h"

namespace r1::data {

struct ByteSource::Decoder {
  virtual ~Decoder() = default;
  // Bytes read; 0 at the end. On an error `fault` says what it was.
  virtual size_t read(char* out, size_t n, std::string& fault) = 0;
  virtual bool seek(int64_t at) = 0;
};

namespace {

using namespace std::literals;

// zlib reads plain files as they are, and pipes, of which it is not known before what they hold.
struct PlainOrGzip : ByteSource::Decoder {
  gzFile file = nullptr;
  ~PlainOrGzip() override {
    if (file) gzclose(file);
  }
  size_t read(char* out, size_t n, std::string& fault) override {
    const int got = gzread(file, out, unsigned(std::min<size_t>(n, 1u << 30)));
    int code = Z_OK;
    const char* message = got <= 0 ? gzerror(file, &code) : "";
    // a gzip file that breaks off reads as an end with Z_BUF_ERROR
    if (got < 0 || code != Z_OK) fault = code == Z_ERRNO ? std::strerror(errno) : message;
    return size_t(std::max(got, 0));
  }
  bool seek(int64_t at) override { return gzseek(file, at, SEEK_SET) == at; }
};

// What unpack.h unpacks.
struct Packed : ByteSource::Decoder {
  std::FILE* file = nullptr;
  std::unique_ptr<Unpacker> unpacker;
  std::vector<char> bytes = std::vector<char>(size_t{1} << 17);
  std::string_view in;

  ~Packed() override {
    if (file) std::fclose(file);
  }
  size_t read(char* out, size_t n, std::string& fault) override {
    while (true) {
      if (const size_t got = unpacker->unpack(in, out, n, fault); got > 0 || !fault.empty()) return got;
      if (!in.empty()) continue;
      in = {bytes.data(), std::fread(bytes.data(), 1, bytes.size(), file)};
      if (std::ferror(file)) return fault = std::strerror(errno), 0;
      if (in.empty()) return fault = unpacker->inside() ? "unexpected end of file" : "", 0;
    }
  }
  bool seek(int64_t at) override {
    std::rewind(file);
    unpacker->reset();
    in = {};
    std::vector<char> passed(size_t{1} << 16);
    std::string fault;
    while (at > 0) {
      const size_t n = read(passed.data(), size_t(std::min<int64_t>(at, int64_t(passed.size()))), fault);
      if (n == 0) return false;
      at -= int64_t(n);
    }
    return true;
  }
};

// Bytes that somebody else brings.
struct Brought : ByteSource::Decoder {
  ByteSource::Bring bring;
  size_t read(char* out, size_t n, std::string&) override { return bring.read(out, n); }
  bool seek(int64_t at) override { return bring.seek(at); }
};

// The first bytes of formats that are no text, and what to do with each.
struct Refused {
  std::string_view magic;
  const char *what, *way_out;
};
constexpr Refused kRefused[] = {
    {"PAR1"sv, "a Parquet file", "give it a name that says so, .parquet, and its rows are read"},
    {"ARROW1"sv, "an Arrow file", "give it a name that says so, .arrow, and its rows are read"},
    {"PK\x03\x04"sv, "a zip archive or an Office file", "unpack it, or save the table as CSV (UTF-8)"},
    {"\xFF\xFE"sv, "UTF-16", "turn it into UTF-8: iconv -f UTF-16 -t UTF-8 IN > OUT"},
    {"\xFE\xFF"sv, "UTF-16", "turn it into UTF-8: iconv -f UTF-16 -t UTF-8 IN > OUT"},
};

// "IN" and "OUT" of a way out stand for the file and what it becomes.
std::string with_names(std::string text, const std::filesystem::path& path) {
  const std::pair<std::string_view, std::string> names[] = {{"OUT", path.stem().string()}, {"IN", path.filename().string()}};
  for (const auto& [mark, name] : names)
    if (const size_t at = text.find(mark); at != std::string::npos) text.replace(at, mark.size(), name);
  return text;
}

std::string_view name_of_packing(std::string_view ending) {
  if (ending == ".gz") return "gzip";
  if (ending == ".bz2") return "bzip2";
  if (ending == ".br") return "Brotli";
  return ending == ".xz" ? "xz" : "zstd";
}

}  // namespace

std::string first_bytes_of(const std::filesystem::path& path, size_t most) {
  std::string bytes(most, '\0');
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) fail(path.string(), ": cannot open: ", std::strerror(errno));
  bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file));
  std::fclose(file);
  return bytes;
}

ByteSource::ByteSource(Bring bring, std::filesystem::path name) : path_(std::move(name)) {
  auto brought = std::make_unique<Brought>();
  brought->bring = std::move(bring);
  decoder_ = std::move(brought);
}

ByteSource::ByteSource(const std::filesystem::path& path) : path_(path) {
  if (std::filesystem::is_directory(path_)) fail(path_.string(), ": is a folder, expected a file");
  std::error_code ignored;
  std::string magic;
  if (std::filesystem::is_regular_file(path_, ignored)) {  // a pipe gives its bytes once
    magic = first_bytes_of(path_, 8);
    if (magic.empty() && is_packed_ending(path_.extension().string()))
      fail(path_.string(), ": is empty, not even a ", name_of_packing(path_.extension().string()),
           " header; was its download or its writer cut off?");
  }
  for (const Refused& refused : kRefused)
    if (magic.starts_with(refused.magic)) fail(path_.string(), ": is ", refused.what, "; ", with_names(refused.way_out, path_));
  errno = 0;
  Packing packing = packing_of(magic);
  if (path_.extension() == ".br" && !magic.empty()) packing = packing_of_name(".br", first_bytes_of(path_, kBrotliProbe));
  if (packing == Packing::kBrotli && !has_brotli()) fail(path_.string(), ": is ", kNoBrotli);
  if (packing != Packing::kNone) {
    auto packed = std::make_unique<Packed>();
    packed->file = std::fopen(path_.c_str(), "rb");
    if (!packed->file) fail(path_.string(), ": cannot open: ", std::strerror(errno));
    packed->unpacker = Unpacker::make(packing);
    decoder_ = std::move(packed);
    return;
  }
  auto gzip = std::make_unique<PlainOrGzip>();
  gzip->file = gzopen(path_.c_str(), "rb");
  if (!gzip->file) fail(path_.string(), ": cannot open: ", std::strerror(errno ? errno : ENOMEM));
  gzbuffer(gzip->file, 1 << 16);
  decoder_ = std::move(gzip);
}

ByteSource::ByteSource(ByteSource&&) noexcept = default;
ByteSource& ByteSource::operator=(ByteSource&&) noexcept = default;
ByteSource::~ByteSource() = default;

size_t ByteSource::read(char* out, size_t n, int64_t line) {
  std::string fault;
  const size_t got = decoder_->read(out, n, fault);
  if (!fault.empty()) fail(path_.string(), ":", line, ": cannot read: ", fault);
  return got;
}

void ByteSource::seek(int64_t at) {
  if (!decoder_->seek(at)) fail(path_.string(), ": cannot seek to byte ", at);
}

}  // namespace r1::data
