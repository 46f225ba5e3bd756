// The GGUF container, versions 2 and 3 (format: ggml's docs/gguf.md): a map of the file, its metadata as typed values, its tensor
// directory. What the bytes of a tensor mean is r1/tensor/gguf; what the keys mean is r1/model and r1/text.
//
// Trust: every length is checked against the file before anything is allocated, sizes are computed with checks, and nothing is copied at
// opening, so a hostile file costs no more memory than its tensor directory. Metadata is decoded when asked for. Broken files throw
// r1::Error naming the file and the key or tensor; nothing aborts. Refused: version 1, big-endian files, arrays of arrays, repeated keys or
// names, overlapping tensors and gaps between them.
//
// A model that was split (llama.cpp's gguf-split: NAME-00001-of-00003.gguf with split.no, split.count) is opened by its first part and is
// one file then: the other parts, which must stand beside it, add their tensors. Another part opened alone is an error that names the
// first.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "r1/base/file.h"

namespace r1 {

// The limits, each tested at the limit and one beyond.
inline constexpr uint64_t kGgufMaxHeaderBytes = 100'000'000;  // metadata and directory together
inline constexpr uint64_t kGgufMaxTensors = 1'000'000;
inline constexpr uint64_t kGgufMaxKeys = 100'000;
inline constexpr uint64_t kGgufMaxKeyBytes = 65'535;
inline constexpr uint64_t kGgufMaxNameBytes = 1'024;
inline constexpr uint64_t kGgufMaxStringBytes = 1 << 20;  // chat templates are tens of KB
inline constexpr uint32_t kGgufMaxRank = 4;
inline constexpr uint32_t kGgufMaxAlignment = 1 << 20;
inline constexpr int64_t kGgufMaxParts = 1'000;

enum class GgufKind : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };

// ggml's ids of tensor types. Only what the container must know: how many elements a block holds and how many bytes it takes.
enum class GgmlType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kBF16 = 30,
};
struct GgmlTypeInfo {
  GgmlType type;
  const char* name;
  uint32_t block_elements, block_bytes;
};
// Every published type, also those that r1 cannot dequantize; nullptr for an unknown id.
const GgmlTypeInfo* ggml_type_info(GgmlType type);

struct GgufTensor {
  std::string name;
  GgmlType type = GgmlType::kF32;
  std::vector<int64_t> shape;  // row-major like everybody's: the last axis is the fastest (the file lists axes the other way round)
  uint64_t elements = 0;
  uint64_t begin = 0, bytes = 0;  // byte range in the file
  uint32_t part = 0;              // of a split model: which of its files
};

class GgufFile {
 public:
  struct Options {
    // Tensor data and further parts may be missing (vocabulary or config wanted only); reading such a tensor is the error.
    bool allow_truncated = false;
  };
  static GgufFile open(const fs::path& path, Options options);
  static GgufFile open(const fs::path& path) { return open(path, Options{}); }
  // Borrows `bytes`; `name` stands for the path in errors. For fuzzers and tests.
  static GgufFile from_bytes(std::span<const std::byte> bytes, const std::string& name, Options options);

  const std::string& name() const { return name_; }  // the path, for messages
  uint32_t version() const { return version_; }
  uint32_t alignment() const { return alignment_; }

  // Metadata. A scalar getter fails when the key is absent or of another kind, naming file and key; the _or forms only accept absence.
  // Integers of any width and sign are one kind here as long as the value fits.
  bool has(std::string_view key) const { return find_value(key) != nullptr; }
  std::vector<std::string> keys() const;  // in file order
  bool is_array(std::string_view key) const;
  std::string string(std::string_view key) const;
  int64_t integer(std::string_view key) const;
  double number(std::string_view key) const;  // floats and integers
  bool boolean(std::string_view key) const;
  std::vector<std::string> strings(std::string_view key) const;
  std::vector<int64_t> integers(std::string_view key) const;  // also of bool arrays
  std::vector<double> numbers(std::string_view key) const;
  std::string string_or(std::string_view key, std::string fallback) const { return has(key) ? string(key) : std::move(fallback); }
  int64_t integer_or(std::string_view key, int64_t fallback) const { return has(key) ? integer(key) : fallback; }
  double number_or(std::string_view key, double fallback) const { return has(key) ? number(key) : fallback; }
  bool boolean_or(std::string_view key, bool fallback) const { return has(key) ? boolean(key) : fallback; }

  // A value as it stands in the file, for who copies it; fails when the key is absent.
  struct Raw {
    GgufKind kind;  // of the element when it is an array
    bool array;
    uint64_t count;
    std::span<const std::byte> bytes;
  };
  Raw raw(std::string_view key) const;

  // Tensors, in file order.
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  const GgufTensor* find(std::string_view tensor) const;
  std::span<const std::byte> data(const GgufTensor& tensor) const;  // fails when the file ends before it
  bool truncated() const { return truncated_; }

 private:
  struct Value {
    std::string key;
    GgufKind kind = GgufKind::kU8;  // of the element when it is an array
    bool array = false;
    uint64_t count = 1;
    std::span<const std::byte> raw;  // as it stands in the file; lengths are checked
  };
  class Reader;

  GgufFile() = default;
  void parse(Options options);
  void read_metadata(Reader& reader, uint64_t count);
  void read_directory(Reader& reader, uint64_t count);
  void place_tensors(uint64_t header_end, Options options);
  static GgufFile open_alone(const fs::path& path, Options options);
  void open_parts(const fs::path& path, Options options);
  void add_part(GgufFile&& part, uint32_t number);
  const Value* find_value(std::string_view key) const;
  const Value& value(std::string_view key, bool array) const;
  template <class T>
  T scalar(const Value& value, const std::byte* at) const;
  template <class T>
  std::vector<T> list(std::string_view key) const;

  std::unique_ptr<MappedFile> map_;
  std::span<const std::byte> bytes_;
  std::string name_;
  uint32_t version_ = 0, alignment_ = 32;
  bool truncated_ = false;
  std::vector<Value> values_;
  std::vector<GgufTensor> tensors_;
  std::unordered_map<std::string, size_t> value_index_, tensor_index_;
  std::vector<GgufFile> parts_;  // all but this one
};

// The GGUF model of a folder: its one .gguf file, or the first part of its one split model; empty if there is none. More than one is an
// error.
fs::path gguf_of_folder(const fs::path& folder);

}  // namespace r1
