// The bytes of a file, uncompressed on the way: plain, .gz, .zst, .bz2 and .xz (unpack.h), told apart by their first bytes, whatever the
// name, and .br. Streams: memory is a buffer, and for .zst and .xz the window (at most 128 MiB; `zstd --long` makes larger ones, which are refused).
//
// Files that are no text are refused at opening, each with its way out: Parquet and Arrow (table_file.h reads them), zip (and xlsx), UTF-16. So are a
// compressed file without a byte in it and one that breaks off.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

namespace r1::data {

class ByteSource {
 public:
  struct Bring {
    std::function<size_t(char* out, size_t n)> read;  // up to n bytes; 0 at the end
    std::function<bool(int64_t at)> seek;             // false: it cannot
  };

  explicit ByteSource(const std::filesystem::path& path);
  // Bytes that come from elsewhere (a member of an archive), as they are. `name` is for errors.
  ByteSource(Bring bring, std::filesystem::path name);
  ByteSource(ByteSource&&) noexcept;
  ByteSource& operator=(ByteSource&&) noexcept;
  ~ByteSource();

  // Up to `n` bytes; 0 at the end. `line`: the one being read, for the error.
  size_t read(char* out, size_t n, int64_t line);
  // To byte `at` of the uncompressed text; a compressed file is read up to there once more.
  void seek(int64_t at);

  struct Decoder;

 private:
  std::filesystem::path path_;
  std::unique_ptr<Decoder> decoder_;
};

// The first `most` bytes of a file as they are stored, fewer if it has no more.
std::string first_bytes_of(const std::filesystem::path& path, size_t most);

}  // namespace r1::data
