// JSON lines from a file, one object a line, streamed: memory is one line, whatever the file's size. Reads .gz as well (zlib).
// Empty lines are skipped, a UTF-8 byte order mark and CRLF are taken, the last line needs no newline. A bad line is an error "file:line:
// ..."; so is a line longer than `max_line_bytes`. Position is resumable: position() after a row, seek() in a new reader, and next() gives
// the following row.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "r1/base/json.h"

namespace r1::data {

// Lines of a text file, plain or gzipped, without their line ends.
class LineReader {
 public:
  struct Position {
    int64_t byte = 0;  // of the uncompressed text
    int64_t line = 0;  // lines read so far
  };

  explicit LineReader(std::filesystem::path path, size_t max_line_bytes = size_t{256} << 20);
  LineReader(LineReader&&) noexcept;
  LineReader& operator=(LineReader&&) noexcept;
  ~LineReader();

  // False at the end of the file.
  bool next(std::string& line);
  Position position() const { return position_; }
  void seek(Position position);
  // "train.jsonl:17", the line read last.
  std::string where() const;

 private:
  struct File;
  bool fill();

  std::filesystem::path path_;
  size_t max_line_bytes_;
  std::unique_ptr<File> file_;
  std::string buffer_;
  size_t begin_ = 0;  // of the unread part of buffer_
  bool ended_ = false;
  Position position_;
};

class JsonlReader {
 public:
  explicit JsonlReader(std::filesystem::path path, size_t max_line_bytes = size_t{256} << 20) : lines_(std::move(path), max_line_bytes) {}

  // nullopt at the end. Every row is a JSON object; anything else is an error.
  std::optional<Json> next();
  LineReader::Position position() const { return lines_.position(); }
  void seek(LineReader::Position position) { lines_.seek(position); }
  std::string where() const { return lines_.where(); }

 private:
  LineReader lines_;
  std::string line_;
};

}  // namespace r1::data
