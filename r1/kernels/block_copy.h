// One block of a paged cache to be copied over another.
#pragma once

#include <cstdint>

namespace r1::kernels {

struct BlockCopy {
  int32_t from = -1, to = -1;
};

}  // namespace r1::kernels
