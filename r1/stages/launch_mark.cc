#include "r1/stages/launch_mark.h"

#include "r1/base/file.h"
#include "r1/train/checkpoint.h"

namespace r1::stages {
namespace {

constexpr const char* kStage = "stage.json";

fs::path mark_in(const fs::path& folder) {
  return folder / "dist" / "launch.json";
}

}  // namespace

LaunchMark::LaunchMark(const dist::Ranks& ranks, fs::path run_folder)
    : folder_(std::move(run_folder)), launch_(ranks.launch), counts_(!ranks.attempt.empty()) {
  if (!counts_ || ranks.attempt == "0" || !fs::exists(mark_in(folder_))) return;
  const Json mark = parse_json_file(mark_in(folder_));
  own_ = mark.at("launch") == launch_;
  before_ = mark.at("found");
}

// Of checkpoints and the mark of a finished run, when each was written. A checkpoint is written elsewhere and moved to its place, which leaves
// its folder's time as it was.
Json LaunchMark::found() const {
  Json out = Json::object();
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder_, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name != kStage && !(name.starts_with("checkpoint-") && entry.is_directory())) continue;
    out[name] = int64_t(entry.last_write_time().time_since_epoch().count());
  }
  return out;
}

std::string LaunchMark::start(const std::string& configured) const {
  std::string newest;
  int64_t step = -1;
  const Json now = found();
  for (const auto& [name, written] : now.items()) {
    if (before_.value(name, Json()) == written) continue;
    if (name == kStage) return "auto";
    const fs::path checkpoint = folder_ / name;
    if (train::checkpoint_step(checkpoint) <= step || train::checkpoint_fault(checkpoint)) continue;
    step = train::checkpoint_step(checkpoint);
    newest = checkpoint.string();
  }
  return newest.empty() ? configured : newest;
}

void LaunchMark::write() const {
  if (!counts_ || own_) return;
  make_folder(mark_in(folder_).parent_path());
  write_file_atomic(mark_in(folder_), dump_json(Json{{"launch", launch_}, {"found", found()}}, 1) + "\n");
}

}  // namespace r1::stages
