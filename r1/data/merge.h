// Rows side by side as one packed row: what a micro-batch is. Nothing is copied but the arrays; attention stays inside documents as before.
#pragma once

#include <span>

#include "r1/data/batch.h"

namespace r1::data {

// The reinforcement-learning columns must be there in all rows or in none.
Batch merge_rows(std::span<const Batch> rows);

}  // namespace r1::data
