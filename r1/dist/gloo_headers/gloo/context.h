// Stands in for the header of this name in Gloo, whose code is inside libtorch_cpu while its headers are not in the wheel: what c10d's
// ProcessGroupGloo.hpp names of it, and no more. No object of these types is ever made here.
#pragma once

#include <chrono>
#include <memory>

namespace gloo {

class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};

}  // namespace gloo
