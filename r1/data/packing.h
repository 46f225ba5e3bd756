// Documents to rows of at most `max_tokens` tokens (batch.h). Deterministic: the same documents and options give the same rows.
//
// Strategies (names as in TRL's packing_strategy):
//   bfd      best-fit decreasing: longest document first, each into the fullest row it still fits. Documents are never cut to fill a row.
//   wrapped  documents one after another, cut wherever a row is full. Every row but the last is full. A cut document goes on in the next row
//            (positions start anew there); the token at the cut is still learned, as a row's last target is the next token of the same document.
//   none     one document a row.
// A document longer than max_tokens is truncated, split into pieces (the token at a cut is learned too) or dropped, and counted. What
// teaches nothing is left out and counted: a document of one token, a conversation that is cut before its first answer.
//
// padding_free (default): a row holds just its tokens. Otherwise it is padded to max_tokens with `pad_id`, targets pad_id, weight 0, as a
// document of its own (document index -1), so attention never meets it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "r1/data/batch.h"
#include "r1/data/messages.h"

namespace r1::data {

struct PackOptions {
  int64_t max_tokens = 1024;
  std::string strategy = "bfd";             // bfd | wrapped | none
  std::string long_documents = "truncate";  // truncate | split | drop
  bool padding_free = true;
  int32_t pad_id = 0;
  bool isolate =
      true;  // false: a row is one sequence, attention crosses documents (DeepSeek-V3's pretraining); positions then run through the row
};
// Throws a usage error that names a wrong field.
void check_pack_options(const PackOptions& options);

struct PackCounts {
  int64_t documents = 0, tokens = 0;  // taken in
  int64_t rows = 0, row_tokens = 0;   // given out, without padding
  int64_t truncated = 0, split = 0, dropped = 0, tokens_lost = 0;
  int64_t empty = 0;      // documents without tokens, left out
  int64_t unlearned = 0;  // documents, or pieces of split ones, without a token to learn, left out; their tokens are in tokens_lost
  PackCounts& operator+=(const PackCounts& other);
};

// A part of a document: tokens [begin, end) of documents[index].
struct Piece {
  size_t index = 0;
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
};

// Whether a piece has a token to learn.
using Teaches = std::function<bool(const Piece&)>;
// A piece of `document` has a target that is learned.
bool has_learned(const Document& document, int64_t begin, int64_t end);

// Rows as lists of pieces, for lengths known beforehand. For bfd rows come in the order in which they were opened. `teaches` is asked for
// every piece before it gets a place, of wrapped for every document; empty: all do.
std::vector<std::vector<Piece>> plan_rows(const std::vector<int64_t>& lengths, const PackOptions& options, PackCounts* counts = nullptr,
                                          const Teaches& teaches = {});

// One row. `numbers[i]` is what Batch::document says of documents[i]; empty: i itself.
Batch make_row(const std::vector<Piece>& pieces, const std::vector<Document>& documents, const PackOptions& options,
               const std::vector<int64_t>& numbers = {});

std::vector<Batch> pack(const std::vector<Document>& documents, const PackOptions& options, PackCounts* counts = nullptr);

}  // namespace r1::data
