#include "r1/data/table_file.h"

#include <sstream>
#include <utility>

#include "r1/base/error.h"
#include "r1/base/plugin.h"
#include "r1/data/byte_source.h"
#include "r1/data/table_plugin.h"

namespace r1::data {
namespace {

using namespace std::literals;

constexpr const char* kFile = "libr1_parquet.so";

struct Opened {
  const R1TablePlugin* plugin = nullptr;
  std::string fault;
};

Opened open_plugin() {
  const std::filesystem::path path = find_plugin(kFile);
  if (path.empty()) return {.fault = str("for which r1 needs its plug-in ", kFile, ", that is not there")};
  std::string fault;
  void* library = open_library(path.string(), fault);
  if (!library) return {.fault = str("for which r1 needs its plug-in, and ", path.string(), " does not load: ", fault)};
  const auto entry = reinterpret_cast<R1TableEntry>(find_symbol(library, R1_TABLE_SYMBOL));
  const R1TablePlugin* plugin = entry ? entry() : nullptr;
  if (!plugin || plugin->version != R1_TABLE_VERSION)
    return {.fault = str("for which r1 needs its plug-in, and ", path.string(), " is of another version of r1")};
  return {.plugin = plugin};
}

const Opened& the_plugin() {
  static const Opened opened = open_plugin();
  return opened;
}

// What was fetched is often not what was wanted.
void check_beginning(const std::filesystem::path& path, TableForm form) {
  const std::string head = first_bytes_of(path, 64);
  if (form == TableForm::kParquet ? begins_parquet(head) : begins_arrow(head)) return;
  const char* kind = form == TableForm::kParquet ? "Parquet" : "Arrow";
  if (head.empty()) fail(path.string(), ": is empty, no ", kind, " file; was its download or its writer cut off?");
  if (head.starts_with("version https://git-lfs"))
    fail(path.string(), ": is Git LFS's pointer to the file, not the file; fetch it: git lfs pull");
  fail(path.string(), ": is no ", kind, " file, whatever its name: it begins with '", printable(head.substr(0, 32)), "'");
}

}  // namespace

bool begins_parquet(std::string_view bytes) {
  return bytes.starts_with("PAR1") || bytes.starts_with("PARE");
}

bool begins_arrow(std::string_view bytes) {
  // a stream: the mark of a message, the length of its metadata, a multiple of 8 below 16 MiB
  return bytes.starts_with("ARROW1") ||
         (bytes.size() >= 8 && bytes.starts_with("\xFF\xFF\xFF\xFF") && bytes[7] == '\0' && (bytes[4] & 7) == 0);
}

std::string why_no_tables(const std::filesystem::path& path, TableForm form) {
  const Opened& opened = the_plugin();
  if (opened.plugin) return "";
  const std::string in = path.filename().string(), out = path.stem().string() + ".jsonl";
  const std::string turned = form == TableForm::kParquet
                                 ? str("import pandas as p; p.read_parquet('", in, "').to_json('", out, "', orient='records', lines=True)")
                                 : str("import datasets as d; d.Dataset.from_file('", in, "').to_json('", out, "')");
  return str(
      path.string(), ": is ", form == TableForm::kParquet ? "a Parquet" : "an Arrow", " file, ", opened.fault,
      ". scripts/setup.sh parquet and then scripts/build.sh make it; it lies beside the program, in ../lib or in $R1_PLUGINS. Or turn "
      "the file into JSON lines: python3 -c \"",
      turned, "\"");
}

TableReader::TableReader(std::filesystem::path path, TableForm form, size_t max_row_bytes, Bytes bytes)
    : path_(std::move(path)), max_row_bytes_(max_row_bytes) {
  if (const std::string why = why_no_tables(path_, form); !why.empty()) fail_usage(why);
  plugin_ = the_plugin().plugin;
  check_beginning(path_, form);
  char error[1024] = "";
  table_ = plugin_->open(path_.c_str(), form == TableForm::kParquet ? R1_TABLE_PARQUET : R1_TABLE_ARROW, bytes == Bytes::kRefused, error,
                         sizeof error);
  if (!table_) fail(path_.string(), ": cannot read: ", foreign_message(error));
}

TableReader::TableReader(TableReader&& other) noexcept
    : path_(std::move(other.path_)),
      max_row_bytes_(other.max_row_bytes_),
      plugin_(other.plugin_),
      table_(std::exchange(other.table_, nullptr)),
      row_(other.row_) {}

TableReader::~TableReader() {
  if (table_) plugin_->close(table_);
}

std::vector<std::string> TableReader::columns() const {
  std::vector<std::string> names;
  for (std::string_view rest = plugin_->columns(table_); !rest.empty();) {
    const size_t end = rest.find('\n');
    names.emplace_back(rest.substr(0, end));
    rest.remove_prefix(end + 1);
  }
  return names;
}

std::vector<TableReader::Group> TableReader::groups() const {
  std::vector<Group> groups;
  std::istringstream text(plugin_->groups(table_));
  for (Group g; text >> g.rows >> g.bytes;) {
    if (g.rows < 0 || g.bytes < 0) return {};
    groups.push_back(g);
  }
  return groups;
}

void TableReader::select(const std::vector<std::string>& columns) {
  std::vector<const char*> names;
  for (const std::string& name : columns) names.push_back(name.c_str());
  plugin_->select(table_, names.data(), names.size());
}

bool TableReader::next(std::string& row) {
  const char* text = nullptr;
  size_t size = 0;
  const int32_t what = plugin_->next(table_, max_row_bytes_, &text, &size);
  if (what == R1_TABLE_END) return false;
  if (what == R1_TABLE_FAILED) fail(path_.string(), ", after row ", row_, ": cannot read: ", foreign_message(plugin_->error(table_)));
  ++row_;
  if (what == R1_TABLE_BAD_ROW) fail(where(), ": ", plugin_->error(table_));
  row.assign(text, size);
  return true;
}

void TableReader::seek(LineReader::Position position) {
  if (!plugin_->seek(table_, position.line))
    fail(path_.string(), ": cannot go to row ", position.line, ": ", foreign_message(plugin_->error(table_)));
  row_ = position.line;
}

std::string TableReader::where() const {
  return str(path_.string(), ", row ", row_);
}

}  // namespace r1::data
