// r1 convert: a model from one format to another: HF safetensors (single file or shards) or GGUF in, a HF folder out, weights rounded to
// --dtype, tokenizer and config carried along. GGUF's quantized weights come out as plain ones.
#include <chrono>

#include "r1/app/command.h"
#include "r1/base/error.h"
#include "r1/base/file.h"
#include "r1/base/json.h"
#include "r1/base/log.h"
#include "r1/base/progress.h"
#include "r1/model/footprint.h"
#include "r1/model/weights_io.h"
#include "r1/stages/model_files.h"

namespace r1::app {
namespace {

struct ConvertConfig {
  std::string model, output_dir, dtype = "auto", max_shard_size = "5GB";
  bool overwrite = false;

  void visit(Fields& v) {
    v("model", model, "what to convert: a HF folder, a .gguf file, or org/name in the local Hugging Face cache", Required{});
    v("output_dir", output_dir, "the HF folder to write", Required{});
    v("dtype", dtype,
      "dtype of the written weights; auto: as they are stored (bfloat16 for quantized ones); fp8_block: matrices in 8 bits with a scale for"
      " each block of 128 x 128, the rest bfloat16, as DeepSeek-V3 is published",
      OneOf{"auto", "float32", "bfloat16", "float16", "fp8_block"});
    v("max_shard_size", max_shard_size, "largest weight file, such as 500MB, 5GB or 2GiB");
    v("overwrite", overwrite, "write into a folder that already holds a model");
    v.alias("m", "model");
    v.alias("o", "output_dir");
  }
};

bool same_folder(const fs::path& a, const fs::path& b) {
  std::error_code error;
  return fs::equivalent(a, b, error) && !error;
}

void check_output(const ConvertConfig& config, const fs::path& source) {
  const fs::path folder = config.output_dir;
  if (same_folder(folder, fs::is_directory(source) ? source : source.parent_path() / "."))
    fail_usage("--output_dir is the model's own folder: name another one");
  if (fs::exists(folder) && !fs::is_directory(folder)) fail_usage("--output_dir ", folder.string(), " is a file");
  if (fs::exists(folder / "config.json") && !config.overwrite)
    fail_usage("--output_dir ", folder.string(), " already holds a model (--overwrite writes over it)");
}

model::WeightProgress shown(Progress& bar) {
  return [&bar](int64_t done, int64_t total) {
    bar.update(done / 1'000'000, str(human_bytes(double(done)), " of ", human_bytes(double(total))));
  };
}

uint64_t weight_file_bytes(const fs::path& folder) {
  uint64_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors") bytes += entry.file_size();
  }
  return bytes;
}

int convert(const ConvertConfig& config, const CommonOptions& common) {
  const auto start = std::chrono::steady_clock::now();
  const int64_t max_shard = stages::parse_size(config.max_shard_size);
  const fs::path source = model::find_model(config.model), output = config.output_dir;
  check_output(config, source);
  const model::ModelConfig shape = model::read_model_config(source);
  const bool fp8 = config.dtype == "fp8_block";
  // 8 bit weights are made from the stored ones, without another rounding between.
  const tensor::DType dtype = tensor::parse_dtype(config.dtype == "auto" || fp8 ? shape.torch_dtype : config.dtype);
  const tensor::DType written = fp8 ? at::kFloat8_e4m3fn : dtype;
  const int64_t megabytes = model::parameter_count(shape) * int64_t(c10::elementSize(dtype)) / 1'000'000;

  std::unique_ptr<model::Transformer> model;
  {
    Progress bar("load", megabytes, "MB");
    model = model::load_model(source, tensor::parse_device("cpu"), dtype, shown(bar));
  }
  make_folder(output);
  stages::carry_tokenizer(source, output);
  {
    Progress bar("write", megabytes, "MB");
    model::save_model(*model, output, written, max_shard, shown(bar));
  }
  stages::carry_generation_config(source, output);

  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const int64_t parameters = model::parameter_count(shape);
  const uint64_t bytes = weight_file_bytes(output);
  if (common.json) {
    print_text(dump_json({{"output_dir", output.string()},
                          {"family", shape.family},
                          {"parameters", parameters},
                          {"dtype", fp8 ? config.dtype : tensor::dtype_name(dtype)},
                          {"weight_bytes", bytes},
                          {"seconds", seconds}}) +
               "\n");
  } else {
    log_info("wrote ", output.string(), ": ", shape.family, ", ", human_count(double(parameters)), " parameters in ",
             fp8 ? config.dtype : tensor::dtype_name(dtype), ", ", human_bytes(double(bytes)), ", ", human_time(seconds));
  }
  return 0;
}

}  // namespace

Command cmd_convert() {
  return make_command<ConvertConfig>("convert", "convert a model: HF safetensors or GGUF in, HF safetensors out", convert,
                                     {"model", "output_dir"});
}

}  // namespace r1::app
