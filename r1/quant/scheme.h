// What `r1 quantize --scheme` names.
#pragma once

#include <string>
#include <vector>

#include "r1/base/gguf_file.h"
#include "r1/model/config.h"
#include "r1/model/weights.h"

namespace r1::quant {

struct Scheme {
  enum class Kind { kGguf, kRtn, kInt8Dynamic, kInt8Static, kGptq, kAwq, kFp8Block } kind = Kind::kGguf;
  std::string name;
  int bits = 4;

  // GGUF: what most matrices become; file_type as general.file_type has it. `mix`: which matrices become more.
  GgmlType type = GgmlType::kF16;
  int64_t file_type = 1;
  enum class Mix { kNone, kSmall, kMedium } mix = Mix::kNone;

  bool gguf() const { return kind == Kind::kGguf; }
  // Whether it is made from the inputs of calibration text; the others can take some (GGUF: importance) or need none.
  bool needs_data() const { return kind == Kind::kInt8Static || kind == Kind::kGptq || kind == Kind::kAwq; }
};

// By name, upper or lower case; the usage error lists all.
Scheme scheme_named(const std::string& name);
std::vector<std::string> scheme_names();

// The type of a weight in a GGUF file of this scheme, as llama.cpp's quantizer chooses: vectors, routers and learned positions stay F32; the
// head (or a tied embedding) Q6_K under anything but Q8_0 and 16 bits; in a medium mix the values' projection and the MLP's way down are Q6_K in
// the first and last eighth of the layers and every third between, in a small one one step up in the first. Rows that are no whole blocks of 256
// take the 32-element type above (Q4_K -> Q5_0, Q5_K -> Q5_1, Q6_K -> Q8_0); rows that are no whole blocks of 32 F16.
GgmlType gguf_type_of(const Scheme& scheme, const model::WeightRow& row, const model::ModelConfig& config);

}  // namespace r1::quant
