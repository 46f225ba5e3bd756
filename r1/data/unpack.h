// Packed bytes, unpacked as they come: gzip, Zstandard, bzip2 and xz, each with as many members (frames, streams) after one another as there
// are, and Brotli, where its library is there (brotli.h). No files here: byte_source.h and r1/corpus/input.h bring the bytes. Memory: what the format's window takes, at most 128 MiB
// (`zstd --long` and `xz --lzma2=dict=` can ask for more, which is a fault that names the way out).
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace r1::data {

enum class Packing { kNone, kGzip, kZstd, kBzip2, kXz, kBrotli };

// By the first bytes (6 tell all of them apart). Never kBrotli, which has no mark.
Packing packing_of(std::string_view first_bytes);
// The bytes that a member begins with; "" for Brotli.
std::string_view magic_of(Packing packing);
// ".gz", ".zst", ".bz2", ".xz", ".br": does a name say that the file is packed?
bool is_packed_ending(std::string_view ending);
// Brotli's files are told by their name, ".br". That is also Breton's code, which ends the names of texts: kBrotli only where the first
// kBrotliProbe bytes are no text. kBrotli too where there is no library; make() then fails.
inline constexpr size_t kBrotliProbe = size_t{1} << 12;
Packing packing_of_name(std::string_view ending, std::string_view first_bytes);
// Does a second member or frame begin in a file of this packing, after the first one? Without unpacking the file: gzip's are looked for by their header and
// their first 64 KiB, so that there may be none after all. False for the other packings, whatever they have.
bool has_members(const std::filesystem::path& path, Packing packing);
bool has_brotli();
// "<file>: is ...": what to say where it is not.
inline constexpr const char* kNoBrotli = "packed with Brotli, whose library is not there; install libbrotli1, or unpack it: brotli -d";

class Unpacker {
 public:
  static std::unique_ptr<Unpacker> make(Packing packing);  // not kNone; an error for Brotli without its library
  virtual ~Unpacker() = default;

  // Takes bytes from the front of `in` and writes up to `n` to `out`, of one member (Zstandard: frames); returns how many. 0 with `in` empty: give
  // more; 0 with `in` not empty: a member ended, call again. On damage `fault` says
  // what it was, and only reset() helps. What follows the last member and is none (zeros of a tape, a signature) is passed over; zeros between members too;
  // anything else in front of a further member is damage.
  virtual size_t unpack(std::string_view& in, char* out, size_t n, std::string& fault) = 0;
  // Inside of a member: the bytes may not end here.
  virtual bool inside() const = 0;
  // Behind a member there is something that is none, and it is not known yet whether a further one follows.
  virtual bool passing_over() const { return false; }
  // As new: the next byte begins a member.
  virtual void reset() = 0;
};

}  // namespace r1::data
