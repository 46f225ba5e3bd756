// Rows of a data file, whatever its form: JSON lines, a JSON list, CSV, TSV, each plain or packed (byte_source.h), Parquet and Arrow (table_file.h), WebDataset archives (webdataset.h). The
// one road by which sft, pretrain, grpo, rejection and eval read them. Streams; a bad row is an error that names file and line (or row). docs/data.md.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "r1/data/jsonl.h"

namespace r1::data {

enum class FileForm { kText, kJsonLines, kJsonList, kCsv, kTsv, kParquet, kArrow, kWebDataset };

// By the name without .gz, .zst, .bz2 and .xz: .jsonl and .ndjson, .csv, .tsv and .tab, .parquet, .arrow and .feather, .tar; a .json is one or the other by
// what it begins with; the rest is text. Error if the file is not there.
FileForm form_of(const std::filesystem::path& path);
// The same, where rows are wanted and a name says nothing: by what the file begins with.
FileForm row_form_of(const std::filesystem::path& path);

class RowReader {
 public:
  explicit RowReader(const std::filesystem::path& path, size_t max_row_bytes = kMaxLineBytes)
      : RowReader(path, row_form_of(path), max_row_bytes) {}
  RowReader(const std::filesystem::path& path, FileForm form, size_t max_row_bytes = kMaxLineBytes);
  RowReader(RowReader&&) noexcept;
  RowReader& operator=(RowReader&&) noexcept;
  ~RowReader();

  // Only these keys of rows are wanted, and those of `also` that there are: what can leave out the others unread does so (Parquet, Arrow). If the file
  // lacks one of `keys`, rows are whole.
  void want(std::vector<std::string> keys, const std::vector<std::string>& also = {});
  // The next row as the text of a JSON value, not parsed yet; false at the end. A table's row is an object of texts.
  bool next(std::string& row);
  // The next row, parsed: a JSON object, or an error.
  std::optional<Json> next();
  // After a row; seek() in a new reader, and next() gives the following row. `line` counts lines, in a JSON list, Parquet and Arrow rows.
  LineReader::Position position() const;
  void seek(LineReader::Position position);
  // "train.csv:17", "train.json, row 17": the row read last.
  std::string where() const;

  struct Form;

 private:
  std::unique_ptr<Form> form_;
  std::string row_;
};

// "a, b, c": the keys of a row, for errors; at most twenty.
std::string keys_of(const Json& row);
// A value as text: text as it is, a number with all its digits. `what` names it in the error for anything else.
std::string field_text(const Json& value, std::string_view what, std::string_view where);

}  // namespace r1::data
