// Whether untrusted programs can be run here, asked of the machine and not of what is tested: a test that skips for the error it met would
// skip for a fault as well.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "r1/verify/sandbox/sandbox.h"

namespace r1::verify::sandbox {

// "", or which of the needed layers is missing (namespaces always are): for GTEST_SKIP.
inline std::string lacking(const std::vector<Layer>& needed) {
  for (const LayerState& state : examine()) {
    if (!state.available && (state.layer == Layer::kNamespaces || std::find(needed.begin(), needed.end(), state.layer) != needed.end()))
      return std::string("this machine lacks ") + layer_name(state.layer) + ": " + state.detail;
  }
  return "";
}

// What a policy that may miss nothing asks for.
inline std::string lacking_any() {
  return lacking({Layer::kSeccomp, Layer::kRlimits, Layer::kCgroup, Layer::kLandlock});
}

}  // namespace r1::verify::sandbox
