// checkpoint-<step>/ folders: HF layout (config.json, model.safetensors, tokenizer files) plus optimizer.safetensors, trainer_state.json
// (counters, rng, loader, stage state, log history; HF's keys where HF has them). Written into a temporary folder, fsynced, renamed;
// manifest.json lists every file with size and SHA-256 and is written last. Whoever looks, at any moment, sees whole checkpoints under
// checkpoint-*: a killed save leaves tmp-checkpoint-*, which the next save removes. No pickle. A truncated or bit-flipped checkpoint is
// detected and named, and the one before it is used.
//
// Ranks may write one together, each its share: weights as model-0000i-of-0000n.safetensors with an index, which is an ordinary HF folder, and
// the optimizer's state in parts (state_parts.h). Rank 0 writes the manifest, from what the others say of their files, and renames the folder
// when all parts are on disk. Any number of ranks, sharing their state or not, goes on from any checkpoint.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "r1/base/json.h"
#include "r1/dist/group.h"
#include "r1/model/weights_io.h"
#include "r1/train/trainer.h"

namespace r1::train {

struct CheckpointOptions {
  int64_t save_total_limit = 2;                                   // older ones are removed after a new one is complete; 0: keep all
  std::function<void(const std::filesystem::path&)> extra_files;  // writes tokenizer files, resolved config, ... into the temporary folder
  bool save_optimizer = true;                                     // false: cannot be resumed, only loaded as a model
  int64_t max_shard_size = model::kMaxShardBytes;                 // bytes of a weight file; more weights than that go into several
};

// Writes run_folder/checkpoint-<step>; returns its path. A failure (ENOSPC, EIO) throws and leaves the former checkpoints as they were; so
// does a NaN in weights or optimizer. Where ranks share the model's layers: inside Trainer::with_whole_rows; what is written is whole, and loads
// on any number of ranks. The log history is what metrics.jsonl of the run folder has up to this step (thinned, if it is long).
std::filesystem::path save_checkpoint(const std::filesystem::path& run_folder, Trainer& trainer, const Json& stage_state,
                                      const CheckpointOptions& options);

// Writes checkpoints of one run, in the foreground or beside the training, at most one at a time. What is said of save_checkpoint holds here.
class CheckpointWriter {
 public:
  // `group`: ranks that write every checkpoint together; all of them call the same functions in the same order, and all get the same errors
  // from save() and wait(). Null: this process writes all of it.
  explicit CheckpointWriter(std::filesystem::path run_folder, dist::Group* group = nullptr);
  // Waits until this process has written what it began; a checkpoint that others have yet to write their parts of is given up.
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  // Returns when it is whole.
  std::filesystem::path save(Trainer& trainer, const Json& stage_state, const CheckpointOptions& options);

  // Copies what is to be written (which takes as much memory, kept for the next time) and returns; a thread writes. NaN is looked for in the
  // copy. extra_files are written before it returns. What goes wrong in the thread is for wait(), which must be called before the next start()
  // or save().
  void start(Trainer& trainer, const Json& stage_state, const CheckpointOptions& options);
  bool under_way() const;  // between start() and wait()
  bool done() const;       // wait() would return at once; of ranks, the first one knows
  std::filesystem::path wait();

 private:
  class Room;
  struct Job;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Verifies sizes and hashes; the reason if it is broken, nothing if it is whole.
std::optional<std::string> checkpoint_fault(const std::filesystem::path& checkpoint);

// The newest whole checkpoint; broken ones are reported by log_warning with file and reason and passed over.
std::optional<std::filesystem::path> latest_checkpoint(const std::filesystem::path& run_folder);

// Loads weights and trainer state; returns the stage state. Throws if the checkpoint is broken or belongs to another model or optimizer.
Json load_checkpoint(const std::filesystem::path& checkpoint, Trainer& trainer);

// The 17 of checkpoint-17; -1 for any other name.
int64_t checkpoint_step(const std::filesystem::path& folder);

}  // namespace r1::train
