// Tables of text: CSV as RFC 4180 has it (fields in quotes may hold separators, quotes written twice, and line ends, which read as \n) and
// TSV. The first record is the header; a record of another length is an error that names its line. Streams: memory is a record.
//
// A .csv whose header has no comma, but semicolons or tabs, is separated by these. An empty line is no record. In TSV, which as published
// often has quotes that are only characters, a quote opens a field only where it closes again: in the same line, or in a later one if
// this line or the next one would otherwise have the wrong number of fields. In CSV a record whose quote closes nowhere, or in the middle of a field, is an
// error, and the record after it begins in its second line.
#pragma once

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "r1/data/jsonl.h"

namespace r1::data {

class CsvReader {
 public:
  enum class Kind { kCsv, kTsv };
  explicit CsvReader(std::filesystem::path path, Kind kind = Kind::kCsv, size_t max_row_bytes = kMaxLineBytes)
      : CsvReader(ByteSource(path), path, kind, max_row_bytes) {}
  CsvReader(ByteSource source, std::filesystem::path name, Kind kind, size_t max_row_bytes = kMaxLineBytes);

  // Names are trimmed; a column without a name is "column <number>". Names must differ.
  const std::vector<std::string>& header() const { return header_; }
  // As many as the header has; false at the end.
  bool next(std::vector<std::string>& fields);
  // Passes over a record: what next() does, its errors for what is no record among them, but for the fields. False at the end.
  bool pass();
  // Lines behind the last record were looked at.
  bool looked_ahead() const { return !ahead_.empty(); }
  LineReader::Position position() const { return ahead_.empty() ? lines_.position() : ahead_.front().before; }
  void seek(LineReader::Position position);  // past the header
  // "x.csv:17", the line that the last record begins in.
  std::string where() const;

 private:
  struct Line {
    std::string text;
    LineReader::Position before;
  };
  using Record = std::vector<std::string>;

  bool take_line(std::string& line);
  const std::string* line_ahead(size_t i);
  bool begin_record(std::string& line);
  bool read_record(Record& fields);
  void quoted_record(std::string line, Record* fields);
  void tab_record(const std::string& line, Record& fields);
  bool joined(const std::string& line, Record& fields, size_t& used);
  void read_header();
  [[noreturn]] void fail_length(const Record& fields) const;

  std::filesystem::path path_;
  Kind kind_;
  size_t max_row_bytes_;
  LineReader lines_;
  std::deque<Line> ahead_;  // read from lines_, but not taken yet
  char separator_ = ',';
  Record header_;
  int64_t begin_line_ = 0;
};

}  // namespace r1::data
