// How the C library handles freed memory. By default glibc gives blocks of more than 128 KiB back to the system as soon as they are freed
// and asks for them again, zeroed page by page, a moment later: a third of the processor time of a small model's step. A program whose
// steps repeat keeps them instead.
#pragma once

namespace r1 {

// For main(), before work starts. Freed memory up to a gigabyte at the top of the heap stays with the process. Does nothing where there is
// no mallopt.
void keep_freed_memory();

}  // namespace r1
