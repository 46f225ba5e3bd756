#include "r1/data/learned_texts.h"

#include <algorithm>

#include "r1/base/error.h"
#include "r1/data/unpack.h"

namespace r1::data {
namespace {

bool is_mapped(const std::filesystem::path& path) {
  if (is_packed_ending(path.extension().string())) return false;
  return path.extension() == ".jsonl" || form_of(path) == FileForm::kText;
}

}  // namespace

LearnedTexts::LearnedTexts(std::vector<std::filesystem::path>& files, std::vector<std::string> keys) : keys_(std::move(keys)) {
  const auto ours = std::stable_partition(files.begin(), files.end(), is_mapped);
  files_.assign(ours, files.end());
  files.erase(ours, files.end());
}

bool LearnedTexts::next(std::vector<std::string>& texts) {
  constexpr size_t kBytes = size_t{1} << 20;
  texts.clear();
  for (size_t bytes = 0; file_ < files_.size() && bytes < kBytes;) {
    if (next_of_file(texts, bytes)) continue;
    rows_.reset();
    lines_.reset();
    ++file_;
  }
  return !texts.empty();
}

bool LearnedTexts::next_of_file(std::vector<std::string>& texts, size_t& bytes) {
  const std::filesystem::path& path = files_[file_];
  if (!rows_ && !lines_) {
    if (const FileForm form = form_of(path); form == FileForm::kText) {
      lines_ = std::make_unique<LineReader>(path);
    } else {
      rows_ = std::make_unique<RowReader>(path, form);
      rows_->want(keys_);
    }
  }
  if (lines_) {
    std::string line;
    if (!lines_->next(line)) return false;
    bytes += line.size() + 1;
    texts.push_back(std::move(line += '\n'));
    return true;
  }
  const auto row = rows_->next();
  if (!row) return false;
  for (const std::string& key : keys_) {
    const auto it = row->find(key);
    if (it == row->end() || !it->is_string())
      fail(rows_->where(), ": no text under '", printable(key), "' (name the fields with jsonl_keys); found: ", keys_of(*row));
    texts.push_back(it->get<std::string>());
    bytes += texts.back().size() + 1;
  }
  return true;
}

}  // namespace r1::data
