// Documents out of files of more than twenty kinds (docs/formats.md, "Raw sources"), told apart by content and by name.
//
// A reader never stops a run for what is wrong inside a file: a broken record, a bomb, a line of a gigabyte, bytes that are no text are
// counted with their reason and place (Counts::broken) and reading goes on at the next record. Memory stays below kReaderBytes whatever
// the input. What stops is what the user must mend: a file that is not there, may not be read, or is of a kind that is refused (with the way
// out).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "r1/corpus/document.h"

namespace r1::corpus {

inline constexpr int64_t kReaderBytes = int64_t{512} << 20;
inline constexpr int64_t kMaxDocumentBytes = int64_t{32} << 20;  // a document of more is dropped as "too_large"

class Reader {
 public:
  virtual ~Reader() = default;
  // False at the end. A document that cannot be had is counted in `counts` and the next one is given. Documents given are not counted.
  virtual bool next(Document& document, Counts& counts) = 0;
};

struct ReadOptions {
  std::string kind = "auto";         // or a name of reader_kinds(), for files whose content does not tell
  std::string text_column = "auto";  // of rows (JSON, CSV, TSV, Parquet)
  int64_t max_document_bytes = kMaxDocumentBytes;
  bool mail_quotes = true;  // false: what a mail quotes of an earlier one (">" in front) is left out
};

struct ReaderKind {
  std::string name, what;            // "warc", "WARC of HTML responses, gzip members"
  std::vector<std::string> endings;  // ".warc", ".warc.gz"
};
const std::vector<ReaderKind>& reader_kinds();

// The kind of a file by its first bytes and, where they do not say, its name; kUsage if none reads it.
std::string kind_of(const std::string& path);
std::unique_ptr<Reader> open_reader(const std::string& path, const ReadOptions& options = {});

// Files, folders (all below, hidden ones left out) and patterns as the files they mean, each of the named sorted; kUsage for what is not there.
std::vector<std::string> input_files(const std::vector<std::string>& named);
// Those of one list, one after another. A file of no known kind or of one that is refused is counted ("unknown_kind", "refused_kind").
std::unique_ptr<Reader> open_files(std::vector<std::string> paths, const ReadOptions& options = {});

// What input_files() says of `named`, one after another; a file that is named alone must be of a known kind.
std::unique_ptr<Reader> open_readers(const std::vector<std::string>& named, const ReadOptions& options = {});

}  // namespace r1::corpus
