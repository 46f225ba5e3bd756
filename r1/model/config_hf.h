// The families of config.json that are llama's keys and some more in a file of their own, and what they share with config.cc. (families.h:
// those whose keys are others altogether.) Not for other folders.
#pragma once

#include <string>

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
};

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
