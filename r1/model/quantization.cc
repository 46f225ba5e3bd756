#include "r1/model/quantization.h"

#include <algorithm>
#include <cctype>
#include <initializer_list>
#include <set>

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/log.h"
#include "r1/model/weights_files.h"
#include "r1/tensor/fp8_block.h"

namespace r1::model {

namespace {

constexpr const char* kWayOut = "; convert the model to 16 bit where it was made, or take it in another format";

struct Reader {
  const Json& json;
  const std::string& where;

  bool has(const char* key) const { return json.contains(key) && !json[key].is_null(); }
  template <class T>
  T get(const char* key, T fallback) const {
    return has(key) ? json_get<T>(json, key, where + ": quantization_config") : fallback;
  }
  // Older files spell some keys otherwise.
  template <class T>
  T either(const char* key, const char* old, T fallback) const {
    return has(key) ? get(key, fallback) : get(old, fallback);
  }
  std::string word(const char* key, const std::string& fallback) const {
    std::string text = get<std::string>(key, fallback);
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return char(std::tolower(c)); });
    return text;
  }
  template <class... Args>
  [[noreturn]] void refuse(const Args&... args) const {
    fail(where, ": quantization_config: ", args..., kWayOut);
  }
  // Keys that are none of these may mean something; they change nothing here.
  void warn_of_others(std::initializer_list<const char*> known) const {
    const std::set<std::string> names(known.begin(), known.end());
    std::string others;
    for (const auto& [key, value] : json.items())
      if (!names.count(key)) others += str(others.empty() ? "" : ", ", "'", printable(key), "'");
    if (!others.empty()) log_warning(where, ": quantization_config has keys that are not known and change nothing: ", others);
  }
};

Quantization fp8(const Reader& r) {
  if (r.word("fmt", "e4m3") != "e4m3" || !r.has("weight_block_size") ||
      r.json["weight_block_size"] != Json::array({tensor::kFp8Block, tensor::kFp8Block}))
    r.refuse("of fp8, e4m3 in blocks of 128 x 128 is read");
  return {.layout = Quantization::Layout::kFp8Block, .bits = 8};
}

Quantization gptq(const Reader& r) {
  r.warn_of_others({"quant_method",
                    "bits",
                    "group_size",
                    "desc_act",
                    "sym",
                    "lm_head",
                    "checkpoint_format",
                    "damp_percent",
                    "damp_auto_increment",
                    "true_sequential",
                    "static_groups",
                    "model_name_or_path",
                    "model_file_base_name",
                    "is_marlin_format",
                    "quantizer",
                    "pack_dtype",
                    "meta",
                    "batch_size",
                    "dataset",
                    "tokenizer",
                    "exllama_config",
                    "use_exllama",
                    "max_input_length",
                    "block_name_to_quantize",
                    "module_name_preceding_first_block",
                    "use_cuda_fp16",
                    "model_seqlen",
                    "pad_token_id",
                    "disable_exllama",
                    "cache_block_outputs",
                    "modules_in_block_to_quantize",
                    "backend",
                    "format",
                    "v2",
                    "v2_alpha",
                    "mse",
                    "act_group_aware",
                    "hyb_act",
                    "rotation",
                    "dynamic",
                    "damp_auto_increment",
                    "quip",
                    "version"});
  Quantization q{.layout = Quantization::Layout::kGptq};
  q.bits = int(r.get<int64_t>("bits", 4));
  if (q.bits != 4 && q.bits != 8) r.refuse("bits = ", q.bits, " of GPTQ is not read (4 and 8 are)");
  q.group = r.get<int64_t>("group_size", 128);
  q.symmetric = r.get<bool>("sym", true);
  q.activation_order = r.get<bool>("desc_act", false);
  const std::string format = r.word(r.has("checkpoint_format") ? "checkpoint_format" : "format", "gptq");
  if (r.get<bool>("is_marlin_format", false) || (format != "gptq" && format != "gptq_v2"))
    r.refuse("GPTQ in the format '", printable(r.get<bool>("is_marlin_format", false) ? "marlin" : format),
             "' is shuffled for one kernel and not read (gptq and gptq_v2 are)");
  q.second_format = format == "gptq_v2";
  if (r.word("pack_dtype", "int32") != "int32") r.refuse("pack_dtype is '", printable(r.word("pack_dtype", "")), "', expected int32");
  // Overrides by module: "-:regex" leaves modules out, which the tensors themselves show; other bits for some are not read.
  if (r.has("dynamic") && r.json["dynamic"].is_object()) {
    for (const auto& [pattern, values] : r.json["dynamic"].items())
      if (!pattern.starts_with("-:") && values.is_object() && values.contains("bits") && values["bits"] != Json(q.bits))
        r.refuse("dynamic '", printable(pattern), "' has other bits than the rest");
  }
  return q;
}

Quantization awq(const Reader& r) {
  r.warn_of_others({"quant_method",
                    "bits",
                    "w_bit",
                    "group_size",
                    "q_group_size",
                    "zero_point",
                    "version",
                    "backend",
                    "modules_to_not_convert",
                    "do_fuse",
                    "fuse_max_seq_len",
                    "modules_to_fuse",
                    "exllama_config",
                    "format",
                    "checkpoint_format",
                    "desc_act",
                    "sym",
                    "lm_head",
                    "pack_dtype",
                    "meta"});
  Quantization q{.layout = Quantization::Layout::kAwq, .symmetric = false};
  q.bits = int(r.either<int64_t>("bits", "w_bit", 4));
  if (q.bits != 4) r.refuse("bits = ", q.bits, " of AWQ is not read (4 is)");
  q.group = r.either<int64_t>("group_size", "q_group_size", 128);
  q.symmetric = !r.get<bool>("zero_point", true);
  // transformers calls the layout of the file version; "exllama" and "marlin" there name a kernel for a gemm file.
  const std::string version = r.word(r.has("version") ? "version" : r.has("checkpoint_format") ? "checkpoint_format" : "format", "gemm");
  if (version != "gemm" && version != "exllama" && version != "marlin" && version != "ipex")
    r.refuse("AWQ in the layout '", printable(version), "' is not read (gemm is)");
  return q;
}

void check_integer_scheme(const Reader& r, const Reader& scheme, const char* what) {
  if (scheme.word("type", "int") != "int") r.refuse(what, " of type '", printable(scheme.word("type", "")), "' are not read (int are)");
}

Quantization compressed(const Reader& r) {
  r.warn_of_others({"quant_method", "format", "config_groups", "ignore", "kv_cache_scheme", "global_compression_ratio",
                    "quantization_status", "sparsity_config", "version", "transform_config"});
  if (r.has("kv_cache_scheme")) log_info(r.where, ": kv_cache_scheme is passed over; the cache is kept as engine.kv_cache_dtype says");
  if (r.has("transform_config") && !r.json["transform_config"].empty()) r.refuse("transform_config is not supported");
  if (r.has("sparsity_config") && r.json["sparsity_config"].is_object() && !r.json["sparsity_config"].empty() &&
      json_get_or<std::string>(r.json["sparsity_config"], "format", "dense", r.where) != "dense")
    r.refuse("a compressed sparse format is not read");
  const std::string format = r.word("format", "int-quantized");
  if (format != "int-quantized" && format != "naive-quantized" && format != "pack-quantized")
    r.refuse("compressed-tensors in the format '", printable(format), "' is not read (int-quantized and pack-quantized are)");
  if (!r.has("config_groups") || !r.json["config_groups"].is_object() || r.json["config_groups"].size() != 1)
    r.refuse("expected one of config_groups, got ", r.has("config_groups") ? r.json["config_groups"].size() : 0);
  const Json group = r.json["config_groups"].begin().value();
  if (!group.is_object() || !group.contains("weights") || !group["weights"].is_object()) r.refuse("config_groups have no weights");
  const Reader weights{group["weights"], r.where};
  check_integer_scheme(r, weights, "weights");
  Quantization q{.layout = format == "pack-quantized" ? Quantization::Layout::kPackedIntegers : Quantization::Layout::kInt8};
  q.bits = int(weights.get<int64_t>("num_bits", 8));
  if (q.bits != 8 && !(q.bits == 4 && q.layout == Quantization::Layout::kPackedIntegers))
    r.refuse("weights of ", q.bits, " bits in ", format, " are not read");
  q.symmetric = weights.get<bool>("symmetric", true);
  if (!q.symmetric && q.layout == Quantization::Layout::kInt8) r.refuse("int8 weights with zero points are not read");
  const std::string strategy = weights.word("strategy", "channel");
  if (strategy != "channel" && strategy != "group" && strategy != "tensor")
    r.refuse("weights by '", printable(strategy), "' are not read (channel, group and tensor are)");
  q.group = strategy == "group" ? weights.get<int64_t>("group_size", 128) : -1;
  if (group.contains("output_activations") && !group["output_activations"].is_null()) r.refuse("output_activations are not supported");
  if (group.contains("input_activations") && group["input_activations"].is_object()) {
    const Reader inputs{group["input_activations"], r.where};
    check_integer_scheme(r, inputs, "input_activations");
    if (inputs.get<int64_t>("num_bits", 8) != 8 || !inputs.get<bool>("symmetric", true))
      r.refuse("of input_activations, symmetric int8 are supported");
    const bool dynamic = inputs.get<bool>("dynamic", false);
    const std::string expected = dynamic ? "token" : "tensor", by = inputs.word("strategy", expected);
    if (by != expected)
      r.refuse("input_activations by '", printable(by), "' are not read where dynamic is ", dynamic ? "true" : "false", " (", expected,
               " is)");
    q.inputs = dynamic ? Quantization::Inputs::kPerToken : Quantization::Inputs::kPerTensor;
  }
  return q;
}

Json scheme_json(int bits, const char* strategy, bool dynamic) {
  return {{"actorder", nullptr}, {"block_structure", nullptr},        {"dynamic", dynamic},   {"group_size", nullptr}, {"num_bits", bits},
          {"observer", nullptr}, {"observer_kwargs", Json::object()}, {"strategy", strategy}, {"symmetric", true},     {"type", "int"}};
}

}  // namespace

Quantization parse_quantization(const Json& config, const std::string& where) {
  const Reader r{config, where};
  if (!config.is_object()) r.refuse("expected an object, got ", config.dump());
  // Old GPTQ and AWQ files do not name their method.
  const bool gptq_keys = config.contains("desc_act"), awq_keys = config.contains("zero_point") || config.contains("w_bit");
  const std::string method = r.word("quant_method", awq_keys ? "awq" : gptq_keys ? "gptq" : "");
  if (method == "fp8") return fp8(r);
  Quantization q;
  if (method == "gptq") {
    q = gptq(r);
  } else if (method == "awq") {
    q = awq(r);
  } else if (method == "compressed-tensors") {
    q = compressed(r);
  } else {
    r.refuse("quant_method '", printable(method), "' is not supported (fp8, gptq, awq and compressed-tensors are)");
  }
  if (q.group != -1 && q.group <= 0) r.refuse("group_size = ", q.group, ": expected -1 or a positive number");
  return q;
}

std::optional<Quantization> quantization_of(const std::filesystem::path& path) {
  const fs::path folder = fs::is_directory(path) ? path : path.parent_path(), file = folder / kConfigFile,
                 alone = folder / "quantize_config.json";
  if (fs::exists(file)) {
    const Json json = parse_json_file(file);
    for (const char* key : {"quantization_config", "compression_config"})
      if (json.is_object() && json.contains(key) && !json[key].is_null()) return parse_quantization(json[key], file.string());
  }
  if (fs::exists(alone)) return parse_quantization(parse_json_file(alone), alone.string());
  return {};
}

Json quantization_to_json(const Quantization& q) {
  switch (q.layout) {
    case Quantization::Layout::kFp8Block:
      return {{"activation_scheme", "dynamic"},
              {"fmt", "e4m3"},
              {"quant_method", "fp8"},
              {"weight_block_size", {tensor::kFp8Block, tensor::kFp8Block}}};
    case Quantization::Layout::kGptq:
      return {{"bits", q.bits},
              {"checkpoint_format", q.second_format ? "gptq_v2" : "gptq"},
              {"damp_percent", q.damping},
              {"desc_act", q.activation_order},
              {"group_size", q.group},
              {"lm_head", false},
              {"pack_dtype", "int32"},
              {"quant_method", "gptq"},
              {"sym", q.symmetric},
              {"true_sequential", false}};
    case Quantization::Layout::kAwq:
      return {{"bits", q.bits},        {"group_size", q.group}, {"modules_to_not_convert", nullptr},
              {"quant_method", "awq"}, {"version", "gemm"},     {"zero_point", !q.symmetric}};
    case Quantization::Layout::kInt8: {
      Json inputs = nullptr;
      if (q.inputs != Quantization::Inputs::kAsTheyAre) {
        const bool dynamic = q.inputs == Quantization::Inputs::kPerToken;
        inputs = scheme_json(8, dynamic ? "token" : "tensor", dynamic);
      }
      const Json group = {{"input_activations", inputs},
                          {"output_activations", nullptr},
                          {"targets", {"Linear"}},
                          {"weights", scheme_json(8, "channel", false)}};
      return {{"config_groups", {{"group_0", group}}},
              {"format", "int-quantized"},
              {"global_compression_ratio", nullptr},
              {"ignore", {"lm_head"}},
              {"kv_cache_scheme", nullptr},
              {"quant_method", "compressed-tensors"},
              {"quantization_status", "compressed"}};
    }
    case Quantization::Layout::kPackedIntegers:
      break;
  }
  fail("[quantization] packed integers of compressed-tensors are read, not written");
}

std::string module_of(const std::string& weight_name) {
  constexpr std::string_view kTail = ".weight";
  return weight_name.ends_with(kTail) ? weight_name.substr(0, weight_name.size() - kTail.size()) : weight_name;
}

}  // namespace r1::model
