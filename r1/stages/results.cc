#include "r1/stages/results.h"

#include <algorithm>

#include "r1/base/build_info.h"
#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/log.h"
#include "r1/eval/provenance.h"
#include "r1/model/local_models.h"

namespace r1::stages {

namespace {

// What may differ between two runs that make the same.
constexpr const char* kHabits[] = {
    "output_dir", "output_file",   "overwrite_output_dir", "overwrite",        "resume_from_checkpoint", "device",
    "stop_grace", "logging_steps", "save_steps",           "save_total_limit", "save_final_checkpoint"};
constexpr const char* kPaths[] = {"model_name_or_path", "tokenizer_name_or_path"};

std::string place_of(const std::string& path) {
  std::error_code error;
  const fs::path whole = fs::weakly_canonical(path, error);
  return error ? path : whole.string();
}

// Pieces from all over a file, its beginning and its end among them.
std::string look_into(const fs::path& path) {
  constexpr size_t kPiece = 4096, kPieces = 256;
  const MappedFile file(path);
  const auto bytes = file.bytes();
  if (bytes.size() <= kPiece * kPieces) return sha256(bytes);
  Sha256 all;
  for (size_t i = 0; i < kPieces; ++i) all.update(bytes.subspan(size_t(double(bytes.size() - kPiece) * double(i) / (kPieces - 1)), kPiece));
  return all.hex();
}

std::string of_all(std::vector<std::string> lines) {
  std::sort(lines.begin(), lines.end());
  std::string all;
  for (const auto& line : lines) all += line + "\n";
  return sha256(std::string_view(all));
}

}  // namespace

Json without_habits(const Json& config) {
  Json out = config;
  for (const char* key : kHabits) out.erase(key);
  return out;
}

std::string changes(const Json& before, const Json& after) {
  Json old_one = without_habits(before), new_one = without_habits(after);
  for (const char* key : kPaths) {
    if (!old_one.contains(key) || !new_one.contains(key) || !old_one[key].is_string() || !new_one[key].is_string()) continue;
    const std::string a = old_one[key], b = new_one[key];
    if (!a.empty() && !b.empty() && place_of(a) == place_of(b)) old_one[key] = b;
  }
  return json_diff(old_one, new_one);
}

std::optional<Json> earlier_results(const ResultPlace& place, const Json& config) {
  if (place.overwrite) return std::nullopt;
  if (fs::exists(place.record)) {
    const Json record = parse_json_file(place.record);
    if (!record.is_object() || !record.contains("config") || !record.contains("results"))
      fail_usage(place.what, ": ", place.record.string(), " is not a record of an earlier run; choose another ", place.option);
    const std::string differs = changes(record["config"], config) + changes(record.value("inputs", Json::object()), place.inputs);
    if (differs.empty()) {
      log_info(place.what, ": ", place.record.string(), " has the results of the same config already; --overwrite makes them anew");
      return record["results"];
    }
    fail_usage(place.what, ": ", place.record.string(), " is the result of another config:\n", differs, "choose another ", place.option,
               ", or --overwrite");
  }
  for (const fs::path& file : place.files)
    if (fs::exists(file))
      fail_usage(place.what, ": ", file.string(), " stands there already, and is not known to be a result of this command; choose another ",
                 place.option, ", or --overwrite");
  return std::nullopt;
}

void write_record(const ResultPlace& place, const Json& config, const Json& results) {
  const Json record{{"what", place.what}, {"version", version_line()}, {"date", eval::now_utc()},
                    {"config", config},   {"inputs", place.inputs},    {"results", results}};
  write_file_atomic(place.record, dump_json(record, 2) + "\n");
}

std::string model_sha256(const fs::path& model) {
  if (!fs::is_directory(model)) return sha256_file(model);
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(model))
    if (entry.is_regular_file() && model::is_file_of_model(entry.path()))
      files.push_back(str(entry.path().filename().string(), " ", sha256_file(entry.path())));
  return of_all(files);
}

std::string identity(const fs::path& path) {
  if (fs::exists(path / "stage.json")) {
    const Json done = parse_json_file(path / "stage.json");
    if (done.contains("model_sha256")) return sha256(std::string_view(dump_json(done["model_sha256"]))).substr(0, 16);
  }
  if (fs::is_regular_file(path)) return str(fs::file_size(path), " bytes, ", look_into(path).substr(0, 16));
  if (!fs::is_directory(path)) return "";
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(path))
    if (entry.is_regular_file())
      files.push_back(str(entry.path().filename().string(), " ", entry.file_size(),
                          model::is_file_of_model(entry.path()) ? " " + look_into(entry.path()) : std::string()));
  return of_all(files).substr(0, 16);
}

}  // namespace r1::stages
