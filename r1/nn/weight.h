// A weight and, alone, the knowledge of how it is stored: as one tensor (plain), or packed as its file has it (tensor/packed), with values
// and scales in slots of their own. Layers that multiply own one for each matrix; norms, biases and routers are plain tensors.
//
// A packed weight is unpacked for each use, which is slow and takes the memory of what is used: the reference. It has no gradient and is
// never written: model.set_requires_grad refuses it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "r1/nn/placement.h"

namespace r1::tensor {
class PackedMatrix;
}

namespace r1::nn {

class Weight {
 public:
  Weight() = default;  // there is none
  // Plain and uninitialised; without memory where the placement says `deferred`.
  Weight(at::IntArrayRef shape, const Placement& placement);

  bool defined() const { return plain_.defined(); }
  at::IntArrayRef sizes() const { return plain_.sizes(); }
  bool packed() const { return packed_ != nullptr; }
  std::string format() const;  // of a packed one, for people

  // All of it: the tensor itself where it is plain, else unpacked for this use.
  Tensor dense() const;
  // [first, first + count) of its first axis.
  Tensor rows(int64_t first, int64_t count) const;
  // Of a matrix [V, D] the rows of these numbers, int64 [T] -> [T, D].
  Tensor lookup(const Tensor& ids_T) const;

  // What products take in place of their input [T, in], of an expert's matrix with its number (else 0): for who looks at inputs (calibration)
  // or rounds them (8 bit activations). Joint products (JointLinear), which arrange() makes, do not ask.
  using Input = std::function<Tensor(const Tensor& x_TI, int64_t expert)>;
  void on_input(Input input) { input_ = std::move(input); }
  bool has_input() const { return bool(input_); }
  Tensor input(const Tensor& x_TI, int64_t expert = 0) const { return input_ ? input_(x_TI, expert) : x_TI; }

  // From now on this packed matrix, whose rows are those of all axes but the last. What was held before is let go.
  void pack(std::shared_ptr<const tensor::PackedMatrix> packed);
  // Plain from now on, with memory of its own; uninitialised if it had none.
  void make_plain();
  // The place of the plain tensor; what stands there has its shape and dtype always, but memory only where the weight is plain.
  Tensor& slot() { return plain_; }

 private:
  at::Device device_ = at::kCPU;
  Tensor plain_;
  std::shared_ptr<const tensor::PackedMatrix> packed_;
  Input input_;
};

}  // namespace r1::nn
