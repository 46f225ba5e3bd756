// Where a large WARC file can be cut so that each part can be read by itself.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "r1/corpus/header_fields.h"

namespace r1::corpus {

// What a record says of its block's size; -1: nothing, or no number.
int64_t warc_block_length(const HeaderFields& fields);

// Bytes at which a record begins, each the first at or behind a multiple of `part_bytes`, rising; not 0. From record to record by their lengths: where
// one does not hold, nothing behind it is cut.
std::vector<int64_t> warc_record_cuts(const std::filesystem::path& path, int64_t part_bytes);

// The same of a file whose records are gzip members of their own: stored bytes where a member begins that is a whole record. Members are looked for near
// the multiples of `part_bytes`, the rest is not read: whoever reads up to a cut finds out if it was none (Input::members). None if the file's first
// member is no record.
std::vector<int64_t> warc_member_cuts(const std::filesystem::path& path, int64_t part_bytes);

}  // namespace r1::corpus
