#include "r1/quant/config.h"

#include "r1/quant/scheme.h"

namespace r1::quant {

void QuantizeConfig::visit(Fields& v) {
  std::string schemes;
  for (const std::string& name : scheme_names()) schemes += (schemes.empty() ? "" : ", ") + name;
  v("model", model, "what to quantize: a HF folder, a .gguf file, or org/name in the local Hugging Face cache", Required{});
  v("scheme", scheme, ("how: " + schemes).c_str(), Required{});
  v("output_dir", output_dir, "the HF folder to write (schemes that are not GGUF's)");
  v("output", output, "the .gguf file to write (GGUF's schemes)");
  v("data", data,
    "calibration text: files or folders of rows with \"text\" or a conversation, or plain text; gptq, awq and int8-static need it, GGUF's "
    "types take"
    " importances from it");
  v("calibration_samples", calibration_samples, "sequences that are calibrated on", Range{1, 1e6});
  v("calibration_length", calibration_length, "tokens of a sequence", Range{2, 1e6});
  v("eval_samples", eval_samples, "sequences after them that the loss before and after is measured on", Range{0, 1e6});
  v("group_size", group_size, "columns that share a scale (rtn, gptq, awq); -1: a whole row", Range{-1, 1e6});
  v("symmetric", symmetric, "zero point in the middle (rtn, gptq, awq); auto: yes, but for awq", OneOf{"auto", "true", "false"});
  v("weight_range", weight_range,
    "where the range of a scale ends (rtn, int8, gptq): search: where the error is least, outliers are clipped; minmax: at the largest "
    "weight, "
    "which is what --quantize_training trains for",
    OneOf{"search", "minmax"});
  v("desc_act", desc_act, "gptq: columns of the largest inputs first, whatever their group (g_idx); else in the order of groups");
  v("damp_percent", damp_percent, "gptq: what is added to the diagonal of the inputs' matrix, as a share of its mean", Range{0, 10});
  v("checkpoint_format", checkpoint_format, "gptq: zero points less 1 (gptq, which everybody reads) or as they are (gptq_v2)",
    OneOf{"gptq", "gptq_v2"});
  v("activation_clip", activation_clip,
    "int8-static: end of the inputs' range: where the expected square error is least, at a percentile, or the largest",
    OneOf{"mse", "percentile", "max"});
  v("clip_percentile", clip_percentile, "of the inputs' magnitudes, for activation_clip=percentile", Range{50, 100});
  v("smoothing_strength", smoothing_strength,
    "int8-static, int8-dynamic: how much of what makes the inputs' channels unlike goes over to the weights before they are rounded "
    "(SmoothQuant's alpha, with --data); 0: nothing; -1: 0.75 of int8-static, else 0",
    Range{-1, 1});
  v("max_shard_size", max_shard_size, "largest weight file, such as 500MB, 5GB or 2GiB");
  v("overwrite", overwrite, "write over a model that is there already; what was begun with other options and stopped begins anew");
  v.alias("m", "model");
  v.alias("o", "output_dir");
}

}  // namespace r1::quant
