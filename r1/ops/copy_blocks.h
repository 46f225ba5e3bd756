// Whole blocks of paged caches copied over others (copy on write), in all caches of a model. The copies are made one after the other: a
// block that was written may be read by a later copy, and one that was read may be written.
#pragma once

#include <vector>

#include "r1/kernels/block_copy.h"
#include "r1/tensor/tensor.h"

namespace r1::ops {

// caches: bytes [blocks, bytes of a block] each, on one device. CUDA: one launch for all of them (up to 64 caches, 256 copies).
void copy_blocks(const std::vector<Tensor>& caches, const std::vector<kernels::BlockCopy>& copies);
void copy_blocks_ref(const std::vector<Tensor>& caches, const std::vector<kernels::BlockCopy>& copies);

}  // namespace r1::ops
