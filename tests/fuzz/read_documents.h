// What the fuzzers of readers share: all documents of some bytes, held to what document.h promises.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

#include "r1/base/error.h"
#include "r1/corpus/encoding.h"
#include "r1/corpus/reader_parts.h"

namespace r1::corpus {

inline void read_documents(const uint8_t* data, size_t size, MakeReader open, const char* name) {
  Opening opening;
  opening.options.max_document_bytes = 1 << 16;  // so that small inputs reach the limits
  try {
    Counts counts;
    const auto reader = open(Input::memory(std::string(reinterpret_cast<const char*>(data), size), name), opening);
    if (!reader) return;
    int64_t documents = 0;
    for (Document d; reader->next(d, counts); ++documents) {
      // open_input() holds texts to UTF-8; a title or a source goes into errors and JSON as it is
      if (d.source.empty() || d.kind.empty()) std::abort();
    }
    counts.check(name);
  } catch (const Error&) {
  }
}

}  // namespace r1::corpus
