// The rows of a file that is one JSON value: a list of objects, [{..}, {..}]; an object that holds that list under "data", "examples",
// "rows" or "instances"; or one object, which is then the only row. Streams: each row is cut out as text, unparsed; memory is a row.
#pragma once

#include <string>

#include "r1/data/jsonl.h"

namespace r1::data {

class JsonListReader {
 public:
  explicit JsonListReader(std::filesystem::path path, size_t max_row_bytes = kMaxLineBytes);
  JsonListReader(ByteSource source, std::filesystem::path name, size_t max_row_bytes = kMaxLineBytes);

  // The text of the next row, JSON if the file is; false at the end.
  bool next(std::string& row);
  // Its `line` counts rows.
  LineReader::Position position() const { return {byte_, rows_}; }
  void seek(LineReader::Position position);
  // "x.json, row 17", the row read last.
  std::string where() const;

 private:
  int peek();  // -1 at the end
  int get();
  int peek_past_blanks();
  void expect(char c, const char* what);
  void value(std::string* out);
  void begin();
  bool find_list();

  std::filesystem::path path_;
  size_t max_row_bytes_;
  ByteSource source_;
  std::string buffer_;
  size_t at_ = 0;
  int64_t byte_ = 0, rows_ = 0;
  bool single_ = false, wrapped_ = false, ended_ = false;
};

// A file that begins with '{': does something follow the first object, as in JSON lines?
bool is_many_objects(const std::filesystem::path& path);

}  // namespace r1::data
