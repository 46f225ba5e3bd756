// What a backend does for a Group: each call ends when the operation has, or throws (anything) when it failed or took longer than the group's
// timeout. Tensors are contiguous, 1-dim, on the device that the backend serves.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "r1/dist/store.h"
#include "r1/tensor/dtype.h"
#include "r1/tensor/tensor.h"

namespace r1::dist {

enum class Reduce { kSum, kMax };

class Transport {
 public:
  virtual ~Transport() = default;
  virtual void all_reduce(Tensor& x, Reduce reduce) = 0;  // in an order of the backend's own
  virtual void broadcast(Tensor& x, int64_t root) = 0;
  virtual void all_gather(Tensor& out, Tensor& in) = 0;
  // Elements that come from and go to each rank; all parts equal if both are empty.
  virtual void all_to_all(Tensor& out, Tensor& in, std::vector<int64_t> from, std::vector<int64_t> to) = 0;
  virtual void send(Tensor& x, int64_t to) = 0;
  virtual void receive(Tensor& x, int64_t from) = 0;
};

struct TransportOptions {
  std::string name = "world";
  int64_t rank = 0, size = 1;
  double timeout = 600;
  tensor::Device device = at::kCPU;
  std::string address_of_rank_0 = {};  // by which other machines know rank 0's; "": all ranks are on one machine
};

std::unique_ptr<Transport> gloo_transport(const Store& store, const TransportOptions& options);  // CPU
// NVIDIA's GPUs; kUsage in a build without CUDA.
std::unique_ptr<Transport> nccl_transport(const Store& store, const TransportOptions& options);

}  // namespace r1::dist
