// The worker's program (worker_main.cc), linked by the build and carried inside the library.
#pragma once

#include <string_view>

namespace r1::verify {

std::string_view worker_image();

}  // namespace r1::verify
