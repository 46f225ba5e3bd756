#include "r1/stages/learn_tokenizer.h"

#include <memory>

#include "r1/base/file.h"
#include "r1/base/interrupt.h"
#include "r1/base/log.h"
#include "r1/base/progress.h"
#include "r1/data/find_files.h"
#include "r1/data/learned_texts.h"
#include "r1/text/bpe_train.h"
#include "r1/text/tokenizer.h"

namespace r1::stages {

void check(const TokenizerConfig& config, const Preflight& preflight) {
  check_files(config.train_files, "train_files", preflight);
}

Json learn_tokenizer(const TokenizerConfig& config) {
  check(config, {});
  text::BpeTrainOptions options;
  options.vocab_size = config.vocab_size;
  options.special_tokens = {config.eos_token};
  options.eos = config.eos_token;
  options.pre_tokenizer = text::pre_tokenizer_of(config.pre_tokenizer);
  // Told after every stretch of text and every few merges, one thread at a time.
  std::unique_ptr<Progress> bar;
  std::string phase;
  options.progress = [&](const char* name, int64_t done, int64_t total) {
    throw_if_interrupted();
    if (phase != name) bar = std::make_unique<Progress>(phase = name, total, "");
    bar->update(done);
  };
  const auto found = data::find_files(config.train_files, "train_files", data::Split::kTrain);
  std::vector<fs::path> files(found.begin(), found.end());
  data::LearnedTexts others(files, options.jsonl_keys);
  options.more_texts = [&](std::vector<std::string>& texts) { return others.next(texts); };
  const text::TrainResult result = text::train_bpe(files, options);
  result.tokenizer.save(config.output_dir);
  bar.reset();
  log_info("tokenizer: ", result.tokenizer.vocab_size(), " tokens learned from ", human_bytes(double(result.bytes)));
  return {{"vocab_size", result.tokenizer.vocab_size()}, {"merges", result.merges}, {"bytes", result.bytes}};
}

void TokenizerConfig::visit(Fields& v) {
  v("output_dir", output_dir, "folder for tokenizer.json", Required{});
  v("train_files", train_files, "text files (a line is a text) and files of rows: .jsonl, .csv, .parquet, ..", Required{});
  v("vocab_size", vocab_size, "tokens in all, the 256 bytes and the end among them", Range{258, 1 << 24});
  v("eos_token", eos_token, "the control token after each document");
  v("pre_tokenizer", pre_tokenizer, "where text is cut", OneOf{"gpt-2", "qwen2", "qwen3.5", "llama3", "smollm", "deepseek-v3"});
}

}  // namespace r1::stages
