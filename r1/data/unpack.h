// Packed bytes, unpacked as they come: gzip, Zstandard, bzip2 and xz, each with as many members (frames, streams) after one another as there
// are. No files here: byte_source.h and r1/corpus/input.h bring the bytes. Memory: what the format's window takes, at most 128 MiB
// (`zstd --long` and `xz --lzma2=dict=` can ask for more, which is a fault that names the way out).
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace r1::data {

enum class Packing { kNone, kGzip, kZstd, kBzip2, kXz };

// By the first bytes (6 tell all of them apart).
Packing packing_of(std::string_view first_bytes);
// The bytes that a member begins with.
std::string_view magic_of(Packing packing);
// ".gz", ".zst", ".bz2", ".xz", ".lzma" and their like: does a name say that the file is packed?
bool is_packed_ending(std::string_view ending);

class Unpacker {
 public:
  static std::unique_ptr<Unpacker> make(Packing packing);  // not kNone
  virtual ~Unpacker() = default;

  // Takes bytes from the front of `in` and writes up to `n` to `out`; returns how many. 0 with `in` empty: give more. On damage `fault` says
  // what it was, and only reset() helps. What follows a member and is no member (zeros of a tape, a signature) is passed over.
  virtual size_t unpack(std::string_view& in, char* out, size_t n, std::string& fault) = 0;
  // Inside of a member: the bytes may not end here.
  virtual bool inside() const = 0;
  // As new: the next byte begins a member.
  virtual void reset() = 0;
};

}  // namespace r1::data
