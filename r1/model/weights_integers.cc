#include "r1/model/weights_integers.h"

#include "r1/base/error.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/safetensors.h"

namespace r1::model {

namespace {

using Layout = Quantization::Layout;

Tensor read(const SafetensorsModel& stored, const std::string& name) {
  const Stored found = stored.find(name);
  return found.tensor ? tensor::read_safetensor(*found.file, *found.tensor) : Tensor();
}

struct Expected {
  std::string name;
  std::vector<std::vector<int64_t>> shapes;  // any of these
  bool optional = false;
};

std::vector<Expected> expected_tensors(const Quantization& q, const std::string& name, int64_t rows, int64_t columns) {
  const std::string module = module_of(name);
  const int per = 32 / q.bits;
  const int64_t group = q.group == -1 ? columns : q.group, groups = (columns + group - 1) / group;
  switch (q.layout) {
    case Layout::kGptq:
      return {{module + ".qweight", {{columns / per, rows}}},
              {module + ".qzeros", {{groups, rows / per}}},
              {module + ".scales", {{groups, rows}}},
              {module + ".g_idx", {{columns}}, !q.activation_order}};
    case Layout::kAwq:
      return {{module + ".qweight", {{columns, rows / per}}},
              {module + ".qzeros", {{groups, rows / per}}},
              {module + ".scales", {{groups, rows}}}};
    case Layout::kInt8:
      return {{name, {{rows, columns}}},
              {name + "_scale", {{rows, groups}, {rows}, {1}, {}}},
              {module + ".input_scale", {{1}, {}, {1, 1}}, q.inputs != Quantization::Inputs::kPerTensor},
              {module + ".input_zero_point", {{1}, {}, {1, 1}}, true},
              {name + "_zero_point", {{rows, groups}}, true}};
    case Layout::kPackedIntegers:
      return {{name + "_packed", {{rows, (columns + per - 1) / per}}},
              {name + "_scale", {{rows, groups}}},
              {name + "_shape", {{2}}, true},
              {name + "_zero_point", {{(rows + per - 1) / per, groups}}, q.symmetric},
              {name + "_g_idx", {{columns}}, true}};
    case Layout::kFp8Block:
      break;
  }
  return {};
}

}  // namespace

bool stored_in_integers(const SafetensorsModel& stored, const std::string& name) {
  if (!stored.quantization()) return false;
  switch (stored.quantization()->layout) {
    case Layout::kGptq:
    case Layout::kAwq:
      return stored.find(module_of(name) + ".qweight").tensor != nullptr;
    case Layout::kInt8: {
      const Stored found = stored.find(name);
      return found.tensor && found.tensor->type == SafeType::kI8;
    }
    case Layout::kPackedIntegers:
      return stored.find(name + "_packed").tensor != nullptr;
    case Layout::kFp8Block:
      break;
  }
  return false;
}

void check_stored_integers(
    const SafetensorsModel& stored, const std::string& name, const std::vector<int64_t>& shape, std::set<std::string>& known,
    std::vector<std::string>& missing,
    const std::function<void(const std::string&, const std::vector<int64_t>&, const std::vector<int64_t>&)>& compare) {
  for (const Expected& expected : expected_tensors(*stored.quantization(), name, shape[0], shape[1])) {
    known.insert(expected.name);
    const Stored found = stored.find(expected.name);
    if (!found.tensor) {
      if (!expected.optional) missing.push_back("'" + expected.name + "'");
      continue;
    }
    if (std::find(expected.shapes.begin(), expected.shapes.end(), found.tensor->shape) == expected.shapes.end())
      compare(expected.name, expected.shapes.front(), found.tensor->shape);
  }
}

tensor::IntegerMatrix read_integers(const SafetensorsModel& stored, const std::string& name, int64_t columns) {
  const Quantization& q = *stored.quantization();
  const std::string module = module_of(name);
  tensor::IntegerMatrix m;
  switch (q.layout) {
    case Layout::kGptq:
      m = tensor::from_gptq({read(stored, module + ".qweight"), read(stored, module + ".qzeros"), read(stored, module + ".scales"),
                             read(stored, module + ".g_idx")},
                            q.bits, q.second_format);
      break;
    case Layout::kAwq:
      m = tensor::from_awq({read(stored, module + ".qweight"), read(stored, module + ".qzeros"), read(stored, module + ".scales")});
      break;
    case Layout::kInt8: {
      const Tensor weight = read(stored, name), scale = read(stored, name + "_scale");
      m = tensor::from_int8(weight, scale.dim() == 2 ? scale : scale.reshape({-1, 1}).expand({weight.size(0), 1}));
      break;
    }
    case Layout::kPackedIntegers:
      m = tensor::from_packed_integers(read(stored, name + "_packed"), read(stored, name + "_scale"),
                                       q.symmetric ? Tensor() : read(stored, name + "_zero_point"), read(stored, name + "_g_idx"), columns,
                                       q.bits);
      break;
    case Layout::kFp8Block:
      fail("[weights] fp8 blocks are no integers");
  }
  tensor::check_integers(m, str("'", name, "'"));
  return m;
}

std::optional<double> read_input_scale(const SafetensorsModel& stored, const std::string& name) {
  const Tensor scale = read(stored, module_of(name) + ".input_scale");
  if (!scale.defined()) return {};
  return scale.to(at::kFloat).reshape({-1})[0].item<double>();
}

}  // namespace r1::model
