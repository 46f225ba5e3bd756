#include "r1/model/presets.h"

#include <algorithm>
#include <cmath>

#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/model/families.h"
#include "r1/model/presets_made.h"

namespace r1::model {
namespace {

struct Shape {
  int64_t vocab, hidden, ffn, layers, heads, kv_heads, head_dim;
};

// How the rotary embedding is stretched beyond the trained context.
struct Stretch {
  const char* type = "none";
  double factor = 1;
};
constexpr Stretch llama3(double factor) {
  return {"llama3", factor};
}
constexpr Stretch linear(double factor) {
  return {"linear", factor};
}

struct Row {
  const char *name, *family;
  Shape shape;
  int64_t context;
  double theta, eps;
  bool tied;
  int64_t bos, eos;
  Stretch rope = {};
  double initializer_range = 0.02;
  const char* dtype = "bfloat16";
  int64_t window = 0;       // of five layers in six (gemma)
  double query_scalar = 0;  // scores are divided by its root; 0: head
};

constexpr int64_t kNone = -1;

// clang-format off
//     name                      family    vocab   hidden ffn    layers heads kv  head   context theta   eps   tied   bos     eos
constexpr Row kRows[] = {
    {"tiny-test",               "llama",  {512,    64,    176,   2,     4,    2,  16},   512,    1e4,    1e-6, true,  kNone,  kNone,  {}, 0.02, "float32"},
    {"tiny-test-qwen2",         "qwen2",  {512,    64,    176,   2,     4,    2,  16},   512,    1e4,    1e-6, false, kNone,  kNone,  {}, 0.02, "float32"},
    {"tiny-test-qwen3",         "qwen3",  {512,    64,    176,   2,     4,    2,  32},   512,    1e4,    1e-6, true,  kNone,  kNone,  {}, 0.02, "float32"},
    {"tiny-1m",                 "llama",  {512,    128,   352,   4,     4,    4,  32},   1024,   1e4,    1e-6, true,  kNone,  kNone,  {}, 0.02, "float32"},
    {"tiny-3m",                 "llama",  {512,    192,   512,   6,     6,    6,  32},   1024,   1e4,    1e-6, true,  kNone,  kNone,  {}, 0.02, "float32"},
    {"tiny-10m",                "llama",  {512,    320,   864,   8,     5,    5,  64},   2048,   1e4,    1e-6, true,  kNone,  kNone,  {}, 0.02, "float32"},
    {"smollm2-135m",            "llama",  {49152,  576,   1536,  30,    9,    3,  64},   8192,   1e5,    1e-5, true,  0,      0,      {}, 1.0 / 24},
    {"smollm2-360m",            "llama",  {49152,  960,   2560,  32,    15,   5,  64},   8192,   1e5,    1e-5, true,  0,      0},
    {"smollm2-1.7b",            "llama",  {49152,  2048,  8192,  24,    32,   32, 64},   8192,   1.3e5,  1e-5, true,  0,      0},
    {"qwen2.5-0.5b",            "qwen2",  {151936, 896,   4864,  24,    14,   2,  64},   32768,  1e6,    1e-6, true,  151643, 151643},
    {"qwen2.5-1.5b",            "qwen2",  {151936, 1536,  8960,  28,    12,   2,  128},  131072, 1e6,    1e-6, true,  151643, 151643},
    {"qwen2.5-3b",              "qwen2",  {151936, 2048,  11008, 36,    16,   2,  128},  32768,  1e6,    1e-6, true,  151643, 151643},
    {"qwen2.5-7b",              "qwen2",  {152064, 3584,  18944, 28,    28,   4,  128},  131072, 1e6,    1e-6, false, 151643, 151643},
    {"qwen2.5-14b",             "qwen2",  {152064, 5120,  13824, 48,    40,   8,  128},  131072, 1e6,    1e-5, false, 151643, 151643},
    {"qwen2.5-32b",             "qwen2",  {152064, 5120,  27648, 64,    40,   8,  128},  131072, 1e6,    1e-5, false, 151643, 151643},
    {"qwen2.5-72b",             "qwen2",  {152064, 8192,  29568, 80,    64,   8,  128},  131072, 1e6,    1e-5, false, 151643, 151643},
    {"qwen3-0.6b",              "qwen3",  {151936, 1024,  3072,  28,    16,   8,  128},  40960,  1e6,    1e-6, true,  151643, 151645},
    {"qwen3-1.7b",              "qwen3",  {151936, 2048,  6144,  28,    16,   8,  128},  40960,  1e6,    1e-6, true,  151643, 151645},
    {"qwen3-4b",                "qwen3",  {151936, 2560,  9728,  36,    32,   8,  128},  40960,  1e6,    1e-6, true,  151643, 151645},
    {"qwen3-8b",                "qwen3",  {151936, 4096,  12288, 36,    32,   8,  128},  40960,  1e6,    1e-6, false, 151643, 151645},
    {"qwen3-14b",               "qwen3",  {151936, 5120,  17408, 40,    40,   8,  128},  40960,  1e6,    1e-6, false, 151643, 151645},
    {"qwen3-32b",               "qwen3",  {151936, 5120,  25600, 64,    64,   8,  128},  40960,  1e6,    1e-6, false, 151643, 151645},
    {"llama-3.2-1b",            "llama",  {128256, 2048,  8192,  16,    32,   8,  64},   131072, 5e5,    1e-5, true,  128000, 128001, llama3(32)},
    {"llama-3.2-3b",            "llama",  {128256, 3072,  8192,  28,    24,   8,  128},  131072, 5e5,    1e-5, true,  128000, 128001, llama3(32)},
    {"llama-3.1-8b",            "llama",  {128256, 4096,  14336, 32,    32,   8,  128},  131072, 5e5,    1e-5, false, 128000, 128001, llama3(8)},
    {"llama-3.1-70b",           "llama",  {128256, 8192,  28672, 80,    64,   8,  128},  131072, 5e5,    1e-5, false, 128000, 128001, llama3(8)},
    {"llama-3.1-405b",          "llama",  {128256, 16384, 53248, 126,   128,  8,  128},  131072, 5e5,    1e-5, false, 128000, 128001, llama3(8)},
    {"r1-distill-qwen-1.5b",    "qwen2",  {151936, 1536,  8960,  28,    12,   2,  128},  131072, 1e4,    1e-6, false, 151646, 151643},
    {"r1-distill-qwen-7b",      "qwen2",  {152064, 3584,  18944, 28,    28,   4,  128},  131072, 1e4,    1e-6, false, 151646, 151643},
    {"r1-distill-qwen-14b",     "qwen2",  {152064, 5120,  13824, 48,    40,   8,  128},  131072, 1e6,    1e-5, false, 151646, 151643},
    {"r1-distill-qwen-32b",     "qwen2",  {152064, 5120,  27648, 64,    40,   8,  128},  131072, 1e6,    1e-5, false, 151646, 151643},
    {"r1-distill-llama-8b",     "llama",  {128256, 4096,  14336, 32,    32,   8,  128},  131072, 5e5,    1e-5, false, 128000, 128001, llama3(8)},
    {"gpt2",                    "gpt2",   {50257,  768,   3072,  12,    12,   12, 64},   1024,   1e4,    1e-5, true,  50256,  50256,  {}, 0.02, "float32"},
    {"gpt2-medium",             "gpt2",   {50257,  1024,  4096,  24,    16,   16, 64},   1024,   1e4,    1e-5, true,  50256,  50256,  {}, 0.02, "float32"},
    {"gpt2-large",              "gpt2",   {50257,  1280,  5120,  36,    20,   20, 64},   1024,   1e4,    1e-5, true,  50256,  50256,  {}, 0.02, "float32"},
    {"gpt2-xl",                 "gpt2",   {50257,  1600,  6400,  48,    25,   25, 64},   1024,   1e4,    1e-5, true,  50256,  50256,  {}, 0.02, "float32"},
    {"gemma-3-270m",            "gemma3_text", {262144, 640, 2048, 18,  4,    1,  256},  32768,  1e6,    1e-6, true,  2,      1,      {}, 0.02, "bfloat16", 512},
    {"gemma-3-1b",              "gemma3_text", {262144, 1152, 6912, 26, 4,    1,  256},  32768,  1e6,    1e-6, true,  2,      1,      {}, 0.02, "bfloat16", 512},
    {"gemma-3-4b",              "gemma3_text", {262208, 2560, 10240, 34, 8,   4,  256},  131072, 1e6,    1e-6, true,  2,      1,      linear(8), 0.02, "bfloat16", 1024},
    {"gemma-3-12b",             "gemma3_text", {262208, 3840, 15360, 48, 16,  8,  256},  131072, 1e6,    1e-6, true,  2,      1,      linear(8), 0.02, "bfloat16", 1024},
    {"gemma-3-27b",             "gemma3_text", {262208, 5376, 21504, 62, 32,  16, 128},  131072, 1e6,    1e-6, true,  2,      1,      linear(8), 0.02, "bfloat16", 1024, 168},
    {"r1-distill-llama-70b",    "llama",  {128256, 8192,  28672, 80,    64,   8,  128},  131072, 5e5,    1e-5, false, 128000, 128001, llama3(8)},
};
// clang-format on

ModelConfig config_of(const Row& row) {
  ModelConfig c;
  c.vocab_size = row.shape.vocab;
  c.hidden_size = row.shape.hidden;
  c.intermediate_size = row.shape.ffn;
  c.num_hidden_layers = row.shape.layers;
  c.num_attention_heads = row.shape.heads;
  c.num_key_value_heads = row.shape.kv_heads;
  c.head_dim = row.shape.head_dim;
  c.max_position_embeddings = row.context;
  c.rope_theta = row.theta;
  c.rms_norm_eps = row.eps;
  c.initializer_range = row.initializer_range;
  c.tie_word_embeddings = row.tied;
  c.bos_token_id = row.bos;
  c.eos_token_id = row.eos;
  c.torch_dtype = row.dtype;
  set_family(c, row.family);
  if (row.window > 0) {
    c.attn.window = row.window;
    c.attn.window_pattern = 6;
  }
  if (row.query_scalar > 0) c.attn.scale = 1 / std::sqrt(row.query_scalar);
  c.rope.type = row.rope.type;
  c.rope.factor = row.rope.factor;
  if (c.rope.type == "llama3") {
    c.rope.low_freq_factor = 1;
    c.rope.high_freq_factor = 4;
    c.rope.original_max_position_embeddings = 8192;
  }
  finish_config(c);
  return c;
}

const Row* find(std::string_view name) {
  for (const Row& row : kRows) {
    if (name == row.name) return &row;
  }
  return nullptr;
}

}  // namespace

ModelConfig preset(std::string_view name) {
  for (const MadePreset& made : made_presets()) {
    if (name == made.name) return made.make();
  }
  const Row* row = find(name);
  if (!row) {
    std::string known;
    for (const std::string& n : preset_names()) known += (known.empty() ? "" : ", ") + n;
    fail_usage("unknown model preset '", name, "'", did_you_mean(name, preset_names()), " (known: ", known, ")");
  }
  return config_of(*row);
}

bool is_preset(std::string_view name) {
  const auto names = preset_names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const Row& row : kRows) names.push_back(row.name);
  for (const MadePreset& made : made_presets()) names.push_back(made.name);
  return names;
}

}  // namespace r1::model
