#include "r1/engine/decode_graphs.h"

#include <algorithm>

#include "r1/base/error.h"
#include "r1/base/log.h"
#include "r1/tensor/aten.h"

namespace r1::engine {

DecodeGraphs::DecodeGraphs(const model::Transformer& model, int64_t max_sequences, bool wanted)
    : model_(model), max_sequences_(max_sequences), on_(wanted && model.device().is_cuda() && model.replayable()) {}

// Few sizes, so that few are captured: powers of two, then steps of an eighth to a quarter.
int64_t DecodeGraphs::padded(int64_t count) const {
  int64_t size = 1;
  while (size < count) size += size < 16 ? size : size < 64 ? 16 : size < 256 ? 32 : size / 4;
  return std::clamp(size, count, std::max(count, max_sequences_));
}

Tensor DecodeGraphs::run(int64_t sequences, int64_t rows, const std::function<Tensor()>& forward) {
  if (const uint64_t stamp = model_.memory_stamp(); stamp != stamp_) {
    entries_.clear();
    stamp_ = stamp;
  }
  const auto [it, fresh] = entries_.try_emplace({sequences, rows});
  Entry& entry = it->second;
  if (fresh) return forward();  // libraries make what they need at their first call, which can't be captured
  if (!entry.graph) {
    try {
      capture(entry, forward);
    } catch (const std::exception& e) {
      log_warning("[engine] decoding goes on without CUDA graphs: a step could not be captured (", foreign_message(e.what()), ")");
      on_ = false;
      entries_.clear();
      return forward();
    }
  }
  entry.graph->replay();
  ++replays_;
  return entry.out;
}

void DecodeGraphs::capture(Entry& entry, const std::function<Tensor()>& forward) {
  auto graph = std::make_unique<tensor::CudaGraph>();
  graph->capture(model_.device(), memory_, [&] {
    const Tensor out = forward();
    entry.out = aten::from_blob(out.mutable_data_ptr(), out.sizes(), out.options());
  });
  entry.graph = std::move(graph);
}

}  // namespace r1::engine
