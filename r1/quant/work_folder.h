// Where a quantization keeps what is done: <output>.quantizing/ with
//   plan.json              what was asked for, and of which files; a quantization goes on only if it is the same
//   unit-0000.safetensors  the final tensors of the embedding, then of each block, last of norm and head; with a word about each
//   states.safetensors     the calibration's states before the next unit
//   written                there as soon as the output may be: what stands at the output's place is of this plan
// Each file is written whole. What is killed goes on with the unit that it was at, and comes to the same bytes.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "r1/base/file.h"
#include "r1/base/json.h"
#include "r1/base/safetensors_file.h"
#include "r1/quant/matrix.h"

namespace r1::quant {

struct States {
  int64_t next = 0;     // the unit that they stand before
  Tensor quantized_TD;  // of all sequences, through the quantized units; undefined without calibration
  Tensor original_TD;   // of the held-out sequences, through the original ones
};

class WorkFolder {
 public:
  // `plan`: what must be the same to go on. Usage error (a word about --overwrite) if another was begun here, or runs.
  WorkFolder(const fs::path& output, const Json& plan, bool overwrite);

  const fs::path& path() const { return path_; }
  bool resumed() const { return resumed_; }
  // What was saved; next = 0 where nothing was.
  States load_states() const;
  // A unit is done: its tensors, then the states after it.
  void save_unit(int64_t unit, const std::vector<NamedTensor>& tensors, const Json& about, const States& after);
  // Of a unit that is done.
  SafetensorsFile open_unit(int64_t unit) const;
  static Json about(const SafetensorsFile& unit);
  // The output is about to appear.
  void note_written();
  // Where the work for an output is kept.
  static std::filesystem::path path_of(const std::filesystem::path& output);
  // Whether what stands at the output's place is of a quantization that was stopped between writing it and its end.
  static bool wrote(const std::filesystem::path& output);
  // All of it goes away.
  void remove();

 private:
  fs::path unit_path(int64_t unit) const;
  fs::path path_;
  bool resumed_ = false;
  std::unique_ptr<FileLock> lock_;
};

}  // namespace r1::quant
