// What a tokenizer is learned from where it does not lie as it is: rows of every form (rows.h), packed text. Files of plain text and of plain JSON
// lines are better mapped whole (text/bpe_train.h).
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "r1/data/rows.h"

namespace r1::data {

class LearnedTexts {
 public:
  // Takes those files out of `files` that are not to be mapped, and gives their texts: of a row what stands under each of `keys`, of packed
  // text each line with its end.
  LearnedTexts(std::vector<std::filesystem::path>& files, std::vector<std::string> keys);

  // The next megabyte or so of texts; false at the end. A row without a text under a key is an error that names it.
  bool next(std::vector<std::string>& texts);

 private:
  bool next_of_file(std::vector<std::string>& texts, size_t& bytes);

  std::vector<std::filesystem::path> files_;
  std::vector<std::string> keys_;
  size_t file_ = 0;
  std::unique_ptr<RowReader> rows_;
  std::unique_ptr<LineReader> lines_;
};

}  // namespace r1::data
