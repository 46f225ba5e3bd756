#include "r1/data/byte_source.h"

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "r1/base/error.h"

namespace r1::data {

struct ByteSource::Decoder {
  virtual ~Decoder() = default;
  // Bytes read; 0 at the end. On an error `fault` says what it was.
  virtual size_t read(char* out, size_t n, std::string& fault) = 0;
  virtual bool seek(int64_t at) = 0;
};

namespace {

using namespace std::literals;

// zlib reads plain files as they are.
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

struct Zstandard : ByteSource::Decoder {
  std::FILE* file = nullptr;
  ZSTD_DStream* stream = ZSTD_createDStream();
  std::vector<char> bytes = std::vector<char>(ZSTD_DStreamInSize());
  ZSTD_inBuffer in{nullptr, 0, 0};
  bool inside = false;  // of a frame

  ~Zstandard() override {
    ZSTD_freeDStream(stream);
    if (file) std::fclose(file);
  }
  size_t read(char* out, size_t n, std::string& fault) override {
    ZSTD_outBuffer to{out, n, 0};
    while (to.pos == 0) {
      if (in.pos == in.size) {
        in = {bytes.data(), std::fread(bytes.data(), 1, bytes.size(), file), 0};
        if (std::ferror(file)) return fault = std::strerror(errno), 0;
        if (in.size == 0) return fault = inside ? "unexpected end of file" : "", 0;
      }
      const size_t left = ZSTD_decompressStream(stream, &to, &in);
      if (ZSTD_isError(left)) {
        fault = ZSTD_getErrorName(left);
        if (ZSTD_getErrorCode(left) == ZSTD_error_frameParameter_windowTooLarge)
          fault += ": it was made with a window above 128 MiB (zstd --long); unpack it with zstd -d --long=31";
        return 0;
      }
      inside = left != 0;
    }
    return to.pos;
  }
  bool seek(int64_t at) override {
    std::rewind(file);
    ZSTD_DCtx_reset(stream, ZSTD_reset_session_only);
    in = {nullptr, 0, 0};
    inside = false;
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

// The first bytes of formats that are no text, and what to do with each.
struct Refused {
  std::string_view magic;
  const char *what, *way_out;
};
constexpr Refused kRefused[] = {
    {"PAR1"sv, "a Parquet file, which this build cannot read (it has no Arrow)",
     "turn it into JSON lines: python3 -c \"import pandas as p; p.read_parquet('IN').to_json('OUT.jsonl', orient='records', lines=True)\""},
    {"ARROW1"sv, "an Arrow file, which this build cannot read (it has no Arrow)",
     "turn it into JSON lines: python3 -c \"import datasets as d; d.Dataset.from_file('IN').to_json('OUT.jsonl')\""},
    {"PK\x03\x04"sv, "a zip archive or an Office file", "unpack it, or save the table as CSV (UTF-8)"},
    {"BZh"sv, "compressed with bzip2", "unpack it (bunzip2 -k IN); .gz and .zst are read as they are"},
    {"\xFD\x37zXZ\0"sv, "compressed with xz", "unpack it (unxz -k IN); .gz and .zst are read as they are"},
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

std::string first_bytes(const std::filesystem::path& path) {
  std::string bytes(8, '\0');
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) fail(path.string(), ": cannot open: ", std::strerror(errno));
  bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file));
  std::fclose(file);
  return bytes;
}

bool is_compressed_name(const std::filesystem::path& path) {
  const auto extension = path.extension();
  return extension == ".gz" || extension == ".zst";
}

}  // namespace

ByteSource::ByteSource(const std::filesystem::path& path) : path_(path) {
  if (std::filesystem::is_directory(path_)) fail(path_.string(), ": is a folder, expected a file");
  std::error_code ignored;
  std::string magic;
  if (std::filesystem::is_regular_file(path_, ignored)) {  // a pipe gives its bytes once
    magic = first_bytes(path_);
    if (magic.empty() && is_compressed_name(path_))
      fail(path_.string(), ": is empty, not even a ", path_.extension() == ".gz" ? "gzip" : "zstd",
           " header; was its download or its writer cut off?");
  }
  for (const Refused& refused : kRefused)
    if (magic.starts_with(refused.magic)) fail(path_.string(), ": is ", refused.what, "; ", with_names(refused.way_out, path_));
  errno = 0;
  if (magic.starts_with("\x28\xB5\x2F\xFD"sv)) {
    auto zstd = std::make_unique<Zstandard>();
    zstd->file = std::fopen(path_.c_str(), "rb");
    if (!zstd->file) fail(path_.string(), ": cannot open: ", std::strerror(errno));
    decoder_ = std::move(zstd);
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
