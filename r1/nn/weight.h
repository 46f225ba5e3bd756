// A weight and, alone, the knowledge of how it is stored: as one tensor (plain), or packed as its file has it (tensor/packed), with values
// and scales in slots of their own. Layers that multiply own one for each matrix; norms, biases and routers are plain tensors.
//
// A packed weight is multiplied as it lies where there is a product for its form: on the CPU (ops/packed_linear) all forms but integers in groups
// of odd sizes, where ggml's blocks and integers round the input to 8 bits, and narrow floats and 2:4 give the bits of the unpacked weight; on a
// GPU in a form of its own (ops/device_matrix), which rounds nothing. Else it is unpacked for each use, which is slow and takes the memory of what
// is used. It has no gradient and is never written: model.set_requires_grad refuses it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "r1/nn/placement.h"

namespace r1::tensor {
class PackedMatrix;
}

namespace r1::ops {
class DeviceMatrix;
}

namespace r1::nn {

class Weight {
 public:
  Weight() = default;  // there is none
  // Plain and uninitialised; without memory where the placement says `deferred`.
  Weight(at::IntArrayRef shape, const Placement& placement);

  bool defined() const { return plain_.defined(); }
  at::IntArrayRef sizes() const { return plain_.sizes(); }
  bool packed() const { return packed_ || on_device_; }
  // Packed on a GPU, or null. Its products launch the same every time, and read what lies at address().
  const std::shared_ptr<const ops::DeviceMatrix>& on_device() const { return on_device_; }
  at::Device device() const { return device_; }
  const void* address() const;
  std::string format() const;    // of a packed one, for people
  int64_t packed_bytes() const;  // 0 for a plain one
  // Null for a plain one.
  const tensor::PackedMatrix* packed_matrix() const { return packed_.get(); }
  // Whether products of x take the packed matrix as it lies, and nobody asks for their inputs.
  bool multiplies_freely(const Tensor& x) const;

  // All of it: the tensor itself where it is plain, else unpacked for this use.
  Tensor dense() const;
  // [first, first + count) of its first axis.
  Tensor rows(int64_t first, int64_t count) const;
  // x [T, I] . w^T + bias, w the rows [first, first + count) of the first axis, [O, I] or of [E, O, I] the matrices below one another.
  Tensor product(const Tensor& x_TI, int64_t first, int64_t count, const Tensor& bias_O = {}) const;
  Tensor product(const Tensor& x_TI, const Tensor& bias_O = {}) const { return product(x_TI, 0, sizes()[0], bias_O); }
  // Of a head [V, D]: ops/logprob's logits, and the log-probabilities of these tokens (int64) without a graph.
  Tensor logits(const Tensor& x_RD) const;
  Tensor logprob(const Tensor& x_TD, const Tensor& targets_T) const;
  // Of a matrix [V, D] the rows of these numbers, int64 [T] -> [T, D].
  Tensor lookup(const Tensor& ids_T) const;

  // What products take in place of their input [T, in], of an expert's matrix with its number (else 0): for who looks at inputs (calibration)
  // or rounds them (8 bit activations). Joint products of plain weights (JointLinear), which arrange() makes, do not ask; a packed matrix
  // whose product rounds its inputs as the file declares (PackedMatrix::rounds_inputs) does not either.
  using Input = std::function<Tensor(const Tensor& x_TI, int64_t expert)>;
  void on_input(Input input) { input_ = std::move(input); }
  bool has_input() const { return bool(input_); }
  Tensor input(const Tensor& x_TI, int64_t expert = 0) const { return input_ ? input_(x_TI, expert) : x_TI; }

  // From now on this packed matrix, whose rows are those of all axes but the last. What was held before is let go.
  void pack(std::shared_ptr<const tensor::PackedMatrix> packed);
  void pack(std::shared_ptr<const ops::DeviceMatrix> packed);
  // Plain from now on, with memory of its own; uninitialised if it had none.
  void make_plain();
  // The place of the plain tensor; what stands there has its shape and dtype always, but memory only where the weight is plain.
  Tensor& slot() { return plain_; }

 private:
  bool multiplies_packed(const Tensor& x) const;
  void check_packed(int64_t rows, int64_t columns) const;
  int64_t rows_below() const;  // rows of the matrix for each of the first axis

  at::Device device_ = at::kCPU;
  Tensor plain_;
  std::shared_ptr<const tensor::PackedMatrix> packed_;
  std::shared_ptr<const ops::DeviceMatrix> on_device_;
  Input input_;
};

}  // namespace r1::nn
