#include "r1/base/gguf_write.h"

#include <cstring>
#include <limits>

#include "r1/base/error.h"
#include "r1/base/file.h"

namespace r1 {

namespace {

constexpr uint64_t kAlignment = 32;  // what readers take where general.alignment is not set
constexpr uint32_t kVersion = 3;

template <class T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void append_text(std::string& out, std::string_view text) {
  append(out, uint64_t(text.size()));
  out.append(text);
}

uint64_t padded(uint64_t size) {
  return (size + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

template <class T>
void GgufMetadata::put(T value) {
  append(bytes_, value);
}

void GgufMetadata::put_text(std::string_view text) {
  append_text(bytes_, text);
}

void GgufMetadata::begin(const std::string& key, GgufKind kind) {
  check(keys_.insert(key).second, "[gguf] key '", key, "' is added twice");
  put_text(key);
  put(uint32_t(kind));
}

void GgufMetadata::begin_list(const std::string& key, GgufKind kind, size_t count) {
  begin(key, GgufKind::kArray);
  put(uint32_t(kind));
  put(uint64_t(count));
}

void GgufMetadata::add_string(const std::string& key, std::string_view value) {
  begin(key, GgufKind::kString);
  put_text(value);
}

void GgufMetadata::add_u32(const std::string& key, int64_t value) {
  check(value >= 0 && value <= int64_t(std::numeric_limits<uint32_t>::max()), "[gguf] key '", key, "': ", value,
        " is no unsigned 32 bit number");
  begin(key, GgufKind::kU32);
  put(uint32_t(value));
}

void GgufMetadata::add_f32(const std::string& key, double value) {
  begin(key, GgufKind::kF32);
  put(float(value));
}

void GgufMetadata::add_bool(const std::string& key, bool value) {
  begin(key, GgufKind::kBool);
  put(uint8_t(value));
}

void GgufMetadata::add_strings(const std::string& key, const std::vector<std::string>& values) {
  begin_list(key, GgufKind::kString, values.size());
  for (const std::string& value : values) put_text(value);
}

void GgufMetadata::add_i32s(const std::string& key, const std::vector<int32_t>& values) {
  begin_list(key, GgufKind::kI32, values.size());
  for (const int32_t value : values) put(value);
}

void GgufMetadata::add_f32s(const std::string& key, const std::vector<float>& values) {
  begin_list(key, GgufKind::kF32, values.size());
  for (const float value : values) put(value);
}

void GgufMetadata::copy(const GgufFile& file, const std::string& key) {
  const GgufFile::Raw raw = file.raw(key);
  if (raw.array) {
    begin_list(key, raw.kind, raw.count);
  } else {
    begin(key, raw.kind);
  }
  bytes_.append(reinterpret_cast<const char*>(raw.bytes.data()), raw.bytes.size());
}

uint64_t gguf_source_bytes(const GgufSource& source) {
  const GgmlTypeInfo* info = ggml_type_info(source.type);
  check(info != nullptr && !source.shape.empty(), "[gguf] tensor '", source.name, "' has no type or no shape");
  uint64_t elements = 1;
  for (const int64_t size : source.shape) elements *= uint64_t(size);
  check(uint64_t(source.shape.back()) % info->block_elements == 0, "[gguf] tensor '", source.name, "': rows of ", source.shape.back(),
        " are no whole blocks of ", info->block_elements, " (", info->name, ")");
  return elements / info->block_elements * info->block_bytes;
}

void write_gguf(const fs::path& path, const GgufMetadata& metadata, const std::vector<GgufSource>& sources) {
  std::string head = "GGUF";
  append(head, kVersion);
  append(head, uint64_t(sources.size()));
  append(head, metadata.count());
  head += metadata.bytes();
  uint64_t offset = 0;
  for (const GgufSource& source : sources) {
    append_text(head, source.name);
    append(head, uint32_t(source.shape.size()));
    for (size_t i = source.shape.size(); i-- > 0;) append(head, uint64_t(source.shape[i]));
    append(head, uint32_t(source.type));
    append(head, offset);
    offset += padded(gguf_source_bytes(source));
  }
  head.resize(padded(head.size()), '\0');
  AtomicFile file(path);
  file.write(head);
  for (const GgufSource& source : sources) {
    auto read = source.bytes;
    const auto bytes = read();
    check(bytes.size() == gguf_source_bytes(source), "[gguf] tensor '", source.name, "': expected ", gguf_source_bytes(source),
          " bytes, got ", bytes.size());
    file.write(bytes);
    file.write(std::string(padded(bytes.size()) - bytes.size(), '\0'));
  }
  file.commit();
}

}  // namespace r1
