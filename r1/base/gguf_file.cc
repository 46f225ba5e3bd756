#include "r1/base/gguf_file.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>
#include <limits>
#include <numeric>
#include <type_traits>

#include "r1/base/checked.h"

static_assert(std::endian::native == std::endian::little, "GGUF and safetensors are read in place: little-endian machines only");

namespace r1 {
namespace {

constexpr uint32_t kLastKind = static_cast<uint32_t>(GgufKind::kF64);

// Sizes as in ggml's ggml-common.h; the names are what users see in file names.
constexpr GgmlTypeInfo kTypes[] = {
    {GgmlType::kF32, "F32", 1, 4},       {GgmlType::kF16, "F16", 1, 2},       {GgmlType::kQ4_0, "Q4_0", 32, 18},
    {GgmlType::kQ4_1, "Q4_1", 32, 20},   {GgmlType::kQ5_0, "Q5_0", 32, 22},   {GgmlType::kQ5_1, "Q5_1", 32, 24},
    {GgmlType::kQ8_0, "Q8_0", 32, 34},   {GgmlType{9}, "Q8_1", 32, 36},       {GgmlType{10}, "Q2_K", 256, 84},
    {GgmlType{11}, "Q3_K", 256, 110},    {GgmlType::kQ4_K, "Q4_K", 256, 144}, {GgmlType::kQ5_K, "Q5_K", 256, 176},
    {GgmlType::kQ6_K, "Q6_K", 256, 210}, {GgmlType{15}, "Q8_K", 256, 292},    {GgmlType{16}, "IQ2_XXS", 256, 66},
    {GgmlType{17}, "IQ2_XS", 256, 74},   {GgmlType{18}, "IQ3_XXS", 256, 98},  {GgmlType{19}, "IQ1_S", 256, 50},
    {GgmlType{20}, "IQ4_NL", 32, 18},    {GgmlType{21}, "IQ3_S", 256, 110},   {GgmlType{22}, "IQ2_S", 256, 82},
    {GgmlType{23}, "IQ4_XS", 256, 136},  {GgmlType{24}, "I8", 1, 1},          {GgmlType{25}, "I16", 1, 2},
    {GgmlType{26}, "I32", 1, 4},         {GgmlType{27}, "I64", 1, 8},         {GgmlType{28}, "F64", 1, 8},
    {GgmlType{29}, "IQ1_M", 256, 56},    {GgmlType::kBF16, "BF16", 1, 2},     {GgmlType{34}, "TQ1_0", 256, 54},
    {GgmlType{35}, "TQ2_0", 256, 66},    {GgmlType{39}, "MXFP4", 32, 17},     {GgmlType{40}, "NVFP4", 64, 36},
    {GgmlType{41}, "Q1_0", 128, 18},
};

// Bytes of a scalar; 0 for what has no fixed size.
uint64_t scalar_bytes(GgufKind kind) {
  switch (kind) {
    case GgufKind::kU8:
    case GgufKind::kI8:
    case GgufKind::kBool:
      return 1;
    case GgufKind::kU16:
    case GgufKind::kI16:
      return 2;
    case GgufKind::kU32:
    case GgufKind::kI32:
    case GgufKind::kF32:
      return 4;
    case GgufKind::kU64:
    case GgufKind::kI64:
    case GgufKind::kF64:
      return 8;
    default:
      return 0;
  }
}

const char* kind_name(GgufKind kind) {
  constexpr const char* kNames[] = {"u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"};
  return kNames[static_cast<uint32_t>(kind)];
}

template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

// An integer of any width as int64, or the float or bool as it is asked for; nothing if the kinds do not meet.
template <class T, class Stored>
std::optional<T> convert(Stored stored) {
  if constexpr (std::is_same_v<T, bool>) {
    if constexpr (!std::is_same_v<Stored, bool>) return std::nullopt;
    return stored;
  } else if constexpr (std::is_same_v<T, int64_t>) {
    if constexpr (std::is_floating_point_v<Stored>) return std::nullopt;
    if (std::is_same_v<Stored, uint64_t> && uint64_t(stored) > uint64_t(std::numeric_limits<int64_t>::max())) return std::nullopt;
    return static_cast<int64_t>(stored);
  } else {
    if constexpr (std::is_same_v<Stored, bool>) return std::nullopt;
    return static_cast<T>(stored);
  }
}

template <class T>
std::optional<T> load_scalar(GgufKind kind, const std::byte* at) {
  switch (kind) {
    case GgufKind::kU8:
      return convert<T>(load<uint8_t>(at));
    case GgufKind::kI8:
      return convert<T>(load<int8_t>(at));
    case GgufKind::kU16:
      return convert<T>(load<uint16_t>(at));
    case GgufKind::kI16:
      return convert<T>(load<int16_t>(at));
    case GgufKind::kU32:
      return convert<T>(load<uint32_t>(at));
    case GgufKind::kI32:
      return convert<T>(load<int32_t>(at));
    case GgufKind::kF32:
      return convert<T>(load<float>(at));
    case GgufKind::kBool:
      return convert<T>(load<uint8_t>(at) != 0);
    case GgufKind::kU64:
      return convert<T>(load<uint64_t>(at));
    case GgufKind::kI64:
      return convert<T>(load<int64_t>(at));
    case GgufKind::kF64:
      return convert<T>(load<double>(at));
    default:
      return std::nullopt;
  }
}

template <class T>
constexpr const char* wanted_name() {
  if constexpr (std::is_same_v<T, bool>) return "a bool";
  if constexpr (std::is_same_v<T, int64_t>) return "an integer";
  return "a number";
}

}  // namespace

const GgmlTypeInfo* ggml_type_info(GgmlType type) {
  for (const GgmlTypeInfo& info : kTypes) {
    if (info.type == type) return &info;
  }
  return nullptr;
}

// Walks the header; every step asks first whether the bytes are there.
class GgufFile::Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  uint64_t at() const { return at_; }
  uint64_t left() const { return std::min<uint64_t>(bytes_.size(), kGgufMaxHeaderBytes) - at_; }

  std::span<const std::byte> take(uint64_t n, std::string_view what) {
    if (n > left()) {
      if (bytes_.size() > kGgufMaxHeaderBytes) fail(name_, ": ", what, ": the header is larger than ", kGgufMaxHeaderBytes, " bytes");
      fail(name_, ": ", what, ": the file ends inside it (", bytes_.size(), " bytes); it is cut short or broken");
    }
    const auto taken = bytes_.subspan(at_, n);
    at_ += n;
    return taken;
  }

  template <class T>
  T scalar(std::string_view what) {
    return load<T>(take(sizeof(T), what).data());
  }

  std::string_view text(uint64_t longest, std::string_view what) {
    const auto length = scalar<uint64_t>(what);
    if (length > longest) fail(name_, ": ", what, ": a text of ", length, " bytes, at most ", longest, " are allowed");
    const auto raw = take(length, what);
    return {reinterpret_cast<const char*>(raw.data()), raw.size()};
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& name_;
  uint64_t at_ = 0;
};

namespace {

constexpr const char* kSplitNumber = "split.no";
constexpr const char* kSplitCount = "split.count";
constexpr const char* kSplitTensors = "split.tensors.count";

// "-00002-of-00003.gguf"
std::string part_suffix(int64_t part, int64_t count) {
  char text[64];
  std::snprintf(text, sizeof text, "-%05lld-of-%05lld.gguf", static_cast<long long>(part + 1), static_cast<long long>(count));
  return text;
}

// The file of another part, by the name of this one; empty if this one's name is not a part's.
fs::path part_path(const fs::path& path, int64_t part, int64_t wanted, int64_t count) {
  const std::string name = path.filename().string(), suffix = part_suffix(part, count);
  if (!name.ends_with(suffix)) return {};
  return path.parent_path() / (name.substr(0, name.size() - suffix.size()) + part_suffix(wanted, count));
}

}  // namespace

GgufFile GgufFile::open(const fs::path& path, Options options) {
  GgufFile file = open_alone(path, options);
  file.open_parts(path, options);
  return file;
}

GgufFile GgufFile::open_alone(const fs::path& path, Options options) {
  GgufFile file;
  file.map_ = std::make_unique<MappedFile>(path);
  file.bytes_ = file.map_->bytes();
  file.name_ = path.string();
  file.parse(options);
  return file;
}

// Called on what was opened by its user: the first part, or a file that is whole.
void GgufFile::open_parts(const fs::path& path, Options options) {
  const int64_t count = integer_or(kSplitCount, 1), number = integer_or(kSplitNumber, 0);
  if (count < 1 || count > kGgufMaxParts) fail(name_, ": key '", kSplitCount, "': expected 1 to ", kGgufMaxParts, ", got ", count);
  if (number < 0 || number >= count) fail(name_, ": key '", kSplitNumber, "': expected 0 to ", count - 1, ", got ", number);
  if (number > 0) {
    const fs::path first = part_path(path, number, 0, count);
    fail(name_, ": is part ", number + 1, " of ", count, " of a split model; name its first part",
         first.empty() ? "" : " (" + first.filename().string() + ")");
  }
  for (int64_t i = 1; i < count; ++i) {
    const fs::path other = part_path(path, 0, i, count);
    if (other.empty())
      fail(name_, ": is part 1 of ", count, ", but its name does not end in ", part_suffix(0, count), ", so the others are not found");
    std::error_code ignored;
    if (!fs::exists(other, ignored)) {
      if (!options.allow_truncated)
        fail(name_, ": is part 1 of ", count, ", and part ", i + 1, " is not beside it (", other.filename().string(), ")");
      truncated_ = true;
      continue;
    }
    add_part(open_alone(other, options), uint32_t(i));
    const GgufFile& part = parts_.back();
    if (part.integer_or(kSplitCount, 1) != count || part.integer_or(kSplitNumber, 0) != i)
      fail(part.name_, ": does not say that it is part ", i + 1, " of ", count, " of ", name_);
  }
  const int64_t tensors = integer_or(kSplitTensors, int64_t(tensors_.size()));
  if (!truncated_ && tensors != int64_t(tensors_.size()))
    fail(name_, ": expected ", tensors, " tensors in all parts, got ", tensors_.size());
}

void GgufFile::add_part(GgufFile&& part, uint32_t number) {
  truncated_ = truncated_ || part.truncated_;
  parts_.push_back(std::move(part));
  for (GgufTensor tensor : parts_.back().tensors_) {
    tensor.part = number;
    if (!tensor_index_.emplace(tensor.name, tensors_.size()).second)
      fail(parts_.back().name_, ": tensor '", printable(tensor.name), "' stands in another part too");
    tensors_.push_back(std::move(tensor));
    if (tensors_.size() > kGgufMaxTensors) fail(name_, ": more than ", kGgufMaxTensors, " tensors in all parts");
  }
}

fs::path gguf_of_folder(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const fs::path& path = entry.path();
    if (path.extension() != ".gguf") continue;
    // A further part, by its name, where the first is there.
    long long part = 0, count = 0;
    const std::string name = path.filename().string();
    const size_t at = name.size() >= part_suffix(0, 1).size() ? name.size() - part_suffix(0, 1).size() : 0;
    const bool is_part = std::sscanf(name.c_str() + at, "-%5lld-of-%5lld.gguf", &part, &count) == 2 && part > 1;
    if (is_part && fs::exists(part_path(path, part - 1, 0, count))) continue;
    found.push_back(path);
  }
  if (found.size() > 1) {
    std::sort(found.begin(), found.end());
    fail(folder.string(), ": ", found.size(), " GGUF models in this folder (", found[0].filename().string(), ", ",
         found[1].filename().string(), found.size() > 2 ? ", ...)" : ")", "; name one of them");
  }
  return found.empty() ? fs::path() : found[0];
}

GgufFile GgufFile::from_bytes(std::span<const std::byte> bytes, const std::string& name, Options options) {
  GgufFile file;
  file.bytes_ = bytes;
  file.name_ = name;
  file.parse(options);
  return file;
}

void GgufFile::parse(Options options) {
  Reader reader(bytes_, name_);
  if (bytes_.size() < 4 || std::memcmp(bytes_.data(), "GGUF", 4) != 0) fail(name_, ": not a GGUF file (it does not begin with 'GGUF')");
  reader.take(4, "magic");
  version_ = reader.scalar<uint32_t>("version");
  if (version_ != 0 && (version_ & 0xffff) == 0) fail(name_, ": a big-endian GGUF file; only little-endian ones are read");
  if (version_ != 2 && version_ != 3) fail(name_, ": GGUF version ", version_, " is not supported (2 and 3 are)");
  const auto tensor_count = reader.scalar<uint64_t>("tensor count");
  const auto key_count = reader.scalar<uint64_t>("metadata count");
  if (tensor_count > kGgufMaxTensors) fail(name_, ": ", tensor_count, " tensors, at most ", kGgufMaxTensors, " are allowed");
  if (key_count > kGgufMaxKeys) fail(name_, ": ", key_count, " metadata keys, at most ", kGgufMaxKeys, " are allowed");
  read_metadata(reader, key_count);
  read_directory(reader, tensor_count);
  place_tensors(reader.at(), options);
}

void GgufFile::read_metadata(Reader& reader, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    Value value;
    value.key = reader.text(kGgufMaxKeyBytes, str("metadata key ", i));
    const std::string what = str("key '", printable(value.key), "'");
    const auto kind_of = [&](uint32_t id) {
      if (id > kLastKind) fail(name_, ": ", what, ": unknown value type ", id);
      return GgufKind{id};
    };
    value.kind = kind_of(reader.scalar<uint32_t>(what));
    if (value.kind == GgufKind::kArray) {
      value.array = true;
      value.kind = kind_of(reader.scalar<uint32_t>(what));
      value.count = reader.scalar<uint64_t>(what);
      if (value.kind == GgufKind::kArray) fail(name_, ": ", what, ": arrays of arrays are not supported");
    }
    if (value.kind == GgufKind::kString) {
      const uint64_t begin = reader.at();
      if (value.count > reader.left() / sizeof(uint64_t)) fail(name_, ": ", what, ": ", value.count, " texts cannot fit into the file");
      for (uint64_t n = 0; n < value.count; ++n) reader.text(kGgufMaxStringBytes, what);
      value.raw = bytes_.subspan(begin, reader.at() - begin);
    } else {
      const uint64_t bytes =
          checked_mul(value.count, scalar_bytes(value.kind), name_, ": ", what, ": ", value.count, " elements cannot fit into the file");
      value.raw = reader.take(bytes, what);
    }
    if (!value_index_.emplace(value.key, values_.size()).second) fail(name_, ": ", what, " stands twice in the metadata");
    values_.push_back(std::move(value));
  }
  const int64_t alignment = integer_or("general.alignment", 32);
  if (alignment < 1 || alignment > kGgufMaxAlignment || !std::has_single_bit(uint64_t(alignment))) {
    fail(name_, ": key 'general.alignment': expected a power of two up to ", kGgufMaxAlignment, ", got ", alignment);
  }
  alignment_ = uint32_t(alignment);
}

void GgufFile::read_directory(Reader& reader, uint64_t count) {
  // An entry takes at least name length, rank, type and offset: no huge reservation for a count that cannot be true.
  constexpr uint64_t kSmallestEntry = 8 + 4 + 4 + 8;
  if (count > reader.left() / kSmallestEntry) fail(name_, ": a directory of ", count, " tensors cannot fit into the file");
  tensors_.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    GgufTensor tensor;
    tensor.name = reader.text(kGgufMaxNameBytes, str("tensor ", i));
    const std::string what = str("tensor '", printable(tensor.name), "'");
    const auto rank = reader.scalar<uint32_t>(what);
    if (rank > kGgufMaxRank) fail(name_, ": ", what, ": ", rank, " dimensions, at most ", kGgufMaxRank, " are allowed");
    tensor.elements = 1;
    for (uint32_t axis = 0; axis < rank; ++axis) {
      const auto size = reader.scalar<uint64_t>(what);
      tensor.elements = checked_mul(tensor.elements, size, name_, ": ", what, ": the product of its dimensions overflows");
      if (size > uint64_t(std::numeric_limits<int64_t>::max())) fail(name_, ": ", what, ": dimension ", size, " is too large");
      tensor.shape.insert(tensor.shape.begin(), int64_t(size));
    }
    tensor.type = GgmlType{reader.scalar<uint32_t>(what)};
    const GgmlTypeInfo* info = ggml_type_info(tensor.type);
    if (!info) fail(name_, ": ", what, ": unknown tensor type ", static_cast<uint32_t>(tensor.type));
    const uint64_t row = rank ? uint64_t(tensor.shape.back()) : 1;
    if (row % info->block_elements) {
      fail(name_, ": ", what, ": rows of ", row, " elements are no whole blocks of ", info->block_elements, " (", info->name, ")");
    }
    tensor.bytes = checked_mul(tensor.elements / info->block_elements, info->block_bytes, name_, ": ", what, ": its size overflows");
    tensor.begin = reader.scalar<uint64_t>(what);  // from the start of the data section, for now
    if (!tensor_index_.emplace(tensor.name, tensors_.size()).second) fail(name_, ": ", what, " stands twice in the directory");
    tensors_.push_back(std::move(tensor));
  }
}

// Turns offsets into file positions and checks that the tensors tile the data section: each begins where the one before ended, rounded up
// to the alignment.
void GgufFile::place_tensors(uint64_t header_end, Options options) {
  const auto align = [&](uint64_t at) {
    return checked_add(at, alignment_ - 1, name_, ": tensor offsets overflow") & ~uint64_t(alignment_ - 1);
  };
  const uint64_t data_begin = align(header_end);
  std::vector<size_t> order(tensors_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return tensors_[a].begin < tensors_[b].begin; });
  uint64_t expected = 0;
  for (const size_t i : order) {
    GgufTensor& tensor = tensors_[i];
    const std::string what = str(name_, ": tensor '", printable(tensor.name), "'");
    if (tensor.begin % alignment_) fail(what, ": offset ", tensor.begin, " is not a multiple of the alignment ", alignment_);
    if (tensor.begin < expected) fail(what, ": offset ", tensor.begin, " lies inside another tensor (expected ", expected, ")");
    if (tensor.begin > expected) fail(what, ": offset ", tensor.begin, " leaves a gap (expected ", expected, ")");
    expected = align(checked_add(tensor.begin, tensor.bytes, what, ": offset ", tensor.begin, " + size ", tensor.bytes, " overflows"));
    tensor.begin = checked_add(tensor.begin, data_begin, what, ": its offset overflows");
    const uint64_t end = checked_add(tensor.begin, tensor.bytes, what, ": its end overflows");
    if (end > bytes_.size()) {
      truncated_ = true;
      if (!options.allow_truncated)
        fail(what, ": needs bytes ", tensor.begin, " to ", end, " but the file has ", bytes_.size(), "; it is cut short");
    }
  }
}

const GgufTensor* GgufFile::find(std::string_view tensor) const {
  const auto it = tensor_index_.find(std::string(tensor));
  return it == tensor_index_.end() ? nullptr : &tensors_[it->second];
}

std::span<const std::byte> GgufFile::data(const GgufTensor& tensor) const {
  if (tensor.part > 0) {
    const auto part = std::find_if(parts_.begin(), parts_.end(), [&](const GgufFile& file) { return file.find(tensor.name); });
    return part->data(*part->find(tensor.name));
  }
  if (tensor.begin > bytes_.size() || tensor.bytes > bytes_.size() - tensor.begin) {
    fail(name_, ": tensor '", printable(tensor.name), "': the file is cut short before its end");
  }
  return bytes_.subspan(tensor.begin, tensor.bytes);
}

std::vector<std::string> GgufFile::keys() const {
  std::vector<std::string> keys;
  keys.reserve(values_.size());
  for (const Value& value : values_) keys.push_back(value.key);
  return keys;
}

const GgufFile::Value* GgufFile::find_value(std::string_view key) const {
  const auto it = value_index_.find(std::string(key));
  return it == value_index_.end() ? nullptr : &values_[it->second];
}

const GgufFile::Value& GgufFile::value(std::string_view key, bool array) const {
  const Value* value = find_value(key);
  if (!value) fail(name_, ": key '", key, "' is missing");
  if (value->array != array)
    fail(name_, ": key '", key, "': expected ", array ? "an array" : "a single value", ", got ", array ? "a single value" : "an array");
  return *value;
}

GgufFile::Raw GgufFile::raw(std::string_view key) const {
  const Value* value = find_value(key);
  if (!value) fail(name_, ": key '", key, "' is missing");
  return {value->kind, value->array, value->count, value->raw};
}

bool GgufFile::is_array(std::string_view key) const {
  const Value* value = find_value(key);
  return value && value->array;
}

template <class T>
T GgufFile::scalar(const Value& value, const std::byte* at) const {
  const std::optional<T> result = load_scalar<T>(value.kind, at);
  if (!result)
    fail(name_, ": key '", value.key, "': expected ", wanted_name<T>(), ", got ", kind_name(value.kind),
         value.kind == GgufKind::kU64 ? " (too large)" : "");
  return *result;
}

template <class T>
std::vector<T> GgufFile::list(std::string_view key) const {
  const Value& array = value(key, true);
  std::vector<T> result;
  if (array.kind == GgufKind::kString) fail(name_, ": key '", key, "': expected an array of numbers, got texts");
  result.reserve(array.count);
  const uint64_t step = scalar_bytes(array.kind);
  for (uint64_t i = 0; i < array.count; ++i) result.push_back(scalar<T>(array, array.raw.data() + i * step));
  return result;
}

int64_t GgufFile::integer(std::string_view key) const {
  const Value& v = value(key, false);
  return scalar<int64_t>(v, v.raw.data());
}

double GgufFile::number(std::string_view key) const {
  const Value& v = value(key, false);
  return scalar<double>(v, v.raw.data());
}

bool GgufFile::boolean(std::string_view key) const {
  const Value& v = value(key, false);
  return scalar<bool>(v, v.raw.data());
}

std::string GgufFile::string(std::string_view key) const {
  const Value& v = value(key, false);
  if (v.kind != GgufKind::kString) fail(name_, ": key '", key, "': expected a text, got ", kind_name(v.kind));
  const auto text = v.raw.subspan(sizeof(uint64_t));
  return {reinterpret_cast<const char*>(text.data()), text.size()};
}

std::vector<std::string> GgufFile::strings(std::string_view key) const {
  const Value& v = value(key, true);
  if (v.kind != GgufKind::kString) fail(name_, ": key '", key, "': expected an array of texts, got ", kind_name(v.kind));
  std::vector<std::string> result;
  result.reserve(v.count);
  const std::byte* at = v.raw.data();
  for (uint64_t i = 0; i < v.count; ++i) {
    const auto length = load<uint64_t>(at);  // checked when the file was opened
    result.emplace_back(reinterpret_cast<const char*>(at) + sizeof(uint64_t), length);
    at += sizeof(uint64_t) + length;
  }
  return result;
}

std::vector<int64_t> GgufFile::integers(std::string_view key) const {
  return list<int64_t>(key);
}
std::vector<double> GgufFile::numbers(std::string_view key) const {
  return list<double>(key);
}

}  // namespace r1
