// Lists of integers that go to the device step by step: one buffer of fixed size there, its mirror in pinned memory here, one copy for all
// lists. Addresses stay the same, so what was captured with one step's numbers (a CUDA graph) reads the next step's; nothing is allocated
// after construction. On the CPU both are the same memory and nothing is copied.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "r1/tensor/tensor.h"

namespace r1::ops {

class DeviceLists {
 public:
  struct List {
    at::ScalarType type = at::kInt;  // or kLong
    int64_t room = 0;                // numbers
  };
  DeviceLists(at::Device device, const std::vector<List>& lists);
  ~DeviceLists();

  // Where the list's numbers are to be written. T: int32_t or int64_t, as the list's type. Waits until the copy before has been made.
  // A list counts as `used` numbers from its start; send() copies up to the last list that is used.
  template <class T>
  T* write(size_t list, int64_t used);
  void send();
  // The whole list, [room], on the device.
  Tensor on_device(size_t list) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A list by itself, in a tensor of its own. On CUDA the copy goes through pinned memory and nobody waits for it. T: int32_t, int64_t, float.
template <class T>
Tensor uploaded(std::span<const T> values, at::Device device);

}  // namespace r1::ops
