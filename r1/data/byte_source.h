// The bytes of a file, uncompressed on the way: plain, .gz (zlib) and .zst (Zstandard), told apart by their first bytes, whatever the name.
// Streams: memory is a buffer, and for .zst the frame's window (at most 128 MiB; `zstd --long` makes larger ones, which are refused).
//
// Files that no reader here can take are refused at opening, each with its way out: Parquet, Arrow, zip (and xlsx), bzip2, xz, UTF-16. So
// are a compressed file without a byte in it and one that breaks off.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>

namespace r1::data {

class ByteSource {
 public:
  explicit ByteSource(const std::filesystem::path& path);
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

}  // namespace r1::data
