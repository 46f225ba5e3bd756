// Rows of Parquet and Arrow files (IPC files, which Feather 2 is, and IPC streams), through the plug-in libr1_parquet.so, which is opened when the first such
// file is. Memory is a batch of rows of about 8 MiB, whatever the file's row groups. How values become JSON: table_plugin.h. docs/data.md.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "r1/data/jsonl.h"

struct R1TablePlugin;

namespace r1::data {

enum class TableForm { kParquet, kArrow };

// By its first bytes: "PAR1" (or "PARE", encrypted), "ARROW1", or a message of an Arrow stream.
bool begins_parquet(std::string_view bytes);
bool begins_arrow(std::string_view bytes);

// Empty: the plug-in is there. Else an error's text: what the file is, what is missing, the ways out.
std::string why_no_tables(const std::filesystem::path& path, TableForm form);

class TableReader {
 public:
  enum class Bytes { kRefused, kLeftOut };  // values that are bytes and no text

  // Errors name the file: no plug-in (kUsage), a damaged file.
  TableReader(std::filesystem::path path, TableForm form, size_t max_row_bytes = kMaxLineBytes, Bytes bytes = Bytes::kRefused);
  TableReader(TableReader&& other) noexcept;
  TableReader& operator=(TableReader&&) = delete;
  ~TableReader();

  std::vector<std::string> columns() const;
  // Of Parquet the row groups, of an Arrow file the record batches, in their order: parts of the file that can be read apart. None of an Arrow stream, and where
  // they cannot be (rows or bytes below 0).
  struct Group {
    int64_t rows = 0, bytes = 0;  // as stored
  };
  std::vector<Group> groups() const;
  // Only these columns are read from here on; if the file lacks one of them, all are.
  void select(const std::vector<std::string>& columns);

  // The text of the next row, a JSON object; false at the end. After the error for a row that is too long or has bytes that are no text,
  // the next call gives the row after it.
  bool next(std::string& row);
  // Both count rows.
  LineReader::Position position() const { return {row_, row_}; }
  void seek(LineReader::Position position);
  // "x.parquet, row 17", the row read last.
  std::string where() const;

 private:
  std::filesystem::path path_;
  size_t max_row_bytes_;
  const R1TablePlugin* plugin_ = nullptr;
  void* table_ = nullptr;
  int64_t row_ = 0;
};

}  // namespace r1::data
