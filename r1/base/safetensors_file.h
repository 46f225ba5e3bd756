// The safetensors container (format: github.com/huggingface/safetensors): a map of the file and its tensor directory, a streaming writer,
// and the index of a sharded model. Tensors of libtorch are r1/tensor/safetensors; names and shapes of a model are r1/model.
//
// Trust: as in gguf_file.h. Refused: headers over 100 MB, repeated names, unknown dtypes, shapes whose size is not the byte range,
// overlaps, gaps, bytes after the last tensor. The writer's files are read by every other reader: header padded with spaces to 8 bytes,
// tensors in the order given.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "r1/base/file.h"

namespace r1 {

inline constexpr uint64_t kSafetensorsMaxHeaderBytes = 100'000'000;
inline constexpr uint64_t kSafetensorsMaxTensors = 1'000'000;
inline constexpr uint64_t kSafetensorsMaxRank = 8;

enum class SafeType { kBool, kU8, kI8, kF8E4M3, kF8E5M2, kF8E8M0, kU16, kI16, kF16, kBF16, kU32, kI32, kF32, kU64, kI64, kF64, kC64 };
const char* safe_type_name(SafeType type);  // "F32", "BF16", ...
uint64_t safe_type_bytes(SafeType type);

struct SafeTensor {
  std::string name;
  SafeType type = SafeType::kF32;
  std::vector<int64_t> shape;
  uint64_t begin = 0, bytes = 0;  // byte range in the file
};

class SafetensorsFile {
 public:
  static SafetensorsFile open(const fs::path& path);
  // Borrows `bytes`; `name` stands for the path in errors.
  static SafetensorsFile from_bytes(std::span<const std::byte> bytes, const std::string& name);

  const std::string& name() const { return name_; }
  const std::vector<SafeTensor>& tensors() const { return tensors_; }  // in the order of their bytes
  const SafeTensor* find(std::string_view tensor) const;
  std::span<const std::byte> data(const SafeTensor& tensor) const { return bytes_.subspan(tensor.begin, tensor.bytes); }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }  // "__metadata__"

 private:
  SafetensorsFile() = default;
  void parse();
  void place_tensors(uint64_t data_begin);

  std::unique_ptr<MappedFile> map_;
  std::span<const std::byte> bytes_;
  std::string name_;
  std::vector<SafeTensor> tensors_;
  std::unordered_map<std::string, size_t> index_;
  std::map<std::string, std::string> metadata_;
};

// One tensor to write. The writer calls a copy of `bytes` once, when its turn comes, and drops that copy: a function that holds the
// converted tensor it returns a span of keeps one tensor in memory, not the model. The span has the size that type and shape say.
struct SafeSource {
  std::string name;
  SafeType type = SafeType::kF32;
  std::vector<int64_t> shape;
  std::function<std::span<const std::byte>()> bytes;
};

// Size of the tensor's bytes.
uint64_t safe_source_bytes(const SafeSource& source);

// Writes the file in one go, atomically (AtomicFile). __metadata__ has {"format": "pt"} and what is given.
void write_safetensors(const fs::path& path, const std::vector<SafeSource>& sources,
                       const std::map<std::string, std::string>& metadata = {});

// model.safetensors.index.json: which file holds which tensor.
struct SafetensorsIndex {
  std::map<std::string, std::string> weight_map;  // tensor -> file name, beside the index
  uint64_t total_size = 0;
};
inline constexpr const char* kSafetensorsSingle = "model.safetensors";
inline constexpr const char* kSafetensorsIndex = "model.safetensors.index.json";
// File names are plain names of this folder: anything with a path in it is refused.
SafetensorsIndex read_safetensors_index(const fs::path& path);
void write_safetensors_index(const fs::path& path, const SafetensorsIndex& index);

// Every safetensors file of a model at `path`: the file itself, the files of an index, or of a folder model.safetensors, else what its
// index names (transformers' order: an index beside a whole file is of an earlier save). A tensor that is not where the index says is an
// error; one that it does not list is passed on.
std::vector<SafetensorsFile> open_safetensors_model(const fs::path& path);

}  // namespace r1
