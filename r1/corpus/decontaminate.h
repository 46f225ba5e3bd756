// Evaluation data in training text: documents that share a run of `ngram` words with an evaluation item. Items shorter than that count where all
// of them stands in a document, if they have at least `short_item` words. (Ten words: Shao et al., "DeepSeekMath", 2024, section 2.1; eight: Lambert et
// al., "Tulu 3", 2024, section 3.2.) Words are those of words.h: case, numbers, punctuation and accents make no difference, characters of Chinese
// and its like are words. A run is found by its 64-bit hash and then compared word by word.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "r1/base/config.h"
#include "r1/corpus/compared_words.h"
#include "r1/corpus/document.h"
#include "r1/corpus/stage.h"

namespace r1::corpus {

struct DecontaminateOptions {
  std::vector<std::string> files;   // JSON lines, JSON, CSV, TSV (each row an item) or text (each line an item)
  std::vector<std::string> fields;  // of the rows; none: every text in the row, each for itself
  int64_t ngram = 10;
  int64_t short_item = 3;
  // A document is touched if it has at least this many different runs of one item and this share of all the item's runs.
  int64_t min_matches = 1;
  double min_share = 0;
  std::string action = "drop";  // or "cut": only the shared text goes

  void visit(Fields& v);
};

class Decontaminate : public Filter {
 public:
  explicit Decontaminate(const DecontaminateOptions& options);
  ~Decontaminate() override;

  std::string_view name() const override { return "decontaminate"; }
  // "decontaminate" drops; with action "cut" the text goes and a mark says how much: "decontaminate:2,345" (stretches, bytes).
  std::string apply(Document& document) const override { return apply(document, nullptr); }
  // `found`: {"document", "items": [{"item", "runs", "of", "text"}]}, the items that the document shares text with, and the first stretch; null if there are none.
  std::string apply(Document& document, Json* found) const;

  struct Match {
    uint32_t item;
    int64_t runs = 0, of = 0;                          // different runs of the item found, and all it has
    size_t begin = 0, end = 0;                         // bytes of the document's text: the first stretch it shares
    std::vector<std::pair<size_t, size_t>> stretches;  // all of them, sorted, disjoint
  };
  // Items over the thresholds, in their order.
  std::vector<Match> matches(std::string_view text) const;

  size_t items() const;
  std::string item_name(uint32_t item) const;  // "test.jsonl:17 question"

 private:
  struct Index;
  std::unique_ptr<Index> index_;
  DecontaminateOptions options_;
};

// The other direction: of such rows {"document", "items": [{"item", "text", ..}]} those of each item, {"item", "count", "documents": [{"document", "text"}]}, sorted
// by item; of the documents the first kReportDocuments in the order of the rows, of each text the beginning.
inline constexpr size_t kReportDocuments = 10;
std::vector<Json> by_item(const std::vector<Json>& rows);

}  // namespace r1::corpus
