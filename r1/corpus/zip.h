// Zip archives in memory (PKWARE APPNOTE 6.3): stored and deflated entries, zip64, told by the table at the end. Sizes are what the archive says
// only until they are read: an entry that gives more or less than it said, another checksum, or shares bytes with another entry (a bomb's way of
// being 28 MiB that unpack to 281 TB) is refused by name. Encrypted entries and other methods are too.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace r1::corpus {

class Zip {
 public:
  struct Entry {
    std::string name;  // UTF-8, as it stands in the archive
    uint64_t header = 0, packed = 0, size = 0;
    uint32_t crc = 0;
    uint16_t method = 0, flags = 0;
    bool overlaps = false;
  };
  static constexpr size_t kMaxEntries = 200'000;

  // The bytes must live on. `fault`: why it is no archive, or cannot be read.
  static std::optional<Zip> open(std::string_view bytes, std::string& fault);

  const std::vector<Entry>& entries() const { return entries_; }
  const Entry* find(std::string_view name) const;
  // The entry's bytes, at most `most`; nullopt with the reason in `fault`.
  std::optional<std::string> read(const Entry& entry, size_t most, std::string& fault) const;

 private:
  std::string_view bytes_;
  std::vector<Entry> entries_;
};

// A name of a member of an archive that leads out of the folder it would be unpacked to ("../x", "/etc/x", "C:\x"), or holds a zero or other
// control characters. Nothing is ever unpacked to disk here, but who made such a name meant no text.
bool is_evil_name(std::string_view name);

// The name as it may stand in a document's source: control characters as \x..
std::string shown_name(std::string_view name);

}  // namespace r1::corpus
