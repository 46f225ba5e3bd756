// What the tests of readers share: files made in a folder of their own, packed in any way, and all documents of one.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "r1/corpus/reader.h"
#include "tests/packed_text.h"
#include "tests/tar_archive.h"
#include "tests/temporary_folder.h"

namespace r1::corpus {

struct Read {
  std::vector<Document> documents;
  Counts counts;

  // How many were dropped for a reason.
  int64_t dropped(const std::string& reason) const;
  // "reason: n, reason: n", for messages.
  std::string reasons() const;
};

Read read_all(Reader& reader);
Read read_file(const std::string& path, const ReadOptions& options = {});

// "0aff" -> two bytes.
std::string bytes_of_hex(const std::string& hex);

struct ZipFile {
  std::string name, bytes;
  bool deflate = true;
};
std::string zip(const std::vector<ZipFile>& files);

// A folder of real data below R1_DATA or beside the source; "" if it is not there.
std::string data_file(const std::string& name);

class Files {
 public:
  explicit Files(const std::string& name) : folder_(name) {}
  std::string write(const std::string& name, std::string_view bytes) const;
  Read read(const std::string& name, std::string_view bytes, const ReadOptions& options = {}) const {
    return read_file(write(name, bytes), options);
  }
  std::string path() const { return folder_.path().string(); }

 private:
  TemporaryFolder folder_;
};

}  // namespace r1::corpus
