#include "r1/data/jsonl.h"

#include <algorithm>

#include "r1/base/error.h"

namespace r1::data {
namespace {

constexpr size_t kChunk = size_t{1} << 18;

}  // namespace

LineReader::LineReader(std::filesystem::path path, size_t max_line_bytes)
    : path_(std::move(path)), max_line_bytes_(max_line_bytes), source_(path_) {}

LineReader::LineReader(ByteSource source, std::filesystem::path name, size_t max_line_bytes)
    : path_(std::move(name)), max_line_bytes_(max_line_bytes), source_(std::move(source)) {}

std::string LineReader::where() const {
  return str(path_.string(), ":", position_.line);
}

bool LineReader::fill() {
  if (ended_) return false;
  if (begin_ > 0) {
    buffer_.erase(0, begin_);
    begin_ = 0;
  }
  const size_t old = buffer_.size();
  buffer_.resize(old + kChunk);
  const size_t n = source_.read(buffer_.data() + old, kChunk, position_.line + 1);
  buffer_.resize(old + n);
  if (n == 0) ended_ = true;
  return n > 0;
}

bool LineReader::next(std::string& line) {
  size_t searched = begin_, end;
  while ((end = buffer_.find('\n', searched)) == std::string::npos) {
    const size_t pending = buffer_.size() - begin_;
    if (pending > max_line_bytes_) fail_long(begin_ + pending);
    if (!fill()) {
      if (pending == 0) return false;
      end = buffer_.size();
      break;
    }
    searched = begin_ + pending;
  }
  const size_t length = end - begin_;
  if (length > max_line_bytes_) fail_long(end);
  line.assign(buffer_, begin_, length);
  const size_t taken = length + (end < buffer_.size() ? 1 : 0);
  if (position_.byte == 0 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
  if (line.ends_with('\r')) line.pop_back();
  begin_ += taken;
  position_.byte += int64_t(taken);
  ++position_.line;
  return true;
}

// Passes over the line that begins at begin_ and has no end before `searched`, keeping none of it.
void LineReader::fail_long(size_t searched) {
  size_t end;
  while ((end = buffer_.find('\n', searched)) == std::string::npos) {
    position_.byte += int64_t(buffer_.size() - begin_);
    begin_ = buffer_.size();
    if (!fill()) break;
    searched = begin_;
  }
  if (end != std::string::npos) position_.byte += int64_t(end + 1 - begin_), begin_ = end + 1;
  ++position_.line;
  fail(path_.string(), ":", position_.line, ": line longer than ", max_line_bytes_, " bytes");
}

bool LineReader::at_end() {
  return begin_ == buffer_.size() && !fill();
}

bool LineReader::next_stretch(std::string& bytes, size_t most, size_t part) {
  while (buffer_.size() - begin_ <= std::max(most, part) && fill()) {
  }
  const std::string_view left = std::string_view(buffer_).substr(begin_);
  if (left.empty()) return false;
  size_t taken = left.size();
  if (taken > most) {
    taken = left.rfind('\n', part - 1) + 1;  // npos + 1 == 0
    if (taken == 0)
      for (taken = part; taken > 1 && (static_cast<unsigned char>(left[taken]) & 0xC0) == 0x80;) --taken;
  }
  bytes = left.substr(0, taken);
  begin_ += taken;
  position_.byte += int64_t(taken);
  position_.line += std::count(bytes.begin(), bytes.end(), '\n');
  return true;
}

void LineReader::seek(Position position) {
  source_.seek(position.byte);
  buffer_.clear();
  begin_ = 0;
  ended_ = false;
  position_ = position;
}

Json parse_row(std::string_view line, std::string_view where) {
  Json row = parse_json(line, where);
  if (!row.is_object()) fail(where, ": expected a JSON object, got ", row.type_name());
  return row;
}

std::optional<Json> next_row(LineReader& lines, std::string& line) {
  while (lines.next(line)) {
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    return parse_row(line, lines.where());
  }
  return std::nullopt;
}

}  // namespace r1::data
