// What training files hold, one text after another, in memory of about one text: files of rows (rows.h: JSON lines, JSON, CSV, TSV, Parquet, Arrow) give
// each row as JSON text, any other file is one text. A file of more than kWholeFileBytes is given in parts, cut after a line; whoever makes documents of the texts
// makes one of each part. The place after a text can be saved and taken up again.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "r1/data/rows.h"

namespace r1::data {

inline constexpr int64_t kWholeFileBytes = int64_t{64} << 20, kPartBytes = int64_t{8} << 20;

struct Text {
  std::string text, where;          // "train.jsonl:17", for errors
  bool row = false;                 // JSON of one row, not parsed yet
  bool begins = true, ends = true;  // the parts of a large file in between have neither
};

class TextStream {
 public:
  struct Position {
    int64_t file = 0;
    LineReader::Position line;
  };

  // `whole_file_bytes` and `part_bytes` are there for tests.
  explicit TextStream(std::vector<std::string> files, int64_t whole_file_bytes = kWholeFileBytes, int64_t part_bytes = kPartBytes);

  // Of rows, these keys are all that is wanted, and of `also` what there is (RowReader::want).
  void want(std::vector<std::string> keys, std::vector<std::string> also = {}) { wanted_ = std::move(keys), also_ = std::move(also); }
  // False at the end of the last file.
  bool next(Text& text);
  Position position() const;
  void seek(const Position& position);

 private:
  bool next_row(Text& text);
  bool next_part(Text& text);
  void open();

  std::vector<std::string> files_, wanted_, also_;
  int64_t whole_file_bytes_, part_bytes_;
  int64_t file_ = 0;
  // Of files_[file_], if it was begun: one of them.
  std::unique_ptr<RowReader> rows_;
  std::unique_ptr<LineReader> reader_;
};

}  // namespace r1::data
