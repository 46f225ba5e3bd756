// When a training step has not the memory it needs: the same step in smaller parts, and what to change when that is not enough either.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "r1/data/batch.h"
#include "r1/model/transformer.h"
#include "r1/train/trainer.h"

namespace r1::train {

// The batches, each cut in two between documents where the tokens of both parts come nearest to half; one of a single document stays whole.
// Every document, with all that is said of it, is in exactly one part.
std::vector<data::Batch> halved(std::span<const data::Batch> batches);

// What a step of these micro-batches takes by plan.h, and the options that would make it fit (advice.h).
std::string memory_advice(const model::Transformer& model, const TrainerConfig& config, std::span<const data::Batch> micro_batches);

}  // namespace r1::train
