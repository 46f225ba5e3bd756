// The engine's form of a forward, by hand, against the training form.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "r1/tensor/aten.h"
#include "tiny_model.h"

namespace r1::model {

// A sequence on its way through the engine form.
struct Running {
  Tensor ids;
  std::vector<int32_t> blocks;
  int64_t fed = 0;
  std::vector<Tensor> rows;  // hidden states as they came out
};

inline void engine_step(Transformer& model, std::vector<nn::LayerCache>& caches, std::vector<Running*> batch,
                        const std::vector<int64_t>& counts) {
  nn::LayerContext context;
  ops::Sequences& sequences = context.sequences;
  sequences.cu_seqlens = {0};
  std::vector<Tensor> ids;
  for (size_t s = 0; s < batch.size(); ++s) {
    sequences.context_lens.push_back(int32_t(batch[s]->fed));
    sequences.block_tables.push_back(batch[s]->blocks);
    sequences.cu_seqlens.push_back(int32_t(sequences.cu_seqlens.back() + counts[s]));
    ids.push_back(batch[s]->ids.narrow(0, batch[s]->fed, counts[s]));
  }
  sequences = ops::sequences_on(model.device(), std::move(sequences));
  const Tensor x = model.hidden(aten::cat(ids, 0), context, &caches);
  for (size_t s = 0; s < batch.size(); ++s) {
    batch[s]->rows.push_back(x.narrow(0, sequences.cu_seqlens[s], counts[s]));
    batch[s]->fed += counts[s];
  }
}

inline std::vector<nn::LayerCache> new_caches(const Transformer& model, int64_t blocks) {
  std::vector<nn::LayerCache> caches;
  for (int i = 0; i < model.num_caches(); ++i) {
    caches.push_back(aten::full({blocks, model.cache_bytes(i, 16)}, 0xFF, at::TensorOptions().dtype(at::kByte).device(model.device())));
  }
  return caches;
}

// Three sequences fed in all sorts of steps, and a prefix hit: the rows are the trainer's rows, bit for bit.
inline void test_invariance(at::ScalarType dtype, const ModelConfig& config) {
  const at::NoGradGuard no_grad;
  const int threads = at::get_num_threads();
  Transformer model(config, at::kCPU, dtype);
  model.init_weights(7);
  const std::vector<int32_t> lengths{100, 5, 34};
  const std::vector<std::vector<int32_t>> tables{{11, 4, 9, 0, 7, 2, 14}, {3}, {12, 1, 8}};
  const Tensor ids = random_ids(139, 61, 8), want = model.hidden(ids, packed(lengths)), want_logits = model.logits(want);
  Rng rng(3);
  for (const int64_t chunk : {1, 3, 16, 17, 100}) {
    at::set_num_threads(chunk % 2 ? 1 : 2);
    auto caches = new_caches(model, 16);
    std::vector<Running> all(3);
    for (size_t s = 0, at = 0; s < 3; at += lengths[s++]) all[s] = {ids.narrow(0, int64_t(at), lengths[s]), tables[s], 0, {}};
    // Each step takes some of the unfinished sequences, in any order, and feeds each up to `chunk` tokens.
    for (;;) {
      std::vector<Running*> open, batch;
      for (Running& r : all) {
        if (r.fed < r.ids.size(0)) open.push_back(&r);
      }
      if (open.empty()) break;
      rng.shuffle(open);
      const size_t take = 1 + rng.below(open.size());
      std::vector<int64_t> counts;
      for (size_t i = 0; i < take; ++i) {
        batch.push_back(open[i]);
        counts.push_back(rng.between(1, std::min<int64_t>(chunk, open[i]->ids.size(0) - open[i]->fed)));
      }
      engine_step(model, caches, batch, counts);
    }
    std::vector<Tensor> rows;
    for (const Running& r : all) rows.push_back(aten::cat(r.rows, 0));
    const Tensor got = aten::cat(rows, 0);
    EXPECT_TRUE(aten::equal(got, want)) << config.attention << " " << dtype << " chunk " << chunk;
    for (int64_t t : {0, 50, 138}) EXPECT_TRUE(aten::equal(model.logits(got.narrow(0, t, 1)), want_logits.narrow(0, t, 1))) << t;

    // A prefix hit: a new sequence shares the first two blocks of the first and goes on from there.
    Running hit{ids.narrow(0, 0, 100), {tables[0][0], tables[0][1], 15, 6, 13, 10, 5}, 32, {}};
    while (hit.fed < 100) engine_step(model, caches, {&hit}, {std::min<int64_t>(chunk, 100 - hit.fed)});
    EXPECT_TRUE(aten::equal(aten::cat(hit.rows, 0), want.narrow(0, 32, 68))) << config.attention << " prefix hit, chunk " << chunk;
  }
  at::set_num_threads(threads);
}

}  // namespace r1::model
