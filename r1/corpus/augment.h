// More of the same: copies of documents with something changed that does not matter, or that a model has to follow. The stage `augment` of the data
// road, its last one: what a copy is made of has been compared and put in its part of the split by then, and the copy stays there.
//
// A document is changed by chance of the seed and its own text, never by where it lies or when it is read. A changed document has a mark a
// transform ("augment:numbers 12->17", "augment:fim psm"); a copy has the source and offset of its original and one mark more,
// "augment:copy".
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "r1/base/config.h"
#include "r1/corpus/augment_code.h"
#include "r1/corpus/augment_synonyms.h"
#include "r1/corpus/document.h"
#include "r1/corpus/fim.h"

namespace r1::corpus {

struct AugmentOptions {
  std::vector<std::string> transforms;  // numbers, synonyms, comments, rename, fim
  double rate = 1;
  int64_t copies = 1;
  bool replace = false, chain = false;
  std::vector<std::string> parts = {"train"};
  uint64_t seed = 0;
  int64_t quantities = 3;     // numbers
  std::string synonyms;       // a table's file
  double synonym_rate = 0.2;  // of the words that have one
  bool licence = true, docstrings = false;
  FimOptions fim;

  void visit(Fields& v);
  bool has(const char* transform) const;
  // kUsage for names that are none, or none at all.
  void check_transforms() const;
};

class Augmenter {
 public:
  // The tokenizer is asked for the control tokens of fim alone.
  Augmenter(const AugmentOptions& options, const text::Tokenizer* tokenizer);
  // The document and its copies; what replaces it; or it alone. Never none.
  std::vector<Document> apply(Document document) const;

 private:
  bool change(const std::string& transform, Document& document, Rng rng) const;
  bool change_numbers_of(Document& document, Rng& rng) const;
  bool change_words_of(Document& document, Rng& rng) const;
  bool change_code_of(Document& document, bool rename, Rng& rng) const;
  bool cut(Document& document, Rng& rng) const;

  AugmentOptions options_;
  std::optional<Synonyms> synonyms_;
  FimSentinels sentinels_;
};

// Of a row that a run of the data road wrote: a copy that `augment` made. Such a one must not be split again, apart from its original.
bool is_augmented_copy(const Document& document);

}  // namespace r1::corpus
