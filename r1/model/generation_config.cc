#include "r1/model/generation_config.h"

#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/json.h"

namespace r1::model {
namespace {

template <class T>
std::optional<T> number(const Json& json, const char* key, double lo, double hi, const std::string& where) {
  const auto it = json.find(key);
  if (it == json.end() || it->is_null()) return {};
  const T value = json_get<T>(json, key, where);
  if (!(double(value) >= lo && double(value) <= hi)) fail(where, ": ", key, " = ", value, " is not in [", lo, ", ", hi, "]");
  return value;
}

std::vector<int64_t> ids(const Json& json, const char* key, const std::string& where) {
  const auto it = json.find(key);
  if (it == json.end() || it->is_null()) return {};
  std::vector<int64_t> out;
  for (const Json& id : it->is_array() ? *it : Json::array({*it})) {
    if (!id.is_number_integer()) fail(where, ": key '", key, "' holds no token ids: ", it->dump().substr(0, 80));
    if (id.get<int64_t>() >= 0) out.push_back(id.get<int64_t>());
  }
  return out;
}

}  // namespace

GenerationConfig read_generation_config(const std::filesystem::path& model) {
  if (model.extension() == ".gguf") return {};
  const fs::path file = (fs::is_directory(model) ? model : model.parent_path()) / "generation_config.json";
  if (!fs::exists(file)) return {};
  GenerationConfig out;
  out.where = file.string();
  const Json json = parse_json_file(file);
  if (!json.is_object()) fail(out.where, ": expected a JSON object, got ", json.type_name());
  out.eos_token_ids = ids(json, "eos_token_id", out.where);
  out.repetition_penalty = number<double>(json, "repetition_penalty", 1e-3, 1e3, out.where);
  if (!json_get_or<bool>(json, "do_sample", true, out.where)) return out;
  out.temperature = number<double>(json, "temperature", 0, 100, out.where);
  out.top_p = number<double>(json, "top_p", 0, 1, out.where);
  out.min_p = number<double>(json, "min_p", 0, 1, out.where);
  out.top_k = number<int64_t>(json, "top_k", 0, 1e9, out.where);
  return out;
}

}  // namespace r1::model
