#include "r1/train/step_numbers.h"

#include <cmath>
#include <functional>
#include <limits>
#include <set>

#include "r1/base/json.h"
#include "r1/tensor/aten.h"

namespace r1::train {
namespace {

// A line a name: its kind, and for a tensor its dtype and shape.
std::string names_of(const StepNumbers& numbers) {
  Json lines = Json::array();
  for (const auto& [name, value] : numbers.sums) lines.push_back({"sum", name});
  for (const auto& [name, value] : numbers.maxima) lines.push_back({"max", name});
  for (const auto& [name, value] : numbers.tensors) lines.push_back({"tensor", name, int(value.scalar_type()), value.sizes().vec()});
  return lines.dump();
}

void add_names(const std::string& names, StepNumbers& numbers, tensor::Device device) {
  for (const Json& line : Json::parse(names)) {
    const auto kind = line[0].get<std::string>(), name = line[1].get<std::string>();
    if (kind == "sum") numbers.sums.try_emplace(name, 0.0);
    if (kind == "max") numbers.maxima.try_emplace(name, -std::numeric_limits<double>::infinity());
    if (kind == "tensor" && !numbers.tensors.count(name))
      numbers.tensors[name] =
          aten::zeros(line[3].get<std::vector<int64_t>>(), at::TensorOptions().dtype(at::ScalarType(line[2].get<int>())).device(device));
  }
}

// As a rule all know the same names, and a number tells.
bool all_know_the_same(dist::Group& group, const std::string& names) {
  const auto hash = double(std::hash<std::string>()(names) >> 12);  // exact in a double
  double ends[2] = {hash, -hash};
  group.all_reduce(ends, dist::Reduce::kMax);
  return ends[0] == -ends[1];
}

}  // namespace

void sum_numbers(dist::Group& group, StepNumbers& numbers, tensor::Device device) {
  if (group.size() == 1) return;
  const std::string names = names_of(numbers);
  if (!all_know_the_same(group, names))
    for (const std::string& others : group.all_gather(names)) add_names(others, numbers, device);
  std::vector<double> sums, maxima;
  for (const auto& [name, value] : numbers.sums) sums.push_back(value);
  std::vector<Tensor> flat;
  for (const auto& [name, value] : numbers.tensors) flat.push_back(value.reshape(-1).to(at::kDouble));
  group.all_reduce(sums);
  if (!flat.empty()) {
    Tensor all = aten::cat(flat);
    group.all_reduce(all);
    int64_t at = 0;
    for (auto& [name, value] : numbers.tensors) {
      value = all.narrow(0, at, value.numel()).view(value.sizes()).to(value.scalar_type());
      at += value.numel();
    }
  }
  for (const auto& [name, value] : numbers.maxima) maxima.push_back(value);
  group.all_reduce(maxima, dist::Reduce::kMax);
  size_t i = 0;
  for (auto& [name, value] : numbers.sums) value = sums[i++];
  i = 0;
  for (auto& [name, value] : numbers.maxima) value = maxima[i++];
}

}  // namespace r1::train
