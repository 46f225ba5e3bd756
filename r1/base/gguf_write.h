// Writes GGUF files (version 3; gguf_file.h reads them): typed metadata, the tensor directory, tensors one after another at multiples of 32
// bytes. The file appears whole or not at all (AtomicFile).
#pragma once

#include <cstddef>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "r1/base/gguf_file.h"

namespace r1 {

// Keys in the order they were added; one added twice is an error. Types are those that llama.cpp expects of a key: it refuses a float where
// it wants an unsigned integer.
class GgufMetadata {
 public:
  void add_string(const std::string& key, std::string_view value);
  void add_u32(const std::string& key, int64_t value);  // fails if it does not fit
  void add_f32(const std::string& key, double value);
  void add_bool(const std::string& key, bool value);
  void add_strings(const std::string& key, const std::vector<std::string>& values);
  void add_i32s(const std::string& key, const std::vector<int32_t>& values);
  void add_f32s(const std::string& key, const std::vector<float>& values);
  // As it stands in another file, bit for bit.
  void copy(const GgufFile& file, const std::string& key);

  bool has(const std::string& key) const { return keys_.count(key) > 0; }
  uint64_t count() const { return keys_.size(); }
  const std::string& bytes() const { return bytes_; }

 private:
  void begin(const std::string& key, GgufKind kind);
  void begin_list(const std::string& key, GgufKind kind, size_t count);
  template <class T>
  void put(T value);
  void put_text(std::string_view text);

  std::set<std::string> keys_;
  std::string bytes_;
};

// One tensor to write, shape row-major. As SafeSource (safetensors_file.h): the writer calls a copy of `bytes` once and drops it.
struct GgufSource {
  std::string name;
  GgmlType type = GgmlType::kF32;
  std::vector<int64_t> shape;
  std::function<std::span<const std::byte>()> bytes;
};

// Size of a tensor's bytes; its last axis must be whole blocks.
uint64_t gguf_source_bytes(const GgufSource& source);

void write_gguf(const fs::path& path, const GgufMetadata& metadata, const std::vector<GgufSource>& sources);

}  // namespace r1
