// The families of config.json that are llama's keys and some more in a file of their own, and what they share with config.cc. (families.h:
// those whose keys are others altogether.) Not for other folders.
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

// deepseek_v2 and deepseek_v3 (config_deepseek.cc): what they have beyond the keys of every family.
bool is_deepseek(const std::string& family);
void read_deepseek(const HfReader& r, ModelConfig& config);
void write_deepseek(const ModelConfig& config, Json& json);

// qwen3_moe (config_qwen3_moe.cc). set: its router, whatever the file says.
void set_qwen3_moe(ModelConfig& config);
void read_qwen3_moe(const HfReader& r, ModelConfig& config);
void write_qwen3_moe(const ModelConfig& config, Json& json);

// Parts of finish_config. kUsage errors name the key.
void finish_mla(ModelConfig& config);        // attention mla: fills head_dim and num_key_value_heads
void check_moe(const ModelConfig& config);   // a router that can choose
void check_rope(const ModelConfig& config);  // scaling rules that make sense

}  // namespace r1::model
