// What the data road carries: one document of a raw source with where it came from, and the counts that say what became of every one.
// Stages are functions from documents to documents (stage.h); readers (reader.h) make them of files, writers take them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "r1/base/json.h"

namespace r1::corpus {

struct Document {
  std::string text;    // valid UTF-8, lines end in \n
  std::string source;  // the file as the user named it; of a member of an archive "a.tar!dir/b.txt"
  int64_t offset = 0;  // of the record: bytes of the uncompressed source or, where records have no place of their own, their number from 0
  std::string kind;    // the reader's name: "warc", "wikipedia", "jsonl", ...
  std::string url, title, author, date, licence, language;  // as the source says; empty where it says nothing
  Json extra = {};                                          // what else the source knows (messages, tags, score, ...); an object, or null
  std::vector<std::string> marks;  // what was done to it, in order: "clean", "language:en=0.98", "quality", "fim:psm", ...
  int64_t tokens = -1;             // of the text, by the run's tokenizer; -1: not counted. Only between stages, no output has it

  // "<source>#<offset>": names a document in counts, reports and errors.
  std::string id() const { return source + "#" + std::to_string(offset); }
};

// One line of JSON with the names above and back; what is empty is left out. The form between stages (documents.jsonl.zst).
Json to_json(const Document& document);
Document document_from_json(const Json& row, std::string_view where);

// What became of the documents that came in. documents in and those that splitting added are those out and those dropped: check() tells whoever breaks that.
class Counts {
 public:
  void in(const Document& d);
  void out(const Document& d);
  // `reason` is a short name that a table can have as its column: "too_short", "gopher:symbol_ratio", "broken_record".
  void drop(const Document& d, const std::string& reason);
  // What could not become a document at all: `where` is "file:offset". Counted as in and dropped at once.
  void broken(const std::string& where, const std::string& reason, int64_t bytes = 0);
  // A document became `parts` of them (an over-long text at its paragraphs).
  void split(const Document& d, int64_t parts);
  void add(const Counts& other);

  struct Reason {
    int64_t documents = 0, bytes = 0;
    std::vector<std::string> examples;  // ids of the first kExamples
    int64_t tokens = 0;                 // of documents whose tokens were counted, as below
  };
  static constexpr size_t kExamples = 5;

  int64_t documents_in() const { return in_; }
  int64_t documents_out() const { return out_; }
  int64_t bytes_in() const { return bytes_in_; }
  int64_t bytes_out() const { return bytes_out_; }
  int64_t tokens_in() const { return tokens_in_; }
  int64_t tokens_out() const { return tokens_out_; }
  const std::map<std::string, Reason>& dropped() const { return dropped_; }
  // kInternal if the sum does not add up, naming `stage`.
  void check(std::string_view stage) const;
  Json to_json() const;
  static Counts from_json(const Json& json);

 private:
  int64_t in_ = 0, out_ = 0, bytes_in_ = 0, bytes_out_ = 0, split_ = 0, tokens_in_ = 0, tokens_out_ = 0;
  std::map<std::string, Reason> dropped_;
};

}  // namespace r1::corpus
