// Headers of tar archives (POSIX ustar and pax, GNU long names and large sizes): what a block of 512 bytes says. Whoever reads an archive brings
// the bytes: webdataset.h, r1/corpus/read_tar.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace r1::data {

inline constexpr size_t kTarBlock = 512;
// Of a name that stands in blocks of its own; what is longer is cut.
inline constexpr size_t kMaxTarName = size_t{1} << 16;

// A block whose checksum is right.
bool is_tar_header(std::string_view block);
// Where the next header is, after a member of `size` bytes that begins at `begin`.
int64_t tar_end(int64_t begin, int64_t size);

struct TarMember {
  std::string name;
  int64_t size = 0;  // of its bytes; -1: the header does not say one
  char type = '0';   // '0' or '7': a file; '5' a folder; the rest links, devices, sparse files

  bool is_file() const { return type == '0' || type == '7'; }
  bool is_folder() const { return type == '5' || name.ends_with('/'); }
  // Links and folders have no bytes, whatever they say.
  int64_t stored() const { return is_file() || type == 'S' ? size : 0; }
};

// Takes headers one after another. Some say more of the member after them, in the bytes that follow them.
class TarHeaders {
 public:
  // A header of the second kind: bring the bytes (as many as its size, at most kMaxTarName of them) to take(); the header after it is next.
  static bool is_of_next(const TarMember& header);
  // What the block says, with what was taken before it.
  TarMember header(std::string_view block);
  void take(const TarMember& header, std::string_view bytes);

 private:
  void take_pax(std::string_view text);

  std::string long_name_, sparse_name_;
  int64_t size_ = -1;
  bool sparse_ = false;
};

}  // namespace r1::data
