// Writes small GGUF files for tests, right or wrong on purpose.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "r1/base/gguf_file.h"

namespace r1::testing {

class GgufBuilder {
 public:
  uint32_t version = 3;
  uint64_t alignment = 32;  // of the layout; the key general.alignment is the caller's

  static std::string text(const std::string& s) { return number<uint64_t>(s.size()) + s; }
  template <class T>
  static std::string number(T value) {
    std::string bytes(sizeof(T), '\0');
    std::memcpy(bytes.data(), &value, sizeof(T));
    return bytes;
  }

  GgufBuilder& raw_key(const std::string& key, uint32_t kind, const std::string& bytes) {
    metadata_ += text(key) + number(kind) + bytes;
    ++keys_;
    return *this;
  }
  GgufBuilder& add(const std::string& key, const std::string& value) { return raw_key(key, uint32_t(GgufKind::kString), text(value)); }
  GgufBuilder& add(const std::string& key, const char* value) { return add(key, std::string(value)); }
  template <class T, std::enable_if_t<std::is_arithmetic_v<T>, int> = 0>
  GgufBuilder& add(const std::string& key, T value) {
    return raw_key(key, kind_of<T>(), number(value));
  }
  template <class T>
  GgufBuilder& add_list(const std::string& key, const std::vector<T>& values) {
    std::string bytes;
    uint32_t kind;
    if constexpr (std::is_same_v<T, std::string>) {
      kind = uint32_t(GgufKind::kString);
      for (const auto& value : values) bytes += text(value);
    } else {
      kind = kind_of<T>();
      for (const T value : values) bytes += number(value);
    }
    return raw_key(key, uint32_t(GgufKind::kArray), number(kind) + number<uint64_t>(values.size()) + bytes);
  }

  // `shape` row-major. The offset is the next free one; `offset_shift` and `size_of_data` make it wrong.
  GgufBuilder& tensor(const std::string& name, GgmlType type, const std::vector<uint64_t>& shape, const std::string& data,
                      int64_t offset_shift = 0) {
    directory_ += text(name) + number<uint32_t>(uint32_t(shape.size()));
    for (size_t i = shape.size(); i-- > 0;) directory_ += number(shape[i]);
    directory_ += number(uint32_t(type)) + number<uint64_t>(data_.size() + offset_shift);
    data_ += data;
    data_.resize((data_.size() + alignment - 1) / alignment * alignment);
    ++tensors_;
    return *this;
  }

  std::string bytes(int64_t tensor_count = -1, int64_t key_count = -1) const {
    std::string out = "GGUF" + number(version) + number<uint64_t>(tensor_count < 0 ? tensors_ : tensor_count) +
                      number<uint64_t>(key_count < 0 ? keys_ : key_count) + metadata_ + directory_;
    out.resize((out.size() + alignment - 1) / alignment * alignment);
    return out + data_;
  }

 private:
  template <class T>
  static uint32_t kind_of() {
    if constexpr (std::is_same_v<T, bool>) return uint32_t(GgufKind::kBool);
    if constexpr (std::is_same_v<T, float>) return uint32_t(GgufKind::kF32);
    if constexpr (std::is_same_v<T, double>) return uint32_t(GgufKind::kF64);
    if constexpr (std::is_integral_v<T>) {
      constexpr GgufKind kSigned[] = {GgufKind::kI8, GgufKind::kI16, GgufKind::kI32, GgufKind::kI64};
      constexpr GgufKind kUnsigned[] = {GgufKind::kU8, GgufKind::kU16, GgufKind::kU32, GgufKind::kU64};
      constexpr int kLog = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
      return uint32_t(std::is_signed_v<T> ? kSigned[kLog] : kUnsigned[kLog]);
    }
  }

  std::string metadata_, directory_, data_;
  uint64_t keys_ = 0, tensors_ = 0;
};

}  // namespace r1::testing
