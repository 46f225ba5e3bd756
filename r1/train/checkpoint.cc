#include "r1/train/checkpoint.h"

#include <algorithm>
#include <charconv>

#include "r1/base/file.h"
#include "r1/base/log.h"
#include "r1/model/weights_io.h"
#include "r1/report/metrics.h"
#include "r1/tensor/safetensors.h"

namespace r1::train {
namespace {

constexpr const char* kPrefix = "checkpoint-";
constexpr const char* kTemporary = "tmp-checkpoint-";
constexpr const char* kOptimizerFile = "optimizer.safetensors";
constexpr const char* kStateFile = "trainer_state.json";
constexpr const char* kFilesKey = "r1_files";  // of it: the files beside it
constexpr int64_t kFormat = 1;

bool starts_with(const std::string& text, const char* prefix) {
  return text.rfind(prefix, 0) == 0;
}

// ---- manifest ----

std::vector<std::string> files_below(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) names.push_back(fs::relative(entry.path(), folder).generic_string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// Its own hash covers the list, and its text is exactly dump(2): so a flipped bit anywhere in it shows.
std::string manifest_text(const Json& files, int64_t step) {
  const Json manifest{{"format", kFormat}, {"step", step}, {"files", files}, {"sha256_of_files", sha256(dump_json(files))}};
  return dump_json(manifest, 2) + "\n";
}

void write_manifest(const fs::path& folder, int64_t step) {
  Json files = Json::object();
  for (const std::string& name : files_below(folder)) {
    fsync_path(folder / name);  // extra_files may not have done it
    files[name] = {{"size", fs::file_size(folder / name)}, {"sha256", sha256_file(folder / name)}};
  }
  write_file_atomic(folder / "manifest.json", manifest_text(files, step));
}

std::optional<std::string> file_fault(const fs::path& path, const Json& expected) {
  if (!fs::is_regular_file(path)) return path.string() + " is missing";
  const auto size = json_get<uint64_t>(expected, "size", "manifest.json");
  if (fs::file_size(path) != size) return str(path.string(), " has ", fs::file_size(path), " bytes instead of ", size);
  if (sha256_file(path) != json_get<std::string>(expected, "sha256", "manifest.json"))
    return path.string() + " has another SHA-256 than written";
  return std::nullopt;
}

// What a checkpoint must hold: the files that a save writes always, the weight files by the model's own index, and what trainer_state.json
// says was there when it was saved (optimizer, tokenizer). A manifest that was made anew over fewer files is not whole.
std::vector<std::string> needed_files(const fs::path& checkpoint) {
  std::vector<std::string> names = {"config.json", kStateFile};
  if (fs::exists(checkpoint / kSafetensorsIndex)) {
    names.push_back(kSafetensorsIndex);
    for (const auto& [tensor, file] : read_safetensors_index(checkpoint / kSafetensorsIndex).weight_map) names.push_back(file);
  } else {
    names.push_back(kSafetensorsSingle);
  }
  const std::string state = (checkpoint / kStateFile).string();
  if (!fs::exists(state)) return names;
  for (const auto& name : json_get_or(parse_json_file(state), kFilesKey, std::vector<std::string>(), state)) names.push_back(name);
  return names;
}

std::optional<std::string> manifest_fault(const fs::path& checkpoint) {
  const fs::path path = checkpoint / "manifest.json";
  if (!fs::exists(path)) return path.string() + " is missing (not a whole checkpoint)";
  const std::string text = read_file(path);
  const Json manifest = parse_json(text, path.string());
  if (json_get<int64_t>(manifest, "format", path.string()) != kFormat) return path.string() + " has another format number";
  const auto files = json_get<Json>(manifest, "files", path.string());
  if (text != manifest_text(files, checkpoint_step(checkpoint))) return path.string() + " is damaged";
  for (const auto& [name, expected] : files.items()) {
    if (auto fault = file_fault(checkpoint / name, expected)) return fault;
  }
  for (const std::string& name : needed_files(checkpoint)) {
    if (!files.contains(name)) return str(path.string(), " does not list ", printable(name), ", which a checkpoint must hold");
  }
  return std::nullopt;
}

// ---- contents ----

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

void write_tensors(const fs::path& path, const NamedTensors& tensors) {
  std::vector<SafeSource> sources;
  for (const auto& [name, value] : tensors) sources.push_back(tensor::safe_source(name, value));
  write_safetensors(path, sources);
}

NamedTensors read_tensors(const fs::path& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  NamedTensors tensors;
  for (const SafeTensor& entry : file.tensors()) tensors.emplace_back(entry.name, tensor::read_safetensor(file, entry));
  return tensors;
}

Json trainer_state(const Trainer& trainer, const fs::path& run_folder, const Json& stage_state) {
  const int64_t step = trainer.global_step();
  Json history = Json::array();
  for (Json& line : report::read_metrics(run_folder / "metrics.jsonl", report::kMostLines)) {
    if (json_get_or<int64_t>(line, "step", 0, "metrics.jsonl") <= step) history.push_back(std::move(line));
  }
  const Json epoch = stage_state.is_object() && stage_state.contains("epoch") ? stage_state["epoch"] : Json(nullptr);
  return {{"best_metric", nullptr},
          {"best_model_checkpoint", nullptr},
          {"epoch", epoch},
          {"global_step", step},
          {"max_steps", trainer.total_steps()},
          {"is_local_process_zero", true},
          {"is_world_process_zero", true},
          {"log_history", history},
          {"r1_trainer", trainer.state_json()},
          {"r1_stage", stage_state}};
}

void write_contents(const fs::path& folder, const fs::path& run_folder, Trainer& trainer, const Json& stage_state,
                    const CheckpointOptions& options) {
  make_folder(folder);
  trainer.with_masters([&] { model::save_model(trainer.model(), folder, trainer.model().dtype(), options.max_shard_size); });
  if (options.save_optimizer) write_tensors(folder / kOptimizerFile, trainer.state_tensors());
  if (options.extra_files) options.extra_files(folder);
  Json state = trainer_state(trainer, run_folder, stage_state);
  state[kFilesKey] = files_below(folder);
  write_file_atomic(folder / kStateFile, dump_json(state, 2) + "\n");
  write_manifest(folder, trainer.global_step());
  fsync_path(folder);
}

// ---- the run folder ----

void remove_leftovers(const fs::path& run_folder) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(run_folder)) {
    if (entry.is_directory() && starts_with(entry.path().filename().string(), kTemporary)) found.push_back(entry.path());
  }
  for (const fs::path& path : found) {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
}

// Newest first.
std::vector<fs::path> checkpoints(const fs::path& run_folder) {
  std::vector<fs::path> found;
  if (!fs::is_directory(run_folder)) return found;
  for (const auto& entry : fs::directory_iterator(run_folder)) {
    if (entry.is_directory() && checkpoint_step(entry.path()) >= 0) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end(), [](const fs::path& a, const fs::path& b) { return checkpoint_step(a) > checkpoint_step(b); });
  return found;
}

// Takes a checkpoint out of sight before its files go one by one, so that a kill in between leaves no half one. Never fails a save.
void remove_checkpoint(const fs::path& path) {
  std::error_code error;
  const fs::path hidden = path.parent_path() / (std::string("tmp-") + path.filename().string() + ".removed");
  fs::rename(path, hidden, error);
  if (!error) fs::remove_all(hidden, error);
  if (error) log_warning("cannot remove the old checkpoint ", path.string(), ": ", error.message());
}

// Keeps the newest `limit` up to the one just written; steps beyond it (a run taken up from an older checkpoint) are another future and go
// too.
void prune(const fs::path& run_folder, int64_t step, int64_t limit) {
  if (limit <= 0) return;
  int64_t kept = 0;
  for (const fs::path& path : checkpoints(run_folder)) {
    const bool keep = checkpoint_step(path) == step || (checkpoint_step(path) < step && kept < limit);
    kept += keep;
    if (!keep) remove_checkpoint(path);
  }
}

}  // namespace

int64_t checkpoint_step(const fs::path& folder) {
  const std::string name = folder.filename().string();
  if (!starts_with(name, kPrefix)) return -1;
  int64_t step = -1;
  const char* begin = name.data() + std::char_traits<char>::length(kPrefix);
  const auto [end, error] = std::from_chars(begin, name.data() + name.size(), step);
  return error == std::errc() && end == name.data() + name.size() && begin != end ? step : -1;
}

fs::path save_checkpoint(const fs::path& run_folder, Trainer& trainer, const Json& stage_state, const CheckpointOptions& options) {
  const int64_t step = trainer.global_step();
  const std::string fault = trainer.state_fault();
  check(fault.empty(), "checkpoint-", step, " is not written: ", fault);
  const fs::path path = run_folder / (kPrefix + std::to_string(step)), temporary = run_folder / (kTemporary + std::to_string(step));
  make_folder(run_folder);
  remove_leftovers(run_folder);
  try {
    write_contents(temporary, run_folder, trainer, stage_state, options);
    swap_in_folder(temporary, path);
  } catch (...) {
    remove_leftovers(run_folder);
    throw;
  }
  remove_leftovers(run_folder);  // an older checkpoint of the same step
  prune(run_folder, step, options.save_total_limit);
  return path;
}

std::optional<std::string> checkpoint_fault(const fs::path& checkpoint) {
  try {
    return manifest_fault(checkpoint);
  } catch (const std::exception& error) {  // unreadable counts as broken
    return error.what();
  }
}

std::optional<fs::path> latest_checkpoint(const fs::path& run_folder) {
  for (const fs::path& path : checkpoints(run_folder)) {
    const auto fault = checkpoint_fault(path);
    if (!fault) return path;
    log_warning("checkpoint passed over: ", *fault);
  }
  return std::nullopt;
}

Json load_checkpoint(const fs::path& checkpoint, Trainer& trainer) {
  if (const auto fault = checkpoint_fault(checkpoint)) fail("broken checkpoint: ", *fault);
  const fs::path state_path = checkpoint / "trainer_state.json", optimizer_path = checkpoint / kOptimizerFile;
  check(fs::exists(optimizer_path), checkpoint.string(),
        " has no optimizer state, so the run cannot go on from it; load it as a model instead");
  const Json state = parse_json_file(state_path);
  model::load_weights(trainer.model(), checkpoint);
  trainer.load_state(read_tensors(optimizer_path), json_get<Json>(state, "r1_trainer", state_path.string()));
  return json_get_or<Json>(state, "r1_stage", Json::object(), state_path.string());
}

}  // namespace r1::train
