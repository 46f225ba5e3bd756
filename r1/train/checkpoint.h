// checkpoint-<step>/ folders: HF layout (config.json, model.safetensors, tokenizer files) plus optimizer.safetensors, trainer_state.json
// (counters, rng, loader, stage state, log history). Written into a temporary folder, fsynced, renamed; manifest.json lists every file with
// size and SHA-256 and is written last. No pickle. A truncated or bit-flipped checkpoint is detected and named, and the one before it is
// used.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "r1/base/json.h"
#include "r1/train/trainer.h"

namespace r1::train {

struct CheckpointOptions {
  int64_t save_total_limit = 2;                                   // older ones are removed after a new one is complete
  std::function<void(const std::filesystem::path&)> extra_files;  // writes tokenizer files, resolved config, ... into the temporary folder
  bool save_optimizer = true;
};

// Writes run_folder/checkpoint-<step>; returns its path. A failure (ENOSPC, EIO) throws and leaves the former checkpoints as they were.
std::filesystem::path save_checkpoint(const std::filesystem::path& run_folder, Trainer& trainer, const Json& stage_state,
                                      const CheckpointOptions& options);

// Verifies sizes and hashes; the reason if it is broken, nothing if it is whole.
std::optional<std::string> checkpoint_fault(const std::filesystem::path& checkpoint);

// The newest whole checkpoint; broken ones are reported by log_warning with file and reason and passed over.
std::optional<std::filesystem::path> latest_checkpoint(const std::filesystem::path& run_folder);

// Loads weights and trainer state; returns the stage state.
Json load_checkpoint(const std::filesystem::path& checkpoint, Trainer& trainer);

}  // namespace r1::train
