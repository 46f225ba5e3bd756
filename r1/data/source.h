// Where documents come from: anything that can be asked for document `index`. Tokenizing may happen in document(), so a source can be
// larger than memory allows its ids to be. document() must be a pure function of index: that is what makes a loader resumable.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "r1/data/messages.h"

namespace r1::data {

class DocumentSource {
 public:
  virtual ~DocumentSource() = default;
  virtual int64_t size() const = 0;
  virtual Document document(int64_t index) const = 0;
  // Equal for equal documents, if the source knows itself: a saved run's state is held against it. "": not known.
  virtual std::string fingerprint() const { return ""; }
};

// Documents in memory.
std::unique_ptr<DocumentSource> memory_source(std::vector<Document> documents);
// `size` documents made by a function (a generated task's pretrain_document, lines tokenized on the way).
std::unique_ptr<DocumentSource> function_source(int64_t size, std::function<Document(int64_t)> make);

// Several sources as one of `size` documents (0: one pass over all sources at their weights: as many documents as they have together).
// Source k gets a share weights[k] / sum(weights) of the documents, evenly interleaved (after any n documents each source is within one of
// its share per source). A source that is used up begins again, in an order shuffled by `seed` and the pass.
std::unique_ptr<DocumentSource> mixture_source(std::vector<std::unique_ptr<DocumentSource>> sources, std::vector<double> weights,
                                               uint64_t seed, int64_t size = 0);

// A text's ids, all learned; `end_id` >= 0 is put after them, `begin_id` >= 0 before them.
using EncodeFunction = std::function<std::vector<int32_t>(std::string_view)>;
Document text_document(std::string_view text, const EncodeFunction& encode, int32_t end_id = -1, int32_t begin_id = -1);

}  // namespace r1::data
