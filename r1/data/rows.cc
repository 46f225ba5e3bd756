#include "r1/data/rows.h"

#include <algorithm>
#include <cctype>

#include "r1/base/error.h"
#include "r1/base/strings.h"
#include "r1/data/csv.h"
#include "r1/data/json_list.h"
#include "r1/data/table_file.h"
#include "r1/data/unpack.h"
#include "r1/data/webdataset.h"

namespace r1::data {

struct RowReader::Form {
  virtual ~Form() = default;
  virtual bool next(std::string& row) = 0;
  virtual LineReader::Position position() const = 0;
  virtual void seek(LineReader::Position position) = 0;
  virtual std::string where() const = 0;
  virtual void want(std::vector<std::string>, const std::vector<std::string>&) {}
};

namespace {

struct JsonLines : RowReader::Form {
  LineReader reader;
  JsonLines(const std::filesystem::path& path, size_t most) : reader(path, most) {}
  bool next(std::string& row) override {
    do {
      if (!reader.next(row)) return false;
    } while (row.find_first_not_of(" \t") == std::string::npos);
    return true;
  }
  LineReader::Position position() const override { return reader.position(); }
  void seek(LineReader::Position position) override { reader.seek(position); }
  std::string where() const override { return reader.where(); }
};

struct JsonList : RowReader::Form {
  JsonListReader reader;
  JsonList(const std::filesystem::path& path, size_t most) : reader(path, most) {}
  bool next(std::string& row) override { return reader.next(row); }
  LineReader::Position position() const override { return reader.position(); }
  void seek(LineReader::Position position) override { reader.seek(position); }
  std::string where() const override { return reader.where(); }
};

struct Table : RowReader::Form {
  CsvReader reader;
  std::vector<std::string> fields;
  Table(const std::filesystem::path& path, CsvReader::Kind kind, size_t most) : reader(path, kind, most) {}
  bool next(std::string& row) override {
    if (!reader.next(fields)) return false;
    Json object = Json::object();
    for (size_t i = 0; i < fields.size(); ++i) object[reader.header()[i]] = std::move(fields[i]);
    row = dump_json(object);
    return true;
  }
  LineReader::Position position() const override { return reader.position(); }
  void seek(LineReader::Position position) override { reader.seek(position); }
  std::string where() const override { return reader.where(); }
};

struct Columns : RowReader::Form {
  TableReader reader;
  Columns(const std::filesystem::path& path, TableForm form, size_t most) : reader(path, form, most) {}
  bool next(std::string& row) override { return reader.next(row); }
  LineReader::Position position() const override { return reader.position(); }
  void seek(LineReader::Position position) override { reader.seek(position); }
  std::string where() const override { return reader.where(); }
  void want(std::vector<std::string> keys, const std::vector<std::string>& also) override {
    const std::vector<std::string> there = reader.columns();
    for (const std::string& key : also)
      if (std::ranges::find(there, key) != there.end() && std::ranges::find(keys, key) == keys.end()) keys.push_back(key);
    reader.select(keys);
  }
};

struct Samples : RowReader::Form {
  WebDatasetReader reader;
  Samples(const std::filesystem::path& path, size_t most) : reader(path, most) {}
  bool next(std::string& row) override { return reader.next(row); }
  LineReader::Position position() const override { return reader.position(); }
  void seek(LineReader::Position position) override { reader.seek(position); }
  std::string where() const override { return reader.where(); }
};

// What a name of no certain kind has in it, by its first bytes.
FileForm form_inside(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return FileForm::kText;  // a pipe gives its bytes once
  const std::string bytes = first_bytes_of(path, kTarBlock);
  if (is_tar_header(bytes)) return FileForm::kWebDataset;
  return begins_parquet(bytes) ? FileForm::kParquet : begins_arrow(bytes) ? FileForm::kArrow : FileForm::kText;
}

// The first character that is no blank; '\0': there is none.
char first_character(const std::filesystem::path& path) {
  ByteSource source(path);
  char c = '\0';
  for (int64_t i = 0; source.read(&c, 1, 1) == 1; ++i)
    if (!std::isspace(static_cast<unsigned char>(c)) && !(i < 3 && static_cast<unsigned char>(c) >= 0xBB)) return c;
  return '\0';
}

FileForm json_form(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return FileForm::kJsonLines;  // a pipe gives its bytes once
  const char first = first_character(path);
  if (first == '[') return FileForm::kJsonList;
  return first == '{' && !is_many_objects(path) ? FileForm::kJsonList : FileForm::kJsonLines;
}

std::string extension_of(std::filesystem::path path) {
  std::string extension = lower_ascii(path.extension().string());
  if (is_packed_ending(extension)) {
    path = path.stem();
    extension = lower_ascii(path.extension().string());
  }
  return extension;
}

}  // namespace

FileForm form_of(const std::filesystem::path& path) {
  if (is_tar_name(path)) return FileForm::kWebDataset;
  const std::string extension = extension_of(path);
  if (extension == ".jsonl" || extension == ".ndjson") return FileForm::kJsonLines;
  if (extension == ".json") return json_form(path);
  if (extension == ".csv") return FileForm::kCsv;
  if (extension == ".parquet") return FileForm::kParquet;
  if (extension == ".arrow" || extension == ".feather") return FileForm::kArrow;
  return extension == ".tsv" || extension == ".tab" ? FileForm::kTsv : FileForm::kText;
}

FileForm row_form_of(const std::filesystem::path& path) {
  const FileForm form = form_of(path);
  if (form != FileForm::kText) return form;
  const FileForm inside = form_inside(path);
  return inside == FileForm::kText ? json_form(path) : inside;
}

RowReader::RowReader(const std::filesystem::path& path, FileForm form, size_t most) {
  switch (form) {
    case FileForm::kJsonList:
      form_ = std::make_unique<JsonList>(path, most);
      return;
    case FileForm::kCsv:
      form_ = std::make_unique<Table>(path, CsvReader::Kind::kCsv, most);
      return;
    case FileForm::kTsv:
      form_ = std::make_unique<Table>(path, CsvReader::Kind::kTsv, most);
      return;
    case FileForm::kParquet:
      form_ = std::make_unique<Columns>(path, TableForm::kParquet, most);
      return;
    case FileForm::kArrow:
      form_ = std::make_unique<Columns>(path, TableForm::kArrow, most);
      return;
    case FileForm::kWebDataset:
      form_ = std::make_unique<Samples>(path, most);
      return;
    case FileForm::kJsonLines:
    case FileForm::kText:
      form_ = std::make_unique<JsonLines>(path, most);
      return;
  }
}

RowReader::RowReader(RowReader&&) noexcept = default;
RowReader& RowReader::operator=(RowReader&&) noexcept = default;
RowReader::~RowReader() = default;

void RowReader::want(std::vector<std::string> keys, const std::vector<std::string>& also) {
  form_->want(std::move(keys), also);
}

bool RowReader::next(std::string& row) {
  return form_->next(row);
}

std::optional<Json> RowReader::next() {
  if (!form_->next(row_)) return std::nullopt;
  return parse_row(row_, form_->where());
}

LineReader::Position RowReader::position() const {
  return form_->position();
}

void RowReader::seek(LineReader::Position position) {
  form_->seek(position);
}

std::string RowReader::where() const {
  return form_->where();
}

std::string field_text(const Json& value, std::string_view what, std::string_view where) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number()) return value.dump();
  fail(where, ": ", what, " should be text or a number, got ", value.type_name());
}

std::string keys_of(const Json& row) {
  constexpr size_t kMost = 20;
  std::string text;
  size_t n = 0;
  for (const auto& [key, value] : row.items()) {
    if (++n > kMost) break;
    text += (text.empty() ? "" : ", ") + printable(key);
  }
  return text.empty() ? "none" : text + (row.size() > kMost ? ", .." : "");
}

}  // namespace r1::data
