// The bytes that a reader reads: a file, a part of another input (a member of a tar), or bytes in memory; unpacked on the way if they are
// packed, with a view ahead and a place. Damage does not throw: the bytes end there, fault() says why, and resync() goes on at the next
// member of a packed file, if one can be found.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "r1/data/byte_source.h"
#include "r1/data/unpack.h"

namespace r1::corpus {

class Input {
 public:
  // What unpacks to more than kBombRatio times its size, beyond kBombBytes, is a bomb: "bomb" is its fault. (deflate reaches 1:1032; text that
  // somebody wrote stays below 1:50, logs below 1:200.)
  static constexpr int64_t kBombBytes = int64_t{256} << 20, kBombRatio = 500;
  static constexpr size_t kMaxPeek = size_t{1} << 20;

  explicit Input(const std::filesystem::path& path);  // an error if it cannot be opened
  // The members of a gzip file that begin at stored bytes begin .. end-1; a member begins at `begin`. If none begins at `end`, as the last of them goes
  // on behind it, that is an error when it is read.
  static Input members(const std::filesystem::path& path, int64_t begin, int64_t end);
  // Bytes of a file that is read in stretches: where they begin, and how many. They come as they are: what looks like a packed file inside of a plain one
  // is not unpacked, and bombs are the business of who cut the file. A packed file's stretch begins in some member of it.
  struct Stretch {
    int64_t member = -1;        // where that member begins, as stored; -1: the file is not packed
    int64_t skip = 0;           // from there, or from the file's beginning, to the first byte, unpacked
    int64_t bytes = INT64_MAX;  // unpacked; fewer at the file's end
    std::string head = {};      // comes before them
  };
  static Input stretch(const std::filesystem::path& path, const Stretch& stretch);
  static Input memory(std::string bytes, std::string name);          // unpacked too
  static Input brotli(std::string bytes);                            // unpacked; data::has_brotli()
  static Input part(Input& parent, int64_t size, std::string name);  // the next bytes of the parent, which must live on
  // The parent's UTF-16 (from where it stands, behind the byte order mark) as UTF-8.
  static Input of_utf16(Input& parent, bool big_endian);
  Input(Input&&) noexcept;
  Input& operator=(Input&&) noexcept;
  ~Input();

  const std::string& name() const { return name_; }
  // Where it is on disk; empty for what is in an archive.
  const std::filesystem::path& path() const { return path_; }
  // Bytes ahead: at least `n` of them (at most kMaxPeek) where there are as many. Valid until the next call.
  std::string_view peek(size_t n);
  size_t read(char* out, size_t n);
  // Up to and with the next `end`, or to the end of the bytes. No more than `most` bytes of it are kept in `out`: `cut` says that there were more.
  // False if there is not a byte left.
  bool until(char end, std::string& out, size_t most, bool& cut);
  // A line without its end (\n or \r\n).
  bool line(std::string& out, size_t most, bool& cut);
  void skip(int64_t n);
  // All that is left, at most `most` bytes: `cut` as above, and then the rest is not read.
  std::string rest(size_t most, bool& cut);
  // Bytes that were read come back, to be read once more.
  void unread(std::string_view bytes);
  // Bytes of the unpacked stream that were read.
  int64_t at() const { return at_; }
  // The same place as others can find it: of a gzip file where the member begins, as stored, and how far inside of it (0 where each record has a
  // member of its own, as crawls write them: the offset of their indexes); at() of anything else.
  int64_t place() const;
  // The member of a packed file (gzip, Zstandard) that holds byte `at` of the unpacked stream, not more than 64 MiB behind at(): where it begins, as
  // stored, and how far inside of it the byte is. In a file that is not packed each byte begins one.
  struct Member {
    int64_t stored = 0, inside = 0;
  };
  Member member_of(int64_t at) const;
  data::Packing packing() const;
  bool at_end() { return peek(1).empty(); }
  // Why there are no more bytes: "" (the end), "truncated", "damaged_packing", "bomb".
  const std::string& fault() const { return fault_; }
  bool resync();
  // To byte `at` of the unpacked bytes; false if the bytes come once.
  bool seek(int64_t at);
  // For r1/data's readers. The input must live on.
  data::ByteSource source();

  struct Raw;

 private:
  Input() = default;
  static Input open(const std::filesystem::path& path);
  void begin();
  bool fill();

  std::unique_ptr<Raw> raw_;
  std::string name_;
  std::filesystem::path path_;
  std::string buffer_;
  size_t begin_ = 0;
  int64_t at_ = 0;
  std::string fault_;
};

}  // namespace r1::corpus
