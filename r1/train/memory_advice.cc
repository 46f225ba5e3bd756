#include "r1/train/memory_advice.h"

#include <ATen/DeviceAccelerator.h>

#include <algorithm>
#include <cmath>

#include "r1/base/error.h"
#include "r1/train/advice.h"

namespace r1::train {
namespace {

// Documents first .. last-1 of a batch.
data::Batch documents_of(const data::Batch& b, int64_t first, int64_t last) {
  data::Batch part;
  const int64_t from = b.cu_seqlens[size_t(first)], to = b.cu_seqlens[size_t(last)];
  const auto tokens = [&](const auto& list) {
    using List = std::decay_t<decltype(list)>;
    return list.empty() ? List() : List(list.begin() + from, list.begin() + to);
  };
  part.ids = tokens(b.ids);
  part.targets = tokens(b.targets);
  part.loss_weight = tokens(b.loss_weight);
  part.positions = tokens(b.positions);
  part.advantage = tokens(b.advantage);
  part.old_logprob = tokens(b.old_logprob);
  part.ref_logprob = tokens(b.ref_logprob);
  for (int64_t s = first; s <= last; ++s) part.cu_seqlens.push_back(int32_t(b.cu_seqlens[size_t(s)] - from));
  if (!b.document.empty()) part.document.assign(b.document.begin() + first, b.document.begin() + last);
  return part;
}

// The first document of the second half.
int64_t middle_of(const data::Batch& b) {
  int64_t best = 1;
  for (int64_t s = 2; s < b.documents(); ++s) {
    if (std::abs(2 * b.cu_seqlens[size_t(s)] - b.tokens()) < std::abs(2 * b.cu_seqlens[size_t(best)] - b.tokens())) best = s;
  }
  return best;
}

std::string gib(int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GiB", double(bytes) / double(int64_t{1} << 30));
  return text;
}

int64_t memory_of(at::Device device) {
  return device.is_cpu() ? machine_memory() : int64_t(at::accelerator::getMemoryInfo(std::max<c10::DeviceIndex>(0, device.index())).second);
}

}  // namespace

std::vector<data::Batch> halved(std::span<const data::Batch> batches) {
  std::vector<data::Batch> halves;
  for (const data::Batch& b : batches) {
    if (b.documents() < 2) {
      halves.push_back(b);
      continue;
    }
    const int64_t middle = middle_of(b);
    halves.push_back(documents_of(b, 0, middle));
    halves.push_back(documents_of(b, middle, b.documents()));
  }
  return halves;
}

std::string memory_advice(const model::Transformer& model, const TrainerConfig& config, std::span<const data::Batch> micro_batches) {
  AdviceInput in;
  in.plan.model = model.config();
  in.plan.dtype = model.dtype();
  in.plan.cuda = model.device().is_cuda();
  in.plan.trainer = config;
  in.plan.micro_batches = int64_t(micro_batches.size());
  for (const data::Batch& b : micro_batches) {
    in.sequences = std::max(in.sequences, b.documents());
    in.plan.micro_batch_tokens = std::max(in.plan.micro_batch_tokens, b.tokens());
    for (int64_t s = 0; s < b.documents(); ++s)
      in.plan.longest_text = std::max<int64_t>(in.plan.longest_text, b.cu_seqlens[size_t(s) + 1] - b.cu_seqlens[size_t(s)]);
  }
  in.length = (in.plan.micro_batch_tokens + in.sequences - 1) / in.sequences;
  in.memory = memory_of(model.device());
  const Plan plan = make_plan(in.plan);
  std::string text = str("By plan a step of ", in.plan.micro_batch_tokens, " tokens a micro-batch takes ", gib(plan.likely), " of ",
                         gib(in.memory), ", beside what else is there (engine, reference model, other processes)");
  // The plan may say that it fits: others have taken the memory. Then what saves most is the answer.
  const Lever way = way_to_fit(in);
  const std::vector<Lever> all = levers(in);
  if (!way.option.empty()) return str(text, "; with ", way.option, " it takes ", gib(way.peak));
  if (!all.empty()) return str(text, "; with ", all[0].option, " it takes ", gib(all[0].peak));
  return text;
}

}  // namespace r1::train
