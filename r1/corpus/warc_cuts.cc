#include "r1/corpus/warc_cuts.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <string>

#include "r1/data/unpack.h"

namespace r1::corpus {
namespace {

constexpr size_t kFirstRead = size_t{1} << 12, kMostHead = size_t{1} << 20, kWindow = size_t{1} << 20;

class Bytes {
 public:
  explicit Bytes(const std::filesystem::path& path) : file_(path, std::ios::binary) {
    file_.seekg(0, std::ios::end);
    size_ = int64_t(file_.tellg());
  }
  int64_t size() const { return size_; }
  // Fewer at the end of the file.
  std::string at(int64_t place, size_t n) {
    std::string bytes(size_t(std::clamp<int64_t>(size_ - place, 0, int64_t(n))), '\0');
    file_.clear();
    file_.seekg(place);
    file_.read(bytes.data(), std::streamsize(bytes.size()));
    bytes.resize(size_t(std::max<std::streamsize>(file_.gcount(), 0)));
    return bytes;
  }

 private:
  std::ifstream file_;
  int64_t size_ = 0;
};

struct Head {
  int64_t size = 0, length = 0;  // of the head with its empty line, and of the block
};
// Of a record that begins where the bytes do; nullopt if its head is not in them, or says nothing.
std::optional<Head> head_of(std::string_view bytes) {
  if (!bytes.starts_with("WARC/")) return std::nullopt;
  const size_t crlf = bytes.find("\n\r\n"), lf = bytes.find("\n\n");
  if (crlf == std::string_view::npos && lf == std::string_view::npos) return std::nullopt;
  const size_t size = crlf < lf ? crlf + 3 : lf + 2;
  size_t at = bytes.find('\n') + 1;
  const int64_t length = warc_block_length(HeaderFields::parse(bytes.substr(0, size), at));
  if (length < 0) return std::nullopt;
  return Head{int64_t(size), length};
}

// The stored size of the gzip member at `place`, if it is one record and no more, and a member or nothing comes after it.
std::optional<int64_t> record_member(Bytes& file, int64_t place) {
  const auto unpacker = data::Unpacker::make(data::Packing::kGzip);
  std::string stored, head, fault, out(kWindow / 16, '\0');
  std::string_view in;
  std::optional<Head> said;
  int64_t unpacked = 0, at = place;
  do {
    if (in.empty()) {
      stored = file.at(at, kWindow / 16);
      if (stored.empty()) return std::nullopt;
      at += int64_t(stored.size());
      in = stored;
    }
    const size_t got = unpacker->unpack(in, out.data(), out.size(), fault);
    if (!fault.empty()) return std::nullopt;
    unpacked += int64_t(got);
    if (!said) {
      head.append(out, 0, got);
      if (!head.starts_with(std::string_view("WARC/").substr(0, head.size()))) return std::nullopt;
      said = head_of(head);
      if (!said && head.size() > kMostHead) return std::nullopt;
    }
    if (said && unpacked - said->size > said->length + 4) return std::nullopt;  // more than a record with the lines behind it
  } while (unpacker->inside());
  if (!said || unpacked < said->size + said->length) return std::nullopt;
  const int64_t end = at - int64_t(in.size());
  if (end < file.size() && data::packing_of(file.at(end, 6)) != data::Packing::kGzip) return std::nullopt;
  return end - place;
}

// The first member from `place` on that is a record; -1 if there is none.
int64_t next_record_member(Bytes& file, int64_t place) {
  const std::string_view magic = data::magic_of(data::Packing::kGzip);
  for (; place < file.size(); place += int64_t(kWindow)) {
    const std::string window = file.at(place, kWindow + magic.size());
    for (size_t hit = window.find(magic); hit != std::string::npos && hit < kWindow; hit = window.find(magic, hit + 1))
      if (record_member(file, place + int64_t(hit))) return place + int64_t(hit);
  }
  return -1;
}

int64_t next_multiple(int64_t place, int64_t part_bytes) {
  return (place / part_bytes + 1) * part_bytes;
}

}  // namespace

int64_t warc_block_length(const HeaderFields& fields) {
  const std::string_view text = fields.get("Content-Length");
  int64_t length = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  return error == std::errc() && end == text.data() + text.size() && length >= 0 ? length : -1;
}

std::vector<int64_t> warc_record_cuts(const std::filesystem::path& path, int64_t part_bytes) {
  Bytes file(path);
  std::vector<int64_t> cuts;
  for (int64_t at = 0, wanted = part_bytes; at < file.size();) {
    std::optional<Head> head;
    for (size_t n = kFirstRead; !head && n <= kMostHead; n *= 16) head = head_of(file.at(at, n));
    if (!head) break;
    if (at >= wanted) {
      cuts.push_back(at);
      wanted = next_multiple(at, part_bytes);
    }
    if (head->length > file.size() - at - head->size) break;
    at += head->size + head->length;
    const std::string behind = file.at(at, 64);
    const size_t next = behind.find_first_not_of("\r\n");
    if (next == 0 ? !behind.starts_with("WARC/") : next == std::string::npos) break;
    at += int64_t(next);
  }
  return cuts;
}

std::vector<int64_t> warc_member_cuts(const std::filesystem::path& path, int64_t part_bytes) {
  Bytes file(path);
  std::vector<int64_t> cuts;
  if (!record_member(file, 0)) return cuts;
  for (int64_t wanted = part_bytes; wanted < file.size();) {
    const int64_t at = next_record_member(file, wanted);
    if (at < 0) break;
    cuts.push_back(at);
    wanted = next_multiple(at, part_bytes);
  }
  return cuts;
}

}  // namespace r1::corpus
