// Sizes that come out of files are multiplied and added with a check, never with a bare sign: on overflow the error message given is
// thrown.
//   const uint64_t bytes = checked_mul(rows, row_bytes, where, ": tensor '", name, "' is larger than memory can be");
#pragma once

#include <cstdint>

#include "r1/base/error.h"

namespace r1 {

template <class... Args>
uint64_t checked_mul(uint64_t a, uint64_t b, const Args&... message) {
  uint64_t result;
  if (__builtin_mul_overflow(a, b, &result)) fail(message...);
  return result;
}

template <class... Args>
uint64_t checked_add(uint64_t a, uint64_t b, const Args&... message) {
  uint64_t result;
  if (__builtin_add_overflow(a, b, &result)) fail(message...);
  return result;
}

}  // namespace r1
