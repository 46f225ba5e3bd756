#include "r1/model/families.h"

#include "r1/base/error.h"

namespace r1::model {

// Each in its own file.
extern const Family kLlama, kQwen2, kQwen3;    // family_llama.cc
extern const Family kQwen3Moe;                 // family_qwen3_moe.cc
extern const Family kDeepseekV2, kDeepseekV3;  // family_deepseek.cc
extern const Family kGpt2;                     // family_gpt2.cc
extern const Family kGemma3;                   // family_gemma3.cc

std::span<const Family* const> families() {
  static constexpr const Family* kFamilies[] = {&kLlama, &kQwen2, &kQwen3, &kQwen3Moe, &kDeepseekV2, &kDeepseekV3, &kGpt2, &kGemma3};
  return kFamilies;
}

const Family* find_family(const std::string& name) {
  for (const Family* family : families()) {
    if (name == family->name) return family;
  }
  return nullptr;
}

const Family& family_of(const std::string& name) {
  const Family* family = find_family(name);
  if (!family) fail_usage("model config: family '", name, "' is not known (", listed(family_names()), " are)");
  return *family;
}

std::vector<std::string> family_names() {
  std::vector<std::string> names;
  for (const Family* family : families()) names.push_back(family->name);
  return names;
}

void set_family(ModelConfig& config, const std::string& name) {
  const Family& family = family_of(name);
  config.family = family.name;
  if (family.set) family.set(config);
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) text += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + names[i];
  return text;
}

}  // namespace r1::model
