// How the C library handles freed memory. By default glibc gives blocks of more than 128 KiB back to the system as soon as they are freed
// and asks for them again, zeroed page by page, a moment later: a third of the processor time of a small model's step. A program whose
// steps repeat keeps them instead.
//
// The settings are the process's. Nothing here does anything where there is no mallopt.
#pragma once

namespace r1 {

// For main(), before work starts, and for good. Freed memory up to a gigabyte at the top of the heap stays with the process.
void keep_freed_memory();

// While one of these lives, blocks of 4 MiB and more go back to the system as soon as they are freed, whatever was settled before: for work
// that would rather have the memory than the time. When the last one goes, what keep_freed_memory settled holds again (or, where that was
// not called, glibc's first threshold of 128 KiB).
class LargeBlocksGoBack {
 public:
  LargeBlocksGoBack();
  ~LargeBlocksGoBack();
  LargeBlocksGoBack(const LargeBlocksGoBack&) = delete;
  LargeBlocksGoBack& operator=(const LargeBlocksGoBack&) = delete;
};

// What is free goes back to the system now: after work that took much memory once, such as loading a model.
void give_freed_memory_back();

}  // namespace r1
