#include "r1/corpus/zip.h"

#include <zlib.h>

#include <algorithm>
#include <cctype>

#include "r1/corpus/encoding.h"

namespace r1::corpus {
namespace {

// Little-endian numbers; 0 outside of the bytes.
uint64_t number(std::string_view bytes, uint64_t at, int length) {
  uint64_t value = 0;
  for (int i = length - 1; i >= 0; --i) {
    const uint64_t place = at + uint64_t(i);
    value = value << 8 | (place < bytes.size() ? uint8_t(bytes[size_t(place)]) : 0);
  }
  return value;
}

struct Table {
  uint64_t begin = 0, size = 0, entries = 0;
};

std::optional<Table> find_table(std::string_view bytes) {
  if (bytes.size() < 22) return std::nullopt;
  // the end record is the last thing but for a comment of at most 64 KiB
  const size_t lowest = bytes.size() - std::min<size_t>(bytes.size(), 22 + 65'535);
  for (size_t at = bytes.size() - 22 + 1; at-- > lowest;) {
    if (number(bytes, at, 4) != 0x06054B50) continue;
    Table table{.begin = number(bytes, at + 16, 4), .size = number(bytes, at + 12, 4), .entries = number(bytes, at + 10, 2)};
    if (at >= 20 && number(bytes, at - 20, 4) == 0x07064B50) {  // zip64
      const uint64_t end64 = number(bytes, at - 12, 8);
      if (end64 < bytes.size() && number(bytes, end64, 4) == 0x06064B50)
        table = {.begin = number(bytes, end64 + 48, 8), .size = number(bytes, end64 + 40, 8), .entries = number(bytes, end64 + 32, 8)};
    }
    if (table.begin <= bytes.size() && table.size <= bytes.size() - table.begin) return table;
  }
  return std::nullopt;
}

}  // namespace

bool is_evil_name(std::string_view name) {
  if (name.empty() || name.size() > 4096 || name[0] == '/' || name[0] == '\\') return true;
  if (name.size() > 1 && name[1] == ':' && std::isalpha(static_cast<unsigned char>(name[0]))) return true;
  for (size_t at = 0; at <= name.size();) {
    const size_t end = std::min(name.find_first_of("/\\", at), name.size());
    if (name.substr(at, end - at) == "..") return true;
    at = end + 1;
  }
  return std::ranges::any_of(name, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

std::string shown_name(std::string_view name) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const char c : name.substr(0, 4096)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7F)
      out += c;
    else
      out += std::string("\\x") + kDigits[byte >> 4] + kDigits[byte & 15];
  }
  return out;
}

std::optional<Zip> Zip::open(std::string_view bytes, std::string& fault) {
  const std::optional<Table> table = find_table(bytes);
  if (!table) return fault = bytes.starts_with("PK") ? "truncated" : "zip:no_table", std::nullopt;
  if (table->entries > kMaxEntries) return fault = "zip:too_many_entries", std::nullopt;
  Zip zip;
  zip.bytes_ = bytes;
  uint64_t at = table->begin;
  for (uint64_t n = 0; n < table->entries; ++n) {
    if (number(bytes, at, 4) != 0x02014B50 || at + 46 > bytes.size()) return fault = "zip:broken_table", std::nullopt;
    Entry e;
    e.flags = uint16_t(number(bytes, at + 8, 2));
    e.method = uint16_t(number(bytes, at + 10, 2));
    e.crc = uint32_t(number(bytes, at + 16, 4));
    e.packed = number(bytes, at + 20, 4);
    e.size = number(bytes, at + 24, 4);
    e.header = number(bytes, at + 42, 4);
    const uint64_t name = number(bytes, at + 28, 2), extra = number(bytes, at + 30, 2), comment = number(bytes, at + 32, 2);
    if (at + 46 + name + extra + comment > bytes.size()) return fault = "zip:broken_table", std::nullopt;
    e.name = to_utf8(bytes.substr(size_t(at) + 46, size_t(name)));
    // the larger sizes of zip64, each only where the field is full
    for (uint64_t x = at + 46 + name, end = x + extra; x + 4 <= end;) {
      const uint64_t id = number(bytes, x, 2), length = number(bytes, x + 2, 2);
      x += 4;
      if (id == 1) {
        uint64_t y = x;
        for (uint64_t* field : {&e.size, &e.packed, &e.header})
          if (*field == 0xFFFFFFFF && y + 8 <= x + length) *field = number(bytes, y, 8), y += 8;
      }
      x += length;
    }
    at += 46 + name + extra + comment;
    zip.entries_.push_back(std::move(e));
  }
  // Two entries that share bytes: both lie.
  std::vector<Entry*> by_place;
  for (Entry& e : zip.entries_) by_place.push_back(&e);
  std::ranges::sort(by_place, {}, [](const Entry* e) { return e->header; });
  for (size_t i = 0; i + 1 < by_place.size(); ++i) {
    Entry &a = *by_place[i], &b = *by_place[i + 1];
    if (a.header == b.header || (a.packed > 0 && a.header + 30 + a.packed > b.header)) a.overlaps = b.overlaps = true;
  }
  return zip;
}

const Zip::Entry* Zip::find(std::string_view name) const {
  for (const Entry& e : entries_)
    if (e.name == name) return &e;
  return nullptr;
}

std::optional<std::string> Zip::read(const Entry& e, size_t most, std::string& fault) const {
  const auto no = [&](const char* reason) { return fault = reason, std::nullopt; };
  if (e.overlaps) return no("zip:overlapping");
  if (e.flags & 1) return no("zip:encrypted");
  if (e.method != 0 && e.method != 8) return no("zip:method");
  if (e.size > most) return no("too_large");
  if (e.header >= bytes_.size() || number(bytes_, e.header, 4) != 0x04034B50) return no("zip:no_header");
  const uint64_t begin = e.header + 30 + number(bytes_, e.header + 26, 2) + number(bytes_, e.header + 28, 2);
  if (begin > bytes_.size() || e.packed > bytes_.size() - begin) return no("truncated");
  const std::string_view packed = bytes_.substr(size_t(begin), size_t(e.packed));
  std::string out;
  if (e.method == 0) {
    if (e.packed != e.size) return no("zip:lying_size");
    out = packed;
  } else {
    z_stream stream{};
    if (inflateInit2(&stream, -15) != Z_OK) return no("out_of_memory");
    out.resize(size_t(e.size) + 1);  // one more: does it end where it says?
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
    stream.avail_in = uInt(packed.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = uInt(out.size());
    const int code = inflate(&stream, Z_FINISH);
    const size_t got = out.size() - stream.avail_out;
    inflateEnd(&stream);
    if (code == Z_DATA_ERROR || code == Z_NEED_DICT) return no("damaged_packing");
    if (code != Z_STREAM_END || got != e.size) return no("zip:lying_size");
    out.resize(got);
  }
  if (crc32(0, reinterpret_cast<const Bytef*>(out.data()), uInt(out.size())) != e.crc) return no("zip:checksum");
  return out;
}

}  // namespace r1::corpus
