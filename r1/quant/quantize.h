// Makes a quantized model, a block at a time: the inputs of a block's matrices are those that the quantized blocks before it give, and only
// one block's weights are in memory. What is done is kept (work_folder.h), so a run that was stopped or killed goes on.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "r1/base/json.h"
#include "r1/quant/calibration.h"
#include "r1/quant/config.h"
#include "r1/text/chat_template.h"
#include "r1/text/tokenizer.h"

namespace r1::quant {

struct LayerError {
  std::string name;  // of the weight
  double error = 0;  // share of its outputs' squares that is lost, by rounded inputs too; without calibration, of its own
};

struct QuantizeResult {
  std::filesystem::path output, report;
  uint64_t bytes = 0, original_bytes = 0;  // of all weights
  int64_t parameters = 0;
  std::vector<LayerError> errors;
  double mean_error = 0;
  double loss_before = 0, loss_after = 0;  // mean -log probability of the held-out tokens; NaN without
  bool resumed = false;
};

struct QuantizeInputs {
  std::filesystem::path source;                // the model's folder or file, found
  std::filesystem::path gguf;                  // the GGUF file that it is, or empty: its vocabulary goes over as it is
  const text::Tokenizer* tokenizer = nullptr;  // for calibration text, and a GGUF file's vocabulary; null: none
  const text::ChatTemplate* chat = nullptr;
  NextText next_text;  // in place of the config's `data`
  int64_t max_shard_bytes = 5'000'000'000;
  // Files beside the weights of a folder (tokenizer), called before it appears.
  std::function<void(const std::filesystem::path& folder)> carry;
  Json environment;  // for the report
  // Called when the output stands there, and once more by the run that goes on if it was killed before that or in it.
  std::function<void(const QuantizeResult&)> finished;
};

// Usage errors before any work: a scheme that does not fit a shape (the tensor is named), too little text, outputs that are there already.
QuantizeResult quantize(const QuantizeConfig& config, const QuantizeInputs& inputs);

}  // namespace r1::quant
