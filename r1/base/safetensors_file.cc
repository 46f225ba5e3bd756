#include "r1/base/safetensors_file.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <set>

#include "r1/base/checked.h"
#include "r1/base/json.h"

namespace r1 {
namespace {

struct TypeRow {
  SafeType type;
  const char* name;
  uint64_t bytes;
};
constexpr TypeRow kTypes[] = {
    {SafeType::kBool, "BOOL", 1},      {SafeType::kU8, "U8", 1},          {SafeType::kI8, "I8", 1},   {SafeType::kF8E4M3, "F8_E4M3", 1},
    {SafeType::kF8E5M2, "F8_E5M2", 1}, {SafeType::kF8E8M0, "F8_E8M0", 1}, {SafeType::kU16, "U16", 2}, {SafeType::kI16, "I16", 2},
    {SafeType::kF16, "F16", 2},        {SafeType::kBF16, "BF16", 2},      {SafeType::kU32, "U32", 4}, {SafeType::kI32, "I32", 4},
    {SafeType::kF32, "F32", 4},        {SafeType::kU64, "U64", 8},        {SafeType::kI64, "I64", 8}, {SafeType::kF64, "F64", 8},
    {SafeType::kC64, "C64", 8},
};

const TypeRow& row_of(SafeType type) {
  for (const TypeRow& row : kTypes) {
    if (row.type == type) return row;
  }
  fail("unknown safetensors type");
}

constexpr const char* kMetadataKey = "__metadata__";

// The header's grammar is narrow, so it is read as events: no tree is built, nothing recurses, and what is out of place stops the reader at
// once.
//   { "<tensor>": {"dtype": text, "shape": [n, ...], "data_offsets": [begin, end]}, "__metadata__": {"<key>": text, ...} }
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderReader(const std::string& file, std::vector<SafeTensor>& tensors, std::map<std::string, std::string>& metadata)
      : file_(file), tensors_(tensors), metadata_(metadata) {}

  bool start_object(std::size_t) override {
    if (place_ == Place::kOutside) return enter(Place::kTop);
    if (place_ == Place::kTop && in_metadata_) return enter(Place::kMetadata);
    if (place_ == Place::kTop) {
      tensors_.emplace_back().name = key_;
      has_type_ = has_shape_ = has_offsets_ = false;
      return enter(Place::kTensor);
    }
    unexpected("an object");
  }
  bool end_object() override {
    if (place_ == Place::kTensor && !(has_type_ && has_shape_ && has_offsets_)) fail(where(), ": dtype, shape or data_offsets is missing");
    return enter(place_ == Place::kTop ? Place::kOutside : Place::kTop);
  }
  bool key(string_t& text) override {
    if (place_ == Place::kTop) {
      in_metadata_ = text == kMetadataKey;
      if (!names_.insert(text).second) fail(file_, ": '", printable(text), "' stands twice in the header");
      if (names_.size() > kSafetensorsMaxTensors + 1) fail(file_, ": more than ", kSafetensorsMaxTensors, " tensors");
      key_ = text;
    } else {
      field_ = text;
    }
    return true;
  }
  bool string(string_t& text) override {
    if (place_ == Place::kMetadata) {
      if (!metadata_.emplace(field_, text).second) fail(file_, ": __metadata__ key '", printable(field_), "' stands twice");
      return true;
    }
    if (place_ != Place::kTensor || field_ != "dtype") unexpected("a text");
    once(has_type_);
    const auto* row = std::find_if(std::begin(kTypes), std::end(kTypes), [&](const TypeRow& t) { return text == t.name; });
    if (row == std::end(kTypes)) fail(where(), ": unknown dtype '", printable(text), "'");
    tensors_.back().type = row->type;
    return true;
  }
  bool start_array(std::size_t) override {
    if (place_ != Place::kTensor) unexpected("a list");
    if (field_ == "shape") {
      once(has_shape_);
      return enter(Place::kShape);
    }
    if (field_ != "data_offsets") unexpected("a list");
    once(has_offsets_);
    offsets_.clear();
    return enter(Place::kOffsets);
  }
  bool end_array() override {
    if (place_ == Place::kOffsets) {
      if (offsets_.size() != 2) fail(where(), ": data_offsets has ", offsets_.size(), " numbers, expected 2");
      if (offsets_[0] > offsets_[1]) fail(where(), ": data_offsets run backwards (", offsets_[0], ", ", offsets_[1], ")");
      tensors_.back().begin = offsets_[0];
      tensors_.back().bytes = offsets_[1] - offsets_[0];
    }
    return enter(Place::kTensor);
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::kShape) {
      if (value > uint64_t(std::numeric_limits<int64_t>::max())) fail(where(), ": dimension ", value, " is too large");
      if (tensors_.back().shape.size() == kSafetensorsMaxRank) fail(where(), ": more than ", kSafetensorsMaxRank, " dimensions");
      tensors_.back().shape.push_back(int64_t(value));
    } else if (place_ == Place::kOffsets) {
      if (offsets_.size() == 2) fail(where(), ": data_offsets has more than 2 numbers");
      offsets_.push_back(value);
    } else {
      unexpected("a number");
    }
    return true;
  }
  bool number_integer(number_integer_t) override { unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { unexpected("a fraction"); }
  bool null() override { unexpected("null"); }
  bool boolean(bool) override { unexpected("a bool"); }
  bool binary(binary_t&) override { unexpected("bytes"); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    fail(file_, ": the header is not valid JSON near its byte ", position);
  }

 private:
  enum class Place { kOutside, kTop, kMetadata, kTensor, kShape, kOffsets };

  bool enter(Place place) {
    place_ = place;
    return true;
  }
  std::string where() const { return str(file_, ": tensor '", printable(key_), "'"); }
  [[noreturn]] void unexpected(const char* what) const {
    if (place_ == Place::kOutside) fail(file_, ": the header is not a JSON object");
    if (in_metadata_) fail(file_, ": __metadata__ may hold texts only, got ", what);
    fail(where(), ": ", what, " is out of place", field_.empty() ? "" : str(" at '", printable(field_), "'"));
  }
  void once(bool& seen) {
    if (seen) fail(where(), ": '", field_, "' stands twice");
    seen = true;
  }

  const std::string& file_;
  std::vector<SafeTensor>& tensors_;
  std::map<std::string, std::string>& metadata_;
  Place place_ = Place::kOutside;
  std::string key_, field_;
  std::set<std::string> names_;
  std::vector<uint64_t> offsets_;
  bool in_metadata_ = false, has_type_ = false, has_shape_ = false, has_offsets_ = false;
};

// Bytes that type and shape call for.
uint64_t shape_bytes(SafeType type, const std::vector<int64_t>& shape, const std::string& where) {
  uint64_t bytes = safe_type_bytes(type);
  for (const int64_t size : shape) bytes = checked_mul(bytes, uint64_t(size), where, ": the product of its dimensions overflows");
  return bytes;
}

}  // namespace

const char* safe_type_name(SafeType type) {
  return row_of(type).name;
}
uint64_t safe_type_bytes(SafeType type) {
  return row_of(type).bytes;
}

SafetensorsFile SafetensorsFile::open(const fs::path& path) {
  SafetensorsFile file;
  file.map_ = std::make_unique<MappedFile>(path);
  file.bytes_ = file.map_->bytes();
  file.name_ = path.string();
  file.parse();
  return file;
}

SafetensorsFile SafetensorsFile::from_bytes(std::span<const std::byte> bytes, const std::string& name) {
  SafetensorsFile file;
  file.bytes_ = bytes;
  file.name_ = name;
  file.parse();
  return file;
}

void SafetensorsFile::parse() {
  uint64_t header_bytes = 0;
  if (bytes_.size() < sizeof(header_bytes)) fail(name_, ": not a safetensors file (", bytes_.size(), " bytes)");
  std::memcpy(&header_bytes, bytes_.data(), sizeof(header_bytes));
  if (header_bytes > kSafetensorsMaxHeaderBytes)
    fail(name_, ": not a safetensors file, or a header over ", kSafetensorsMaxHeaderBytes, " bytes");
  const uint64_t data_begin = sizeof(header_bytes) + header_bytes;
  if (data_begin > bytes_.size())
    fail(name_, ": the header needs ", header_bytes, " bytes but the file has ", bytes_.size(), "; it is cut short");
  const auto* header = reinterpret_cast<const char*>(bytes_.data()) + sizeof(header_bytes);
  if (header_bytes == 0 || *header != '{') fail(name_, ": not a safetensors file (the header is not a JSON object)");
  HeaderReader reader(name_, tensors_, metadata_);
  nlohmann::json::sax_parse(header, header + header_bytes, &reader);
  place_tensors(data_begin);
}

void SafetensorsFile::place_tensors(uint64_t data_begin) {
  std::stable_sort(tensors_.begin(), tensors_.end(),
                   [](const SafeTensor& a, const SafeTensor& b) { return std::pair(a.begin, a.bytes) < std::pair(b.begin, b.bytes); });
  const uint64_t data_bytes = bytes_.size() - data_begin;
  uint64_t expected = 0;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    SafeTensor& tensor = tensors_[i];
    const std::string where = str(name_, ": tensor '", printable(tensor.name), "'");
    const uint64_t size = shape_bytes(tensor.type, tensor.shape, where);
    if (size != tensor.bytes) fail(where, ": its shape and dtype need ", size, " bytes, its data_offsets span ", tensor.bytes);
    if (tensor.begin < expected) fail(where, ": starts at ", tensor.begin, " inside another tensor (expected ", expected, ")");
    if (tensor.begin > expected) fail(where, ": starts at ", tensor.begin, " and leaves a gap (expected ", expected, ")");
    expected = tensor.begin + tensor.bytes;  // = data_offsets[1]: cannot overflow
    if (expected > data_bytes) fail(where, ": ends at ", expected, " but the file has ", data_bytes, " bytes of data; it is cut short");
    tensor.begin += data_begin;
    index_.emplace(tensor.name, i);
  }
  if (expected != data_bytes) fail(name_, ": ", data_bytes - expected, " bytes follow the last tensor");
}

const SafeTensor* SafetensorsFile::find(std::string_view tensor) const {
  const auto it = index_.find(std::string(tensor));
  return it == index_.end() ? nullptr : &tensors_[it->second];
}

uint64_t safe_source_bytes(const SafeSource& source) {
  for (const int64_t size : source.shape) {
    if (size < 0) fail("[write_safetensors] tensor '", source.name, "': negative dimension");
  }
  return shape_bytes(source.type, source.shape, str("[write_safetensors] tensor '", source.name, "'"));
}

namespace {

// The header as text: entries one by one, since a JSON object that keeps its order is slow to fill with a hundred thousand keys.
std::string header_text(const fs::path& path, const std::vector<SafeSource>& sources, const std::map<std::string, std::string>& metadata) {
  Json about = {{"format", "pt"}};
  for (const auto& [key, text] : metadata) about[key] = text;
  std::string text = str("{\"", kMetadataKey, "\":", dump_json(about));
  std::set<std::string_view> names = {kMetadataKey};
  uint64_t at = 0;
  for (const SafeSource& source : sources) {
    if (!names.insert(source.name).second) fail("[write_safetensors] ", path.string(), ": tensor '", source.name, "' is given twice");
    const uint64_t end = checked_add(at, safe_source_bytes(source), "[write_safetensors] ", path.string(), ": too large");
    const Json entry = {{"dtype", safe_type_name(source.type)}, {"shape", source.shape}, {"data_offsets", {at, end}}};
    text += str(",", dump_json(source.name), ":", dump_json(entry));
    at = end;
  }
  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');
  if (text.size() > kSafetensorsMaxHeaderBytes) {
    fail("[write_safetensors] ", path.string(), ": the header is over ", kSafetensorsMaxHeaderBytes, " bytes");
  }
  return text;
}

}  // namespace

void write_safetensors(const fs::path& path, const std::vector<SafeSource>& sources, const std::map<std::string, std::string>& metadata) {
  const std::string text = header_text(path, sources, metadata);
  const uint64_t header_bytes = text.size();
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(&header_bytes, 1)));
  file.write(text);
  for (const SafeSource& source : sources) {
    auto read = source.bytes;  // a copy: what it holds is gone with it
    const auto bytes = read();
    if (bytes.size() != safe_source_bytes(source)) fail("[write_safetensors] tensor '", source.name, "': got ", bytes.size(), " bytes");
    file.write(bytes);
  }
  file.commit();
}

SafetensorsIndex read_safetensors_index(const fs::path& path) {
  const Json json = parse_json_file(path, /*reject_duplicates=*/true);
  const std::string where = path.string();
  const auto map = json.find("weight_map");
  if (!json.is_object() || map == json.end() || !map->is_object()) fail(where, ": key 'weight_map' is missing or not an object");
  SafetensorsIndex index;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string()) fail(where, ": weight_map['", printable(tensor), "'] is not a file name");
    const auto name = file.get<std::string>();
    if (name.empty() || name[0] == '.' || name.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos) {
      fail(where, ": weight_map['", printable(tensor), "']: '", printable(name), "' is not a plain file name of this folder");
    }
    index.weight_map.emplace(tensor, name);
  }
  if (const auto meta = json.find("metadata"); meta != json.end() && meta->is_object()) {
    // Some writers store it as a fraction; nobody relies on it.
    if (const auto size = meta->find("total_size"); size != meta->end() && size->is_number_unsigned())
      index.total_size = size->get<uint64_t>();
  }
  return index;
}

void write_safetensors_index(const fs::path& path, const SafetensorsIndex& index) {
  std::string text = str("{\n  \"metadata\": {\n    \"total_size\": ", index.total_size, "\n  },\n  \"weight_map\": {");
  const char* separator = "\n    ";
  for (const auto& [tensor, file] : index.weight_map) {
    text += str(separator, dump_json(tensor), ": ", dump_json(file));
    separator = ",\n    ";
  }
  write_file_atomic(path, text + "\n  }\n}\n");
}

namespace {

// What the index names, each tensor in the file that it says. A shard may hold more than the index lists (old checkpoints' buffers);
// whether that is a weight is for the model to say.
std::vector<SafetensorsFile> open_shards(const fs::path& index_path) {
  const SafetensorsIndex index = read_safetensors_index(index_path);
  std::vector<SafetensorsFile> files;
  std::map<std::string, size_t> opened;
  for (const auto& [tensor, name] : index.weight_map) {
    if (!opened.count(name)) {
      opened[name] = files.size();
      files.push_back(SafetensorsFile::open(index_path.parent_path() / name));
    }
    const SafetensorsFile& file = files[opened[name]];
    if (!file.find(tensor)) fail(index_path.string(), ": tensor '", printable(tensor), "' is not in ", file.name());
  }
  std::map<std::string, const SafetensorsFile*> unlisted;
  for (const SafetensorsFile& file : files) {
    for (const SafeTensor& tensor : file.tensors()) {
      const auto it = index.weight_map.find(tensor.name);
      const bool listed = it != index.weight_map.end();
      if (listed && fs::path(file.name()).filename() != it->second)
        fail(file.name(), ": tensor '", printable(tensor.name), "' belongs to ", it->second, " by the index");
      if (listed) continue;
      const auto [other, first] = unlisted.emplace(tensor.name, &file);
      if (!first)
        fail(file.name(), ": tensor '", printable(tensor.name), "' stands in ", other->second->name(), " too, and the index lists neither");
    }
  }
  return files;
}

}  // namespace

std::vector<SafetensorsFile> open_safetensors_model(const fs::path& path) {
  const auto one = [](const fs::path& file) {
    std::vector<SafetensorsFile> files;
    files.push_back(SafetensorsFile::open(file));
    return files;
  };
  if (!fs::is_directory(path)) return path.extension() == ".json" ? open_shards(path) : one(path);
  const fs::path single = path / kSafetensorsSingle, index = path / kSafetensorsIndex;
  if (fs::exists(single)) return one(single);
  if (fs::exists(index)) return open_shards(index);
  fail(path.string(), ": neither ", kSafetensorsSingle, " nor ", kSafetensorsIndex, " is in this folder");
}

}  // namespace r1
