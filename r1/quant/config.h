// What `r1 quantize` is told.
#pragma once

#include <string>
#include <vector>

#include "r1/base/config.h"

namespace r1::quant {

struct QuantizeConfig {
  std::string model, scheme, output_dir, output;
  std::vector<std::string> data;
  int64_t calibration_samples = 128, calibration_length = 512, eval_samples = 8;
  int64_t group_size = 128;
  std::string symmetric = "auto", weight_range = "search";
  bool desc_act = false;
  double damp_percent = 0.01;
  std::string checkpoint_format = "gptq";
  std::string activation_clip = "mse";
  double clip_percentile = 99.99, smoothing_strength = -1;
  std::string max_shard_size = "5GB";
  bool overwrite = false;

  void visit(Fields& v);
};

}  // namespace r1::quant
