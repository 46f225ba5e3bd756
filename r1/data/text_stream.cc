#include "r1/data/text_stream.h"

#include "r1/base/error.h"

namespace r1::data {

TextStream::TextStream(std::vector<std::string> files, int64_t whole_file_bytes, int64_t part_bytes)
    : files_(std::move(files)), whole_file_bytes_(whole_file_bytes), part_bytes_(part_bytes) {}

void TextStream::open() {
  const std::string& name = files_[size_t(file_)];
  if (const FileForm form = form_of(name); form == FileForm::kText)
    reader_ = std::make_unique<LineReader>(name);
  else
    rows_ = std::make_unique<RowReader>(name, form);
  if (rows_ && !wanted_.empty()) rows_->want(wanted_, also_);
}

bool TextStream::next(Text& text) {
  for (; file_ < int64_t(files_.size()); ++file_, reader_.reset(), rows_.reset()) {
    if (!reader_ && !rows_) open();
    if (rows_ ? next_row(text) : next_part(text)) return true;
  }
  return false;
}

TextStream::Position TextStream::position() const {
  return {file_, rows_ ? rows_->position() : reader_ ? reader_->position() : LineReader::Position{}};
}

void TextStream::seek(const Position& position) {
  check(position.file >= 0 && position.file <= int64_t(files_.size()), "[text stream] file ", position.file, " of ", files_.size());
  file_ = position.file;
  reader_.reset();
  rows_.reset();
  if (file_ == int64_t(files_.size()) || position.line.byte == 0) return;
  open();
  rows_ ? rows_->seek(position.line) : reader_->seek(position.line);
}

bool TextStream::next_row(Text& text) {
  if (!rows_->next(text.text)) return false;
  text.where = rows_->where();
  text.row = text.begins = text.ends = true;
  return true;
}

// Only a file that is not begun yet may still be small enough to be given whole.
bool TextStream::next_part(Text& text) {
  const bool begins = reader_->position().byte == 0;
  text.where = str(files_[size_t(file_)], ":", reader_->position().line + 1);
  if (!reader_->next_stretch(text.text, size_t(begins ? whole_file_bytes_ : part_bytes_), size_t(part_bytes_))) return false;
  text.row = false;
  text.begins = begins;
  text.ends = reader_->at_end();
  return true;
}

}  // namespace r1::data
