#include "r1/model/local_models.h"

#include <algorithm>
#include <cstdlib>
#include <set>

#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/base/gguf_file.h"
#include "r1/base/safetensors_file.h"
#include "r1/model/presets.h"
#include "r1/model/weights_files.h"

namespace r1::model {
namespace {

fs::path from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

fs::path home() {
  const fs::path set = from_environment("HOME");
  return set.empty() ? fs::path("/") : set;
}

// What a folder holds, in order of names; empty where it is none or cannot be read.
std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) found.push_back(it->path());
  std::sort(found.begin(), found.end());
  return found;
}

uint64_t bytes_of(const fs::path& file) {
  std::error_code error;
  const auto size = fs::file_size(file, error);
  return error ? 0 : uint64_t(size);
}

// Whether a folder's GGUF files are several models, and not one, whole or in parts.
bool holds_several(const fs::path& folder) {
  try {
    gguf_of_folder(folder);
    return false;
  } catch (const Error&) {
    return true;
  }
}

// What a folder is: a model, a tokenizer alone, several GGUF models ("name/file.gguf"), or nothing.
std::vector<LocalModel> models_in(const fs::path& folder, const std::string& name) {
  LocalModel model{name, folder, "", 0};
  std::vector<LocalModel> files;
  uint64_t tokenizer = 0;
  for (const fs::path& file : entries(folder)) {
    const std::string extension = file.extension().string(), leaf = file.filename().string();
    if (extension == ".safetensors") model.format = "safetensors", model.bytes += bytes_of(file);
    if (is_gguf(file)) files.push_back({name + "/" + leaf, file, "gguf", bytes_of(file)});
    if (leaf == "tokenizer.json" || extension == ".tiktoken") tokenizer += bytes_of(file);
  }
  if (model.format.empty() && !files.empty()) {
    if (holds_several(folder)) return files;
    model.format = "gguf";
    for (const LocalModel& file : files) model.bytes += file.bytes;
  }
  if (model.format.empty() && tokenizer > 0) model.format = "tokenizer", model.bytes = tokenizer;
  return model.format.empty() ? std::vector<LocalModel>() : std::vector<LocalModel>{model};
}

std::vector<LocalModel> models_of_folder(const fs::path& folder) {
  std::vector<LocalModel> found;
  const auto add = [&](const std::vector<LocalModel>& models) {
    found.insert(found.end(), models.begin(), models.end());
    return !models.empty();
  };
  std::error_code ignored;
  for (const fs::path& entry : entries(folder)) {
    const std::string name = entry.filename().string();
    if (!fs::is_directory(entry, ignored)) {
      if (is_gguf(entry)) add({{entry.stem().string(), entry, "gguf", bytes_of(entry)}});
    } else if (!add(models_in(entry, name))) {
      for (const fs::path& inner : entries(entry)) {  // org/name
        if (fs::is_directory(inner, ignored)) add(models_in(inner, name + "/" + inner.filename().string()));
      }
    }
  }
  return found;
}

constexpr std::string_view kRepository = "models--";

// "models--org--name" -> "org/name"; "" for any other folder.
std::string repository_name(const fs::path& folder) {
  std::string name = folder.filename().string();
  if (!name.starts_with(kRepository)) return "";
  name.erase(0, kRepository.size());
  const size_t dashes = name.find("--");
  return dashes == std::string::npos ? name : name.replace(dashes, 2, "/");
}

// The snapshot that refs/main names; without that file the only one there is.
fs::path snapshot_of(const fs::path& repository) {
  std::error_code ignored;
  const fs::path main = repository / "refs/main";
  if (!fs::exists(main, ignored)) {
    const auto snapshots = entries(repository / "snapshots");
    return snapshots.size() == 1 ? snapshots[0] : fs::path();
  }
  std::string revision = read_file(main);
  revision.erase(revision.find_last_not_of(" \n\r\t") + 1);
  if (revision.empty() || revision.find_first_not_of("0123456789abcdef") != std::string::npos)
    fail(repository.string(), "/refs/main: not a revision");
  return repository / "snapshots" / revision;
}

std::vector<LocalModel> models_of_hub() {
  std::vector<LocalModel> found;
  for (const fs::path& repository : entries(hub_cache())) {
    const std::string name = repository_name(repository);
    if (name.empty()) continue;
    try {
      for (LocalModel& model : models_in(snapshot_of(repository), name)) {
        model.in_hub_cache = true;
        found.push_back(std::move(model));
      }
    } catch (const Error&) {  // one broken entry must not hide the others
    }
  }
  return found;
}

// A name and no path: "name" or "org/name", and after it a file that is one model of several.
bool is_name(const std::string& text) {
  const auto slashes = std::count(text.begin(), text.end(), '/');
  return !text.empty() && slashes <= (is_gguf(text) ? 2 : 1) && text[0] != '.' && text[0] != '~' && text[0] != '/' && text.back() != '/';
}

// In $R1_MODELS by path, so that folders of any content are found.
fs::path in_models_folder(const std::string& name) {
  std::error_code ignored;
  for (const std::string& file : {name, name + ".gguf"}) {
    if (const fs::path path = models_folder() / file; fs::exists(path, ignored)) return path;
  }
  return {};
}

// By its whole name, or by the part after the organisation where only one has it.
fs::path in_hub_cache(const std::string& name) {
  std::vector<fs::path> found;
  std::string names;
  for (const fs::path& repository : entries(hub_cache())) {
    const std::string whole = repository_name(repository);
    if (whole != name && !(name.find('/') == std::string::npos && whole.ends_with("/" + name))) continue;
    found.push_back(repository);
    names += (names.empty() ? "" : ", ") + whole;
  }
  if (found.empty()) return {};
  if (found.size() > 1) fail_usage("model ", name, " could be any of ", names, " in ", hub_cache().string(), "; name one of them");
  const fs::path snapshot = snapshot_of(found[0]);
  std::error_code ignored;
  if (snapshot.empty() || !fs::exists(snapshot, ignored))
    fail_usage(found[0].string(), ": no whole snapshot here; download it anew, or name the folder of one");
  return snapshot;
}

fs::path find_name(const std::string& name) {
  if (const fs::path path = in_models_folder(name); !path.empty()) return path;
  const size_t slash = name.rfind('/');
  if (!is_gguf(name) || slash == std::string::npos) return in_hub_cache(name);
  const fs::path folder = in_hub_cache(name.substr(0, slash)), file = folder / name.substr(slash + 1);
  std::error_code ignored;
  return !folder.empty() && fs::exists(file, ignored) ? file : fs::path();
}

[[noreturn]] void fail_absent(const char* what, const std::string& name) {
  if (!is_name(name)) fail_usage(what, " ", name, " does not exist");
  if (is_preset(name))
    fail_usage(what, " ", name, " does not exist: it is a preset, a shape without weights (r1 pretrain --preset ", name, " trains one)");
  std::vector<std::string> names;
  for (const LocalModel& model : local_models()) names.push_back(model.name);
  fail_usage(what, " ", name, " does not exist: no such path, and no such name in ", models_folder().string(), " or ", hub_cache().string(),
             did_you_mean(name, names), " (r1 models lists what is here; r1 downloads nothing: `hf download ",
             name.find('/') == std::string::npos ? "ORG/NAME" : name, "` does)");
}

}  // namespace

fs::path models_folder() {
  if (const fs::path set = from_environment("R1_MODELS"); !set.empty()) return set;
  const fs::path deps = from_environment("R1_DEPS");
  return (deps.empty() ? home() / ".cache/r1" : deps) / "models";
}

fs::path hub_cache() {
  if (const fs::path set = from_environment("HF_HUB_CACHE"); !set.empty()) return set;
  const fs::path set = from_environment("HF_HOME");
  return (set.empty() ? home() / ".cache/huggingface" : set) / "hub";
}

std::vector<LocalModel> local_models() {
  std::vector<LocalModel> all = models_of_folder(models_folder());
  for (LocalModel& model : models_of_hub()) all.push_back(std::move(model));
  // What is only another name for one that is listed, a symbolic link, is left out; the name that is no link stays.
  std::error_code ignored;
  std::set<fs::path> listed;
  for (const LocalModel& model : all)
    if (!fs::is_symlink(model.path, ignored)) listed.insert(fs::canonical(model.path, ignored));
  std::erase_if(
      all, [&](const LocalModel& m) { return fs::is_symlink(m.path, ignored) && !listed.insert(fs::canonical(m.path, ignored)).second; });
  return all;
}

fs::path find_model(const fs::path& name) {
  std::error_code ignored;
  if (fs::exists(name, ignored)) return model_of_run(name);
  const fs::path found = is_name(name.string()) ? find_name(name.string()) : fs::path();
  if (found.empty()) fail_absent("model", name.string());
  return model_of_run(found);
}

fs::path find_tokenizer(const fs::path& name) {
  std::error_code ignored;
  if (name.empty() || fs::exists(name, ignored)) return name;
  const fs::path found = is_name(name.string()) ? find_name(name.string()) : fs::path();
  if (found.empty()) fail_absent("tokenizer", name.string());
  return found;
}

bool is_file_of_model(const std::filesystem::path& file) {
  static const std::set<std::string> kNames = {"config.json",
                                               "generation_config.json",
                                               "quantize_config.json",
                                               "tokenizer.json",
                                               "tokenizer_config.json",
                                               "special_tokens_map.json",
                                               "added_tokens.json",
                                               "vocab.json",
                                               "merges.txt",
                                               "tokenizer.model",
                                               "chat_template.jinja",
                                               "chat_template.json"};
  return file.extension() == ".safetensors" || file.extension() == ".gguf" || kNames.contains(file.filename().string());
}

}  // namespace r1::model
