#include "r1/quant/work_folder.h"

#include <cstdio>

#include "r1/base/error.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/safetensors.h"

namespace r1::quant {

namespace {

constexpr const char* kPlan = "plan.json";
constexpr const char* kStates = "states.safetensors";
constexpr const char* kWritten = "written";
constexpr const char* kAbout = "about";

// "scheme" where two plans differ, for the message.
std::string first_difference(const Json& before, const Json& now) {
  for (const auto& [key, value] : now.items())
    if (!before.contains(key) || before[key] != value)
      return str(key, ": ", before.contains(key) ? before[key].dump() : "nothing", " then, ", value.dump(), " now");
  return "a key less now";
}

}  // namespace

WorkFolder::WorkFolder(const fs::path& output, const Json& plan, bool overwrite) {
  path_ = path_of(output);
  make_folder(path_);
  lock_ = std::make_unique<FileLock>(path_ / "lock", str(path_.string(), ": another quantization is at work here"));
  if (fs::exists(path_ / kPlan)) {
    const Json before = parse_json_file(path_ / kPlan);
    if (before == plan) {
      resumed_ = fs::exists(path_ / kStates);
      return;
    }
    if (!overwrite)
      fail_usage(path_.string(), " holds a quantization that was begun otherwise (", first_difference(before, plan),
                 "): give the same options to go on, or --overwrite to begin anew");
    fs::remove(path_ / kStates);
    fs::remove(path_ / kWritten);
  }
  write_file_atomic(path_ / kPlan, dump_json(plan, 2) + "\n");
}

fs::path WorkFolder::unit_path(int64_t unit) const {
  char name[40];
  std::snprintf(name, sizeof(name), "unit-%04lld.safetensors", static_cast<long long>(unit));
  return path_ / name;
}

States WorkFolder::load_states() const {
  States states;
  if (!resumed_) return states;
  const SafetensorsFile file = SafetensorsFile::open(path_ / kStates);
  const Json about_states = about(file);
  states.next = json_get<int64_t>(about_states, "next", file.name());
  const auto read = [&](const char* name) {
    const SafeTensor* tensor = file.find(name);
    return tensor ? tensor::read_safetensor(file, *tensor) : Tensor();
  };
  states.quantized_TD = read("quantized");
  states.original_TD = read("original");
  return states;
}

void WorkFolder::save_unit(int64_t unit, const std::vector<NamedTensor>& tensors, const Json& about_unit, const States& after) {
  std::vector<SafeSource> sources;
  for (const NamedTensor& t : tensors) sources.push_back(tensor::safe_source(t.name, t.tensor));
  write_safetensors(unit_path(unit), sources, {{kAbout, about_unit.dump()}});
  sources.clear();
  if (after.quantized_TD.defined()) sources.push_back(tensor::safe_source("quantized", after.quantized_TD));
  if (after.original_TD.defined()) sources.push_back(tensor::safe_source("original", after.original_TD));
  write_safetensors(path_ / kStates, sources, {{kAbout, Json{{"next", after.next}}.dump()}});
}

SafetensorsFile WorkFolder::open_unit(int64_t unit) const {
  return SafetensorsFile::open(unit_path(unit));
}

Json WorkFolder::about(const SafetensorsFile& unit) {
  const auto found = unit.metadata().find(kAbout);
  if (found == unit.metadata().end()) fail(unit.name(), ": this is no file of a quantization");
  return parse_json(found->second, unit.name());
}

void WorkFolder::note_written() {
  write_file_atomic(path_ / kWritten, "");
}

fs::path WorkFolder::path_of(const fs::path& output) {
  fs::path path = output.has_filename() ? output : output.parent_path();  // "Q/"
  path += ".quantizing";
  return path;
}

bool WorkFolder::wrote(const fs::path& output) {
  return fs::exists(path_of(output) / kWritten);
}

void WorkFolder::remove() {
  lock_.reset();
  fs::remove_all(path_);
}

}  // namespace r1::quant
