// Finding a model: names, folders, formats, its config.
#include "r1/model/weights_files.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "r1/base/error.h"
#include "r1/base/gguf_file.h"
#include "r1/base/json.h"
#include "r1/base/log.h"
#include "r1/base/safetensors_file.h"
#include "r1/model/config_gguf.h"
#include "r1/model/generation_config.h"

namespace r1::model {
namespace {

bool is_pickle(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".bin" || extension == ".pt" || extension == ".pth" || extension == ".ckpt" || extension == ".pkl";
}

[[noreturn]] void refuse_pickle(const fs::path& path) {
  fail(path.string(),
       ": pickle checkpoints are not read, since loading one runs the code inside it. Convert it where you trust it, with Python:"
       " AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(OUT, safe_serialization=True)");
}

bool has_safetensors(const fs::path& folder) {
  return fs::exists(folder / kSafetensorsIndex) || fs::exists(folder / kSafetensorsSingle);
}

// Holds a config that came from a file against the ranges that its fields declare, before anything is allocated by it.
ModelConfig in_range(ModelConfig config, const std::string& where) {
  const Fields fields(config);
  for (const Field& field : fields.list()) {
    const auto value = std::visit(
        [](const auto* p) -> std::optional<double> {
          if constexpr (std::is_arithmetic_v<std::remove_reference_t<decltype(*p)>>) return double(*p);
          return std::nullopt;
        },
        field.value);
    if (value && field.range && !(*value >= field.range->lo && *value <= field.range->hi))
      fail(where, ": ", field.key, " = ", *value, " is not in [", field.range->lo, ", ", field.range->hi, "]");
  }
  return config;
}

}  // namespace

bool is_gguf(const fs::path& path) {
  return path.extension() == ".gguf";
}

fs::path weights_at(const fs::path& path) {
  if (!fs::is_directory(path)) {
    if (is_pickle(path)) refuse_pickle(path);
    return path;
  }
  if (has_safetensors(path)) return path;
  if (const fs::path gguf = gguf_of_folder(path); !gguf.empty()) return gguf;
  for (const auto& entry : fs::directory_iterator(path)) {
    if (is_pickle(entry.path()) && entry.path().filename().string().rfind("training_args", 0) != 0) refuse_pickle(entry.path());
  }
  fail(path.string(), ": no weights in this folder (", kSafetensorsSingle, ", ", kSafetensorsIndex, " or a .gguf file)");
}

int64_t stored_elements(const fs::path& path) {
  uint64_t elements = 0;
  if (is_gguf(path)) {
    const GgufFile file = GgufFile::open(path);
    for (const GgufTensor& tensor : file.tensors()) elements += tensor.elements;
  } else {
    const std::vector<SafetensorsFile> files = open_safetensors_model(path);
    for (const SafetensorsFile& file : files) {
      for (const SafeTensor& tensor : file.tensors()) {
        // Integers of 4 bits come in words.
        elements += tensor.bytes / safe_type_bytes(tensor.type) * (tensor.type == SafeType::kI32 ? 8 : 1);
      }
    }
  }
  return int64_t(elements);
}

// Other programs keep the config's word of multi-token prediction but drop its weights when they save.
bool stores_mtp(const fs::path& path, int64_t layers) {
  const std::string name = str("model.layers.", layers, ".eh_proj.weight");
  if (is_gguf(path)) return GgufFile::open(path).find(str("blk.", layers, ".nextn.eh_proj.weight")) != nullptr;
  const std::vector<SafetensorsFile> files = open_safetensors_model(path);
  return std::any_of(files.begin(), files.end(), [&](const SafetensorsFile& file) { return file.find(name) != nullptr; });
}

fs::path model_of_run(const fs::path& path) {
  if (!fs::is_directory(path) || fs::exists(path / kConfigFile)) return path;
  constexpr std::string_view kPrefix = "checkpoint-";
  fs::path newest;
  int64_t last = -1;
  for (const auto& entry : fs::directory_iterator(path)) {
    const std::string folder = entry.path().filename().string();
    if (!folder.starts_with(kPrefix) || !fs::exists(entry.path() / kConfigFile)) continue;
    int64_t step = -1;
    const char* const end = folder.data() + folder.size();
    const auto [stop, error] = std::from_chars(folder.data() + kPrefix.size(), end, step);
    if (error == std::errc() && stop == end && step > last) last = step, newest = entry.path();
  }
  if (last >= 0) {
    log_info(path.string(), " has no final model; its newest checkpoint is taken: ", newest.filename().string());
    return newest;
  }
  if (fs::exists(path / "config.yaml")) fail_usage(path.string(), " is a run with neither a final model nor a checkpoint yet");
  return path;
}

ModelConfig read_model_config(const fs::path& name) {
  fs::path path = find_model(name);
  if (!fs::is_directory(path) && !is_gguf(path)) {
    if (is_pickle(path)) refuse_pickle(path);
    path = path.parent_path();  // a weight file of a HF folder
  }
  if (fs::is_directory(path)) {
    const fs::path file = path / kConfigFile;
    if (fs::exists(file)) {
      ModelConfig config = config_from_hf(parse_json_file(file), file.string());
      for (const int64_t id : read_generation_config(path).eos_token_ids) add_eos_token_id(config, id);
      return in_range(std::move(config), file.string());
    }
    path = has_safetensors(path) ? fs::path() : gguf_of_folder(path);
    if (path.empty()) fail(name.string(), ": no ", kConfigFile, " and no .gguf file here; this is not a model folder");
  }
  return in_range(config_from_gguf(GgufFile::open(path, {.allow_truncated = true})), path.string());
}

}  // namespace r1::model
