#include "r1/corpus/shards.h"

#include <atomic>
#include <charconv>
#include <exception>
#include <mutex>
#include <thread>

#include "r1/base/error.h"
#include "r1/base/threads.h"

namespace r1::corpus {
namespace {

constexpr size_t kBuffer = size_t{1} << 20;

// A line of text, so that a look into the file tells what it is.
std::string header_of(const std::string& options, size_t row_bytes) {
  std::string line = str("r1 shard, rows of ", row_bytes, " bytes: ", options, "\n");
  line.insert(line.size() - 1, (8 - line.size() % 8) % 8, ' ');  // rows stand on multiples of 8
  return line;
}

std::string numbered(int64_t n) {
  std::string digits = std::to_string(n);
  return std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits;
}

// -1: of no shard.
int64_t shard_of_temporary(std::string_view name) {
  name.remove_prefix(1);
  const size_t digits = name.find_first_of("0123456789.");
  int64_t number = -1;
  if (digits != std::string_view::npos) std::from_chars(name.data() + digits, name.data() + name.size(), number);
  return number;
}

}  // namespace

void remove_temporaries(const fs::path& folder, int64_t worker, int64_t of) {
  std::error_code ignored;
  std::vector<fs::path> gone;
  for (const auto& entry : fs::recursive_directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with('.') || !name.ends_with(".tmp")) continue;
    const int64_t shard = shard_of_temporary(name);
    if (of == 1 || (shard >= 0 && shard % of == worker)) gone.push_back(entry.path());
  }
  for (const fs::path& path : gone) fs::remove(path, ignored);
}

fs::path shard_path(const fs::path& folder, const std::string& stage, int64_t worker, int64_t of) {
  if (of < 1 || worker < 0 || worker >= of) fail_usage("[", stage, "] worker ", worker, " of ", of, ": workers are numbered from 0");
  return folder / (stage + "-" + numbered(worker) + "-of-" + numbered(of) + ".shard");
}

std::vector<fs::path> all_shards(const fs::path& folder, const std::string& stage, int64_t of) {
  std::vector<fs::path> paths;
  std::string missing;
  for (int64_t i = 0; i < of; ++i) {
    paths.push_back(shard_path(folder, stage, i, of));
    if (!fs::exists(paths.back()) && missing.size() < 200) missing += (missing.empty() ? "" : ", ") + std::to_string(i);
  }
  if (!missing.empty())
    fail_usage("[", stage, "] no shard of worker ", missing, " of ", of, " in ", folder.string(), ": run it, then merge again");
  return paths;
}

ShardWriter::ShardWriter(const fs::path& path, const std::string& options, size_t row_bytes) : file_(path), row_bytes_(row_bytes) {
  file_.write(header_of(options, row_bytes));
}

void ShardWriter::row(const void* bytes) {
  rows(bytes, 1);
}

void ShardWriter::rows(const void* bytes, size_t n) {
  buffer_.append(static_cast<const char*>(bytes), n * row_bytes_);
  if (buffer_.size() < kBuffer) return;
  file_.write(buffer_);
  buffer_.clear();
}

void ShardWriter::commit() {
  file_.write(buffer_);
  buffer_.clear();
  file_.commit();
}

WorkerShard::WorkerShard(std::string stage, const fs::path& path, const std::string& options, size_t row_bytes)
    : stage_(std::move(stage)), path_(path) {
  if (done()) {
    ShardFile(path_, options, row_bytes);  // of these options, or an error
    return;
  }
  make_folder(path_.parent_path());
  writer_ = std::make_unique<ShardWriter>(path_, options, row_bytes);
}

void WorkerShard::begin(Place place) {
  check(is_open(), "[", stage_, "] the shard ", path_.string(), " is there already");
  check(!last_ || place > *last_, "[", stage_, "] documents come in rising order of places; ", place, " came after ", last_.value_or(0));
  last_ = place;
}

void WorkerShard::finish() {
  if (writer_) writer_->commit();
  writer_.reset();
}

ShardFile::ShardFile(const fs::path& path, const std::string& options, size_t row_bytes) : file_(path), row_bytes_(row_bytes) {
  const std::string expected = header_of(options, row_bytes);
  const std::string_view all(reinterpret_cast<const char*>(file_.bytes().data()), file_.size());
  if (!all.starts_with(expected))
    fail_usage(path.string(), " was made with other options: \"", printable(all.substr(0, all.find('\n'))), "\", now \"",
               printable(expected), "\"; remove it and run its worker again");
  begin_ = expected.size();
  if ((all.size() - begin_) % row_bytes != 0) fail(path.string(), ": breaks off inside a row; remove it and run its worker again");
  rows_ = (all.size() - begin_) / row_bytes;
}

void in_threads(size_t n, const std::function<void(size_t)>& work) {
  thread_local bool inside = false;
  const size_t threads = std::min(n, size_t(num_threads()));
  if (threads <= 1 || inside) {
    for (size_t i = 0; i < n; ++i) work(i);
    return;
  }
  std::atomic<size_t> next{0};
  std::exception_ptr error;
  std::mutex lock;
  const auto run = [&] {
    inside = true;
    for (size_t i; (i = next++) < n;) {
      try {
        work(i);
      } catch (...) {
        const std::lock_guard hold(lock);
        if (!error) error = std::current_exception();
        next = n;
      }
    }
    inside = false;
  };
  std::vector<std::thread> running;
  for (size_t t = 1; t < threads; ++t) running.emplace_back(run);
  run();
  for (std::thread& t : running) t.join();
  if (error) std::rethrow_exception(error);
}

}  // namespace r1::corpus
