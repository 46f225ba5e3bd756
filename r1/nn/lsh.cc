#include "r1/nn/lsh.h"

namespace r1::nn {

Lsh::Lsh(const GqaShape& s, std::shared_ptr<const ops::RotaryTable> rotary, const ops::LshShape& hash, uint64_t seed,
         const Placement& placement)
    : Gqa(s, std::move(rotary), placement), hash_(hash), directions_(ops::lsh_directions(s.head_dim, hash, seed, placement.device)) {}

int64_t Lsh::cache_bytes(const ops::CacheForm& form) const {
  ops::check_plain_cache("lsh_attention", "layers with hashed attention", form);
  return ops::paged_lsh_bytes(shape().kv_heads, shape().head_dim, hash_.rounds, form.block_size, placement().dtype);
}

Tensor Lsh::attend(const Tensor&, const Heads& h, const LayerContext& context, const LayerCache* cache) const {
  const Tensor q_codes = ops::lsh_codes(h.q_TNH, directions_, hash_.rounds), k_codes = ops::lsh_codes(h.k_TKH, directions_, hash_.rounds);
  return cache ? ops::paged_lsh_attention(h.q_TNH, h.k_TKH, h.v_TKH, q_codes, k_codes, *cache, context.sequences, scale(), hash_)
               : ops::lsh_attention(h.q_TNH, h.k_TKH, h.v_TKH, q_codes, k_codes, context.sequences, scale(), hash_);
}

}  // namespace r1::nn
