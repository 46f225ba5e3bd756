// Matrices that a HF folder stores in integers (quantization.h, tensor/integers.h): the names of their tensors, their shapes, their reading.
// Not for other folders.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "r1/model/weights_check.h"
#include "r1/tensor/integers.h"

namespace r1::model {

// Whether `name` ("model.layers.0.mlp.up_proj.weight") stands in the files in integers instead.
bool stored_in_integers(const SafetensorsModel& stored, const std::string& name);

// What is missing or has another shape goes to `missing` and `misshaped(name, expected, got)`; `known` gets the names. `shape`: [O, I].
void check_stored_integers(
    const SafetensorsModel& stored, const std::string& name, const std::vector<int64_t>& shape, std::set<std::string>& known,
    std::vector<std::string>& missing,
    const std::function<void(const std::string&, const std::vector<int64_t>&, const std::vector<int64_t>&)>& compare);

tensor::IntegerMatrix read_integers(const SafetensorsModel& stored, const std::string& name, int64_t columns);
// The scale of its inputs, where they are rounded with one for all.
std::optional<double> read_input_scale(const SafetensorsModel& stored, const std::string& name);

}  // namespace r1::model
