// libr1_parquet.so: rows of Parquet and Arrow files as texts of JSON objects (r1/data/table_plugin.h), by Arrow C++. The program opens it when
// it meets such a file; nothing else here knows Arrow.
//
// What a file says of itself is a stranger's word: Arrow's own checks, a bound on memory (kMostMemory) that makes a bomb an error, batches whose
// size follows the rows that were seen, and no exception that leaves the library.
#include <arrow/api.h>
#include <arrow/extension_type.h>
#include <arrow/io/file.h>
#include <arrow/ipc/reader.h>
#include <arrow/util/byte_size.h>
#include <arrow/util/decimal.h>
#include <arrow/util/float16.h>
#include <arrow/util/utf8.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/schema.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "r1/data/table_plugin.h"

namespace r1::plugins {
namespace {

using arrow::Array;
using arrow::Status;
using std::string_view;

constexpr int64_t kMostMemory = int64_t{2} << 30;     // that Arrow may hold at a time, a file (a page alone may have 2^31 bytes)
constexpr int64_t kBatchBytes = int64_t{8} << 20;     // aimed at
constexpr int64_t kFirstRows = 64, kMostRows = 4096;  // of a batch
constexpr int kMostDepth = 64;                        // of nested types

// The whole file is of no use.
struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// One row is.
struct BadRow : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Arrow's own words, with what they mean where they do not say so.
std::string words_of(const Status& status) {
  if (status.IsOutOfMemory()) return "it needs more than 2 GiB at a time: a row, page or batch of it is too large, or it is damaged";
  return status.message();
}
void check(const Status& status) {
  if (!status.ok()) throw Failure(words_of(status));
}
template <class T>
T got(arrow::Result<T> result) {
  check(result.status());
  return std::move(result).ValueUnsafe();
}

// The system's memory, no more than kMostMemory of it.
class BoundedPool : public arrow::MemoryPool {
 public:
  Status Allocate(int64_t size, int64_t alignment, uint8_t** out) override {
    ARROW_RETURN_NOT_OK(room(size));
    return count(pool_->Allocate(size, alignment, out), size);
  }
  Status Reallocate(int64_t old_size, int64_t new_size, int64_t alignment, uint8_t** data) override {
    ARROW_RETURN_NOT_OK(room(new_size - old_size));
    return count(pool_->Reallocate(old_size, new_size, alignment, data), new_size - old_size);
  }
  void Free(uint8_t* buffer, int64_t size, int64_t alignment) override {
    pool_->Free(buffer, size, alignment);
    held_ -= size;
  }
  int64_t bytes_allocated() const override { return held_; }
  int64_t max_memory() const override { return most_; }
  int64_t total_bytes_allocated() const override { return total_; }
  int64_t num_allocations() const override { return allocations_; }
  std::string backend_name() const override { return pool_->backend_name(); }

 private:
  Status room(int64_t more) const { return held_ + more > kMostMemory ? Status::OutOfMemory("") : Status::OK(); }
  Status count(Status status, int64_t more) {
    if (!status.ok()) return status;
    held_ += more;
    total_ += std::max<int64_t>(more, 0);
    most_ = std::max<int64_t>(most_, held_);
    ++allocations_;
    return status;
  }
  arrow::MemoryPool* pool_ = arrow::system_memory_pool();
  std::atomic<int64_t> held_{0}, most_{0}, total_{0}, allocations_{0};
};

// How a row is written.
struct Writing {
  std::string out;
  size_t most = 0;
  bool keep_bytes = true;

  void hold() const {
    if (out.size() > most) throw BadRow("row longer than " + std::to_string(most) + " bytes");
  }
};

void append_text(string_view text, std::string& out) {
  constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  size_t from = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const unsigned char c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, from, i - from);
    from = i + 1;
    switch (c) {
      case '"':
      case '\\':
        (out += '\\') += char(c);
        break;
      case '\n':
        out += "\\n";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\r':
        out += "\\r";
        break;
      default:
        ((out += "\\u00") += kHex[c >> 4]) += kHex[c & 15];
    }
  }
  out.append(text, from);
  out += '"';
}

template <class T>
void append_integer(T value, std::string& out) {
  char digits[24];
  out.append(digits, size_t(std::to_chars(digits, digits + sizeof digits, value).ptr - digits));
}

// The shortest text that reads as the same double, and as no integer.
void append_double(double value, std::string& out) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  char digits[40];
  const string_view text(digits, size_t(std::to_chars(digits, digits + sizeof digits, value).ptr - digits));
  out += text;
  if (text.find_first_of(".e") == string_view::npos) out += ".0";
}

int64_t floor_div(int64_t a, int64_t b) {
  return a / b - (a % b < 0);
}

// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days. ISO 8601: years outside of 0000 to 9999 have a sign.
void append_date(int64_t days, std::string& out) {
  days += 719'468;
  const int64_t era = floor_div(days, 146'097), of_era = days - era * 146'097;
  const int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36'524 - of_era / 146'096) / 365;
  const int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100), shifted = (5 * of_year + 2) / 153;
  const int64_t day = of_year - (153 * shifted + 2) / 5 + 1, month = shifted < 10 ? shifted + 3 : shifted - 9;
  const int64_t year = year_of_era + era * 400 + (month <= 2);
  char text[40];
  const int n = year < 0 || year > 9999
                    ? std::snprintf(text, sizeof text, "%+05lld-%02d-%02d", static_cast<long long>(year), int(month), int(day))
                    : std::snprintf(text, sizeof text, "%04d-%02d-%02d", int(year), int(month), int(day));
  out.append(text, size_t(n));
}

struct Unit {
  int64_t a_second = 1;
  int digits = 0;
};
Unit unit_of(arrow::TimeUnit::type unit) {
  switch (unit) {
    case arrow::TimeUnit::SECOND:
      return {1, 0};
    case arrow::TimeUnit::MILLI:
      return {1'000, 3};
    case arrow::TimeUnit::MICRO:
      return {1'000'000, 6};
    case arrow::TimeUnit::NANO:
      break;
  }
  return {1'000'000'000, 9};
}

void append_fraction(int64_t part, Unit unit, std::string& out) {
  if (part == 0) return;
  char text[24];
  out.append(text, size_t(std::snprintf(text, sizeof text, ".%0*lld", unit.digits, static_cast<long long>(part))));
}

void append_time(int64_t since_midnight, Unit unit, std::string& out) {
  const int64_t seconds = floor_div(since_midnight, unit.a_second);
  char text[40];
  out.append(text, size_t(std::snprintf(text, sizeof text, "%02lld:%02d:%02d", static_cast<long long>(seconds / 3600),
                                        int(seconds / 60 % 60), int(seconds % 60))));
  append_fraction(since_midnight - seconds * unit.a_second, unit, out);
}

void append_timestamp(int64_t at, Unit unit, bool utc, std::string& out) {
  const int64_t a_day = 86'400 * unit.a_second, day = floor_div(at, a_day);
  append_date(day, out);
  out += 'T';
  append_time(at - day * a_day, unit, out);
  if (utc) out += 'Z';
}

// ISO 8601, in seconds only: what a day is, is not said.
void append_duration(int64_t length, Unit unit, std::string& out) {
  if (length < 0) out += '-';
  const uint64_t size = length < 0 ? 0 - uint64_t(length) : uint64_t(length);
  out += "PT";
  append_integer(size / uint64_t(unit.a_second), out);
  append_fraction(int64_t(size % uint64_t(unit.a_second)), unit, out);
  out += 'S';
}

// An integer's digits with the point `scale` digits from their right.
void append_decimal(std::string digits, int32_t scale, std::string& out) {
  if (digits.starts_with('-')) {
    out += '-';
    digits.erase(0, 1);
  }
  if (scale <= 0) {
    out += digits;
    if (digits != "0") out.append(size_t(-scale), '0');
    return;
  }
  if (digits.size() <= size_t(scale)) digits.insert(0, size_t(scale) + 1 - digits.size(), '0');
  ((out.append(digits, 0, digits.size() - size_t(scale))) += '.').append(digits, digits.size() - size_t(scale));
}

// Writes the values of one column of a batch, or of what is in one. Made anew for each batch.
struct Column {
  explicit Column(std::shared_ptr<Array> a) : array(std::move(a)), has_nulls(array->null_count() != 0) {}
  virtual ~Column() = default;
  virtual void value(int64_t i, Writing& w) const = 0;
  void write(int64_t i, Writing& w) const {
    if (has_nulls && array->IsNull(i))
      w.out += "null";
    else
      value(i, w);
  }
  std::shared_ptr<Array> array;
  bool has_nulls;
};
using ColumnPtr = std::unique_ptr<Column>;

// A column whose value is a function of its typed array.
template <class ArrayType, class Write>
struct Simple : Column {
  Simple(std::shared_ptr<Array> a, Write write)
      : Column(std::move(a)), typed(static_cast<const ArrayType&>(*array)), write_value(std::move(write)) {}
  void value(int64_t i, Writing& w) const override { write_value(typed, i, w); }
  const ArrayType& typed;
  Write write_value;
};
template <class ArrayType, class Write>
ColumnPtr simple(std::shared_ptr<Array> array, Write write) {
  return std::make_unique<Simple<ArrayType, Write>>(std::move(array), std::move(write));
}

template <class ArrayType>
ColumnPtr integers(std::shared_ptr<Array> array) {
  return simple<ArrayType>(std::move(array), [](const ArrayType& a, int64_t i, Writing& w) { append_integer(a.Value(i), w.out); });
}
template <class ArrayType>
ColumnPtr reals(std::shared_ptr<Array> array) {
  return simple<ArrayType>(std::move(array), [](const ArrayType& a, int64_t i, Writing& w) { append_double(double(a.Value(i)), w.out); });
}
template <class ArrayType, class Decimal>
ColumnPtr decimals(std::shared_ptr<Array> array) {
  const int32_t scale = static_cast<const arrow::DecimalType&>(*array->type()).scale();
  return simple<ArrayType>(std::move(array), [scale](const ArrayType& a, int64_t i, Writing& w) {
    w.out += '"';
    append_decimal(Decimal(a.GetValue(i)).ToIntegerString(), scale, w.out);
    w.out += '"';
  });
}
// Text goes on as it is, valid or not: who reads JSON looks.
template <class ArrayType>
ColumnPtr texts(std::shared_ptr<Array> array) {
  return simple<ArrayType>(std::move(array), [](const ArrayType& a, int64_t i, Writing& w) {
    append_text(a.GetView(i), w.out);
    w.hold();
  });
}
template <class ArrayType>
ColumnPtr bytes(std::shared_ptr<Array> array, const std::string& path) {
  return simple<ArrayType>(std::move(array), [path](const ArrayType& a, int64_t i, Writing& w) {
    const string_view value = a.GetView(i);
    if (arrow::util::ValidateUTF8(value))
      append_text(value, w.out);
    else if (w.keep_bytes)
      throw BadRow(
          "column '" + path + "' holds bytes that are no text (UTF-8); leave the column out: python3 -c \"import pyarrow.parquet as q; " +
          "t = q.read_table('IN.parquet'); q.write_table(t.drop_columns(['" + path.substr(0, path.find('.')) + "']), 'OUT.parquet')\"");
    else
      w.out += "null";
    w.hold();
  });
}
// In quotes.
template <class ArrayType, class Append>
ColumnPtr moments(std::shared_ptr<Array> array, Append append) {
  return simple<ArrayType>(std::move(array), [append](const ArrayType& a, int64_t i, Writing& w) {
    w.out += '"';
    append(int64_t(a.Value(i)), w.out);
    w.out += '"';
  });
}

ColumnPtr uuids(std::shared_ptr<Array> array) {
  return simple<arrow::FixedSizeBinaryArray>(std::move(array), [](const arrow::FixedSizeBinaryArray& a, int64_t i, Writing& w) {
    w.out += '"';
    for (int k = 0; k < 16; ++k) {
      char hex[4];
      std::snprintf(hex, sizeof hex, "%02x", a.GetValue(i)[k]);
      w.out += hex;
      if (k == 3 || k == 5 || k == 7 || k == 9) w.out += '-';
    }
    w.out += '"';
  });
}

ColumnPtr column_of(std::shared_ptr<Array> array, const std::string& path, int depth);

template <class ListType>
struct List : Column {
  List(std::shared_ptr<Array> a, const std::string& path, int depth)
      : Column(std::move(a)), typed(static_cast<const ListType&>(*array)), values(column_of(typed.values(), path, depth)) {}
  void value(int64_t i, Writing& w) const override {
    w.out += '[';
    const int64_t from = typed.value_offset(i), n = typed.value_length(i);
    for (int64_t k = 0; k < n; ++k) {
      if (k) w.out += ',';
      values->write(from + k, w);
      w.hold();
    }
    w.out += ']';
  }
  const ListType& typed;
  ColumnPtr values;
};

struct Struct : Column {
  Struct(std::shared_ptr<Array> a, const std::string& path, int depth) : Column(std::move(a)) {
    const auto& typed = static_cast<const arrow::StructArray&>(*array);
    for (int k = 0; k < typed.num_fields(); ++k) {
      const std::string& name = typed.type()->field(k)->name();
      names.emplace_back(k ? "," : "");
      append_text(name, names.back());
      names.back() += ':';
      fields.push_back(column_of(typed.field(k), path + "." + name, depth));
    }
  }
  void value(int64_t i, Writing& w) const override {
    w.out += '{';
    for (size_t k = 0; k < fields.size(); ++k) {
      w.out += names[k];
      fields[k]->write(i, w);
    }
    w.out += '}';
  }
  std::vector<std::string> names;
  std::vector<ColumnPtr> fields;
};

// Keys that are texts make an object; the format says that of two alike the last one counts, and so do readers of JSON.
struct Map : Column {
  Map(std::shared_ptr<Array> a, const std::string& path, int depth)
      : Column(std::move(a)),
        typed(static_cast<const arrow::MapArray&>(*array)),
        keys(column_of(typed.keys(), path + ".key", depth)),
        items(column_of(typed.items(), path + ".value", depth)),
        object(arrow::is_string(typed.keys()->type_id())) {}
  void value(int64_t i, Writing& w) const override {
    w.out += object ? '{' : '[';
    const int64_t from = typed.value_offset(i), n = typed.value_length(i);
    for (int64_t k = from; k < from + n; ++k) {
      w.out += k > from ? "," : "";
      if (!object) w.out += '[';
      keys->write(k, w);
      w.out += object ? ':' : ',';
      items->write(k, w);
      if (!object) w.out += ']';
      w.hold();
    }
    w.out += object ? '}' : ']';
  }
  const arrow::MapArray& typed;
  ColumnPtr keys, items;
  bool object;
};

struct Dictionary : Column {
  Dictionary(std::shared_ptr<Array> a, const std::string& path, int depth)
      : Column(std::move(a)),
        typed(static_cast<const arrow::DictionaryArray&>(*array)),
        values(column_of(typed.dictionary(), path, depth)) {}
  void value(int64_t i, Writing& w) const override { values->write(typed.GetValueIndex(i), w); }
  const arrow::DictionaryArray& typed;
  ColumnPtr values;
};

ColumnPtr column_of(std::shared_ptr<Array> a, const std::string& path, int depth) {
  if (--depth < 0) throw Failure("column '" + path + "' is nested too deep");
  using arrow::Type;
  const auto& type = *a->type();
  switch (type.id()) {
    case Type::NA:
      return simple<Array>(std::move(a), [](const Array&, int64_t, Writing& w) { w.out += "null"; });
    case Type::BOOL:
      return simple<arrow::BooleanArray>(
          std::move(a), [](const arrow::BooleanArray& b, int64_t i, Writing& w) { w.out += b.Value(i) ? "true" : "false"; });
    case Type::INT8:
      return integers<arrow::Int8Array>(std::move(a));
    case Type::UINT8:
      return integers<arrow::UInt8Array>(std::move(a));
    case Type::INT16:
      return integers<arrow::Int16Array>(std::move(a));
    case Type::UINT16:
      return integers<arrow::UInt16Array>(std::move(a));
    case Type::INT32:
      return integers<arrow::Int32Array>(std::move(a));
    case Type::UINT32:
      return integers<arrow::UInt32Array>(std::move(a));
    case Type::INT64:
      return integers<arrow::Int64Array>(std::move(a));
    case Type::UINT64:
      return integers<arrow::UInt64Array>(std::move(a));
    case Type::HALF_FLOAT:
      return simple<arrow::HalfFloatArray>(std::move(a), [](const arrow::HalfFloatArray& h, int64_t i, Writing& w) {
        append_double(arrow::util::Float16::FromBits(h.Value(i)).ToDouble(), w.out);
      });
    case Type::FLOAT:
      return reals<arrow::FloatArray>(std::move(a));
    case Type::DOUBLE:
      return reals<arrow::DoubleArray>(std::move(a));
    case Type::STRING:
      return texts<arrow::StringArray>(std::move(a));
    case Type::LARGE_STRING:
      return texts<arrow::LargeStringArray>(std::move(a));
    case Type::STRING_VIEW:
      return texts<arrow::StringViewArray>(std::move(a));
    case Type::BINARY:
      return bytes<arrow::BinaryArray>(std::move(a), path);
    case Type::LARGE_BINARY:
      return bytes<arrow::LargeBinaryArray>(std::move(a), path);
    case Type::BINARY_VIEW:
      return bytes<arrow::BinaryViewArray>(std::move(a), path);
    case Type::FIXED_SIZE_BINARY:
      return bytes<arrow::FixedSizeBinaryArray>(std::move(a), path);
    case Type::DATE32:
      return moments<arrow::Date32Array>(std::move(a), append_date);
    case Type::DATE64:
      return moments<arrow::Date64Array>(std::move(a), [](int64_t ms, std::string& out) { append_date(floor_div(ms, 86'400'000), out); });
    case Type::TIME32: {
      const Unit unit = unit_of(static_cast<const arrow::Time32Type&>(type).unit());
      return moments<arrow::Time32Array>(std::move(a), [unit](int64_t at, std::string& out) { append_time(at, unit, out); });
    }
    case Type::TIME64: {
      const Unit unit = unit_of(static_cast<const arrow::Time64Type&>(type).unit());
      return moments<arrow::Time64Array>(std::move(a), [unit](int64_t at, std::string& out) { append_time(at, unit, out); });
    }
    case Type::TIMESTAMP: {
      const auto& timestamp = static_cast<const arrow::TimestampType&>(type);
      const Unit unit = unit_of(timestamp.unit());
      const bool utc = !timestamp.timezone().empty();
      return moments<arrow::TimestampArray>(std::move(a), [=](int64_t at, std::string& out) { append_timestamp(at, unit, utc, out); });
    }
    case Type::DURATION: {
      const Unit unit = unit_of(static_cast<const arrow::DurationType&>(type).unit());
      return moments<arrow::DurationArray>(std::move(a), [unit](int64_t length, std::string& out) { append_duration(length, unit, out); });
    }
    case Type::DECIMAL32:
      return decimals<arrow::Decimal32Array, arrow::Decimal32>(std::move(a));
    case Type::DECIMAL64:
      return decimals<arrow::Decimal64Array, arrow::Decimal64>(std::move(a));
    case Type::DECIMAL128:
      return decimals<arrow::Decimal128Array, arrow::Decimal128>(std::move(a));
    case Type::DECIMAL256:
      return decimals<arrow::Decimal256Array, arrow::Decimal256>(std::move(a));
    case Type::LIST:
      return std::make_unique<List<arrow::ListArray>>(std::move(a), path, depth);
    case Type::LARGE_LIST:
      return std::make_unique<List<arrow::LargeListArray>>(std::move(a), path, depth);
    case Type::LIST_VIEW:
      return std::make_unique<List<arrow::ListViewArray>>(std::move(a), path, depth);
    case Type::LARGE_LIST_VIEW:
      return std::make_unique<List<arrow::LargeListViewArray>>(std::move(a), path, depth);
    case Type::FIXED_SIZE_LIST:
      return std::make_unique<List<arrow::FixedSizeListArray>>(std::move(a), path, depth);
    case Type::STRUCT:
      return std::make_unique<Struct>(std::move(a), path, depth);
    case Type::MAP:
      return std::make_unique<Map>(std::move(a), path, depth);
    case Type::DICTIONARY:
      return std::make_unique<Dictionary>(std::move(a), path, depth);
    case Type::EXTENSION: {
      const auto& extension = static_cast<const arrow::ExtensionArray&>(*a);
      if (static_cast<const arrow::ExtensionType&>(type).extension_name() == "arrow.uuid") return uuids(extension.storage());
      return column_of(extension.storage(), path, depth);
    }
    default:
      throw Failure("column '" + path + "' is of type " + type.ToString() + ", for which JSON has no form");
  }
}

// Where batches come from.
class Batches {
 public:
  virtual ~Batches() = default;
  virtual const std::vector<std::string>& columns() const = 0;
  virtual std::string groups() = 0;
  virtual bool select(const std::vector<std::string>& names) = 0;
  // Null at the end. About `rows` of them, if that can be chosen.
  virtual std::shared_ptr<arrow::RecordBatch> next(int64_t rows) = 0;
  // To the batch that holds `row`, or some batch before it; the row that comes next.
  virtual int64_t seek(int64_t row) = 0;
};

std::vector<std::string> names_of(const arrow::Schema& schema) {
  std::set<std::string> seen;
  for (const std::string& name : schema.field_names())
    if (!seen.insert(name).second) throw Failure("two of its columns are called '" + name + "'");
  return schema.field_names();
}

class ParquetBatches : public Batches {
 public:
  ParquetBatches(const std::string& path, arrow::MemoryPool* pool) {
    parquet::ReaderProperties reading(pool);
    reading.enable_buffered_stream();
    reading.set_buffer_size(int64_t{1} << 18);
    reading.set_page_checksum_verification(true);
    auto file = parquet::ParquetFileReader::Open(got(arrow::io::ReadableFile::Open(path, pool)), reading);
    parquet::ArrowReaderProperties properties(false);  // no threads
    properties.set_pre_buffer(false);                  // a column's bytes as they are needed, not a row group's at once
    properties.set_batch_size(kFirstRows);
    properties.set_coerce_int96_timestamp_unit(arrow::TimeUnit::MICRO);  // the years 1 and 9999 do not fit nanoseconds
    properties.set_arrow_extensions_enabled(true);
    reader_ = got(parquet::arrow::FileReader::Make(pool, std::move(file), properties));
    std::shared_ptr<arrow::Schema> schema;
    check(reader_->GetSchema(&schema));
    names_ = names_of(*schema);
    for (size_t k = 0; k < names_.size(); ++k) selected_.push_back(int(k));
  }

  const std::vector<std::string>& columns() const override { return names_; }
  std::string groups() override {
    std::string text;
    const auto metadata = reader_->parquet_reader()->metadata();
    for (int k = 0; k < reader_->num_row_groups(); ++k) {
      const auto group = metadata->RowGroup(k);
      int64_t bytes = 0;  // the group's own sum may not be there
      for (int c = 0; c < group->num_columns(); ++c) bytes += group->ColumnChunk(c)->total_compressed_size();
      text += std::to_string(group->num_rows()) + " " + std::to_string(bytes) + "\n";
    }
    return text;
  }
  bool select(const std::vector<std::string>& names) override {
    std::vector<int> chosen;
    for (const std::string& name : names) {
      const auto at = std::find(names_.begin(), names_.end(), name);
      if (at == names_.end()) return false;
      chosen.push_back(int(at - names_.begin()));
    }
    std::sort(chosen.begin(), chosen.end());
    selected_ = std::move(chosen);
    return true;
  }

  std::shared_ptr<arrow::RecordBatch> next(int64_t rows) override {
    reader_->set_batch_size(rows);
    while (true) {
      if (!batches_) {
        if (group_ == reader_->num_row_groups()) return nullptr;
        left_ = rows_in(group_);
        if (left_ < 0) throw Failure("a row group says that it has " + std::to_string(left_) + " rows");
        batches_ = got(reader_->GetRecordBatchReader({group_}, leaves()));
      }
      std::shared_ptr<arrow::RecordBatch> batch;
      check(batches_->ReadNext(&batch));
      if (batch && batch->num_rows() > 0) {
        check(batch->Validate());
        left_ -= batch->num_rows();
        if (left_ < 0) throw Failure("row group " + std::to_string(group_) + " has more rows than it says");
        return batch;
      }
      if (left_ != 0) throw Failure("row group " + std::to_string(group_) + " lacks " + std::to_string(left_) + " of its rows");
      batches_.reset();
      ++group_;
    }
  }

  int64_t seek(int64_t row) override {
    batches_.reset();
    int64_t at = 0;
    for (group_ = 0; group_ < reader_->num_row_groups() && at + rows_in(group_) <= row; ++group_) at += rows_in(group_);
    return at;
  }

 private:
  int64_t rows_in(int group) const { return reader_->parquet_reader()->metadata()->RowGroup(group)->num_rows(); }

  void add_leaves(const parquet::arrow::SchemaField& field, std::vector<int>& out) const {
    if (field.column_index >= 0) out.push_back(field.column_index);
    for (const auto& child : field.children) add_leaves(child, out);
  }
  std::vector<int> leaves() const {
    std::vector<int> out;
    for (const int column : selected_) add_leaves(reader_->manifest().schema_fields.at(size_t(column)), out);
    return out;
  }

  std::unique_ptr<parquet::arrow::FileReader> reader_;
  std::vector<std::string> names_;
  std::vector<int> selected_;
  std::unique_ptr<arrow::RecordBatchReader> batches_;  // of the row group
  int group_ = 0;
  int64_t left_ = 0;  // rows of the row group that did not come yet
};

class ArrowBatches : public Batches {
 public:
  ArrowBatches(std::string path, arrow::MemoryPool* pool) : path_(std::move(path)), pool_(pool) {
    begin();
    names_ = names_of(*(file_ ? file_->schema() : stream_->schema()));
  }

  const std::vector<std::string>& columns() const override { return names_; }
  // A file's batches. A stream has no table of them.
  std::string groups() override {
    if (!file_ || !count_rows()) return "";
    const int64_t size = int64_t(std::filesystem::file_size(path_)), n = int64_t(rows_.size());
    std::string text;
    for (int64_t k = 0; k < n; ++k)  // where a batch lies is not said: as if all had one size
      text += std::to_string(rows_[size_t(k)]) + " " + std::to_string(size / n + (k < size % n)) + "\n";
    return text;
  }
  bool select(const std::vector<std::string>& names) override {
    for (const std::string& name : names)
      if (std::find(names_.begin(), names_.end(), name) == names_.end()) return false;
    selected_ = names;
    return true;
  }

  std::shared_ptr<arrow::RecordBatch> next(int64_t) override {
    std::shared_ptr<arrow::RecordBatch> batch = read();
    if (!batch) return nullptr;
    if (!selected_.empty()) {
      std::vector<int> chosen;
      for (size_t k = 0; k < names_.size(); ++k)
        if (std::find(selected_.begin(), selected_.end(), names_[k]) != selected_.end()) chosen.push_back(int(k));
      batch = got(batch->SelectColumns(chosen));
    }
    check(batch->ValidateFull());
    return batch;
  }

  int64_t seek(int64_t row) override {
    begin();
    int64_t at = 0;
    if (file_ && !rows_.empty())
      for (; at_ < int(rows_.size()) && at + rows_[size_t(at_)] <= row; ++at_) at += rows_[size_t(at_)];
    while (auto batch = read()) {
      if (at + batch->num_rows() > row) {
        held_ = std::move(batch);
        break;
      }
      at += batch->num_rows();
    }
    return at;
  }

 private:
  void begin() {
    held_.reset();
    file_.reset();
    stream_.reset();
    at_ = 0;
    const auto options = reading();
    // mapped: what is not packed takes no memory
    auto bytes = got(arrow::io::MemoryMappedFile::Open(path_, arrow::io::FileMode::READ));
    const auto head = got(bytes->ReadAt(0, 6));
    if (string_view(*head) == "ARROW1")
      file_ = got(arrow::ipc::RecordBatchFileReader::Open(bytes, options));
    else
      stream_ = got(arrow::ipc::RecordBatchStreamReader::Open(bytes, options));
  }
  arrow::ipc::IpcReadOptions reading() const {
    auto options = arrow::ipc::IpcReadOptions::Defaults();
    options.memory_pool = pool_;
    options.use_threads = false;
    return options;
  }
  // Of each batch of a file, by its first column, the only one that is unpacked for it.
  bool count_rows() {
    if (!rows_.empty()) return true;
    auto options = reading();
    options.included_fields = {0};
    const auto file =
        got(arrow::ipc::RecordBatchFileReader::Open(got(arrow::io::MemoryMappedFile::Open(path_, arrow::io::FileMode::READ)), options));
    std::vector<int64_t> rows;
    for (int k = 0; k < file->num_record_batches(); ++k) rows.push_back(got(file->ReadRecordBatch(k))->num_rows());
    rows_ = std::move(rows);
    return !rows_.empty();
  }
  std::shared_ptr<arrow::RecordBatch> read() {
    if (held_) return std::move(held_);
    if (file_) return at_ < file_->num_record_batches() ? got(file_->ReadRecordBatch(at_++)) : nullptr;
    std::shared_ptr<arrow::RecordBatch> batch;
    check(stream_->ReadNext(&batch));
    return batch;
  }

  std::string path_;
  arrow::MemoryPool* pool_;
  std::vector<std::string> names_, selected_;
  std::shared_ptr<arrow::ipc::RecordBatchFileReader> file_;
  std::shared_ptr<arrow::ipc::RecordBatchStreamReader> stream_;
  std::shared_ptr<arrow::RecordBatch> held_;
  int at_ = 0;
  std::vector<int64_t> rows_;  // of a file's batches, once they were counted
};

class Table {
 public:
  Table(const char* path, bool parquet, bool keep_bytes) {
    writing_.keep_bytes = keep_bytes;
    if (parquet)
      batches_ = std::make_unique<ParquetBatches>(path, &pool_);
    else
      batches_ = std::make_unique<ArrowBatches>(path, &pool_);
    for (const std::string& name : batches_->columns()) columns_ += name + "\n";
  }

  const char* columns() const { return columns_.c_str(); }
  const char* groups() {
    try {
      groups_ = batches_->groups();
    } catch (const std::exception&) {
      groups_.clear();  // damaged: who reads its rows says so
    }
    return groups_.c_str();
  }
  bool select(const std::vector<std::string>& names) {
    if (!batches_->select(names)) return false;
    seek(row_);
    return true;
  }

  bool next(size_t most, string_view& row) {
    while (at_ == rows_)
      if (!next_batch()) return false;
    writing_.out.clear();
    writing_.most = most;
    const int64_t i = at_++;
    ++row_;
    for (size_t k = 0; k < fields_.size(); ++k) {
      writing_.out += names_[k];
      fields_[k]->write(i, writing_);
    }
    writing_.out += '}';
    writing_.hold();
    row = writing_.out;
    return true;
  }

  void seek(int64_t row) {
    clear();
    for (row_ = batches_->seek(row); row_ < row;) {
      if (at_ == rows_ && !next_batch(row - row_)) throw Failure("it has " + std::to_string(row_) + " rows only");
      const int64_t passed = std::min(row - row_, rows_ - at_);
      at_ += passed;
      row_ += passed;
    }
  }

  std::string error;

 private:
  void clear() {
    fields_.clear();
    at_ = rows_ = 0;
  }

  // `most`: no more rows are wanted of it.
  bool next_batch(int64_t most = kMostRows) {
    clear();
    std::shared_ptr<arrow::RecordBatch> batch = batches_->next(std::min(most, batch_rows_));
    if (!batch) return false;
    rows_ = batch->num_rows();
    names_.clear();
    for (int k = 0; k < batch->num_columns(); ++k) {
      names_.emplace_back(k ? "," : "{");
      append_text(batch->column_name(k), names_.back());
      names_.back() += ':';
      fields_.push_back(column_of(batch->column(k), batch->column_name(k), kMostDepth));
    }
    if (fields_.empty()) throw Failure("it has no columns");
    // Rows grow slowly and shrink at once, for what is to come is not known.
    const int64_t a_row = arrow::util::TotalBufferSize(*batch) / std::max<int64_t>(rows_, 1) + 1;
    batch_rows_ = std::clamp(std::min(kBatchBytes / a_row, 4 * batch_rows_), int64_t{1}, kMostRows);
    return true;
  }

  BoundedPool pool_;  // outlives what it gave
  std::unique_ptr<Batches> batches_;
  std::string columns_, groups_;
  std::vector<std::string> names_;  // {"a":  ,"b":
  std::vector<ColumnPtr> fields_;
  int64_t at_ = 0, rows_ = 0;  // in the batch
  int64_t row_ = 0;            // in the file
  int64_t batch_rows_ = kFirstRows;
  Writing writing_;
};

// What `work` returns, or what was thrown out of it as a text.
template <class Work>
int32_t guarded(Table& table, const Work& work) {
  try {
    return work();
  } catch (const BadRow& e) {
    table.error = e.what();
    return R1_TABLE_BAD_ROW;
  } catch (const std::bad_alloc&) {
    table.error = "out of memory";
  } catch (const std::exception& e) {
    table.error = e.what();
  } catch (...) {
    table.error = "unknown error";
  }
  return R1_TABLE_FAILED;
}

Table& table_of(void* table) {
  return *static_cast<Table*>(table);
}

void* open(const char* path, int32_t form, int32_t keep_bytes, char* error, size_t error_size) {
  try {
    return new Table(path, form == R1_TABLE_PARQUET, keep_bytes != 0);
  } catch (const std::exception& e) {
    std::snprintf(error, error_size, "%s", e.what());
  } catch (...) {
    std::snprintf(error, error_size, "unknown error");
  }
  return nullptr;
}

int32_t select(void* table, const char* const* names, size_t count) {
  Table& t = table_of(table);
  return guarded(t, [&] { return t.select(std::vector<std::string>(names, names + count)) ? 1 : 0; }) == 1;
}

int32_t next(void* table, size_t most, const char** row, size_t* size) {
  Table& t = table_of(table);
  return guarded(t, [&] {
    string_view text;
    if (!t.next(most, text)) return R1_TABLE_END;
    *row = text.data();
    *size = text.size();
    return R1_TABLE_ROW;
  });
}

int32_t seek(void* table, int64_t row) {
  Table& t = table_of(table);
  return guarded(t, [&] { return t.seek(row), 1; }) == 1;
}

constexpr R1TablePlugin kPlugin = {
    .version = R1_TABLE_VERSION,
    .open = open,
    .columns = [](void* table) { return table_of(table).columns(); },
    .groups = [](void* table) { return table_of(table).groups(); },
    .select = select,
    .next = next,
    .seek = seek,
    .error = [](void* table) { return table_of(table).error.c_str(); },
    .close = [](void* table) { delete &table_of(table); },
};

}  // namespace
}  // namespace r1::plugins

extern "C" __attribute__((visibility("default"))) const R1TablePlugin* r1_table_plugin(void) {
  arrow::util::InitializeUTF8();  // or ValidateUTF8 finds everything valid
  return &r1::plugins::kPlugin;
}
