// The same text twice: whole documents, or paragraphs or lines that many documents have. By the 128-bit xxh3 hash of the text in lower case
// with every run of blanks as one (and, if asked, without punctuation): two texts are taken for the same if their hashes are, which among 10^12
// different ones happens by chance once in 10^14 runs. Counted and decided on disk in parts: memory is bounded, whatever the input.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "r1/base/config.h"
#include "r1/corpus/document.h"
#include "r1/corpus/shards.h"

namespace r1::corpus {

struct ExactOptions {
  std::string level = "document";  // "paragraph" (parted by empty lines), "line"
  bool lower = true, blanks = true;
  bool punctuation = false;  // true: it is not looked at
  // Of paragraphs and lines: shorter ones (in characters, once normalised) stay however often they come; and this many of a longer one stay.
  int64_t min_length = 30, max_count = 1;
  int64_t memory_bytes = int64_t{1} << 30;

  void visit(Fields& v);
  std::string hash_text() const;  // what the hashes depend on
};

struct Hash128 {
  uint64_t high, low;
  auto operator<=>(const Hash128&) const = default;
};
// `text` as it is compared; and its hash.
std::string normalised(std::string_view text, const ExactOptions& options);
Hash128 exact_hash(std::string_view text, const ExactOptions& options);

// One worker's share, as MinhashShard.
class ExactShard {
 public:
  ExactShard(const ExactOptions& options, const fs::path& folder, int64_t worker, int64_t of);
  ~ExactShard();
  bool done() const;
  void add(Place place, std::string_view text);
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// What goes, in rising order of places and parts: a document (part 0), or a paragraph or line of it by its number.
struct ExactRow {
  Place place;
  uint64_t part;
  Place first;  // where it stood first
};

// Reads the shards, writes "<folder>/exact_<level>.rows".
fs::path merge_exact(const ExactOptions& options, const fs::path& folder, int64_t of);

class ExactRows {
 public:
  ExactRows(const fs::path& path, const ExactOptions& options);
  size_t size() const { return file_.size(); }
  ExactRow operator[](size_t i) const { return file_.get<ExactRow>(i); }
  // As Filter::apply: "exact" for a document seen before; repeated paragraphs or lines are cut out with a mark ("exact_paragraph:3", as many as
  // went), and "exact_paragraph:nothing_left" if that was all.
  std::string apply(Place place, Document& document) const;

 private:
  ExactOptions options_;
  ShardFile file_;
};

}  // namespace r1::corpus
