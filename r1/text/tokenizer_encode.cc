// Text to ids: added tokens are cut out, the rest is normalized, cut into pieces and looked up, a piece at a time, through a cache of
// recent pieces.
#include <algorithm>
#include <cstring>

#include "r1/base/error.h"
#include "r1/text/pieces.h"
#include "r1/text/tokenizer_impl.h"

namespace r1::text {

bool Normalizer::may_change(std::string_view text) const {
  return std::ranges::any_of(forms_, [&](const Form& form) {
    switch (form.kind) {
      case Form::kNfc:
        return nfc_may_change(text);
      case Form::kNfd:
        return std::ranges::any_of(text, [](char c) { return uint8_t(c) >= 0xC0; });
      case Form::kReplace:
        return text.find(form.from) != std::string_view::npos;
      case Form::kPrepend:
        break;
    }
    return !text.empty();
  });
}

namespace {

// Text put together from pieces of a source: copied as they are, or written for a range of it.
class Rewriting {
 public:
  explicit Rewriting(bool with_source) : with_source_(with_source) {}
  void copy(std::string_view text, size_t begin, size_t end) {
    result_.text.append(text, begin, end - begin);
    for (size_t i = begin; with_source_ && i < end; ++i) result_.source.emplace_back(uint32_t(i), uint32_t(i + 1));
  }
  void write(std::string_view what, size_t begin, size_t end) {
    result_.text += what;
    if (with_source_) result_.source.insert(result_.source.end(), what.size(), {uint32_t(begin), uint32_t(end)});
  }
  Normalized take() { return std::move(result_); }

 private:
  bool with_source_;
  Normalized result_;
};

}  // namespace

Normalized Normalizer::apply(const Form& form, std::string_view text, bool with_source) {
  if (form.kind == Form::kNfc) return nfc(text, with_source);
  if (form.kind == Form::kNfd) return nfd(text, with_source);
  Rewriting out(with_source);
  if (form.kind == Form::kPrepend) {
    if (!text.empty()) out.write(form.to, 0, 0);
    out.copy(text, 0, text.size());
    return out.take();
  }
  size_t at = 0;
  for (size_t next; (next = text.find(form.from, at)) != std::string_view::npos; at = next + form.from.size()) {
    out.copy(text, at, next);
    out.write(form.to, next, next + form.from.size());
  }
  out.copy(text, at, text.size());
  return out.take();
}

Normalized Normalizer::run(std::string_view text, bool with_source) const {
  Normalized result = apply(forms_[0], text, with_source);
  for (size_t i = 1; i < forms_.size(); ++i) {
    Normalized again = apply(forms_[i], result.text, with_source);
    for (auto& [begin, end] : again.source) {
      if (end == begin) {  // what was put in stands for nothing
        begin = end = result.source.empty() ? 0 : result.source[std::min<size_t>(begin, result.source.size() - 1)].first;
        continue;
      }
      const uint32_t first = result.source[begin].first, last = result.source[end - 1].second;
      begin = first;
      end = std::max(last, first);
    }
    result = std::move(again);
  }
  return result;
}

std::string Normalizer::inside(std::string_view piece) const {
  std::string text(piece);
  for (const Form& form : forms_)
    if (form.kind != Form::kPrepend) text = apply(form, text, false).text;
  return text;
}

std::unique_ptr<Workspace> WorkspacePool::take() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      auto workspace = std::move(idle_.back());
      idle_.pop_back();
      return workspace;
    }
  }
  return std::make_unique<Workspace>();
}

void WorkspacePool::give(std::unique_ptr<Workspace> workspace) {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(workspace));
}

namespace {

// Ids grow in a workspace's vector that is larger than what is in it, so that a cached piece is one fixed-size copy.
class Output {
 public:
  explicit Output(std::vector<TokenId>& ids) : ids_(ids) {}
  void room(size_t n) {
    if (size_ + n > ids_.size()) ids_.resize(std::max(2 * ids_.size(), size_ + n));
  }
  void push(TokenId id) {
    room(1);
    ids_[size_++] = id;
  }
  // There must be room for a whole slot.
  void push_slot(const PieceCache::Slot& slot) {
    std::memcpy(ids_.data() + size_, slot.ids, sizeof slot.ids);  // what follows overwrites the rest
    size_ += size_t(slot.ids[PieceCache::kSlotIds]);
  }
  void push_all(const TokenId* ids, size_t n, size_t more) {
    room(n + more);
    std::memcpy(ids_.data() + size_, ids, n * sizeof *ids);
    size_ += n;
  }
  std::vector<TokenId> take() {
    if (size_ <= kKept) return {ids_.begin(), ids_.begin() + std::ptrdiff_t(size_)};
    ids_.resize(size_);
    return std::move(ids_);
  }

 private:
  static constexpr size_t kKept = 1 << 22;
  std::vector<TokenId>& ids_;
  size_t size_ = 0;
};

}  // namespace

// The ids of the pieces of the batch, through the cache.
template <class Emit>
void Tokenizer::Impl::encode_batch(Workspace& work, Emit emit) const {
  PieceBatch& batch = work.batch;
  constexpr size_t kWhole = PieceCache::kSlotIds + 1;
  Output& out = emit.out;
  out.room(batch.size * kWhole);
  for (size_t i = 0; i < batch.size; ++i) {
    const PieceCache::Slot* const slot = work.cache.find(batch.keys[i], batch.hashes[i]);
    if (slot && slot->ids[PieceCache::kSlotIds] >= 0) [[likely]] {
      out.push_slot(*slot);
      continue;
    }
    const size_t more = (batch.size - i) * kWhole;
    const TokenId* ids;
    size_t n;
    if (slot && work.cache.ids_of(*slot, batch.pieces[i], &ids, &n)) {
      out.push_all(ids, n, more);
      continue;
    }
    model.encode(batch.pieces[i], work.model);
    work.cache.store(batch.keys[i], batch.hashes[i], batch.pieces[i], work.model.symbols);
    out.room(work.model.symbols.size() + more);
    for (const auto& s : work.model.symbols) out.push(s.id);
  }
  batch.size = 0;
}

// emit.token(id, begin, end) for each id of plain text, or, when offsets don't matter, the ids through the cache.
template <bool kOffsets, class Emit>
void Tokenizer::Impl::encode_plain(std::string_view text, Workspace& work, Emit emit) const {
  if constexpr (!kOffsets) {
    // Pieces of a step-by-step pre-tokenizer may lie in its own copies.
    const char* const readable = pre_tokenizer.kind() == PreTokenizer::Kind::kSteps ? nullptr : text.data() + text.size();
    work.batch.size = 0;
    for_each_piece(pre_tokenizer, text, work.steps, [&](const Piece& piece) {
      work.batch.add({piece.begin, size_t(piece.end - piece.begin)}, readable ? readable : piece.end, work.cache);
      if (work.batch.size == PieceBatch::kSize) encode_batch(work, emit);
    });
    encode_batch(work, emit);
  } else {
    for_each_piece(pre_tokenizer, text, work.steps, [&](const Piece& piece) {
      model.encode({piece.begin, size_t(piece.end - piece.begin)}, work.model);
      size_t at = piece.source;
      for (const auto& s : work.model.symbols) {
        const size_t first = at,
                     length = s.length - size_t(piece.prefixed && first == piece.source && &s == work.model.symbols.data() && s.length > 0);
        at += length;
        emit.token(s.id, first, at);
      }
    });
  }
}

template <bool kOffsets, class Emit>
void Tokenizer::Impl::encode_text(std::string_view text, const EncodeOptions& options, Workspace& work, Emit emit) const {
  const bool special = options.parse_special;
  raw_matcher.empty() ? work.parts.assign(1, {nullptr, 0, text.size()})
                      : raw_matcher.split(text, special, {.at = options.plain_at}, work.parts);
  for (const auto& part : work.parts) {
    if (part.token) {
      emit.token(part.token->id, part.begin, part.end);
      continue;
    }
    std::string_view section = text.substr(part.begin, part.end - part.begin);
    Normalized normalized;
    const bool changed = normalizer.may_change(section);
    if (changed) {
      normalized = normalizer.run(section, kOffsets || !options.plain_at.empty());
      section = normalized.text;
    }
    // Positions in the section as positions in the text.
    const auto placed = [&](size_t origin) {
      return emit.at([&, origin](size_t begin, size_t end) -> std::pair<size_t, size_t> {
        begin += origin, end += origin;
        if (!changed) return {part.begin + begin, part.begin + end};
        if (normalized.source.empty()) return {part.begin, part.begin};
        const auto& source = normalized.source;
        const size_t first = source[std::min(begin, source.size() - 1)].first;
        return {part.begin + first, part.begin + (end > begin ? std::max<size_t>(source[end - 1].second, first) : first)};
      });
    };
    if (normalized_matcher.empty()) {
      encode_plain<kOffsets>(section, work, placed(0));
      continue;
    }
    normalized_matcher.split(section, special,
                             {.at = options.plain_at, .offset = part.begin, .source = changed ? &normalized.source : nullptr},
                             work.inner_parts);
    for (const auto& inner : work.inner_parts) {
      if (inner.token) {
        placed(0).token(inner.token->id, inner.begin, inner.end);
      } else {
        encode_plain<kOffsets>(section.substr(inner.begin, inner.end - inner.begin), work, placed(inner.begin));
      }
    }
  }
}

namespace {

struct EmitIds {
  Output& out;
  void token(TokenId id, size_t, size_t) const { out.push(id); }
  template <class Map>
  EmitIds at(Map) const {
    return *this;
  }
};

struct Identity {
  std::pair<size_t, size_t> operator()(size_t begin, size_t end) const { return {begin, end}; }
};

template <class Map = Identity>
struct EmitOffsets {
  Encoding& out;
  Map map{};
  void token(TokenId id, size_t begin, size_t end) const {
    const auto [b, e] = map(begin, end);
    out.ids.push_back(id);
    out.offsets.emplace_back(uint32_t(b), uint32_t(e));
  }
  template <class Inner>
  auto at(Inner inner) const {
    return EmitOffsets<Inner>{out, inner};
  }
};

}  // namespace

void Tokenizer::Impl::check_text(std::string_view text) const {
  if (text.size() > UINT32_MAX) fail("[tokenizer] a text of ", text.size(), " bytes is too long (at most 4 GiB)");
  if (state.empty() && !text.empty()) fail("[tokenizer] text can't be encoded: ", parts.where, " has no tokens");
}

std::vector<TokenId> Tokenizer::Impl::encode(std::string_view text, const EncodeOptions& options) const {
  check_text(text);
  const WorkspacePool::Lease work(workspaces);
  Output out((*work).ids);
  if (options.add_special_tokens)
    for (const TokenId id : before) out.push(id);
  encode_text<false>(text, options, *work, EmitIds{out});
  if (options.add_special_tokens)
    for (const TokenId id : after) out.push(id);
  return out.take();
}

Encoding Tokenizer::Impl::encode_with_offsets(std::string_view text, const EncodeOptions& options) const {
  check_text(text);
  const WorkspacePool::Lease work(workspaces);
  Encoding out;
  const auto add = [&](const std::vector<TokenId>& ids, uint32_t at) {
    if (!options.add_special_tokens) return;
    out.ids.insert(out.ids.end(), ids.begin(), ids.end());
    out.offsets.insert(out.offsets.end(), ids.size(), {at, at});
  };
  add(before, 0);
  encode_text<true>(text, options, *work, EmitOffsets<>{out});
  add(after, uint32_t(text.size()));
  return out;
}

}  // namespace r1::text
