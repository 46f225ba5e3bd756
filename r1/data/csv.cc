#include "r1/data/csv.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "r1/base/error.h"
#include "r1/base/is_utf8.h"
#include "r1/base/strings.h"

namespace r1::data {
namespace {

constexpr size_t kMostJoined = 1000;      // lines of a field of a TSV file
constexpr size_t kMostLines = 1'000'000;  // of a record: what a line costs in memory, a record's bytes do not bound

// What separates a header: outside of quotes, the first of these that is there.
char separator_of(const std::string& header) {
  for (const char c : {',', ';', '\t'}) {
    bool quoted = false;
    for (const char x : header) {
      quoted ^= x == '"';
      if (x == c && !quoted) return c;
    }
  }
  return ',';
}

// Where the quoted field that begins at line[begin] closes: just after the quote that a tab or the line's end follows. npos: nowhere.
size_t closing(const std::string& line, size_t begin) {
  for (size_t at = begin + 1; (at = line.find('"', at)) != std::string::npos; ++at) {
    if (at + 1 < line.size() && line[at + 1] == '"') {
      ++at;
      continue;
    }
    return at + 1 == line.size() || line[at + 1] == '\t' ? at + 1 : std::string::npos;
  }
  return std::string::npos;
}

std::string unquoted(const std::string& field) {
  std::string out;
  for (size_t i = 1; i + 1 < field.size(); ++i) {
    out += field[i];
    if (field[i] == '"') ++i;
  }
  return out;
}

// The fields of a line (or of several, joined by \n). `open`: one of them begins with a quote that does not close.
std::vector<std::string> tab_fields(const std::string& line, bool& open) {
  std::vector<std::string> fields;
  open = false;
  for (size_t at = 0;;) {
    const size_t closed = at < line.size() && line[at] == '"' ? closing(line, at) : std::string::npos;
    open |= at < line.size() && line[at] == '"' && closed == std::string::npos;
    const size_t end = closed != std::string::npos ? closed : std::min(line.find('\t', at), line.size());
    const std::string field = line.substr(at, end - at);
    fields.push_back(closed != std::string::npos ? unquoted(field) : field);
    if (end == line.size()) return fields;
    at = end + 1;
  }
}

}  // namespace

CsvReader::CsvReader(ByteSource source, std::filesystem::path name, Kind kind, size_t max_row_bytes)
    : path_(std::move(name)), kind_(kind), max_row_bytes_(max_row_bytes), lines_(std::move(source), path_, max_row_bytes) {
  read_header();
}

std::string CsvReader::where() const {
  return str(path_.string(), ":", begin_line_);
}

void CsvReader::seek(LineReader::Position position) {
  ahead_.clear();
  if (position.byte > 0) return lines_.seek(position);
  lines_.seek({});
  Record header;
  read_record(header);
}

bool CsvReader::take_line(std::string& line) {
  if (ahead_.empty()) return lines_.next(line);
  line = std::move(ahead_.front().text);
  ahead_.pop_front();
  return true;
}

const std::string* CsvReader::line_ahead(size_t i) {
  while (ahead_.size() <= i) {
    Line line;
    line.before = lines_.position();
    if (!lines_.next(line.text)) return nullptr;
    ahead_.push_back(std::move(line));
  }
  return &ahead_[i].text;
}

void CsvReader::read_header() {
  const std::string* first = line_ahead(0);
  for (; first && first->empty(); first = line_ahead(0)) ahead_.pop_front();
  if (!first) return;
  separator_ = kind_ == Kind::kTsv ? '\t' : separator_of(*first);
  if (!read_record(header_)) return;
  std::set<std::string> seen;
  for (size_t i = 0; i < header_.size(); ++i) {
    header_[i] = std::string(trim(header_[i]));
    if (header_[i].empty()) header_[i] = str("column ", i + 1);
    if (!seen.insert(header_[i]).second)
      fail(where(), ": two columns are called '", printable(header_[i]), "'; the first line should be the names of the columns");
  }
}

void CsvReader::fail_length(const Record& fields) const {
  fail(where(), ": ", fields.size(), " fields, the header has ", header_.size(),
       kind_ == Kind::kTsv ? " (separated by tabs)" : "; a field that holds the separator or a line end stands in quotes");
}

bool CsvReader::next(std::vector<std::string>& fields) {
  if (!read_record(fields)) return false;
  if (fields.size() != header_.size()) fail_length(fields);
  return true;
}

bool CsvReader::begin_record(std::string& line) {
  do {
    if (!take_line(line)) return false;
  } while (line.empty());
  begin_line_ = position().line;
  return true;
}

bool CsvReader::pass() {
  std::string line;
  if (!begin_record(line)) return false;
  Record fields;
  kind_ == Kind::kTsv ? tab_record(line, fields) : quoted_record(std::move(line), nullptr);
  return true;
}

bool CsvReader::read_record(Record& fields) {
  std::string line;
  if (!begin_record(line)) return false;
  kind_ == Kind::kTsv ? tab_record(line, fields) : quoted_record(std::move(line), &fields);
  for (const std::string& field : fields)
    if (!is_utf8(field))
      fail(where(), ": is not UTF-8: '", printable(field), "'; turn the file into it, e.g. iconv -f WINDOWS-1252 -t UTF-8");
  return true;
}

void CsvReader::quoted_record(std::string line, Record* fields) {
  if (fields) fields->clear();
  size_t bytes = line.size(), number = 1;
  std::vector<Line> further;  // lines of this record behind its first one
  const auto give_back = [&] { ahead_.insert(ahead_.begin(), std::move_iterator(further.begin()), std::move_iterator(further.end())); };
  for (size_t at = 0;; ++number) {
    std::string field;
    if (at < line.size() && line[at] == '"') {
      ++at;
      for (;;) {
        const size_t quote = line.find('"', at);
        if (fields) field.append(line, at, quote - at);
        if (quote == std::string::npos) {  // the field goes on in the next line
          Line next;
          next.before = position();
          if (!take_line(next.text)) {
            give_back();
            fail(where(), ": field ", number, " of the record that begins here opens a quote that never closes");
          }
          bytes += next.text.size() + 1;
          line = next.text;
          further.push_back(std::move(next));
          if (bytes > max_row_bytes_ || further.size() > kMostLines) {
            give_back();
            fail(where(), ": record longer than ", max_row_bytes_, " bytes or ", kMostLines, " lines; does a quote not close?");
          }
          field += '\n';
          at = 0;
          continue;
        }
        at = quote + 1;
        if (at == line.size() || line[at] != '"') break;
        field += '"';
        ++at;
      }
      if (at < line.size() && line[at] != separator_) {
        give_back();  // a stray quote met the first quote of a record far below: those between are none of this one
        fail(where(), ": field ", number, " goes on after its closing quote; a quote inside of quotes is written twice");
      }
    } else {
      const size_t end = std::min(line.find(separator_, at), line.size());
      if (fields) field.assign(line, at, end - at);
      at = end;
    }
    if (fields) fields->push_back(std::move(field));
    if (at == line.size()) return;
    ++at;
  }
}

void CsvReader::tab_record(const std::string& line, Record& fields) {
  bool open = false, ignored = false;
  fields = tab_fields(line, open);
  if (!open || header_.empty()) return;
  const std::string* next = line_ahead(0);
  const bool fits = fields.size() == header_.size() && (!next || next->empty() || tab_fields(*next, ignored).size() == header_.size());
  size_t used = 0;
  Record several;
  if (fits || !joined(line, several, used)) return;
  fields = std::move(several);
  ahead_.erase(ahead_.begin(), ahead_.begin() + std::ptrdiff_t(used));
}

// This line and the `used` ones after it as one record with a field over several lines.
bool CsvReader::joined(const std::string& line, Record& fields, size_t& used) {
  std::string text = line;
  for (used = 0; used < kMostJoined;) {
    const std::string* next = line_ahead(used);
    if (!next || text.size() + next->size() > max_row_bytes_) return false;
    text += "\n" + *next;
    ++used;
    if (next->find('"') == std::string::npos) continue;
    bool open = false;
    fields = tab_fields(text, open);
    if (!open && fields.size() == header_.size()) return true;
  }
  return false;
}

}  // namespace r1::data
