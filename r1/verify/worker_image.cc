#include "r1/verify/worker_image.h"

// R1_VERIFY_WORKER is the path of the linked program, from r1/verify/CMakeLists.txt.
__asm__(
    ".pushsection .rodata\n"
    ".balign 16\n"
    "r1_verify_worker_begin:\n"
    ".incbin \"" R1_VERIFY_WORKER
    "\"\n"
    "r1_verify_worker_end:\n"
    ".byte 0\n"
    ".popsection\n");

extern "C" {
extern const char r1_verify_worker_begin[] __attribute__((visibility("hidden")));
extern const char r1_verify_worker_end[] __attribute__((visibility("hidden")));
}

namespace r1::verify {

std::string_view worker_image() {
  return {r1_verify_worker_begin, size_t(r1_verify_worker_end - r1_verify_worker_begin)};
}

}  // namespace r1::verify
