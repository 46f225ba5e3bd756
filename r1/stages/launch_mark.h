// Whose run stands in a folder, for ranks that a launcher starts again. Before a launch has opened the folder its config counts as it stands
// (overwrite_output_dir, resume_from_checkpoint); afterwards what it has written itself is gone on with, and never removed. "Itself" is known
// by comparison: <output_dir>/dist/launch.json has the launch's number and what was there when it came, which is not its own.
//
// Rank 0 alone asks and writes. Where no launcher counts its attempts it does nothing.
#pragma once

#include <filesystem>
#include <string>

#include "r1/base/json.h"
#include "r1/dist/ranks.h"

namespace r1::stages {

class LaunchMark {
 public:
  LaunchMark(const dist::Ranks& ranks, std::filesystem::path run_folder);

  // An earlier attempt of this launch has opened the folder.
  bool own() const { return own_; }
  // What resume_from_checkpoint means now: the newest whole checkpoint of this launch; "auto" if it has finished the run; else as configured.
  std::string start(const std::string& configured) const;
  // To be called when the folder is opened and nothing is written there yet.
  void write() const;

 private:
  Json found() const;

  std::filesystem::path folder_;
  std::string launch_;
  Json before_ = Json::object();
  bool counts_ = false, own_ = false;
};

}  // namespace r1::stages
