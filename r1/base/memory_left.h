// How much memory this process may have: what the system says, and the control groups (version 1 or 2) that it runs in, a container's too.
#pragma once

#include <cstdint>
#include <filesystem>

namespace r1 {

// The least limit in bytes of the groups above this process; the largest int64 where none is set. `root` is there for tests.
int64_t memory_limit(const std::filesystem::path& root = "/");

// What it may still take: the least of what the system says is available and of what each group's limit leaves (file pages that the kernel would
// give up count as free). The largest int64 where nothing is known.
int64_t memory_left(const std::filesystem::path& root = "/");

}  // namespace r1
