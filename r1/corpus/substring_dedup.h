// Stretches of text that stand somewhere else already: found exactly, the first occurrence stays. (Lee et al., "Deduplicating Training Data Makes
// Language Models Better", 2022, which finds them by a suffix array.)
//
// A window is `length` units (bytes, or token ids) inside one document. It is a repeat if the same window begins at least `length` units
// earlier, in this document or another; so a run of one character keeps its beginning. Every unit of a repeated window is repeated text.
//
// No suffix array is made: to know where windows of at least L units repeat, it is enough to look at anchors, the places that have the least hash
// of L / 2 units among the L / 2 + 1 such places of some window. Equal windows have their anchor at the same place, so only places around
// equal anchors are compared, unit by unit. There are about 4 anchors in every L units, at 16 bytes each.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "r1/base/config.h"
#include "r1/corpus/document.h"
#include "r1/corpus/shards.h"
#include "r1/text/tokenizer.h"

namespace r1::corpus {

struct Stretch {
  uint64_t begin, end;
  bool operator==(const Stretch&) const = default;
};

struct RepeatOptions {
  int64_t length = 100;
  int64_t memory_bytes = int64_t{1} << 30;  // for anchors; more of them go through files in `folder`
  fs::path folder = ".";
};

// All repeated text as sorted, disjoint stretches that do not touch. `ends`: where each document ends, in units, rising; the last is text.size().
std::vector<Stretch> repeats(std::span<const uint8_t> text, std::span<const uint64_t> ends, const RepeatOptions& options);
std::vector<Stretch> repeats(std::span<const uint32_t> text, std::span<const uint64_t> ends, const RepeatOptions& options);

struct SubstringOptions {
  std::string unit = "bytes";  // or "tokens": of the tokenizer given
  int64_t length = 0;          // 0: 100 bytes or 50 tokens
  int64_t memory_bytes = int64_t{1} << 30;

  void visit(Fields& v);
  int64_t units() const { return length != 0 ? length : unit == "tokens" ? 50 : 100; }
};

// One worker's share: its texts one after another, as bytes or as token ids, and where each ends.
class SubstringShard {
 public:
  SubstringShard(const SubstringOptions& options, const fs::path& folder, int64_t worker, int64_t of,
                 const text::Tokenizer* tokenizer = nullptr);
  ~SubstringShard();
  bool done() const;
  void add(Place place, std::string_view text);
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Reads all shards and writes "<folder>/substring.rows": what to cut, in bytes of each text, in rising order of places. The texts are mapped, not
// read; several shards are joined in a file first.
fs::path merge_substring(const SubstringOptions& options, const fs::path& folder, int64_t of);

struct SubstringRow {
  Place place;
  uint64_t begin, end;  // bytes of the document's text
};

class SubstringRows {
 public:
  explicit SubstringRows(const fs::path& path);
  size_t size() const { return file_.size(); }
  // Cuts the document's repeated text out and says so in a mark, "substring:2,345" (stretches, bytes). A stretch that begins or ends inside a
  // character leaves that character whole. "" if something is left, else "substring:nothing_left".
  std::string apply(Place place, Document& document) const;

 private:
  ShardFile file_;
};

}  // namespace r1::corpus
