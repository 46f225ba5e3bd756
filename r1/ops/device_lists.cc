#include "r1/ops/device_lists.h"

#include <c10/core/Event.h>

#include <algorithm>
#include <optional>

#include "r1/base/error.h"
#include "r1/ops/cuda_kernels.h"
#include "r1/tensor/aten.h"

namespace r1::ops {

namespace {

constexpr int64_t kAlignment = 16;

}  // namespace

struct DeviceLists::Impl {
  struct Place {
    List list;
    int64_t offset = 0;  // bytes
  };
  at::Device device;
  std::vector<Place> places;
  Tensor host, on_device;  // bytes; the same on the CPU
  int64_t used = 0;        // bytes written since the last copy, from the start
  std::optional<c10::Event> copied;

  // The copy before may still be reading this memory.
  void wait() {
    if (used == 0 && copied) copied->synchronize();
  }
};

DeviceLists::DeviceLists(at::Device device, const std::vector<List>& lists) : impl_(new Impl{.device = device}) {
  int64_t bytes = 0;
  for (const List& list : lists) {
    check(list.room >= 0 && (list.type == at::kInt || list.type == at::kLong), "[device_lists] expected integers, got ", list.room, " of ",
          list.type);
    impl_->places.push_back({list, bytes});
    bytes += (list.room * int64_t(c10::elementSize(list.type)) + kAlignment - 1) / kAlignment * kAlignment;
  }
  const auto options = at::TensorOptions().dtype(at::kByte);
  impl_->host = aten::empty({bytes}, options.pinned_memory(device.is_cuda()));
  impl_->on_device = device.is_cpu() ? impl_->host : aten::empty({bytes}, options.device(device));
  if (device.is_cuda()) impl_->copied.emplace(at::kCUDA);
}
DeviceLists::~DeviceLists() = default;

template <class T>
T* DeviceLists::write(size_t list, int64_t used) {
  const auto& [spec, offset] = impl_->places.at(list);
  check(used >= 0 && used <= spec.room && sizeof(T) == c10::elementSize(spec.type), "[device_lists] expected up to ", spec.room, " of ",
        spec.type, " in list ", list, ", got ", used);
  impl_->wait();
  if (used > 0) impl_->used = std::max(impl_->used, offset + used * int64_t(sizeof(T)));
  return reinterpret_cast<T*>(impl_->host.mutable_data_ptr<uint8_t>() + offset);
}
template int32_t* DeviceLists::write<int32_t>(size_t list, int64_t used);
template int64_t* DeviceLists::write<int64_t>(size_t list, int64_t used);

void DeviceLists::send() {
  Impl& m = *impl_;
  if (!m.device.is_cpu() && m.used > 0) {
    m.on_device.narrow(0, 0, m.used).copy_(m.host.narrow(0, 0, m.used), /*non_blocking=*/true);
    if (m.copied) m.copied->record(current_stream(m.device));
  }
  m.used = 0;
}

Tensor DeviceLists::on_device(size_t list) const {
  const auto& [spec, offset] = impl_->places.at(list);
  return impl_->on_device.narrow(0, offset, spec.room * int64_t(c10::elementSize(spec.type))).view(spec.type);
}

template <class T>
Tensor uploaded(std::span<const T> values, at::Device device) {
  const auto options = at::TensorOptions().dtype(c10::CppTypeToScalarType<T>::value);
  const Tensor host = aten::empty({int64_t(values.size())}, options.pinned_memory(device.is_cuda()));
  std::copy(values.begin(), values.end(), host.mutable_data_ptr<T>());
  if (device.is_cpu()) return host;
  const Tensor there = aten::empty(host.sizes(), options.device(device));
  return there.copy_(host, /*non_blocking=*/true);
}
template Tensor uploaded<int32_t>(std::span<const int32_t>, at::Device);
template Tensor uploaded<int64_t>(std::span<const int64_t>, at::Device);
template Tensor uploaded<float>(std::span<const float>, at::Device);

}  // namespace r1::ops
