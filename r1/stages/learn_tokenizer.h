// A vocabulary as a stage of a recipe: byte-level BPE learned from the text that later stages train on (`r1 tokenizer train` by hand).
// <output_dir>/ tokenizer.json, tokenizer_config.json. It takes seconds and gives the same tokens each time, so it is simply run again.
#pragma once

#include <string>
#include <vector>

#include "r1/base/config_io.h"

namespace r1::stages {

struct TokenizerConfig {
  std::string output_dir, eos_token = "<|endoftext|>", pre_tokenizer = "gpt-2";
  std::vector<std::string> train_files;
  int64_t vocab_size = 512;

  template <class V>
  void visit(V& v) {
    v("output_dir", output_dir, "folder for tokenizer.json", Required{});
    v("train_files", train_files, "text files (a line is a text) and .jsonl files", Required{});
    v("vocab_size", vocab_size, "tokens in all, the 256 bytes and the end among them", Range{258, 1 << 24});
    v("eos_token", eos_token, "the control token behind each document");
    v("pre_tokenizer", pre_tokenizer, "where text is cut", OneOf{"gpt-2", "qwen2", "qwen3.5", "llama3", "smollm", "deepseek-v3"});
  }
};

// Results: vocab_size, merges, bytes.
Json learn_tokenizer(const TokenizerConfig& config);

}  // namespace r1::stages
