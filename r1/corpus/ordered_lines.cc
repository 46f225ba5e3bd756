#include "r1/corpus/ordered_lines.h"

#include <algorithm>
#include <charconv>
#include <tuple>

#include "r1/base/error.h"
#include "r1/corpus/document_file.h"

namespace r1::corpus {
namespace {

constexpr size_t kMaxLine = size_t{256} << 20;

template <class Row>
auto order_of(const Row& r) {
  return std::tie(r.key, r.tie, r.number);
}

// "<key as it is in memory> <tie> <number> <line>"
template <class T>
T take(std::string_view& text, int base) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  check(error == std::errc() && end < text.data() + text.size(), "[ordered lines] a run's file is damaged");
  text.remove_prefix(size_t(end - text.data()) + 1);
  return value;
}

}  // namespace

struct OrderedLines::Run {
  explicit Run(const fs::path& path) : reader(path.string(), kMaxLine) {}
  bool read() {
    std::string text;
    if (!reader.next(text)) return false;
    std::string_view rest = text;
    const auto bits = take<uint64_t>(rest, 16);
    std::memcpy(&row.key, &bits, sizeof bits);
    row.tie = take<uint64_t>(rest, 16);
    row.number = take<uint64_t>(rest, 16);
    row.line = rest;
    return true;
  }
  data::LineReader reader;
  Row row{};
};

OrderedLines::OrderedLines(fs::path folder, std::string name, size_t memory_bytes)
    : folder_(std::move(folder)), name_(std::move(name)), memory_bytes_(memory_bytes) {}

OrderedLines::~OrderedLines() {
  open_.clear();
  std::error_code ignored;
  for (size_t i = 0; i < runs_; ++i) fs::remove(path(i), ignored);
}

fs::path OrderedLines::path(size_t run) const {
  return folder_ / str(name_, ".", run, ".zst");
}

void OrderedLines::add(double key, uint64_t tie, std::string line) {
  bytes_ += line.size() + sizeof(Row);
  rows_.push_back({key, tie, number_++, std::move(line)});
  if (bytes_ >= memory_bytes_) spill();
}

void OrderedLines::sort_run() {
  std::ranges::sort(rows_, [](const Row& a, const Row& b) { return order_of(a) < order_of(b); });
}

void OrderedLines::spill() {
  sort_run();
  make_folder(folder_);
  PackedWriter writer(path(runs_));
  for (const Row& r : rows_) {
    uint64_t bits = 0;
    std::memcpy(&bits, &r.key, sizeof bits);
    char head[64];
    std::snprintf(head, sizeof head, "%llx %llx %llx ", static_cast<unsigned long long>(bits), static_cast<unsigned long long>(r.tie),
                  static_cast<unsigned long long>(r.number));
    writer.write(head + r.line + "\n");
  }
  writer.commit();
  ++runs_;
  rows_.clear();
  bytes_ = 0;
}

void OrderedLines::rewind() {
  if (runs_ > 0 && !rows_.empty()) spill();
  open_.clear();
  at_ = 0;
  if (runs_ == 0) return sort_run();
  for (size_t i = 0; i < runs_; ++i) {
    auto run = std::make_unique<Run>(path(i));
    if (run->read()) open_.push_back(std::move(run));
  }
}

bool OrderedLines::next(std::string& line) {
  if (runs_ == 0) {
    if (at_ == rows_.size()) return false;
    line = rows_[at_++].line;
    return true;
  }
  if (open_.empty()) return false;
  const auto first = std::ranges::min_element(open_, [](const auto& a, const auto& b) { return order_of(a->row) < order_of(b->row); });
  line = std::move((*first)->row.line);
  if (!(*first)->read()) open_.erase(first);
  return true;
}

}  // namespace r1::corpus
