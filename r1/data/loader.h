// Rows for training: documents of a source in an order shuffled anew each epoch by (seed, epoch), packed window by window (packing.h).
// state() after k batches and load_state() in a new loader over the same source and options give batch k+1 bit for bit.
#pragma once

#include <memory>
#include <vector>

#include "r1/base/json.h"
#include "r1/data/packing.h"
#include "r1/data/permutation.h"
#include "r1/data/source.h"

namespace r1::data {

// A batch is given in parts, the micro-batches of a step: of rows_per_batch / parts rows each, or of as many rows as have tokens_per_part tokens
// together (a row is never cut for it).
struct LoaderOptions {
  PackOptions pack;
  int64_t rows_per_batch = 1;  // of all ranks together
  int64_t parts = 1;
  int64_t tokens_per_part = 0;  // above 0: instead of rows_per_batch
  // A part's rows are about equally long: a window's rows are sorted by length and cut into parts, and the parts are shuffled (sorted they would
  // be a sawtooth of easy and hard batches), but for the longest rows, which come first of all. A part never has rows of two windows.
  bool group_by_length = false;
  int64_t window = 1024;  // documents packed at once: more fill rows better, and mix lengths (longest first) over a longer stretch
  // A window ends where it has that many tokens, so that long documents don't fill the memory. wrapped: the rows are the same, in another order.
  int64_t window_tokens = int64_t{4} << 20;
  int64_t epochs = 1;  // 0: no end
  uint64_t seed = 0;
  // Documents; packed rows are shuffled inside their window too, so that bfd's long documents don't come first and a batch is not of one document.
  bool shuffle = true;
  bool drop_last = false;  // the epoch's last rows if they don't fill a batch (true also keeps every batch equally large)
  // Row r of a batch goes to rank r % world; with tokens_per_part or group_by_length part p does. With drop_last every rank gets equally many.
  int rank = 0, world = 1;
};

class Loader {
 public:
  // The source must outlive the loader.
  Loader(const DocumentSource& source, LoaderOptions options);

  // This rank's rows of the next batch; empty: the end. An epoch never shares a batch with the next one.
  std::vector<Batch> next();
  // Where the parts end in the rows that next() gave last.
  const std::vector<size_t>& part_ends() const { return part_ends_; }

  // {"epoch", "position", "row", "offset", "batch", "seed", "documents"} and, where the source has one, its fingerprint "source", and with
  // group_by_length "groups", what a window's order hangs on: the state before the batch that next() gives now.
  Json state() const;
  // Fails if the seed, the source or the groups are not those of the state; `where` names the state's file.
  void load_state(const Json& state, std::string_view where = "loader state");

  int64_t epoch() const { return epoch_; }
  int64_t batches() const { return batches_; }          // given so far
  double epoch_progress() const;                        // documents of the epoch that have been begun, 0..1
  const PackCounts& counts() const { return counts_; }  // since construction; a resumed loader counts its first window again

 private:
  void start_epoch();
  bool fill_window();  // rows_ from the documents at position_
  bool more_rows();
  int64_t rows_per_part() const { return options_.rows_per_batch / options_.parts; }
  bool by_parts() const { return options_.tokens_per_part > 0 || options_.group_by_length; }
  bool fits_part(int64_t rows, int64_t tokens) const;
  void group(std::vector<std::vector<Piece>>& plan);
  Json groups() const;

  const DocumentSource& source_;
  LoaderOptions options_;
  Permutation order_;  // of the epoch's documents, with shuffle
  int64_t epoch_ = 0;
  int64_t position_ = 0;  // in order_, of the window's first document
  int64_t offset_ = 0;    // wrapped: tokens of that document that went into an earlier window's rows
  int64_t row_ = 0;       // of the window, next to give
  int64_t batches_ = 0;
  // The window: its rows, and where the one after it starts.
  std::vector<Batch> rows_;
  std::vector<bool> begins_;  // group_by_length: row i is the first of its part
  std::vector<size_t> part_ends_;
  int64_t next_position_ = 0, next_offset_ = 0;
  bool filled_ = false;
  PackCounts counts_;
};

}  // namespace r1::data
