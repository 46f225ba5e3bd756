#include "r1/stages/model_files.h"

#include <array>
#include <cctype>
#include <cstdlib>

#include "r1/base/error.h"
#include "r1/base/gguf_file.h"
#include "r1/base/log.h"
#include "r1/text/tokenizer.h"

namespace r1::stages {

namespace {

// Everything that belongs to the tokenizer goes over byte for byte; weights and config are written anew.
constexpr std::array kTokenizerFiles = {"tokenizer.json",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "chat_template.jinja",
                                        "chat_template.json",
                                        "vocab.json",
                                        "merges.txt",
                                        "tokenizer.model"};

void copy_tokenizer(const fs::path& from, const fs::path& to) {
  int copied = 0;
  for (const char* name : kTokenizerFiles) {
    if (!fs::exists(from / name)) continue;
    write_file_atomic(to / name, read_file(from / name));
    ++copied;
  }
  if (!copied) log_warning(from.string(), " has no tokenizer files; the new model has none either");
}

}  // namespace

int64_t parse_size(const std::string& text) {
  struct Unit {
    const char* name;
    double bytes;
  };
  constexpr Unit kUnits[] = {{"", 1},      {"B", 1},        {"KB", 1e3},     {"MB", 1e6},     {"GB", 1e9},
                             {"TB", 1e12}, {"KIB", 0x1p10}, {"MIB", 0x1p20}, {"GIB", 0x1p30}, {"TIB", 0x1p40}};
  char* end = nullptr;
  const double number = std::isdigit(static_cast<unsigned char>(text[0])) ? std::strtod(text.c_str(), &end) : 0;
  std::string unit;
  for (const char* c = end ? end : ""; *c; ++c) {
    if (*c != ' ') unit += char(std::toupper(static_cast<unsigned char>(*c)));
  }
  for (const Unit& known : kUnits) {
    if (end && unit == known.name && number * known.bytes >= 1 && number * known.bytes < 9e18) return int64_t(number * known.bytes);
  }
  fail_usage("--max_shard_size: expected a size such as 500MB or 5GB, got '", text, "'");
}

fs::path gguf_of(const fs::path& source) {
  if (source.extension() == ".gguf") return source;
  if (!fs::is_directory(source) || fs::exists(source / "config.json")) return {};
  for (const auto& entry : fs::directory_iterator(source)) {
    if (entry.path().extension() == ".gguf") return entry.path();
  }
  return {};
}

void carry_tokenizer(const fs::path& source, const fs::path& to) {
  const fs::path gguf = gguf_of(source);
  if (gguf.empty()) {
    copy_tokenizer(fs::is_directory(source) ? source : source.parent_path(), to);
  } else if (GgufFile::open(gguf).has("tokenizer.ggml.tokens")) {
    text::Tokenizer::load(gguf).save(to);
  } else {
    log_warning(gguf.string(), " has no vocabulary; the new model has no tokenizer");
  }
}

void carry_generation_config(const fs::path& source, const fs::path& to) {
  const fs::path file = (fs::is_directory(source) ? source : source.parent_path()) / "generation_config.json";
  if (gguf_of(source).empty() && fs::exists(file)) write_file_atomic(to / "generation_config.json", read_file(file));
}

}  // namespace r1::stages
