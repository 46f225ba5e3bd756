#include "r1/train/checkpoint.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstring>
#include <map>
#include <set>
#include <thread>

#include "r1/base/file.h"
#include "r1/base/log.h"
#include "r1/model/weights_io.h"
#include "r1/report/metrics.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/safetensors.h"
#include "r1/train/background.h"
#include "r1/train/doctor.h"
#include "r1/train/state_parts.h"

namespace r1::train {
namespace {

constexpr const char* kPrefix = "checkpoint-";
constexpr const char* kTemporary = "tmp-checkpoint-";
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

// What the manifest says of a file of this process.
Json on_disk(const fs::path& path) {
  fsync_path(path);  // extra_files may not have done it
  return {{"size", fs::file_size(path)}, {"sha256", sha256_file(path)}};
}

// `known`: what others have said of files that they wrote.
void write_manifest(const fs::path& folder, int64_t step, const Json& known) {
  Json files = Json::object();
  for (const std::string& name : files_below(folder)) files[name] = known.contains(name) ? known.at(name) : on_disk(folder / name);
  for (const auto& [name, said] : known.items()) {
    const auto size = json_get<uint64_t>(said, "size", name);
    check(files.contains(name) && fs::file_size(folder / name) == size, (folder / name).string(),
          " is not there as another rank wrote it: output_dir must be one folder to all ranks");
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
  const std::string state = (checkpoint / kStateFile).string();
  if (fs::exists(state))
    for (const auto& name : json_get_or(parse_json_file(state), kFilesKey, std::vector<std::string>(), state)) names.push_back(name);
  if (!fs::exists(checkpoint / kSafetensorsIndex)) {  // if the list has one that is missing, it is named first
    names.push_back(kSafetensorsSingle);
    return names;
  }
  names.push_back(kSafetensorsIndex);
  for (const auto& [tensor, file] : read_safetensors_index(checkpoint / kSafetensorsIndex).weight_map) names.push_back(file);
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
  StateParts(checkpoint, json_get<int64_t>(parse_json_file(checkpoint / kStateFile), "global_step", kStateFile));  // throws what is wrong
  return std::nullopt;
}

// ---- contents ----

// Without the log history, which stands in the run's folder.
Json trainer_state(const Trainer& trainer, const Json& stage_state) {
  const Json epoch = stage_state.is_object() && stage_state.contains("epoch") ? stage_state["epoch"] : Json(nullptr);
  return {{"best_metric", nullptr},
          {"best_model_checkpoint", nullptr},
          {"epoch", epoch},
          {"global_step", trainer.global_step()},
          {"max_steps", trainer.total_steps()},
          {"is_local_process_zero", true},
          {"is_world_process_zero", true},
          {"r1_trainer", trainer.state_json()},
          {"r1_stage", stage_state}};
}

Json log_history(const fs::path& run_folder, int64_t step) {
  Json history = Json::array();
  for (Json& line : report::read_metrics(run_folder / "metrics.jsonl", report::kMostLines)) {
    if (json_get_or<int64_t>(line, "step", 0, "metrics.jsonl") <= step) history.push_back(std::move(line));
  }
  return history;
}

// "" or what is not finite in it.
std::string fault_in(const SafeSource& source) {
  auto read = source.bytes;
  const auto bytes = read();
  if (bytes.empty()) return "";
  const tensor::DType dtype = tensor::dtype_of(source.type);
  if (!c10::isFloatingType(dtype)) return "";
  const Tensor values = aten::from_blob(const_cast<std::byte*>(bytes.data()), source.shape, at::TensorOptions().dtype(dtype));
  if (all_finite(values)) return "";
  return str(aten::isnan(values).any().item<bool>() ? "NaN" : "Inf", " in ", source.name);
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

// ---- writing ----

// One checkpoint on its way to the disk.
struct CheckpointWriter::Job {
  int64_t step = 0, number = 0;  // number: of the writer's checkpoints, from 0
  fs::path temporary, path;
  struct File {
    std::string name;
    std::vector<SafeSource> sources;
    std::map<std::string, std::string> metadata;
  };
  std::vector<File> files;                           // this process's
  std::function<void(const fs::path&)> model_files;  // config and index; of rank 0
  Json state;
  int64_t save_total_limit = 0;
  std::string fault;  // why nothing can be written
  bool look_for_nan = false;
};

// Memory for all of a checkpoint's tensors, used again by the next.
class CheckpointWriter::Room {
 public:
  void reserve(uint64_t bytes) {
    used_ = 0;
    if (bytes <= size_) return;
    room_.reset();
    room_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
    size_ = bytes;
  }
  static uint64_t padded(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }
  SafeSource copy(const SafeSource& source) {
    auto read = source.bytes;
    const auto from = read();
    const std::span<std::byte> to(room_.get() + used_, from.size());
    used_ += padded(from.size());
    at::parallel_for(0, int64_t(from.size()), int64_t{1} << 20,
                     [&](int64_t begin, int64_t end) { std::memcpy(to.data() + begin, from.data() + begin, size_t(end - begin)); });
    return {source.name, source.type, source.shape, [to] { return std::span<const std::byte>(to); }};
  }

 private:
  static constexpr uint64_t kAlignment = 64;
  std::unique_ptr<std::byte[]> room_;
  uint64_t size_ = 0, used_ = 0;
};

struct CheckpointWriter::Impl {
  fs::path run_folder;
  dist::Group alone, *group;
  Room room;
  int64_t count = 0;
  std::unique_ptr<Job> job;  // that start() began
  std::thread thread;
  std::atomic<bool> written = false, given_up = false;
  std::exception_ptr error;

  int64_t rank() const { return group->rank(); }
  int64_t size() const { return group->size(); }

  static std::string not_written(int64_t step, const std::string& why) { return str("checkpoint-", step, " is not written: ", why); }

  // The temporary folder, with what is the caller's to write in it.
  std::unique_ptr<Job> prepared(const Trainer& trainer, const CheckpointOptions& options) {
    auto made = std::make_unique<Job>();
    Job& j = *made;
    j.step = trainer.global_step();
    j.number = count++;
    j.path = run_folder / (kPrefix + std::to_string(j.step));
    j.temporary = run_folder / (kTemporary + std::to_string(j.step));
    j.save_total_limit = options.save_total_limit;
    group->first("the checkpoint's folder", [&] {
      make_folder(run_folder);
      remove_leftovers(run_folder);
      try {
        make_folder(j.temporary);
        if (options.extra_files) options.extra_files(j.temporary);
      } catch (...) {
        remove_leftovers(run_folder);
        throw;
      }
    });
    return made;
  }

  // This process's files; their sources read the trainer's memory.
  void collect(Job& j, Trainer& trainer, const Json& stage_state, const CheckpointOptions& options) {
    check(size() > 1 || !trainer.shares_state(), "[checkpoint] ranks that share the optimizer's state write their checkpoints together");
    model::Transformer& model = trainer.model();
    const auto metadata = size() > 1 ? part_metadata(j.step, rank(), size()) : std::map<std::string, std::string>();
    std::vector<model::WeightFile> weights = model::weight_files(model, model.dtype(), options.max_shard_size, size(), trainer.fetch_row());
    for (size_t i = 0; i < weights.size(); ++i)
      if (int64_t(i) % size() == rank()) j.files.push_back({weights[i].name, weights[i].sources, {}});
    if (options.save_optimizer)
      j.files.push_back({size() > 1 ? optimizer_part(rank(), size()) : kOptimizerFile,
                         state_sources(trainer.state_slots(), trainer.shares_state(), rank(), size()), metadata});
    if (rank() > 0) return;
    j.state = trainer_state(trainer, stage_state);
    for (model::WeightFile& file : weights)
      for (SafeSource& source : file.sources) source.bytes = {};  // the index needs names and sizes, and must not hold the model
    j.model_files = [weights = std::move(weights), config = model.config(), dtype = model.dtype()](const fs::path& folder) {
      model::write_weight_index(weights, folder);
      model::write_config_of_save(config, dtype, folder);
    };
  }

  void copy(Job& j) {
    uint64_t bytes = 0;
    for (const auto& file : j.files)
      for (const SafeSource& source : file.sources) bytes += Room::padded(safe_source_bytes(source));
    room.reserve(bytes);
    for (auto& file : j.files)
      for (SafeSource& source : file.sources) source = room.copy(source);
  }

  // This process's part, and what is to be said of it.
  Json write_own(Job& j) const {
    if (!j.fault.empty()) fail(j.fault);
    Json said = Json::object();
    for (const auto& file : j.files) {
      if (j.look_for_nan)
        for (const SafeSource& source : file.sources)
          if (const std::string fault = fault_in(source); !fault.empty()) fail(fault);
      write_safetensors(j.temporary / file.name, file.sources, file.metadata);
      said[file.name] = on_disk(j.temporary / file.name);
    }
    return said;
  }

  // What all others wrote; their errors, all of them, in one.
  Json heard_of_others(const Job& j) {
    Json files = Json::object();
    std::string errors;
    for (int64_t r = 1; r < size(); ++r) {
      const Json words = Json::parse(heard(part_key(j, r), r));
      if (words.contains("error"))
        errors += str(errors.empty() ? "" : "; ", "rank ", r, ": ", words.at("error").get<std::string>());
      else
        files.update(words.at("files"));
    }
    if (!errors.empty()) fail(errors);
    return files;
  }

  std::string heard(const std::string& key, int64_t from) {
    for (auto pause = std::chrono::milliseconds(1);; pause = std::min(2 * pause, std::chrono::milliseconds(100))) {
      if (auto words = group->posted(key, from)) return *words;
      if (given_up) fail("given up");
      std::this_thread::sleep_for(pause);
    }
  }

  static std::string part_key(const Job& j, int64_t rank) { return str("checkpoint ", j.number, " of rank ", rank); }
  static std::string end_key(const Job& j) { return str("checkpoint ", j.number); }

  // The own part, then, on rank 0, all that makes it a checkpoint.
  void write(Job& j) {
    if (rank() > 0) return group->post(part_key(j, rank()), own_words(j).dump());
    try {
      const Json own = attempt([&] { return write_own(j); });
      // The others' words are waited for whatever became of the own part: nobody writes into a folder that is removed.
      Json files = size() > 1 ? heard_of_others(j) : Json::object();
      if (own.contains("error")) fail(own.at("error").get<std::string>());
      files.update(own.at("files"));
      seal(j, files);
      if (size() > 1) group->post(end_key(j), "");
    } catch (const std::exception& e) {
      remove_leftovers(run_folder);
      if (size() > 1 && !given_up) group->post(end_key(j), e.what());
      throw;
    }
  }

  static Json attempt(const std::function<Json()>& work) {
    try {
      return {{"files", work()}};
    } catch (const std::exception& e) {
      return {{"error", e.what()}};
    }
  }
  Json own_words(Job& j) const {
    return attempt([&] { return write_own(j); });
  }

  void seal(Job& j, const Json& files) const {
    j.model_files(j.temporary);
    j.state["log_history"] = log_history(run_folder, j.step);
    std::set<std::string> names;
    for (const std::string& name : files_below(j.temporary)) names.insert(name);
    for (const auto& [name, said] : files.items()) names.insert(name);
    j.state[kFilesKey] = names;
    write_file_atomic(j.temporary / kStateFile, dump_json(j.state, 2) + "\n");
    write_manifest(j.temporary, j.step, files);
    fsync_path(j.temporary);
    swap_in_folder(j.temporary, j.path);
    remove_leftovers(run_folder);  // an older checkpoint of the same step
    prune(run_folder, j.step, j.save_total_limit);
  }

  // Of ranks but the first: what became of it.
  void hear_the_end(const Job& j) {
    if (rank() == 0) return;
    const std::string words = heard(end_key(j), 0);
    if (!words.empty()) fail(words);
  }
};

CheckpointWriter::CheckpointWriter(fs::path run_folder, dist::Group* group) : impl_(std::make_unique<Impl>()) {
  impl_->run_folder = std::move(run_folder);
  impl_->group = group ? group : &impl_->alone;
}

CheckpointWriter::~CheckpointWriter() {
  impl_->given_up = impl_->size() > 1;
  if (impl_->thread.joinable()) impl_->thread.join();
}

fs::path CheckpointWriter::save(Trainer& trainer, const Json& stage_state, const CheckpointOptions& options) {
  check(!impl_->job, "[checkpoint] one is under way: wait() first");
  const std::string fault = trainer.state_fault();
  const auto not_written = [&](const std::string& why) { return Impl::not_written(trainer.global_step(), why); };
  if (!fault.empty() && impl_->size() == 1) fail(not_written(fault));
  const auto job = impl_->prepared(trainer, options);
  job->fault = fault.empty() ? "" : not_written(fault);
  trainer.with_masters([&] {
    impl_->collect(*job, trainer, stage_state, options);
    impl_->write(*job);
  });
  impl_->hear_the_end(*job);
  return job->path;
}

void CheckpointWriter::start(Trainer& trainer, const Json& stage_state, const CheckpointOptions& options) {
  check(!impl_->job, "[checkpoint] one is under way: wait() first");
  auto job = impl_->prepared(trainer, options);
  job->look_for_nan = true;
  trainer.with_masters([&] {
    impl_->collect(*job, trainer, stage_state, options);
    impl_->copy(*job);
  });
  impl_->job = std::move(job);
  impl_->written = false;
  impl_->error = nullptr;
  impl_->thread = std::thread([impl = impl_.get()] {
    keep_to_one_thread();
    try {
      impl->write(*impl->job);
    } catch (...) {
      impl->error = std::current_exception();
    }
    impl->written = true;
  });
}

bool CheckpointWriter::under_way() const {
  return impl_->job != nullptr;
}

bool CheckpointWriter::done() const {
  return impl_->written;
}

fs::path CheckpointWriter::wait() {
  check(impl_->job != nullptr, "[checkpoint] none is under way");
  impl_->thread.join();
  const auto job = std::move(impl_->job);
  impl_->written = false;
  if (impl_->error) std::rethrow_exception(impl_->error);
  impl_->hear_the_end(*job);
  return job->path;
}

fs::path save_checkpoint(const fs::path& run_folder, Trainer& trainer, const Json& stage_state, const CheckpointOptions& options) {
  return CheckpointWriter(run_folder).save(trainer, stage_state, options);
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
  const fs::path state_path = checkpoint / kStateFile;
  const Json state = parse_json_file(state_path);
  const StateParts parts(checkpoint, json_get<int64_t>(state, "global_step", state_path.string()));
  check(!parts.empty(), checkpoint.string(), " has no optimizer state, so the run cannot go on from it; load it as a model instead");
  model::load_weights(trainer.model(), checkpoint);
  trainer.restore([&](const std::vector<StateSlot>& slots) { parts.fill(slots); },
                  json_get<Json>(state, "r1_trainer", state_path.string()));
  return json_get_or<Json>(state, "r1_stage", Json::object(), state_path.string());
}

}  // namespace r1::train
