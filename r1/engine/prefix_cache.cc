#include "r1/engine/prefix_cache.h"

#include <algorithm>
#include <bit>
#include <random>

#include "r1/base/error.h"

namespace r1::engine {

namespace {

// Folded 64 x 64 -> 128 bit product, the mixing step of the wyhash family.
uint64_t mix(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return uint64_t(product) ^ uint64_t(product >> 64);
}

}  // namespace

PrefixCache::PrefixCache(int64_t num_blocks, int32_t block_size) : block_size_(block_size) {
  std::random_device device;
  secret_ = (uint64_t(device()) << 32) ^ device();
  entries_.resize(size_t(num_blocks));
  tokens_.resize(size_t(num_blocks) * size_t(block_size));
  contents_.resize(size_t(num_blocks));
  buckets_.assign(std::bit_ceil(size_t(num_blocks) * 2), kNoBlock);
}

PrefixCache::Content PrefixCache::content_of(std::span<const ContentSpan> spans, int64_t begin, int64_t size) {
  Content words;
  for (const ContentSpan& span : spans) {
    if (span.first + span.tokens <= begin || span.first >= begin + size) continue;
    words.insert(words.end(), {uint64_t(span.first - begin), uint64_t(span.tokens), span.hash[0], span.hash[1]});
  }
  return words;
}

uint64_t PrefixCache::hash(Node parent, std::span<const TokenId> tokens, const Content& content) const {
  uint64_t h = mix(parent.serial ^ secret_, parent.root ? 0x9E3779B97F4A7C15ull : 0xD1B54A32D192ED03ull) ^ secret_;
  for (TokenId t : tokens) h = mix(h ^ uint64_t(uint32_t(t)) ^ 0xA0761D6478BD642Full, secret_ | 1) + 0xE7037ED1A0B428DBull;
  for (uint64_t word : content) h = mix(h ^ word ^ 0x8EBC6AF09C88C6E3ull, secret_ | 1) + 0x589965CC75374CC3ull;
  return h ^ (h >> 29);
}

BlockId PrefixCache::find(Node parent, std::span<const TokenId> tokens, const Content& content) const {
  const uint64_t h = hash(parent, tokens, content);
  for (BlockId b = buckets_[h & (buckets_.size() - 1)]; b != kNoBlock; b = entries_[size_t(b)].next) {
    const Entry& e = entries_[size_t(b)];
    if (e.hash == h && e.parent == parent && std::equal(tokens.begin(), tokens.end(), tokens_of(b)) && contents_[size_t(b)] == content)
      return b;
  }
  return kNoBlock;
}

PrefixCache::Node PrefixCache::insert(Node parent, std::span<const TokenId> tokens, BlockId block, const Content& content) {
  check(int64_t(tokens.size()) == block_size_, "[prefix_cache] expected ", block_size_, " tokens, got ", tokens.size());
  Entry& e = entries_[size_t(block)];
  check(!e.used, "[prefix_cache] block ", block, " is in the cache already");
  e = {.parent = parent, .serial = next_serial_++, .hash = hash(parent, tokens, content), .used = true};
  std::copy(tokens.begin(), tokens.end(), tokens_.begin() + int64_t(block) * block_size_);
  contents_[size_t(block)] = content;
  BlockId& head = buckets_[e.hash & (buckets_.size() - 1)];
  e.next = head;
  head = block;
  ++size_;
  return {e.serial, false};
}

void PrefixCache::forget(BlockId block) {
  Entry& e = entries_[size_t(block)];
  if (!e.used) return;
  BlockId* link = &buckets_[e.hash & (buckets_.size() - 1)];
  while (*link != block) link = &entries_[size_t(*link)].next;
  *link = e.next;
  e.used = false;
  --size_;
}

void PrefixCache::clear() {
  for (Entry& e : entries_) e.used = false;
  std::fill(buckets_.begin(), buckets_.end(), kNoBlock);
  size_ = 0;
}

}  // namespace r1::engine
