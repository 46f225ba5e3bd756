#include "r1/text/piece_cache.h"

namespace r1::text {

const uint8_t PieceCache::kMask[32] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};

bool PieceCache::ids_of(const Slot& slot, std::string_view piece, const TokenId** ids, size_t* n) const {
  if (is_long(slot.key) && std::memcmp(bytes_.data() + slot.ids[2], piece.data(), piece.size()) != 0) return false;
  *ids = ids_.data() + slot.ids[0];
  *n = size_t(slot.ids[1]);
  return true;
}

void PieceCache::store(const Key& k, uint64_t hash, std::string_view piece, const std::vector<Model::Symbol>& symbols) {
  if (piece.size() > kMostBytes) return;
  const bool elsewhere = is_long(k) || symbols.size() > kSlotIds;
  if (elsewhere && (ids_.size() + symbols.size() > kMostElsewhere || bytes_.size() + piece.size() > 4 * kMostElsewhere)) clear();
  if (stored_ > slots_.size() / 2 && shift_ > 64 - kMostBits) grow();
  Slot& slot = place_for(hash);
  slot = {.key = k};
  ++stored_;
  if (!elsewhere) {
    for (size_t i = 0; i < symbols.size(); ++i) slot.ids[i] = symbols[i].id;
    slot.ids[kSlotIds] = TokenId(symbols.size());
    return;
  }
  slot.ids[0] = TokenId(ids_.size());
  slot.ids[1] = TokenId(symbols.size());
  slot.ids[2] = TokenId(bytes_.size());
  slot.ids[kSlotIds] = kElsewhere;
  for (const Model::Symbol& s : symbols) ids_.push_back(s.id);
  if (is_long(k)) bytes_.insert(bytes_.end(), piece.begin(), piece.end());
}

// A free slot, or that of the older piece of the pair, to which the newer one moves.
PieceCache::Slot& PieceCache::place_for(uint64_t hash) {
  const size_t home = index(hash);
  for (const size_t pair : {home, neighbour(home)})
    for (Slot* slot = slots_.data() + pair; slot != slots_.data() + pair + 2; ++slot)
      if (slot->key.high == 0) return *slot;
  slots_[home] = slots_[home + 1];
  return slots_[home + 1];
}

void PieceCache::grow() {
  HugeVector<Slot> old = std::move(slots_);
  slots_ = HugeVector<Slot>(2 * old.size());
  --shift_;
  for (const Slot& slot : old)
    if (slot.key.high != 0) place_for(PieceCache::hash(slot.key)) = slot;
}

void PieceCache::clear() {
  slots_.assign(slots_.size(), {});
  ids_.clear();
  bytes_.clear();
  stored_ = 0;
}

}  // namespace r1::text
