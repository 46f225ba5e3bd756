#include "r1/verify/sandbox/launcher_image.h"

// R1_SANDBOX_LAUNCHER is the path of the linked launcher, from r1/verify/CMakeLists.txt.
__asm__(
    ".pushsection .rodata\n"
    ".balign 16\n"
    "r1_sandbox_launcher_begin:\n"
    ".incbin \"" R1_SANDBOX_LAUNCHER
    "\"\n"
    "r1_sandbox_launcher_end:\n"
    ".byte 0\n"
    ".popsection\n");

extern "C" {
extern const char r1_sandbox_launcher_begin[] __attribute__((visibility("hidden")));
extern const char r1_sandbox_launcher_end[] __attribute__((visibility("hidden")));
}

namespace r1::verify::sandbox {

std::string_view launcher_image() {
  return {r1_sandbox_launcher_begin, size_t(r1_sandbox_launcher_end - r1_sandbox_launcher_begin)};
}

}  // namespace r1::verify::sandbox
