// Rows of a table by id, and the backward: the gradients of a row are added in the order of the tokens, whatever the thread count.
#pragma once

#include "r1/kernels/cpu/rows.h"

namespace r1::kernels {

struct Embedding {
  ConstRows table;     // [vocab, dim]
  const int64_t* ids;  // [tokens], each in [0, vocab)
  Rows out;            // [tokens, dim]
  int64_t tokens, vocab, dim;
};
void embedding(const Embedding& a);

// dtable[ids[t], :] += dout[t, :] for t ascending; dtable is fp32.
struct EmbeddingBackward {
  ConstRows dout;
  const int64_t* ids;
  Rows dtable;
  int64_t tokens, vocab, dim;
};
void embedding_backward(const EmbeddingBackward& a);

}  // namespace r1::kernels
