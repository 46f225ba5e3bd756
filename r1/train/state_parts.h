// The optimizer's state in a checkpoint's folder, in one file or in parts that ranks wrote, whatever their number and their shares: any trainer
// takes what it needs of it.
//
//   optimizer.safetensors                    whole tensors by name
//   optimizer-00001-of-00004.safetensors ..  pieces: "<name>@<first element>", flat; together each element of each tensor exactly once.
//                                            __metadata__ has the step, part and parts
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "r1/base/safetensors_file.h"
#include "r1/train/trainer.h"

namespace r1::train {

inline constexpr const char* kOptimizerFile = "optimizer.safetensors";
std::string optimizer_part(int64_t part, int64_t parts);  // the file's name; part from 0

// What part `part` of `parts` writes of the slots: its own, or where every rank has the whole, a part-th of each. Of one part whole tensors.
std::vector<SafeSource> state_sources(const std::vector<StateSlot>& slots, bool shared, int64_t part, int64_t parts);
std::map<std::string, std::string> part_metadata(int64_t step, int64_t part, int64_t parts);

class StateParts {
 public:
  // Opens what is there; an error for a part that is missing, and for one of another step or another number of parts.
  StateParts(const std::filesystem::path& checkpoint, int64_t step);
  StateParts(const StateParts&) = delete;
  StateParts& operator=(const StateParts&) = delete;
  bool empty() const { return files_.empty(); }
  // Fills every slot; errors for tensors that are missing, of another size, not whole, or unknown.
  void fill(const std::vector<StateSlot>& slots) const;

 private:
  struct Piece {
    const SafetensorsFile* file;
    const SafeTensor* tensor;
    int64_t begin, end;
  };
  void open(const std::filesystem::path& file, std::optional<std::map<std::string, std::string>> metadata);
  void fill_slot(const StateSlot& slot, const std::vector<Piece>& pieces) const;

  std::vector<SafetensorsFile> files_;
  std::map<std::string, std::vector<Piece>> pieces_;  // by tensor, in order
};

}  // namespace r1::train
