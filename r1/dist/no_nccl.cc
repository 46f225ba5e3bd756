// Stands in for nccl_group.cc in a build without CUDA.
#include "r1/base/error.h"
#include "r1/dist/transport.h"

namespace r1::dist {

std::unique_ptr<Transport> nccl_transport(const Store&, const TransportOptions&) {
  fail_usage("parallel.backend nccl: this build has no CUDA (r1 env); build with R1_CUDA=ON, or take gloo");
}

}  // namespace r1::dist
