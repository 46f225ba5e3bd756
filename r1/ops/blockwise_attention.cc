#include "r1/ops/blockwise_attention.h"

#include <ATen/ops/cat.h>

#include <algorithm>

#include "r1/base/error.h"

namespace r1::ops {

void for_each_block(int64_t tokens, int64_t block, const std::function<void(int64_t begin, int64_t end)>& f) {
  check(block > 0, "[blockwise_attention] expected blocks of at least one token, got ", block);
  for (int64_t begin = 0; begin < tokens; begin += block) f(begin, std::min(begin + block, tokens));
}

Tensor blockwise_attention(const Tensor& q_TNH, const Tensor& k_TKH, const Tensor& v_TKH, const Sequences& sequences, double scale,
                           int64_t block) {
  std::vector<Tensor> outputs;
  for_each_block(q_TNH.size(0), block, [&](int64_t begin, int64_t end) {
    const QueryChunk chunk = chunk_of(sequences, begin, end, q_TNH.device());
    const int64_t keys = end - chunk.k_begin;
    outputs.push_back(attention(q_TNH.narrow(0, begin, end - begin), k_TKH.narrow(0, chunk.k_begin, keys),
                                v_TKH.narrow(0, chunk.k_begin, keys), chunk.sequences, scale));
  });
  return at::cat(outputs, 0);
}

}  // namespace r1::ops
