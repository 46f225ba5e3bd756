// A stage: documents in, documents out, everything counted. Most look at one document at a time and are the same whatever the order
// (Filter); those that compare documents with each other (duplicates) have passes of their own, in their own headers.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "r1/corpus/document.h"

namespace r1::corpus {

// Looks at one document and keeps it, changes it or names why not. Calls from several threads at once: no state that changes.
class Filter {
 public:
  virtual ~Filter() = default;
  virtual std::string_view name() const = 0;
  // "" keeps the document (perhaps changed; then with a mark); else the reason, as Counts::drop() takes it.
  virtual std::string apply(Document& document) const = 0;
};

}  // namespace r1::corpus
