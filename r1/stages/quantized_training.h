// Quantization-aware training in a stage (r1/quant/training.h): what the trainer is given, and the quantized model at the end.
#pragma once

#include "r1/stages/run.h"

namespace r1::stages {

// For the trainer of this model; empty if quantize_training is none. Usage error, naming the tensor, where the model does not fit. At the end of
// the run <output_dir>/quantized is a model (a Hugging Face folder in integers or fp8 blocks) whose matrices are those that training computed
// with, and stage.json says so; output_dir itself and all checkpoints hold the masters.
train::WeightRounding quantized_training(const train::TrainerConfig& config, model::Transformer& model, Run& run);

}  // namespace r1::stages
