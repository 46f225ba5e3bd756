#include "r1/data/merge.h"

#include "r1/base/error.h"

namespace r1::data {

namespace {

template <class T>
void append(std::vector<T>& out, const std::vector<T>& more) {
  out.insert(out.end(), more.begin(), more.end());
}

}  // namespace

Batch merge_rows(std::span<const Batch> rows) {
  check(!rows.empty(), "[merge_rows] expected at least one row");
  if (rows.size() == 1) return rows.front();
  Batch out;
  out.cu_seqlens.push_back(0);
  for (const Batch& row : rows) {
    check(row.advantage.empty() == rows.front().advantage.empty(), "[merge_rows] some rows have advantages and some have none");
    const int32_t base = int32_t(out.ids.size());
    append(out.ids, row.ids);
    append(out.targets, row.targets);
    append(out.loss_weight, row.loss_weight);
    append(out.positions, row.positions);
    for (size_t s = 1; s < row.cu_seqlens.size(); ++s) out.cu_seqlens.push_back(base + row.cu_seqlens[s]);
    append(out.advantage, row.advantage);
    append(out.old_logprob, row.old_logprob);
    append(out.ref_logprob, row.ref_logprob);
    append(out.document, row.document);
  }
  return out;
}

}  // namespace r1::data
