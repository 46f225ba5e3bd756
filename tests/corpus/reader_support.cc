#include "tests/corpus/reader_support.h"

#include <zlib.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace r1::corpus {

namespace fs = std::filesystem;

int64_t Read::dropped(const std::string& reason) const {
  const auto found = counts.dropped().find(reason);
  return found == counts.dropped().end() ? 0 : found->second.documents;
}

std::string Read::reasons() const {
  std::string out;
  for (const auto& [reason, r] : counts.dropped()) out += (out.empty() ? "" : ", ") + reason + ": " + std::to_string(r.documents);
  return out;
}

Read read_all(Reader& reader) {
  Read read;
  for (Document d; reader.next(d, read.counts);) read.documents.push_back(d);
  return read;
}
Read read_file(const std::string& path, const ReadOptions& options) {
  const auto reader = open_reader(path, options);
  return read_all(*reader);
}

std::string bytes_of_hex(const std::string& hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) out += char(std::stoi(hex.substr(i, 2), nullptr, 16));
  return out;
}

std::string zip(const std::vector<ZipFile>& files) {
  std::string out, table;
  const auto number = [](uint64_t n, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i) text += char(n >> (8 * i));
    return text;
  };
  for (const ZipFile& file : files) {
    std::string packed = file.bytes;
    if (file.deflate) {
      const std::string gz = gzip(file.bytes);
      packed = gz.substr(10, gz.size() - 18);
    }
    const uint32_t crc = uint32_t(crc32(0, reinterpret_cast<const Bytef*>(file.bytes.data()), uInt(file.bytes.size())));
    const std::string middle = number(20, 2) + number(0x800, 2) + number(file.deflate ? 8 : 0, 2) + number(0, 4) + number(crc, 4) +
                               number(packed.size(), 4) + number(file.bytes.size(), 4) + number(file.name.size(), 2) + number(0, 2);
    table += "PK\x01\x02" + number(20, 2) + middle + number(0, 2) + number(0, 2) + number(0, 2) + number(0, 4) + number(out.size(), 4) +
             file.name;
    out += "PK\x03\x04" + middle + file.name + packed;
  }
  return out + table + "PK\x05\x06" + number(0, 4) + number(files.size(), 2) + number(files.size(), 2) + number(table.size(), 4) +
         number(out.size(), 4) + number(0, 2);
}

std::string data_file(const std::string& name) {
  const char* given = std::getenv("R1_DATA");
  const fs::path path = (given && *given ? fs::path(given) : fs::path(R1_SOURCE_DIR).parent_path() / "shared/data") / name;
  return fs::exists(path) ? path.string() : "";
}

std::string Files::write(const std::string& name, std::string_view bytes) const {
  const fs::path path = folder_.path() / name;
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
  return path.string();
}

}  // namespace r1::corpus
