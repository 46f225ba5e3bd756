// The launcher (launcher.c), linked by the build and carried inside the program.
#pragma once

#include <string_view>

namespace r1::verify::sandbox {

std::string_view launcher_image();

}  // namespace r1::verify::sandbox
