// Train, validation and test parts by a hash of what a document is a copy of, so that no near duplicate of a training document is in another part,
// whatever order documents come in. What is added to the input later changes no part but those of clusters that it joins: a cluster goes by its least hash.
#pragma once

#include <cstdint>
#include <string>

#include "r1/base/config.h"

namespace r1::corpus {

enum class Part { kTrain, kValidation, kTest };
const char* name_of(Part part);  // "train", "validation", "test"

struct SplitOptions {
  // Shares, their sum 1. Presets by name: "large", for corpora, is 0.999, 0.0005, 0.0005; "small", for data sets, 0.70, 0.15, 0.15.
  std::string preset_name = "small";
  double train = 0.7, validation = 0.15, test = 0.15;
  uint64_t seed = 0;

  void visit(Fields& v);
  static SplitOptions preset(const std::string& name);
  // Takes the shares of preset_name where none are given, and checks that they add up; kUsage.
  void resolve();
};

// `cluster`: MinhashRow::cluster of the document.
Part part_of(uint64_t cluster, const SplitOptions& options);

}  // namespace r1::corpus
