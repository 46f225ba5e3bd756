#include "r1/data/packing.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "r1/base/error.h"

namespace r1::data {
namespace {

// True where the piece teaches nothing, which is counted.
bool left_out(const Piece& piece, const Teaches& teaches, PackCounts& counts) {
  if (!teaches || teaches(piece)) return false;
  ++counts.unlearned;
  counts.tokens_lost += piece.size();
  return true;
}

// Documents as pieces that fit a row, by options.long_documents.
std::vector<Piece> fitting_pieces(const std::vector<int64_t>& lengths, const PackOptions& o, const Teaches& teaches, PackCounts& counts) {
  std::vector<Piece> pieces;
  const auto add = [&](const Piece& piece) {
    if (!left_out(piece, teaches, counts)) pieces.push_back(piece);
  };
  for (size_t i = 0; i < lengths.size(); ++i) {
    const int64_t n = lengths[i];
    if (n == 0) {
      ++counts.empty;
    } else if (n <= o.max_tokens) {
      add({i, 0, n});
    } else if (o.long_documents == "truncate") {
      ++counts.truncated;
      counts.tokens_lost += n - o.max_tokens;
      add({i, 0, o.max_tokens});
    } else if (o.long_documents == "drop") {
      ++counts.dropped;
      counts.tokens_lost += n;
    } else {
      ++counts.split;
      for (int64_t at = 0; at < n; at += o.max_tokens) add({i, at, std::min(n, at + o.max_tokens)});
    }
  }
  return pieces;
}

// Longest first (earlier first among equals), each into the fullest row with room (the oldest among equals).
std::vector<std::vector<Piece>> best_fit(std::vector<Piece> pieces, int64_t max_tokens) {
  std::stable_sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.size() > b.size(); });
  std::vector<std::vector<Piece>> rows;
  std::set<std::pair<int64_t, size_t>> room;  // free tokens, row
  for (const Piece& piece : pieces) {
    const auto fit = room.lower_bound({piece.size(), 0});
    size_t row = rows.size();
    int64_t left = max_tokens;
    if (fit == room.end()) {
      rows.emplace_back();
    } else {
      std::tie(left, row) = *fit;
      room.erase(fit);
    }
    rows[row].push_back(piece);
    if (left > piece.size()) room.insert({left - piece.size(), row});
  }
  return rows;
}

std::vector<std::vector<Piece>> wrap(const std::vector<int64_t>& lengths, int64_t max_tokens, const Teaches& teaches, PackCounts& counts) {
  std::vector<std::vector<Piece>> rows;
  int64_t room = 0;
  for (size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] == 0) ++counts.empty;
    if (lengths[i] == 0 || left_out({i, 0, lengths[i]}, teaches, counts)) continue;
    bool cut = false;
    for (int64_t at = 0; at < lengths[i];) {
      if (room == 0) {
        cut |= at > 0;
        rows.emplace_back();
        room = max_tokens;
      }
      const int64_t n = std::min(room, lengths[i] - at);
      rows.back().push_back({i, at, at + n});
      at += n;
      room -= n;
    }
    counts.split += cut;
  }
  return rows;
}

void pad_row(Batch& row, const PackOptions& o) {
  const int64_t missing = o.max_tokens - row.tokens();
  if (missing <= 0) return;
  for (int64_t t = 0; t < missing; ++t) {
    row.ids.push_back(o.pad_id);
    row.targets.push_back(o.pad_id);
    row.loss_weight.push_back(0);
    row.positions.push_back(int32_t(t));
  }
  row.cu_seqlens.push_back(int32_t(o.max_tokens));
  row.document.push_back(-1);
}

}  // namespace

PackCounts& PackCounts::operator+=(const PackCounts& other) {
  documents += other.documents, tokens += other.tokens, rows += other.rows, row_tokens += other.row_tokens;
  truncated += other.truncated, split += other.split, dropped += other.dropped, tokens_lost += other.tokens_lost;
  empty += other.empty, unlearned += other.unlearned;
  return *this;
}

void check_pack_options(const PackOptions& o) {
  if (o.max_tokens < 1 || o.max_tokens > (int64_t{1} << 30)) fail_usage("[packing] max_tokens expected 1..2^30, got ", o.max_tokens);
  if (o.strategy != "bfd" && o.strategy != "wrapped" && o.strategy != "none") {
    fail_usage("[packing] strategy expected bfd, wrapped or none, got '", o.strategy, "'");
  }
  if (o.long_documents != "truncate" && o.long_documents != "split" && o.long_documents != "drop") {
    fail_usage("[packing] long_documents expected truncate, split or drop, got '", o.long_documents, "'");
  }
}

bool has_learned(const Document& d, int64_t begin, int64_t end) {
  check(d.learned.size() == d.ids.size(), "[packing] expected ", d.ids.size(), " learned flags of a document, got ", d.learned.size());
  // Position t predicts token t + 1; a document's last token predicts nothing.
  const auto from = d.learned.begin() + std::min(begin + 1, int64_t(d.ids.size()));
  const auto to = d.learned.begin() + std::min(end + 1, int64_t(d.ids.size()));
  return std::find(from, to, uint8_t{1}) != to;
}

std::vector<std::vector<Piece>> plan_rows(const std::vector<int64_t>& lengths, const PackOptions& o, PackCounts* counts,
                                          const Teaches& teaches) {
  check_pack_options(o);
  PackCounts c;
  c.documents = int64_t(lengths.size());
  c.tokens = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  std::vector<std::vector<Piece>> rows;
  if (o.strategy == "wrapped") {
    rows = wrap(lengths, o.max_tokens, teaches, c);
  } else {
    const auto pieces = fitting_pieces(lengths, o, teaches, c);
    if (o.strategy == "bfd") {
      rows = best_fit(pieces, o.max_tokens);
    } else {
      for (const Piece& piece : pieces) rows.push_back({piece});
    }
  }
  c.rows = int64_t(rows.size());
  for (const auto& row : rows) {
    for (const Piece& piece : row) c.row_tokens += piece.size();
  }
  if (counts) *counts += c;
  return rows;
}

Batch make_row(const std::vector<Piece>& pieces, const std::vector<Document>& documents, const PackOptions& o,
               const std::vector<int64_t>& numbers) {
  Batch row;
  row.cu_seqlens.push_back(0);
  for (const Piece& piece : pieces) {
    const Document& d = documents[piece.index];
    const int64_t n = int64_t(d.ids.size());
    if (d.learned.size() != d.ids.size())
      fail("[packing] document ", piece.index, ": expected ", n, " learned flags, got ", d.learned.size());
    for (int64_t t = piece.begin; t < piece.end; ++t) {
      const bool last = t + 1 == n;  // a document's last token has nothing to predict; a cut has
      row.ids.push_back(d.ids[size_t(t)]);
      row.targets.push_back(last ? d.ids[size_t(t)] : d.ids[size_t(t) + 1]);
      row.loss_weight.push_back(!last && d.learned[size_t(t) + 1] ? 1.0f : 0.0f);
      row.positions.push_back(int32_t(o.isolate ? t - piece.begin : int64_t(row.positions.size())));
    }
    if (o.isolate || row.document.empty()) {
      row.cu_seqlens.push_back(0);
      row.document.push_back(int32_t(numbers.empty() ? int64_t(piece.index) : numbers[piece.index]));
    }
    row.cu_seqlens.back() = int32_t(row.ids.size());
  }
  if (!o.padding_free) pad_row(row, o);
  return row;
}

std::vector<Batch> pack(const std::vector<Document>& documents, const PackOptions& options, PackCounts* counts) {
  std::vector<int64_t> lengths;
  for (const Document& d : documents) lengths.push_back(int64_t(d.ids.size()));
  std::vector<Batch> rows;
  const bool whole = options.strategy == "wrapped";
  const Teaches teaches = [&](const Piece& p) {
    const Document& d = documents[p.index];
    return whole ? has_learned(d, 0, int64_t(d.ids.size())) : has_learned(d, p.begin, p.end);
  };
  for (const auto& pieces : plan_rows(lengths, options, counts, teaches)) rows.push_back(make_row(pieces, documents, options));
  return rows;
}

}  // namespace r1::data
