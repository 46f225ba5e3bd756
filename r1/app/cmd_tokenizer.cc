// r1 tokenizer encode | decode | train: text to ids and back, by hand (r1 tokenizer encode MODEL "some text") or for scripts, a JSON value a
// line in, a JSON value a line out.
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>

#include "r1/app/command.h"
#include "r1/app/json_lines.h"
#include "r1/app/token_ids.h"
#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/json.h"
#include "r1/base/progress.h"
#include "r1/data/learned_texts.h"
#include "r1/model/local_models.h"
#include "r1/text/bpe_train.h"
#include "r1/text/tokenizer.h"

namespace r1::app {
namespace {

text::Tokenizer tokenizer_of(const std::string& name) {
  return text::Tokenizer::load(model::find_tokenizer(name));
}

struct EncodeConfig {
  std::string tokenizer, text;
  bool add_special_tokens = false, parse_special = false, offsets = false, plain = false;
  void visit(Fields& v) {
    v("tokenizer", tokenizer, kTokenizerHelp, Required{});
    v("text", text, "the text, instead of lines on standard input");
    v("plain", plain, "lines of standard input are text as they stand, not JSON strings");
    v("add_special_tokens", add_special_tokens, "put bos and eos around, as the tokenizer's post-processor says");
    v("parse_special", parse_special, "text like <|im_end|> becomes the control token it names");
    v("offsets", offsets, "an object with ids and the byte range of each");
  }
};

int encode(const EncodeConfig& config, const CommonOptions&) {
  if (config.plain && !config.text.empty()) fail_usage("give --text, or --plain and lines on standard input");
  const auto tokenizer = tokenizer_of(config.tokenizer);
  const text::Tokenizer::EncodeOptions options{.parse_special = config.parse_special, .add_special_tokens = config.add_special_tokens};
  const auto encoded = [&](const std::string& text) -> Json {
    if (!config.offsets) return tokenizer.encode(text, options);
    const text::Encoding encoding = tokenizer.encode_with_offsets(text, options);
    return {{"ids", encoding.ids}, {"offsets", encoding.offsets}};
  };
  if (!config.text.empty()) return print_text(dump_json(encoded(config.text)) + "\n"), 0;
  if (config.plain) {
    for (std::string line; std::getline(std::cin, line);) print_text(dump_json(encoded(line)) + "\n");
    return 0;
  }
  return for_each_line([&](const Json& line, const std::string& where) -> Json {
    if (!line.is_string()) fail(where, ": expected a JSON string (--plain takes lines as they stand)");
    return encoded(line.get_ref<const std::string&>());
  });
}

struct DecodeConfig {
  std::string tokenizer, ids;
  bool skip_special_tokens = false;
  void visit(Fields& v) {
    v("tokenizer", tokenizer, kTokenizerHelp, Required{});
    v("ids", ids, "the ids, e.g. 1,2,3, instead of lines on standard input; the text comes as it is");
    v("skip_special_tokens", skip_special_tokens, "leave control tokens out of the text");
  }
};

int decode(const DecodeConfig& config, const CommonOptions&) {
  const auto tokenizer = tokenizer_of(config.tokenizer);
  if (!config.ids.empty()) {
    const auto ids = parse_ids(config.ids, INT32_MAX);
    print_text(tokenizer.decode({ids.begin(), ids.end()}, config.skip_special_tokens) + "\n");
    return 0;
  }
  return for_each_line([&](const Json& line, const std::string& where) -> Json {
    std::vector<text::TokenId> ids;
    if (!line.is_array()) fail(where, ": expected a JSON array of ids");
    for (const Json& id : line) {
      // Ids above the vocabulary decode to nothing: a model may have more rows than it, and draw them.
      if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() > INT32_MAX)
        fail(where, ": ", dump_json(id), " is no token id");
      ids.push_back(id.get<text::TokenId>());
    }
    return tokenizer.decode(ids, config.skip_special_tokens);
  });
}

struct TrainConfig {
  std::vector<std::string> files, special_tokens, jsonl_keys = {"text"};
  std::string output_dir, pre_tokenizer = "gpt-2", normalizer = "none", bos_token, eos_token, pad_token;
  int64_t vocab_size = 30'000, min_frequency = 0, max_token_length = 0;
  void visit(Fields& v) {
    v("files", files, "text files (a line is a text) and files of rows: .jsonl, .csv, .parquet, ..", Required{});
    v("output_dir", output_dir, "folder for tokenizer.json and tokenizer_config.json", Required{});
    v("vocab_size", vocab_size, "tokens in all, the 256 bytes and special tokens included", Range{257, 1 << 24});
    v("min_frequency", min_frequency, "pairs that occur less often are not merged", Range{0});
    v("max_token_length", max_token_length, "tokens stay below this many bytes; 0: no limit", Range{0, 1 << 20});
    v("special_tokens", special_tokens, "control tokens; they get the first ids");
    v("pre_tokenizer", pre_tokenizer, "where text is cut", OneOf{"gpt-2", "qwen2", "qwen3.5", "llama3", "smollm", "deepseek-v3"});
    v("normalizer", normalizer, "what is done to text first", OneOf{"none", "nfc"});
    v("jsonl_keys", jsonl_keys, "fields of rows to learn from");
    v("bos_token", bos_token, "one of the special tokens");
    v("eos_token", eos_token, "one of the special tokens");
    v("pad_token", pad_token, "one of the special tokens");
  }
};

int train(const TrainConfig& config, const CommonOptions& common) {
  text::BpeTrainOptions options;
  options.vocab_size = config.vocab_size;
  options.min_frequency = config.min_frequency;
  if (config.max_token_length > 0) options.max_token_length = config.max_token_length;
  options.special_tokens = config.special_tokens;
  options.pre_tokenizer = text::pre_tokenizer_of(config.pre_tokenizer);
  if (config.normalizer == "nfc") options.normalizer = {{"type", "NFC"}};
  options.jsonl_keys = config.jsonl_keys;
  const auto named = [](const std::string& name) { return name.empty() ? std::nullopt : std::optional(name); };
  options.bos = named(config.bos_token);
  options.eos = named(config.eos_token);
  options.pad = named(config.pad_token);
  std::unique_ptr<Progress> bar;
  std::string stage;
  options.progress = [&](const char* name, int64_t done, int64_t total) {
    if (stage != name) bar = std::make_unique<Progress>(stage = name, total, "");
    bar->update(done);
  };
  std::vector<fs::path> files(config.files.begin(), config.files.end());
  data::LearnedTexts others(files, options.jsonl_keys);
  options.more_texts = [&](std::vector<std::string>& texts) { return others.next(texts); };
  const text::TrainResult result = text::train_bpe(files, options);
  bar.reset();
  result.tokenizer.save(config.output_dir);
  const Json report = {{"tokenizer", config.output_dir}, {"vocab_size", result.tokenizer.vocab_size()}, {"merges", result.merges},
                       {"bytes", result.bytes},          {"unique_pieces", result.unique_pieces},       {"hash", result.tokenizer.hash()}};
  print_text(common.json ? dump_json(report) + "\n"
                         : str("wrote ", config.output_dir, "/tokenizer.json: ", result.tokenizer.vocab_size(), " tokens learned from ",
                               human_bytes(double(result.bytes)), "\n"));
  return 0;
}

}  // namespace

Command cmd_tokenizer_encode() {
  return make_command<EncodeConfig>("tokenizer encode", "text, or JSON strings on stdin, to arrays of ids, a line each", encode,
                                    {"tokenizer", "text"});
}
Command cmd_tokenizer_decode() {
  return make_command<DecodeConfig>("tokenizer decode", "ids, or arrays of ids on stdin a line each, to text", decode,
                                    {"tokenizer", "ids"});
}
Command cmd_tokenizer_train() {
  return make_command<TrainConfig>("tokenizer train", "learn a byte-level BPE vocabulary from text files", train, {"files"});
}

}  // namespace r1::app
