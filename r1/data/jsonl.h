// JSON lines from a file, one object a line, streamed: memory is a few lines, whatever the file's size; .gz, .zst, .bz2 and .xz too (byte_source.h).
// Empty lines are skipped, a UTF-8 byte order mark and CRLF are taken, the last line needs no newline. A bad line is an error "file:line:
// ..."; so are a line longer than `max_line_bytes` and a compressed file that breaks off. Position is resumable: position() after a row,
// seek() in a new reader, and next() gives the following row. Rows of any format: rows.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "r1/base/json.h"
#include "r1/data/byte_source.h"

namespace r1::data {

// A book is a few megabytes; what is longer is no row of text, but a damaged or hostile file.
inline constexpr size_t kMaxLineBytes = size_t{32} << 20;

// Lines of a text file, plain or compressed, without their line ends.
class LineReader {
 public:
  struct Position {
    int64_t byte = 0;  // of the uncompressed text
    int64_t line = 0;  // lines read so far
  };

  explicit LineReader(std::filesystem::path path, size_t max_line_bytes = kMaxLineBytes);
  LineReader(ByteSource source, std::filesystem::path name, size_t max_line_bytes = kMaxLineBytes);

  // False at the end of the file. After the error for a line that is too long, the next call gives the line after it.
  bool next(std::string& line);
  // The bytes as they stand instead: all that is left, if that is no more than `most`, else about `part` of it, cut after a line end where
  // there is one (else between characters). False at the end.
  bool next_stretch(std::string& bytes, size_t most, size_t part);
  bool at_end();
  Position position() const { return position_; }
  void seek(Position position);
  // "train.jsonl:17", the line read last.
  std::string where() const;

 private:
  bool fill();
  [[noreturn]] void fail_long(size_t searched);

  std::filesystem::path path_;
  size_t max_line_bytes_;
  ByteSource source_;
  std::string buffer_;
  size_t begin_ = 0;  // of the unread part of buffer_
  bool ended_ = false;
  Position position_;
};

// A line that is one JSON object; anything else is an error that names `where`.
Json parse_row(std::string_view line, std::string_view where);
// The JSON object of the next line that is not empty; nullopt at the end. `line` is working
// space.
std::optional<Json> next_row(LineReader& lines, std::string& line);

class JsonlReader {
 public:
  explicit JsonlReader(std::filesystem::path path, size_t max_line_bytes = kMaxLineBytes) : lines_(std::move(path), max_line_bytes) {}

  std::optional<Json> next() { return next_row(lines_, line_); }
  LineReader::Position position() const { return lines_.position(); }
  void seek(LineReader::Position position) { lines_.seek(position); }
  std::string where() const { return lines_.where(); }

 private:
  LineReader lines_;
  std::string line_;
};

}  // namespace r1::data
