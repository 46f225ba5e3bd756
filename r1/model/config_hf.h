// What the readers and writers of config.json share: config.cc and the families' files. Not for other folders.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "r1/base/error.h"
#include "r1/base/json.h"
#include "r1/model/config.h"

namespace r1::model {

// What is read from one config.json, with its name for errors.
struct HfReader {
  const Json& json;
  const std::string& where;

  bool has(const char* key) const {
    const auto it = json.find(key);
    return it != json.end() && !it->is_null();
  }
  template <class T>
  T need(const char* key) const {
    return json_get<T>(json, key, where);
  }
  // An absent key and null are the same.
  template <class T>
  T get(const char* key, T fallback) const {
    return has(key) ? json_get<T>(json, key, where) : fallback;
  }
  template <class... Args>
  [[noreturn]] void refuse(const Args&... args) const {
    fail(where, ": ", args...);
  }
  // Refuses all but `computed` (the first is what an absent key means), the values whose numbers are computed here. `hint` may name one.
  void only(const char* key, std::initializer_list<std::string_view> computed, const std::string& hint = "") const {
    const std::string value = get<std::string>(key, std::string(*computed.begin()));
    for (const std::string_view known : computed) {
      if (value == known) return;
    }
    refuse(key, " '", value, "' is not supported", hint);
  }
  void only(const char* key, int64_t computed, const std::string& hint = "") const {
    if (get<int64_t>(key, computed) != computed) refuse(key, " = ", json[key].dump(), " is not supported", hint);
  }
};

// Numbers that stand in config.json as they stand here, in a list that reading and writing share. Read ones must be there.
template <class Config>
struct HfNumber {
  const char* key;
  int64_t Config::*member;
};
template <class Config, size_t N>
void read_numbers(const HfReader& r, const HfNumber<Config> (&numbers)[N], Config& c) {
  for (const auto& [key, member] : numbers) c.*member = r.need<int64_t>(key);
}
template <class Config, size_t N>
void write_numbers(const Config& c, const HfNumber<Config> (&numbers)[N], Json& json) {
  for (const auto& [key, member] : numbers) json[key] = c.*member;
}

// Of all families but GPT-2, which has names of its own.
inline constexpr HfNumber<ModelConfig> kSizes[] = {{"vocab_size", &ModelConfig::vocab_size},
                                                   {"hidden_size", &ModelConfig::hidden_size},
                                                   {"intermediate_size", &ModelConfig::intermediate_size},
                                                   {"num_hidden_layers", &ModelConfig::num_hidden_layers},
                                                   {"num_attention_heads", &ModelConfig::num_attention_heads}};
// Keys that all families share: token ids, dtype, initializer_range; then finish_config, whose errors get the file's name.
void read_common_hf(const HfReader& r, ModelConfig& config);
void write_common_hf(const ModelConfig& config, Json& json);
// finish_config whose errors begin with the file's name.
void finish_config_of(const std::string& file, ModelConfig& config);

// llama's keys (family_llama.cc), which more families share: sizes and the flags of its layers, whatever else would change the numbers
// refused; then, where a family's own keys are read or written, the rotary embedding's.
void read_llama_keys(const HfReader& r, ModelConfig& config);
void read_llama_rope(const HfReader& r, ModelConfig& config);
void write_llama_keys(const ModelConfig& config, Json& json);
void write_llama_rope(const ModelConfig& config, Json& json);

}  // namespace r1::model
