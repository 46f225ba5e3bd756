// The published families: all that tells one from another in one row each. families.cc lists them and is the one place that knows them
// all; what a row points to stands in the family's own file, family_<name>.cc. Everything else asks the row (family_of) and never compares
// names. Adding one: docs/adding_a_model.md.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "r1/base/gguf_file.h"
#include "r1/base/gguf_write.h"
#include "r1/base/json.h"
#include "r1/model/config.h"
#include "r1/model/weight_rows.h"

namespace r1::model {

struct HfReader;  // config_hf.h

struct Family {
  const char* name;      // model_type of config.json, `family` here
  const char* hf_class;  // its "architectures"

  // config.json without the keys of every family (read_common_hf, write_common_hf). `to_hf` adds to an object.
  void (*from_hf)(const HfReader& reader, ModelConfig& config);
  void (*to_hf)(const ModelConfig& config, Json& json);

  // general.architecture of GGUF files; null: none are read here. from_gguf reads what is the family's own, once the sizes that all
  // architectures spell alike are read; null: nothing.
  const char* gguf = nullptr;
  void (*from_gguf)(const GgufFile& file, ModelConfig& config) = nullptr;
  void (*to_gguf)(const ModelConfig& config, GgufMetadata& metadata) = nullptr;  // what from_gguf reads; null: nothing

  // What every network of the family has, whatever its size: norms, MLP, positions, router. hidden_size must be set; other sizes are left
  // alone. Null: nothing.
  void (*set)(ModelConfig& config) = nullptr;

  // Rows of the weight table that differ from the common ones (weights.cc).
  std::span<const KnownWeight> weights = {};

  // What its layers and files have, where others have it not (or the other way round).
  bool latent_attention = false;            // `full` attention means mla
  bool always_qkv_bias = false;             // whatever attention_bias says
  bool output_bias = true;                  // attention_bias is a bias on the output projection too
  bool always_qk_norm = false;              // whatever qk_norm says
  bool fused_qkv = false;                   // q, k and v in one matrix
  bool heads_fill_width = false;            // files know no head_dim: it is hidden_size / num_attention_heads
  double norm_offset = 0;                   // added to the norms' weights; 1: they are held as their distance from 1
  bool rope_rows_permuted_in_gguf = false;  // rows of q and k stand there as an interleaved rotary embedding pairs them
};

std::span<const Family* const> families();
// The row of that name, or an error that lists the names.
const Family& family_of(const std::string& name);
const Family* find_family(const std::string& name);  // or null
std::vector<std::string> family_names();
// Sets `family` and whatever Family::set says.
void set_family(ModelConfig& config, const std::string& name);

// "a, b and c", for errors.
std::string listed(const std::vector<std::string>& names);

}  // namespace r1::model
