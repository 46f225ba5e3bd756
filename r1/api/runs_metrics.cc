#include "r1/api/runs_metrics.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "r1/base/file.h"

namespace r1::api {
namespace {

constexpr int64_t kHashed = 4096;
constexpr double kInf = std::numeric_limits<double>::infinity(), kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kMaxStep = 1e15;

// ---- one line ----
// A scanner of its own: a line has some sixty numbers and a long run a hundred thousand lines, and other programs write bare NaN, which no
// JSON parser takes. What is nested or has an escape in it goes to the JSON parser.
class LineScanner {
 public:
  explicit LineScanner(std::string_view text) : p_(text.data()), end_(p_ + text.size()) {}

  bool object(MetricsRow& row) {
    bool has_step = false;
    if (!eat('{')) return false;
    if (eat('}')) return false;
    do {
      std::string key;
      if (!string(key) || !eat(':') || !value(key, row, has_step)) return false;
    } while (eat(','));
    return eat('}') && (blank(), p_ == end_) && has_step;
  }

 private:
  void blank() {
    while (p_ < end_ && (*p_ == ' ' || *p_ == '\t' || *p_ == '\r' || *p_ == '\n')) ++p_;
  }
  bool eat(char c) {
    blank();
    if (p_ >= end_ || *p_ != c) return false;
    ++p_;
    return true;
  }
  bool word(std::string_view w) {
    if (size_t(end_ - p_) < w.size() || std::string_view(p_, w.size()) != w) return false;
    p_ += w.size();
    return true;
  }

  // The string's bytes with its quotes, unread.
  bool quoted(std::string_view& out, bool& plain) {
    blank();
    const char* begin = p_;
    plain = true;
    if (p_ >= end_ || *p_ != '"') return false;
    for (++p_; p_ < end_ && *p_ != '"'; ++p_) {
      if (uint8_t(*p_) < 0x20) return false;
      if (*p_ == '\\') plain = false, ++p_;
    }
    if (p_ >= end_) return false;
    ++p_;
    out = {begin, size_t(p_ - begin)};
    return true;
  }
  bool string(std::string& out) {
    std::string_view text;
    bool plain = true;
    if (!quoted(text, plain)) return false;
    if (plain) {
      out = text.substr(1, text.size() - 2);
      return true;
    }
    const Json value = Json::parse(text, nullptr, false);
    if (!value.is_string()) return false;
    out = value.get<std::string>();
    return true;
  }

  // An array or object; its brackets are matched here, its content is the JSON parser's.
  bool nested(std::string_view& out) {
    const char* begin = p_;
    int64_t depth = 0;
    do {
      if (p_ >= end_) return false;
      std::string_view text;
      bool plain;
      if (*p_ == '"') {
        if (!quoted(text, plain)) return false;
        continue;
      }
      depth += (*p_ == '[' || *p_ == '{') - (*p_ == ']' || *p_ == '}');
      ++p_;
    } while (depth > 0);
    out = {begin, size_t(p_ - begin)};
    return depth == 0 && Json::accept(out);
  }

  bool number(double& out) {
    const char* begin = p_;
    if (p_ < end_ && *p_ == '-') ++p_;
    if (p_ >= end_ || *p_ < '0' || *p_ > '9') return false;
    const auto [next, error] = std::from_chars(begin, end_, out);
    if (error == std::errc::result_out_of_range) {
      // 1e400 or 1e-400: the exponent's sign says which.
      const std::string_view text(begin, size_t(next - begin));
      const size_t e = text.find_first_of("eE");
      const bool tiny = e != std::string_view::npos && e + 1 < text.size() && text[e + 1] == '-';
      out = tiny ? 0 : *begin == '-' ? -kInf : kInf;
    } else if (error != std::errc()) {
      return false;
    }
    p_ = next;
    return true;
  }

  static bool named_number(std::string_view text, double& out) {
    if (text == "NaN" || text == "nan") return out = kNan, true;
    if (text == "Infinity" || text == "inf" || text == "+inf") return out = kInf, true;
    if (text == "-Infinity" || text == "-inf") return out = -kInf, true;
    return false;
  }

  bool value(const std::string& key, MetricsRow& row, bool& has_step) {
    blank();
    if (p_ >= end_) return false;
    double x = 0;
    std::string text;
    std::string_view inner;
    switch (*p_) {
      case '"':
        if (!string(text)) return false;
        if (key == "skipped") return row.skipped = text, true;
        if (!named_number(text, x)) return true;
        break;
      case '[':
      case '{':
        if (!nested(inner)) return false;
        if (key == "alarms" && *inner.data() == '[') row.alarms = Json::parse(inner, nullptr, false);
        return true;
      case 't':
        if (key == "skipped") row.skipped = "NaN or Inf";
        return word("true");
      case 'f':
        return word("false");
      case 'n':
        if (!word("null")) return false;
        if (key == "skipped") return true;
        x = kNan;
        break;
      case 'N':
        if (!word("NaN")) return false;
        x = kNan;
        break;
      case 'I':
        if (!word("Infinity")) return false;
        x = kInf;
        break;
      default:
        if (word("-Infinity")) {
          x = -kInf;
        } else if (!number(x)) {
          return false;
        }
    }
    if (key == "step") {
      if (!(std::abs(x) <= kMaxStep)) return false;
      row.step = x;
      has_step = true;
    } else {
      row.numbers.emplace_back(key, x);
    }
    return true;
  }

  const char *p_, *end_;
};

double number_of(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_number() ? it->get<double>() : kNan;
}

std::string text_of(const Json& object, const char* key, size_t most) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>().substr(0, most) : std::string();
}

}  // namespace

bool parse_metrics_line(std::string_view line, MetricsRow& row) {
  row.step = 0;
  row.numbers.clear();
  row.skipped.clear();
  row.alarms = Json::array();
  return LineScanner(line).object(row);
}

Json number_json(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? Json() : Json(value > 0 ? "inf" : "-inf");
}

Json row_json(const MetricsRow& row) {
  Json out{{"step", row.step}};
  for (const auto& [key, value] : row.numbers) out[key] = number_json(value);
  return out;
}

// ---- thinning and smoothing ----

std::vector<Point> thin(std::span<const Point> points, size_t buckets) {
  if (points.size() <= 2 * buckets || points.empty()) return {points.begin(), points.end()};
  buckets = std::max<size_t>(1, buckets);
  const double lo = points.front().step, width = std::max(points.back().step - lo, 1e-300);
  const auto bucket_of = [&](size_t i) { return std::min(buckets - 1, size_t(double(buckets) * ((points[i].step - lo) / width))); };
  std::vector<Point> out;
  out.reserve(3 * buckets + 2);
  for (size_t i = 0; i < points.size();) {
    const size_t bucket = bucket_of(i), none = points.size();
    size_t end = i, low = none, high = none, odd = none;
    for (; end < points.size() && bucket_of(end) == bucket; ++end) {
      const double value = points[end].value;
      if (!std::isfinite(value)) {
        if (odd == none) odd = end;
        continue;
      }
      if (low == none || value < points[low].value) low = end;
      if (high == none || value > points[high].value) high = end;
    }
    size_t keep[] = {low, high, odd, i == 0 ? 0 : none, end == points.size() ? end - 1 : none};
    std::sort(std::begin(keep), std::end(keep));
    for (size_t k = 0; k < std::size(keep) && keep[k] != none; ++k)
      if (k == 0 || keep[k] != keep[k - 1]) out.push_back(points[keep[k]]);
    i = end;
  }
  return out;
}

double Smoothing::add(double value) {
  if (std::isfinite(value)) {
    sum = weight * sum + (1 - weight) * value;
    mass = weight * mass + (1 - weight);
  }
  return mass > 0 ? sum / mass : kNan;
}

// ---- cursors ----

std::string LineCursor::text() const {
  return str(offset, "-", hash.empty() ? "0" : hash);
}

std::optional<LineCursor> LineCursor::parse(std::string_view text) {
  const size_t dash = text.find('-');
  LineCursor out;
  if (dash == 0 || dash == std::string_view::npos || text.size() - dash - 1 > 16) return {};
  const auto [next, error] = std::from_chars(text.data(), text.data() + dash, out.offset);
  if (error != std::errc() || next != text.data() + dash || out.offset < 0) return {};
  out.hash = text.substr(dash + 1);
  for (const char c : out.hash)
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return {};
  if (out.hash == "0") out.hash.clear();
  if (out.hash.size() != (out.offset > 0 ? 16 : 0)) return {};
  return out;
}

LineCursor cursor_at(const OpenFile& file, int64_t offset) {
  if (offset == 0) return {};
  const int64_t begin = std::max<int64_t>(0, offset - kHashed);
  return {offset, sha256(std::string_view(file.read(begin, offset - begin))).substr(0, 16)};
}

bool holds(const OpenFile& file, const LineCursor& cursor) {
  return file.status().size >= cursor.offset && cursor_at(file, cursor.offset).hash == cursor.hash;
}

bool LineReader::begin(const OpenFile& file) {
  const FileStatus status = file.status();
  const bool same = status.device == device_ && status.inode == inode_;
  device_ = status.device;
  inode_ = status.inode;
  if (holds(file, cursor_)) {
    // The torn line may be another one.
    if (!same || status.size < cursor_.offset + scanned_) scanned_ = 0, too_long_ = false;
    return false;
  }
  cursor_ = {};
  scanned_ = 0;
  too_long_ = false;
  return true;
}

// ---- a run ----

void RunMetrics::clear() {
  points_ = 0;
  keys_.clear();
  series_.clear();
  index_.clear();
  events_.clear();
  last_step_ = -1;
  lines_ = broken_ = skipped_ = thinned_ = keys_left_out_ = 0;
}

bool RunMetrics::refresh(const OpenFile& file, int64_t most) {
  if (reader_.begin(file)) clear();
  return reader_.read(file, most, [this](std::string_view line, int64_t) { take(line); });
}

const std::vector<Point>* RunMetrics::series(std::string_view key) const {
  const auto it = index_.find(key);
  return it == index_.end() ? nullptr : &series_[it->second];
}

void RunMetrics::take(std::string_view line) {
  ++lines_;
  if (!parse_metrics_line(line, row_)) {
    ++broken_;
    return;
  }
  if (row_.step < last_step_)
    take_event({row_.step, "rewound", "", str("went on from step ", row_.step, " after step ", last_step_), last_step_, 0});
  last_step_ = row_.step;
  for (const auto& [key, value] : row_.numbers) take_number(key, row_.step, value);
  if (!row_.skipped.empty()) {
    ++skipped_;
    take_event({row_.step, "skipped", "", row_.skipped.substr(0, 2'000), 0, 0});
  }
  for (const Json& alarm : row_.alarms) {
    if (!alarm.is_object()) continue;
    const double step = number_of(alarm, "step");
    take_event({std::isfinite(step) ? step : row_.step, "monitor", text_of(alarm, "monitor", 100), text_of(alarm, "text", 2'000),
                number_of(alarm, "value"), number_of(alarm, "limit")});
  }
  if (points_ > max_points_) thin_longest();
}

void RunMetrics::take_number(const std::string& key, double step, double value) {
  auto it = index_.find(key);
  if (it == index_.end()) {
    if (keys_.size() >= kMaxKeys || key.size() > kMaxKeyBytes || key.empty()) {
      ++keys_left_out_;
      return;
    }
    it = index_.emplace(key, keys_.size()).first;
    keys_.push_back(key);
    series_.emplace_back();
  }
  std::vector<Point>& series = series_[it->second];
  while (!series.empty() && series.back().step >= step) series.pop_back(), --points_;
  series.push_back({step, value});
  ++points_;
}

// The newest, and the first of each kind.
void RunMetrics::take_event(MetricsEvent event) {
  if (events_.size() >= kMaxEvents) events_.erase(events_.begin() + kMaxEvents / 4);
  events_.push_back(std::move(event));
}

void RunMetrics::thin_longest() {
  ++thinned_;
  size_t longest = 0;
  for (const auto& s : series_) longest = std::max(longest, s.size());
  points_ = 0;
  for (auto& s : series_) {
    // A quarter of its length in buckets: two extremes each.
    if (s.size() > longest / 2 && s.size() > 16) {
      s = thin(s, s.size() / 4);
      s.shrink_to_fit();
    }
    points_ += s.size();
  }
}

}  // namespace r1::api
