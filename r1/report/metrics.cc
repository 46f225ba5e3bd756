#include "r1/report/metrics.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

#include "r1/base/file.h"
#include "r1/base/log.h"
#include "r1/report/event_file.h"

namespace r1::report {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// A file that only grows, by whole records. After a failed write it is cut back to the last whole record, and the rest waits in memory.
class RecordFile {
 public:
  void open(const fs::path& path) {
    path_ = path;
    size_ = fs::exists(path) ? fs::file_size(path) : 0;
  }
  const fs::path& path() const { return path_; }

  void append(std::string_view record) {
    pending_ += record;
    try {
      if (broken_) fs::resize_file(path_, size_);
      append_file(path_, pending_);
    } catch (const std::exception& error) {
      if (!broken_) log_warning("metrics are kept in memory until they can be written: ", error.what());
      broken_ = true;
      if (pending_.size() > kMaxPending) pending_.clear();  // a gap in a log is better than a run out of memory
      return;
    }
    if (broken_) log_info("metrics are written again: ", path_.string());
    broken_ = false;
    size_ += pending_.size();
    pending_.clear();
  }

 private:
  static constexpr size_t kMaxPending = 64 << 20;
  fs::path path_;
  uintmax_t size_ = 0;
  std::string pending_;
  bool broken_ = false;
};

// Whole lines whose step is at most `last`, as they stand in the file.
std::string lines_until(std::string_view text, int64_t last) {
  std::string kept;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) break;
    const Json line = Json::parse(text.substr(0, end), nullptr, /*allow_exceptions=*/false);
    const auto step = line.is_object() ? line.find("step") : line.end();
    if (line.is_object() && step != line.end() && step->is_number() && step->get<int64_t>() <= last) kept += text.substr(0, end + 1);
    text.remove_prefix(end + 1);
  }
  return kept;
}

std::string events_until(std::string_view file, int64_t last) {
  std::string kept;
  for (const EventRecord& record : decode_events(file)) {
    if (!record.event.file_version.empty() || record.event.step <= last) kept += record.frame;
  }
  return kept;
}

bool is_event_file(const fs::path& path) {
  return path.filename().string().rfind("events.out.tfevents.", 0) == 0;
}

void rewrite_if_changed(const fs::path& path, const std::string& old_bytes, const std::string& new_bytes) {
  if (old_bytes != new_bytes) write_file_atomic(path, new_bytes);
}

fs::path new_event_path(const fs::path& folder) {
  char host[256] = "localhost";
  ::gethostname(host, sizeof host - 1);
  return folder / str("events.out.tfevents.", int64_t(now()), ".", host, ".", ::getpid(), ".r1");
}

// A name beside it that is free.
fs::path set_aside(const fs::path& path) {
  fs::path out = path.string() + ".old";
  for (int i = 2; fs::exists(out); ++i) out = str(path.string(), ".old", i);
  return out;
}

bool finite(const Json& value) {
  return !value.is_number_float() || std::isfinite(value.get<double>());
}

// A line that a thinned list must keep.
bool is_rare(std::string_view line) {
  for (const char* key : {"\"eval", "\"skipped\"", "\"alarms\"", "\"loss\":null"})
    if (line.find(key) != std::string_view::npos) return true;
  return false;
}

}  // namespace

struct MetricsWriter::Impl {
  RecordFile lines, events;
  int64_t non_finite = 0;

  void resume_lines(const fs::path& path, int64_t step) {
    if (fs::exists(path) && step < 0) fs::rename(path, set_aside(path));
    if (fs::exists(path)) {
      const std::string text = read_file(path);
      rewrite_if_changed(path, text, lines_until(text, step));
    }
    lines.open(path);
  }

  void resume_events(const fs::path& folder, int64_t step) {
    fs::path newest;
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (is_event_file(entry.path())) found.push_back(entry.path());
    }
    for (const fs::path& path : found) {
      if (step < 0) {
        fs::remove(path);
        continue;
      }
      const std::string bytes = read_file(path);
      rewrite_if_changed(path, bytes, events_until(bytes, step));
      newest = std::max(newest, path);
    }
    const bool fresh = newest.empty();
    events.open(fresh ? new_event_path(folder) : newest);
    if (fresh) events.append(encode_event({.wall_time = now(), .file_version = "brain.Event:2"}));
  }
};

MetricsWriter::MetricsWriter(const fs::path& run_folder, int64_t resume_step) : impl_(std::make_unique<Impl>()) {
  make_folder(run_folder);
  impl_->resume_lines(run_folder / "metrics.jsonl", resume_step);
  impl_->resume_events(run_folder, resume_step);
}
MetricsWriter::~MetricsWriter() = default;

void MetricsWriter::write(int64_t step, const Json& values) {
  Json line{{"step", step}};
  std::string events;
  const double time = now();
  for (const auto& [name, value] : values.items()) {
    if (name == "step") continue;
    line[name] = finite(value) ? value : Json(nullptr);
    impl_->non_finite += !finite(value);
    if (value.is_number() && finite(value)) {
      events += encode_event({.wall_time = time, .step = step, .tag = tensorboard_tag(name), .scalar = value.get<float>()});
    }
  }
  impl_->lines.append(dump_json(line) + "\n");
  impl_->events.append(events);
}

void MetricsWriter::write_text(int64_t step, const std::string& tag, const std::string& text) {
  impl_->events.append(encode_event({.wall_time = now(), .step = step, .tag = tag, .text = text}));
}

int64_t MetricsWriter::non_finite() const {
  return impl_->non_finite;
}

std::vector<Json> read_metrics(const fs::path& path, int64_t most, int64_t* all) {
  std::vector<Json> lines;
  int64_t count = 0;
  if (fs::exists(path)) {
    const MappedFile file(path);
    const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.size());
    count = std::count(text.begin(), text.end(), '\n');  // what follows the last one is torn
    const int64_t stride = most > 0 ? std::max<int64_t>(1, (count + most - 1) / most) : 1;
    size_t begin = 0;
    for (int64_t i = 0; i < count; ++i) {
      const size_t end = text.find('\n', begin);
      const std::string_view line = text.substr(begin, end - begin);
      begin = end + 1;
      if (i % stride != 0 && i + 1 != count && !is_rare(line)) continue;
      Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
      if (json.is_object()) lines.push_back(std::move(json));
    }
  }
  if (all) *all = count;
  return lines;
}

std::string tensorboard_tag(const std::string& name) {
  if (name.rfind("eval_", 0) == 0) return "eval/" + name.substr(5);
  if (name.rfind("eval/", 0) == 0 || name.rfind("train/", 0) == 0) return name;
  return "train/" + name;
}

}  // namespace r1::report
