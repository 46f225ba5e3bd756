// What commands that make one model from another share (convert, quantize): sizes that users type, the files beside the weights.
#pragma once

#include <cstdint>
#include <string>

#include "r1/base/file.h"

namespace r1::stages {

// "5GB" -> 5e9, "2GiB" -> 2^31; as transformers' max_shard_size. Usage error naming --max_shard_size.
int64_t parse_size(const std::string& text);

// The GGUF file that a model is; empty for a HF folder.
fs::path gguf_of(const fs::path& source);

// The tokenizer of `source` in the HF folder `to`: files byte for byte, of a GGUF file its vocabulary as tokenizer.json.
void carry_tokenizer(const fs::path& source, const fs::path& to);

// A generation_config.json that came with the model knows more (several eos ids, sampling) than the one that save_model derives.
void carry_generation_config(const fs::path& source, const fs::path& to);

}  // namespace r1::stages
