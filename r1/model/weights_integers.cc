#include "r1/model/weights_integers.h"

#include <cmath>

#include "r1/base/error.h"
#include "r1/base/log.h"
#include "r1/tensor/aten.h"
#include "r1/tensor/safetensors.h"

namespace r1::model {

namespace {

using Layout = Quantization::Layout;

Tensor read(const SafetensorsModel& stored, const std::string& name) {
  const Stored found = stored.find(name);
  return found.tensor ? tensor::read_safetensor(*found.file, *found.tensor) : Tensor();
}

// One that must be int32, or undefined where it is left out.
Tensor read_words(const SafetensorsModel& stored, const std::string& name) {
  const Tensor words = read(stored, name);
  if (words.defined() && words.scalar_type() != at::kInt)
    fail(stored.find(name).file->name(), ": '", name, "' is ", tensor::dtype_name(words.scalar_type()), ", expected int32");
  return words;
}

// One of floats, all of them finite.
Tensor read_scales(const SafetensorsModel& stored, const std::string& name) {
  const Tensor scales = read(stored, name);
  if (!scales.is_floating_point())
    fail(stored.find(name).file->name(), ": '", name, "' is ", tensor::dtype_name(scales.scalar_type()), ", expected floats");
  if (!scales.to(at::kFloat).isfinite().all().item<bool>())
    fail(stored.find(name).file->name(), ": '", name, "' holds NaN or infinity; the file is broken, take it anew from where it was made");
  return scales;
}

// Of int8, whose products know none: 0 if it is there.
void check_no_zero_point(const SafetensorsModel& stored, const std::string& name) {
  const Tensor zero = read(stored, name);
  if (zero.defined() && zero.to(at::kFloat).ne(0).any().item<bool>())
    fail(stored.find(name).file->name(), ": '", name,
         "' is not 0, and int8 with zero points is not read; take a symmetric form of the model");
}

// Whether a symmetric file that says "gptq" holds its zero points as they are, as GPTQModel 5 leaves them: the middle everywhere, which less 1 a
// symmetric file cannot have.
bool zeros_are_as_in_v2(const Tensor& qzeros, const Quantization& q) {
  return q.symmetric && qzeros.eq(int64_t(int32_t(q.bits == 4 ? 0x88888888u : 0x80808080u))).all().item<bool>();
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
    case Layout::kGptq: {
      const Tensor qzeros = read_words(stored, module + ".qzeros");
      const bool as_they_are = !q.second_format && zeros_are_as_in_v2(qzeros, q);
      if (as_they_are && name.find(".0.self_attn.q_proj") != std::string::npos)  // once is enough
        log_warning(stored.find(module + ".qzeros").file->name(),
                    ": checkpoint_format is gptq, and the zero points stand as gptq_v2 has them; read as gptq_v2");
      m = tensor::from_gptq(
          {read_words(stored, module + ".qweight"), qzeros, read_scales(stored, module + ".scales"), read_words(stored, module + ".g_idx")},
          q.bits, q.second_format || as_they_are);
      break;
    }
    case Layout::kAwq:
      m = tensor::from_awq(
          {read_words(stored, module + ".qweight"), read_words(stored, module + ".qzeros"), read_scales(stored, module + ".scales")});
      break;
    case Layout::kInt8: {
      check_no_zero_point(stored, name + "_zero_point");
      check_no_zero_point(stored, module + ".input_zero_point");
      const Tensor weight = read(stored, name), scale = read_scales(stored, name + "_scale");
      m = tensor::from_int8(weight, scale.dim() == 2 ? scale : scale.reshape({-1, 1}).expand({weight.size(0), 1}));
      break;
    }
    case Layout::kPackedIntegers:
      m = tensor::from_packed_integers(read_words(stored, name + "_packed"), read_scales(stored, name + "_scale"),
                                       q.symmetric ? Tensor() : read_words(stored, name + "_zero_point"),
                                       read_words(stored, name + "_g_idx"), columns, q.bits);
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
  const double value = scale.to(at::kFloat).reshape({-1})[0].item<double>();
  if (!(std::isfinite(value) && value > 0))
    fail(stored.find(module_of(name) + ".input_scale").file->name(), ": '", module_of(name), ".input_scale' is ", value,
         ", expected a number above 0; the file is broken, take it anew from where it was made");
  return value;
}

}  // namespace r1::model
