// Decode steps as CUDA graphs: one for each of a few numbers of sequences, captured when a step of that size comes for the second time.
// A step of fewer sequences is padded up to the next. What is captured reads the batch from buffers of fixed addresses
// (ops::SequenceBuffers), so a replay sees the new step's numbers.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "r1/model/transformer.h"
#include "r1/tensor/cuda_graph.h"

namespace r1::engine {

class DecodeGraphs {
 public:
  // Up to that many sequences a step. Off on the CPU, and for models whose steps differ from length to length.
  DecodeGraphs(const model::Transformer& model, int64_t max_sequences, bool wanted);

  bool on() const { return on_; }
  int64_t replays() const { return replays_; }
  // How many sequences a step of `count` is to be padded to.
  int64_t padded(int64_t count) const;
  // What forward() gives for the step of `sequences` (padded) of `rows` rows each that lies in the buffers, valid until the next run.
  // Weights or tables that have moved since a capture end all graphs.
  Tensor run(int64_t sequences, int64_t rows, const std::function<Tensor()>& forward);

 private:
  struct Entry {
    std::unique_ptr<tensor::CudaGraph> graph;
    Tensor out;  // borrowed: the memory is the graph's, and other graphs of the pool may use it in between
  };
  void capture(Entry& entry, const std::function<Tensor()>& forward);

  const model::Transformer& model_;
  int64_t max_sequences_;
  bool on_;
  int64_t replays_ = 0;
  uint64_t stamp_ = 0;
  tensor::GraphMemory memory_;
  std::map<std::pair<int64_t, int64_t>, Entry> entries_;
};

}  // namespace r1::engine
