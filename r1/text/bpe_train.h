// Learns a byte-level BPE vocabulary from text: the merges that HF's BpeTrainer learns from the same text, in the same order, so that
// either tool can go on where the other stopped (ties: the higher count first, then the lower pair of ids). Each distinct piece is counted
// once; a heap holds the pairs with the places where they occur, and a merge only touches those. Leaves out: subword prefixes and suffixes,
// limit_alphabet, dropout.
//
// Text files are read line by line, each line with its end is a text of its own (as HF reads files); in .jsonl files each of the named
// string fields is one.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "r1/base/json.h"
#include "r1/text/tokenizer.h"

namespace r1::text {

struct BpeTrainOptions {
  int64_t vocab_size = 30'000;              // special tokens and bytes included
  int64_t min_frequency = 0;                // pairs that occur less often are not merged
  std::vector<std::string> special_tokens;  // get the first ids
  std::optional<int64_t> max_token_length;  // in bytes; HF's rule: a pair must stay below it
  bool byte_alphabet = true;                // all 256 bytes, whether seen or not
  Json normalizer, pre_tokenizer;           // sections of tokenizer.json; a null pre_tokenizer is GPT-2's ByteLevel
  std::vector<std::string> jsonl_keys = {"text"};
  std::function<bool(std::vector<std::string>&)> more_texts;  // beside the files: some texts at a time, false when there are no more
  std::optional<std::string> bos, eos, pad;                   // among the special tokens
  int threads = 0;                                            // 0: all
  std::function<void(const char* stage, int64_t done, int64_t total)> progress;  // "bytes counted", "tokens learned"
};

struct TrainResult {
  Tokenizer tokenizer;
  int64_t bytes = 0, pieces = 0, unique_pieces = 0, merges = 0;
};

TrainResult train_bpe(std::span<const std::filesystem::path> files, const BpeTrainOptions& options);
// Each string is one text.
TrainResult train_bpe_texts(std::span<const std::string> texts, const BpeTrainOptions& options);

// The pre_tokenizer section of a family: gpt-2, qwen2, qwen3.5, llama3, deepseek-v3, smollm.
Json pre_tokenizer_of(const std::string& family);

}  // namespace r1::text
