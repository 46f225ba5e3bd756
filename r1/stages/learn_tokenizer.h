// A vocabulary as a stage of a recipe: byte-level BPE learned from the text that later stages train on (`r1 tokenizer train` by hand).
// <output_dir>/ tokenizer.json, tokenizer_config.json. It takes seconds and gives the same tokens each time, so it is simply run again.
#pragma once

#include <string>
#include <vector>

#include "r1/base/config_io.h"
#include "r1/stages/preflight.h"

namespace r1::stages {

struct TokenizerConfig {
  std::string output_dir, eos_token = "<|endoftext|>", pre_tokenizer = "gpt-2";
  std::vector<std::string> train_files;
  int64_t vocab_size = 512;

  void visit(Fields& v);
};

void check(const TokenizerConfig& config, const Preflight& preflight);
// Results: vocab_size, merges, bytes.
Json learn_tokenizer(const TokenizerConfig& config);

}  // namespace r1::stages
