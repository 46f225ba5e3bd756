// How a row of the weight table is written down (weights.cc; a family's own rows stand in its file). Not for other folders.
#pragma once

namespace r1::model {

// kBuffer: learned by rule, not by gradient (Module::after_step); fp32 whatever the model's dtype, in files too.
enum class WeightKind { kMatrix, kEmbedding, kHead, kNorm, kBias, kBuffer };

// '#' stands for the layer's number. The fields are WeightRow's (weights.h).
struct KnownWeight {
  const char *name, *hf, *gguf;
  WeightKind kind;
  int shard_axis;
  bool quantizable = false;
  bool rope_rows = false;  // rows pair up in the rotary embedding
  bool transposed_in_hf = false, transposed_in_gguf = false;
  int shard_sections = 1;
};

}  // namespace r1::model
