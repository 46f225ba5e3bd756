#include "r1/data/loader.h"

#include <algorithm>
#include <span>
#include <utility>

#include "r1/base/error.h"
#include "r1/base/rng.h"

namespace r1::data {
namespace {

constexpr uint64_t kOrderStream = 0x0D0C5, kRowStream = 0x0205;
constexpr int64_t kGroups = 50;  // parts that a window is sorted into, at least: with fewer their rows differ much in length

int64_t tokens_of(const std::vector<Piece>& row) {
  int64_t tokens = 0;
  for (const Piece& piece : row) tokens += piece.size();
  return tokens;
}

}  // namespace

Loader::Loader(const DocumentSource& source, LoaderOptions options) : source_(source), options_(std::move(options)) {
  check_pack_options(options_.pack);
  if (options_.rows_per_batch < 1) fail_usage("[loader] rows_per_batch expected at least 1, got ", options_.rows_per_batch);
  if (options_.parts < 1 || (options_.tokens_per_part == 0 && options_.rows_per_batch % options_.parts != 0))
    fail_usage("[loader] rows_per_batch ", options_.rows_per_batch, " is no multiple of its ", options_.parts, " parts");
  if (options_.tokens_per_part != 0 && options_.tokens_per_part < options_.pack.max_tokens)
    fail_usage("[loader] a part of ", options_.tokens_per_part, " tokens has no room for a row of ", options_.pack.max_tokens);
  if (options_.window < 1) fail_usage("[loader] window expected at least 1, got ", options_.window);
  if (options_.world < 1 || options_.rank < 0 || options_.rank >= options_.world) {
    fail_usage("[loader] expected rank in [0, ", options_.world, "), got ", options_.rank);
  }
  if ((by_parts() ? options_.parts : options_.rows_per_batch) % options_.world != 0) {
    fail_usage("[loader] ", by_parts() ? "parts " : "rows_per_batch ", by_parts() ? options_.parts : options_.rows_per_batch,
               " is no multiple of the ", options_.world, " ranks");
  }
  if (options_.group_by_length && options_.tokens_per_part == 0) options_.window = std::max(options_.window, kGroups * rows_per_part());
  if (source_.size() == 0) fail_usage("[loader] the source has no documents");
  start_epoch();
}

void Loader::start_epoch() {
  position_ = offset_ = row_ = 0;
  filled_ = false;
  if (!options_.shuffle) return;
  order_ = Permutation(source_.size(), Rng(options_.seed, kOrderStream).split(uint64_t(epoch_)));
}

// Packs documents position_ .. position_+window-1. In wrapped order the last row that is not full is left for the next window, unless the
// epoch ends here.
bool Loader::fill_window() {
  rows_.clear();
  filled_ = true;
  const bool wrapped = options_.pack.strategy == "wrapped";
  int64_t end = std::min(source_.size(), position_ + options_.window);
  if (position_ >= end) return false;
  std::vector<Document> documents;
  std::vector<int64_t> numbers, lengths;
  int64_t tokens = -offset_;
  const int64_t grouped = options_.group_by_length ? kGroups * options_.tokens_per_part : 0;
  for (int64_t i = position_; i < end; ++i) {
    numbers.push_back(options_.shuffle ? order_[i] : i);
    documents.push_back(source_.document(numbers.back()));
    lengths.push_back(int64_t(documents.back().ids.size()));
    if (has_learned(documents.back(), 0, lengths.back())) tokens += lengths.back();
    if (wrapped && i + 1 == end && tokens <= options_.pack.max_tokens)
      end = std::min(source_.size(), end + options_.window);  // a full row at least
    if (options_.group_by_length && i + 1 == end && tokens < grouped && end - position_ < kGroups * options_.window)
      end = std::min(source_.size(), end + options_.window);
    if (tokens >= std::max({options_.window_tokens, options_.pack.max_tokens + 1, grouped})) end = i + 1;
  }
  if (wrapped) lengths[0] -= offset_;
  // A wrapped document may have been begun by the window before, so it is in or out as a whole.
  const Teaches teaches = [&](const Piece& p) {
    const Document& d = documents[p.index];
    return wrapped ? has_learned(d, 0, int64_t(d.ids.size())) : has_learned(d, p.begin, p.end);
  };
  PackCounts counts;
  auto plan = plan_rows(lengths, options_.pack, &counts, teaches);
  next_position_ = end;
  next_offset_ = 0;
  if (wrapped && end < source_.size() && plan.size() > 1 && tokens_of(plan.back()) < options_.pack.max_tokens) {
    // What the last row holds belongs to the next window: plan again without it.
    const Piece cut = plan.back()[0];
    next_position_ = position_ + int64_t(cut.index);
    next_offset_ = cut.begin + (cut.index == 0 ? offset_ : 0);
    lengths.resize(cut.index);
    if (cut.begin > 0) lengths.push_back(cut.begin);
    counts = {};
    plan = plan_rows(lengths, options_.pack, &counts, teaches);
    if (cut.begin > 0) --counts.documents;  // the next window counts it
  }
  counts_ += counts;
  for (auto& row : plan) {
    for (Piece& piece : row) {
      if (piece.index == 0) piece.begin += offset_, piece.end += offset_;
    }
  }
  if (options_.group_by_length) {
    group(plan);
  } else if (options_.shuffle && options_.pack.strategy != "none") {
    Rng rng = Rng(options_.seed, kRowStream).split(uint64_t(epoch_)).split(uint64_t(position_));
    rng.shuffle(plan);
  }
  for (const auto& pieces : plan) rows_.push_back(make_row(pieces, documents, options_.pack, numbers));
  return true;
}

// May a part have that many rows and tokens? One row always fits.
bool Loader::fits_part(int64_t rows, int64_t tokens) const {
  return rows <= 1 || (options_.tokens_per_part > 0 ? tokens <= options_.tokens_per_part : rows <= rows_per_part());
}

// Orders a window's rows by the parts they are in, and notes where each begins.
void Loader::group(std::vector<std::vector<Piece>>& plan) {
  std::stable_sort(plan.begin(), plan.end(), [](const auto& a, const auto& b) { return tokens_of(a) > tokens_of(b); });
  std::vector<std::vector<std::vector<Piece>>> parts;
  int64_t tokens = 0;
  for (auto& row : plan) {
    const int64_t more = tokens_of(row);
    if (parts.empty() || !fits_part(int64_t(parts.back().size()) + 1, tokens + more)) {
      parts.emplace_back();
      tokens = 0;
    }
    tokens += more;
    parts.back().push_back(std::move(row));
  }
  if (options_.shuffle) {
    Rng rng = Rng(options_.seed, kRowStream).split(uint64_t(epoch_)).split(uint64_t(position_));
    std::span rest(parts);
    if (position_ == 0 && !parts.empty()) rest = rest.subspan(1);
    rng.shuffle(rest);
  }
  plan.clear();
  begins_.clear();
  for (auto& part : parts) {
    for (auto& row : part) {
      begins_.push_back(&row == &part.front());
      plan.push_back(std::move(row));
    }
  }
}

Json Loader::groups() const {
  if (!options_.group_by_length) return nullptr;
  return options_.tokens_per_part > 0 ? Json{{"tokens", options_.tokens_per_part}} : Json{{"rows", rows_per_part()}};
}

// Moves to a window that has rows left; false at the end of the epoch.
bool Loader::more_rows() {
  for (;;) {
    if (!filled_ && !fill_window()) return false;
    if (row_ < int64_t(rows_.size())) return true;
    if (position_ >= source_.size()) return false;
    position_ = next_position_;
    offset_ = next_offset_;
    row_ = 0;
    filled_ = false;
  }
}

std::vector<Batch> Loader::next() {
  for (bool empty_epoch = false;; empty_epoch = true) {
    if (options_.epochs > 0 && epoch_ >= options_.epochs) return {};
    std::vector<Batch> mine;
    part_ends_.clear();
    int64_t taken = 0, part = 0, part_rows = 0, part_tokens = 0, my_part = -1;
    bool full = false;
    while (!full && more_rows()) {
      const Batch& row = rows_[size_t(row_)];
      const bool new_part = options_.group_by_length ? begins_[size_t(row_)] : !fits_part(part_rows + 1, part_tokens + row.tokens());
      if (part_rows > 0 && new_part) {
        full = part + 1 == options_.parts;
        if (full) break;
        ++part;
        part_rows = part_tokens = 0;
      }
      if ((by_parts() ? part : taken) % options_.world == options_.rank) {
        if (std::exchange(my_part, part) != part) part_ends_.push_back(0);
        mine.push_back(row);
        part_ends_.back() = mine.size();
      }
      ++taken;
      ++part_rows;
      part_tokens += row.tokens();
      ++row_;
      full = !by_parts() && taken == options_.rows_per_batch;
    }
    const bool whole = full || (by_parts() && part + 1 == options_.parts);
    if (!more_rows()) {
      ++epoch_;
      start_epoch();
      if (taken == 0 && empty_epoch)
        fail(
            "[loader] an epoch gives no row: all documents are empty, without a token to learn (cut before the answer?) or dropped as "
            "longer than max_tokens");
      if (!whole && options_.drop_last && empty_epoch)
        fail("[loader] an epoch has fewer rows than a batch (",
             by_parts() ? str(options_.parts, " parts") : str("rows_per_batch ", options_.rows_per_batch), ") and drop_last is set");
    }
    if (taken == 0 || (!whole && options_.drop_last)) continue;
    ++batches_;
    return mine;
  }
}

double Loader::epoch_progress() const {
  const double in_window = rows_.empty() ? 0 : double(row_) / double(rows_.size()) * double(next_position_ - position_);
  return std::min(1.0, (double(position_) + (filled_ ? in_window : 0)) / double(source_.size()));
}

Json Loader::state() const {
  Json state = {{"epoch", epoch_},   {"position", position_}, {"offset", offset_},          {"row", row_},
                {"batch", batches_}, {"seed", options_.seed}, {"documents", source_.size()}};
  if (const std::string source = source_.fingerprint(); !source.empty()) state["source"] = source;
  if (options_.group_by_length) state["groups"] = groups();
  return state;
}

void Loader::load_state(const Json& state, std::string_view where) {
  if (json_get<uint64_t>(state, "seed", where) != options_.seed)
    fail(where, ": the state was made with seed ", state["seed"], ", this run has ", options_.seed);
  if (json_get<int64_t>(state, "documents", where) != source_.size()) {
    fail(where, ": the state was made over ", state["documents"], " documents, the data has ", source_.size(), " now");
  }
  if (json_get_or<std::string>(state, "source", source_.fingerprint(), where) != source_.fingerprint())
    fail(where, ": the data or the tokenizer has changed since this state was saved; bring the old files back or start a new run");
  if (const Json before = json_get_or<Json>(state, "groups", nullptr, where); before != groups()) {
    fail_usage(where, ": documents were grouped by length into other micro-batches (", before.is_null() ? "not at all" : before.dump(),
               ") than now (", groups().is_null() ? "not at all" : groups().dump(),
               "), so the place in their order is lost; take the earlier group_by_length and batch size, or a new run");
  }
  epoch_ = json_get<int64_t>(state, "epoch", where);
  start_epoch();
  position_ = json_get<int64_t>(state, "position", where);
  offset_ = json_get<int64_t>(state, "offset", where);
  row_ = json_get<int64_t>(state, "row", where);
  batches_ = json_get<int64_t>(state, "batch", where);
  if (epoch_ < 0 || position_ < 0 || position_ > source_.size() || row_ < 0 || offset_ < 0)
    fail(where, ": the state is out of range (epoch ", epoch_, ", document ", position_, " of ", source_.size(), ", row ", row_, ")");
}

}  // namespace r1::data
