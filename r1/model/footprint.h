// How large a network is, from its config alone: its own modules are made without memory (ATen's meta device) and their weight table and
// caches are counted, so there is no second list of shapes that could differ. Well under a second for 671B parameters.
#pragma once

#include "r1/model/config.h"
#include "r1/ops/cache_form.h"
#include "r1/tensor/dtype.h"

namespace r1::model {

struct Footprint {
  int64_t parameters = 0;      // of the network without multi-token prediction
  int64_t mtp_parameters = 0;  // of the modules of multi-token prediction
  // Parameters that a token is multiplied with: without the routed experts it is not sent to, and without an embedding table that is only
  // looked up (a tied one is the head as well).
  int64_t active_parameters = 0;
  int64_t matrix_parameters = 0, largest_matrix = 0;  // of hidden matrices (not embedding and head), and the largest (an expert's)
  int64_t cache_bytes_per_token = 0;                  // of all layers, in the engine
  int64_t mtp_cache_bytes_per_token = 0;              // of multi-token prediction, where the engine speculates with it
  // Of one token's forward pass, a product counting as two: with the weights (embedding and mtp left out), and with each token that it
  // looks back to (in full attention; windows and the like only lower it).
  int64_t flops_per_token = 0, attention_flops_per_context_token = 0;
};

// `config`: need not be finished. `dtype`: of the model. `cache`: the engine's; its blocks' size does not matter.
Footprint footprint(const ModelConfig& config, tensor::DType dtype, const ops::CacheForm& cache = {});

// All parameters, those of multi-token prediction included.
int64_t parameter_count(const ModelConfig& config);

}  // namespace r1::model
