// The numbers of one run as columns, read from a metrics.jsonl that grows while it is read. What others' dashboards get wrong and this one
// has to get right: a run that went on from a checkpoint, whose steps begin again; NaN and Inf; spikes in a long run; a smoothed curve that
// hangs on how many points are drawn.
//
//  - A last line without a line break waits. A line that is no JSON object with a step is counted as broken and passed over.
//  - A file that was replaced, cut off or rewritten (what a resumed run does with the lines after its checkpoint) is noticed by its content:
//    a cursor names a place and the hash of what stands before it. It is then read anew.
//  - Where a file has a step again all the same, the later value counts, series by series: a late evaluation of step 100 drops nothing else.
//  - Not finite is a value like others: null, NaN, Infinity, -Infinity, and strings of these names.
//  - Memory has an end: kMaxKeys series, kMaxPoints points of a run. Beyond, the longest series are thinned to half, extremes kept.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "r1/base/files_below.h"
#include "r1/base/json.h"

namespace r1::api {

struct Point {
  double step = 0, value = 0;  // value: any double; NaN also stands for null
};

// Of each of `buckets` equal ranges of steps the lowest and the highest finite value and the first that is not finite, in order; the first
// and the last point in any case. All of them, if there are at most 2 * buckets. `points` are in the order of their steps.
std::vector<Point> thin(std::span<const Point> points, size_t buckets);

// Exponential moving average without the bias to its first values (sum and mass both decay); what is not finite changes nothing.
struct Smoothing {
  double weight = 0;  // of the past: 0 .. 0.9999
  double sum = 0, mass = 0;

  double add(double value);  // the average so far; NaN before the first finite value
};

// What the line of a step says: {"step": 3, "loss": 0.5, ..}.
struct MetricsRow {
  double step = 0;
  std::vector<std::pair<std::string, double>> numbers;
  std::string skipped;          // why the step was skipped; "" if it was not
  Json alarms = Json::array();  // objects of the reward monitors
};
// False: no object with a number "step".
bool parse_metrics_line(std::string_view line, MetricsRow& row);
// {"step": .., key: number | null | "inf" | "-inf"}
Json row_json(const MetricsRow& row);
// A number as JSON has it: null for NaN, "inf" and "-inf".
Json number_json(double value);

// A place in a file that grows by lines, and what stood before it.
struct LineCursor {
  int64_t offset = 0;
  std::string hash;  // of the up to 4 KiB before it; "" at the beginning

  std::string text() const;  // "1234-0123456789abcdef"
  static std::optional<LineCursor> parse(std::string_view text);
};
// The cursor at `offset` of the file.
LineCursor cursor_at(const OpenFile& file, int64_t offset);
// Whether the file still has before the cursor what it had.
bool holds(const OpenFile& file, const LineCursor& cursor);

// Hands out whole lines of a file that grows, without their line breaks; reads it in pieces. A line over `max_line` bytes is given as an
// empty one. At most `most` bytes a call.
class LineReader {
 public:
  explicit LineReader(int64_t max_line) : max_line_(max_line) {}
  // Begins anew if the file is another one or its past has changed; true then. Call before next().
  bool begin(const OpenFile& file);
  // Calls `line(text, offset)`; returns whether there may be more.
  template <class Line>
  bool read(const OpenFile& file, int64_t most, const Line& line);
  const LineCursor& cursor() const { return cursor_; }

 private:
  int64_t max_line_;
  LineCursor cursor_;      // after the last whole line
  int64_t scanned_ = 0;    // bytes behind it that have no line break
  bool too_long_ = false;  // the line that begins at cursor_ is
  uint64_t device_ = 0, inode_ = 0;
};

struct MetricsEvent {
  double step = 0;
  std::string kind;  // "monitor", "skipped", "rewound"
  std::string monitor, text;
  double value = 0, limit = 0;
};

class RunMetrics {
 public:
  static constexpr size_t kMaxKeys = 1'000, kMaxKeyBytes = 200, kMaxEvents = 1'000;
  static constexpr int64_t kMaxLine = 1 << 20;

  explicit RunMetrics(size_t max_points = 8'000'000) : max_points_(max_points), reader_(kMaxLine) {}

  // Takes in at most `most` bytes more. True if there may be more to read.
  bool refresh(const OpenFile& file, int64_t most);

  const std::vector<std::string>& keys() const { return keys_; }  // in order of appearance
  const std::vector<Point>* series(std::string_view key) const;   // nullptr: no such key
  const std::vector<MetricsEvent>& events() const { return events_; }
  const LineCursor& cursor() const { return reader_.cursor(); }
  double last_step() const { return last_step_; }
  int64_t lines() const { return lines_; }
  int64_t broken() const { return broken_; }
  int64_t skipped() const { return skipped_; }  // steps
  int64_t thinned() const { return thinned_; }  // how often series had to be thinned
  int64_t keys_left_out() const { return keys_left_out_; }
  size_t points() const { return points_; }

 private:
  void clear();
  void take(std::string_view line);
  void take_number(const std::string& key, double step, double value);
  void take_event(MetricsEvent event);
  void thin_longest();

  size_t max_points_, points_ = 0;
  LineReader reader_;
  std::vector<std::string> keys_;
  std::vector<std::vector<Point>> series_;
  std::map<std::string, size_t, std::less<>> index_;
  std::vector<MetricsEvent> events_;
  MetricsRow row_;
  double last_step_ = -1;
  int64_t lines_ = 0, broken_ = 0, skipped_ = 0, thinned_ = 0, keys_left_out_ = 0;
};

template <class Line>
bool LineReader::read(const OpenFile& file, int64_t most, const Line& line) {
  constexpr int64_t kPiece = 1 << 20;
  std::string kept;  // of a line that began in an earlier piece
  if (scanned_ > 0 && !too_long_) kept = file.read(cursor_.offset, scanned_);
  if (kept.find('\n') != std::string::npos) kept.clear(), scanned_ = 0;  // written anew since
  int64_t at = cursor_.offset + scanned_, start = cursor_.offset;
  bool more = true;
  std::string buffer(size_t(std::clamp<int64_t>(file.status().size - at, 0, std::min(kPiece, most))), '\0');
  if (buffer.empty()) more = most <= 0;
  while (!buffer.empty() && more && most > 0) {
    const int64_t asked = std::min(int64_t(buffer.size()), most);
    const std::string_view piece(buffer.data(), size_t(file.read(at, buffer.data(), asked)));
    if (piece.empty()) more = false;
    most -= int64_t(piece.size());
    at += int64_t(piece.size());
    size_t begin = 0;
    for (size_t end; (end = piece.find('\n', begin)) != std::string::npos; begin = end + 1) {
      const std::string_view text(piece.data() + begin, end - begin);
      const bool fits = !too_long_ && int64_t(kept.size() + text.size()) <= max_line_;
      if (!fits) {
        line(std::string_view(), start);
      } else if (kept.empty()) {
        line(text, start);
      } else {
        line(std::string_view(kept.append(text)), start);
      }
      kept.clear();
      too_long_ = false;
      start = at - int64_t(piece.size()) + int64_t(end) + 1;
    }
    if (!too_long_) kept.append(piece, begin);
    if (int64_t(kept.size()) > max_line_) too_long_ = true, kept.clear();
  }
  if (start != cursor_.offset) cursor_ = cursor_at(file, start);
  scanned_ = at - start;
  return more;
}

}  // namespace r1::api
