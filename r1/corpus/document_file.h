// Documents on disk between stages: a line of JSON each (document.h), packed with zstd. A file is there whole or not at all, and the same
// documents give the same bytes.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "r1/base/file.h"
#include "r1/corpus/document.h"
#include "r1/data/jsonl.h"

namespace r1::corpus {

// Text in one zstd frame with its checksum, on one thread.
class PackedWriter {
 public:
  explicit PackedWriter(const fs::path& path, int level = 3);
  ~PackedWriter();
  PackedWriter(PackedWriter&&) = delete;
  void write(std::string_view bytes);
  // Without it nothing is left of the file.
  void commit();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class DocumentWriter {
 public:
  explicit DocumentWriter(const fs::path& path) : file_(path) {}
  void add(const Document& document);
  void commit() { file_.commit(); }

 private:
  PackedWriter file_;
};

class DocumentReader {
 public:
  explicit DocumentReader(const fs::path& path);
  bool next(Document& document);

 private:
  data::JsonlReader rows_;
};

}  // namespace r1::corpus
