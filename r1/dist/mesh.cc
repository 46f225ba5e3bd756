#include "r1/dist/mesh.h"

#include "r1/base/error.h"

namespace r1::dist {

Mesh::Mesh(Group& world, int64_t tensor_size) {
  check(tensor_size > 0 && world.size() % tensor_size == 0, "[mesh] expected a divisor of the ", world.size(), " ranks, got ", tensor_size);
  if (tensor_size == 1) {
    data_ = &world;
  } else if (tensor_size == world.size()) {
    tensor_ = &world;
  } else {
    const int64_t data_size = world.size() / tensor_size, row = world.rank() / tensor_size, column = world.rank() % tensor_size;
    std::vector<int64_t> same_row, same_column;
    for (int64_t i = 0; i < tensor_size; ++i) same_row.push_back(row * tensor_size + i);
    for (int64_t i = 0; i < data_size; ++i) same_column.push_back(i * tensor_size + column);
    own_tensor_ = world.part(str("tensor/", row), same_row);
    own_data_ = world.part(str("data/", column), same_column);
    tensor_ = own_tensor_.get(), data_ = own_data_.get();
  }
}

}  // namespace r1::dist
