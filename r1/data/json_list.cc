#include "r1/data/json_list.h"

#include <algorithm>

#include "r1/base/error.h"

namespace r1::data {
namespace {

constexpr size_t kChunk = size_t{1} << 18;
constexpr const char* kListNames[] = {"\"data\"", "\"examples\"", "\"rows\"", "\"instances\""};

bool is_blank(int c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// Follows the text of one object, list or string, to its end.
class Extent {
 public:
  // True: `c` was its last character.
  bool ends_with(char c) {
    if (in_string_) {
      if (escaped_)
        escaped_ = false;
      else if (c == '\\')
        escaped_ = true;
      else if (c == '"')
        in_string_ = false;
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if (c == '}' || c == ']') {
      --depth_;
    }
    return !in_string_ && depth_ <= 0;
  }

 private:
  int64_t depth_ = 0;
  bool in_string_ = false, escaped_ = false;
};

}  // namespace

JsonListReader::JsonListReader(std::filesystem::path path, size_t max_row_bytes)
    : path_(std::move(path)), max_row_bytes_(max_row_bytes), source_(path_) {
  begin();
}

JsonListReader::JsonListReader(ByteSource source, std::filesystem::path name, size_t max_row_bytes)
    : path_(std::move(name)), max_row_bytes_(max_row_bytes), source_(std::move(source)) {
  begin();
}

std::string JsonListReader::where() const {
  return str(path_.string(), ", row ", rows_);
}

int JsonListReader::peek() {
  if (at_ == buffer_.size()) {
    buffer_.resize(kChunk);
    buffer_.resize(source_.read(buffer_.data(), kChunk, rows_ + 1));
    at_ = 0;
  }
  return buffer_.empty() ? -1 : static_cast<unsigned char>(buffer_[at_]);
}

int JsonListReader::get() {
  const int c = peek();
  if (c >= 0) ++at_, ++byte_;
  return c;
}

int JsonListReader::peek_past_blanks() {
  while (is_blank(peek())) get();
  return peek();
}

void JsonListReader::expect(char c, const char* what) {
  if (peek_past_blanks() != c) fail(path_.string(), ", row ", rows_ + 1, ": expected ", what, peek() < 0 ? ", but the file ends" : "");
  get();
}

// One value's text into `out` (null: passed over).
void JsonListReader::value(std::string* out) {
  const int first = peek_past_blanks();
  const bool bracketed = first == '{' || first == '[' || first == '"';
  Extent extent;
  for (size_t bytes = 0;; ++bytes) {
    const int c = peek();
    if (!bracketed && (c < 0 || c == ',' || c == ']' || c == '}' || is_blank(c))) return;
    if (c < 0) fail(path_.string(), ", row ", rows_ + 1, ": the file ends inside of it");
    if (out && bytes == max_row_bytes_) fail(path_.string(), ", row ", rows_ + 1, ": longer than ", max_row_bytes_, " bytes");
    get();
    if (out) *out += char(c);
    if (extent.ends_with(char(c)) && bracketed) return;
  }
}

// To the first row.
void JsonListReader::begin() {
  if (peek() == 0xEF)
    for (int i = 0; i < 3; ++i) get();
  const int first = peek_past_blanks();
  if (first < 0) {
    ended_ = true;
  } else if (first == '[') {
    get();
  } else if (!find_list()) {
    source_.seek(0);
    buffer_.clear();
    at_ = 0, byte_ = 0;
    single_ = true;
  }
}

// In an object: up to and with the '[' of its list.
bool JsonListReader::find_list() {
  if (peek() != '{') return false;
  get();
  for (std::string key; peek_past_blanks() == '"'; key.clear()) {
    value(&key);
    if (peek_past_blanks() != ':') return false;
    get();
    if (peek_past_blanks() == '[' && std::find(std::begin(kListNames), std::end(kListNames), key) != std::end(kListNames)) {
      get();
      return wrapped_ = true;
    }
    value(nullptr);
    if (peek_past_blanks() != ',') return false;
    get();
  }
  return false;
}

bool JsonListReader::next(std::string& row) {
  row.clear();
  if (ended_) return false;
  if (single_) {
    ended_ = true;
    if (peek() == 0xEF)
      for (int i = 0; i < 3; ++i) get();
    value(&row);
    if (peek_past_blanks() >= 0) fail(path_.string(), ": something follows the JSON value that it begins with");
    ++rows_;
    return true;
  }
  if (peek_past_blanks() == ']' || rows_ > 0) {
    if (peek() == ']') {
      get();
      ended_ = true;
      if (!wrapped_ && peek_past_blanks() >= 0) fail(path_.string(), ": something follows the list that it begins with");
      return false;
    }
    expect(',', "a comma or the end of the list");
  }
  value(&row);
  if (row.empty()) fail(path_.string(), ", row ", rows_ + 1, ": expected a JSON object", peek() < 0 ? ", but the file ends" : "");
  ++rows_;
  return true;
}

void JsonListReader::seek(LineReader::Position position) {
  source_.seek(position.byte);
  buffer_.clear();
  at_ = 0;
  byte_ = position.byte, rows_ = position.line;
  ended_ = single_ && rows_ > 0;
  if (position.byte == 0) begin();
}

bool is_many_objects(const std::filesystem::path& path) {
  ByteSource source(path);
  std::string buffer(kChunk, '\0');
  Extent extent;
  bool begun = false, whole = false;
  for (;;) {
    buffer.resize(kChunk);
    buffer.resize(source.read(buffer.data(), kChunk, 1));
    if (buffer.empty()) return !whole;  // an object that does not end is better said line by line
    for (const char c : buffer) {
      if (whole && !is_blank(c)) return true;
      begun |= c == '{';
      if (begun && !whole) whole = extent.ends_with(c);
    }
  }
}

}  // namespace r1::data
