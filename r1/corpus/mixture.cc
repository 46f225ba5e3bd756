#include "r1/corpus/mixture.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <numeric>
#include <optional>

#include "r1/base/config_io.h"
#include "r1/base/error.h"
#include "r1/base/interrupt.h"
#include "r1/base/rng.h"
#include "r1/corpus/document_file.h"
#include "r1/corpus/reader.h"
#include "r1/data/jsonl.h"

namespace r1::corpus {
namespace {

constexpr size_t kMaxLine = size_t{256} << 20;

// The lines of a source again and again, each time its files in an order of their own.
class Source {
 public:
  Source(std::string name, uint64_t seed, uint64_t number, size_t window)
      : name_(std::move(name)), files_(input_files({name_})), seed_(seed), number_(number), window_(window) {
    std::string line;
    for (const std::string& file : files_) {
      data::LineReader lines(file, kMaxLine);
      while (lines.next(line)) size_ += int64_t(line.size()) + 1;
      throw_if_interrupted();
    }
    if (size_ == 0) fail_usage("sources: '", printable(name_), "' has no documents");
  }

  const std::string& name() const { return name_; }
  int64_t size() const { return size_; }
  int64_t given() const { return given_; }
  int64_t documents() const { return documents_; }
  double epochs() const { return double(given_) / double(size_); }

  std::string next() {
    while (buffer_.size() < window_ && read(line_)) buffer_.push_back(std::move(line_));
    if (buffer_.empty()) {  // the end of a pass; nothing of the next one is mixed into this
      begin();
      return next();
    }
    std::swap(buffer_[size_t(rng_->below(buffer_.size()))], buffer_.back());
    std::string out = std::move(buffer_.back());
    buffer_.pop_back();
    given_ += int64_t(out.size()) + 1;
    ++documents_;
    return out;
  }

 private:
  void begin() {
    rng_.emplace(Rng(seed_, number_).split(uint64_t(pass_++)));
    order_.resize(files_.size());
    std::iota(order_.begin(), order_.end(), size_t{0});
    rng_->shuffle(order_);
    at_ = 0;
  }
  bool read(std::string& line) {
    while (rng_) {
      if (lines_ && lines_->next(line)) {
        if (!line.empty()) return true;
        continue;
      }
      lines_.reset();
      if (at_ == order_.size()) return false;
      lines_ = std::make_unique<data::LineReader>(files_[order_[at_++]], kMaxLine);
    }
    return false;
  }

  std::string name_;
  std::vector<std::string> files_;
  uint64_t seed_, number_;
  size_t window_, at_ = 0;
  int64_t size_ = 0, given_ = 0, documents_ = 0, pass_ = 0;
  std::optional<Rng> rng_;
  std::vector<size_t> order_;
  std::unique_ptr<data::LineReader> lines_;
  std::vector<std::string> buffer_;
  std::string line_;
};

std::vector<double> shares_of(const MixConfig& c, const std::vector<Source>& sources) {
  std::vector<double> shares = c.weights;
  if (shares.empty())
    for (const Source& s : sources) shares.push_back(std::pow(double(s.size()), 1 / c.temperature));
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& share : shares) {
    if (!(share > 0) || !std::isfinite(sum)) fail_usage("weights: ", share, " is no weight; they are above 0");
    share /= sum;
  }
  return shares;
}

// Whose turn it is: the lowest (given / share) of those that are not used up; none: sources.size().
size_t turn(const std::vector<Source>& sources, const std::vector<double>& shares, double max_epochs) {
  size_t best = sources.size();
  double least = 0;
  for (size_t k = 0; k < sources.size(); ++k) {
    if (max_epochs > 0 && sources[k].epochs() >= max_epochs) continue;
    const double behind = double(sources[k].given()) / shares[k];
    if (best == sources.size() || behind < least) best = k, least = behind;
  }
  return best;
}

// Writes lines to shards; those of other workers and those that are there only count.
class Shards {
 public:
  explicit Shards(const MixConfig& c) : c_(c) { make_folder(c.output); }
  void add(const std::string& line) {
    if (bytes_ == 0) begin();
    if (writer_) writer_->write(line + "\n");
    bytes_ += int64_t(line.size()) + 1;
    if (bytes_ >= c_.shard_bytes) close();
  }
  void close() {
    if (bytes_ == 0) return;
    if (writer_) writer_->commit();
    writer_.reset();
    bytes_ = 0;
    ++number_;
  }
  int64_t number() const { return number_; }

 private:
  void begin() {
    char name[40];
    std::snprintf(name, sizeof name, "%05lld.jsonl.zst", static_cast<long long>(number_));
    const fs::path path = fs::path(c_.output) / name;
    if (number_ % c_.of == c_.worker && !fs::exists(path)) writer_ = std::make_unique<PackedWriter>(path);
  }
  const MixConfig& c_;
  int64_t number_ = 0, bytes_ = 0;
  std::unique_ptr<PackedWriter> writer_;
};

// The folder is this mixture's, new or begun: its options, and what the sources hold.
void check_folder(const MixConfig& c, const std::vector<Source>& sources) {
  Json now = config_to_json(c);
  for (const char* key : {"output", "worker", "of"}) now.erase(key);
  for (const Source& s : sources) now["sizes"].push_back(s.size());
  const fs::path path = fs::path(c.output) / "mix_config.json";
  if (!fs::exists(path)) {
    make_folder(c.output);
    return write_file_atomic(path, dump_json(now, 1) + "\n");
  }
  const Json before = parse_json_file(path);
  if (before != now)
    fail_usage(c.output, ": the mixture there was begun otherwise:\n", json_diff(before, now),
               "\nname another --output, or remove that folder");
}

}  // namespace

void MixConfig::visit(Fields& v) {
  v("sources", sources, "folders, files or patterns of JSON lines (out/data/train); each is a source", Required{});
  v("output", output, "folder of the mixture", Required{});
  v("weights", weights, "of each source, in bytes; none: by size and temperature");
  v("temperature", temperature, "shares are size^(1/temperature); above 1 small sources come more often", Range{0.1, 1000});
  v("max_epochs", max_epochs, "how often a source is given at most; 0: no bound", Range{0, 1e6});
  v("bytes", bytes, "where the mixture ends; 0: as many as the sources have together", Range{0, 1e18});
  v("shard_bytes", shard_bytes, "of one file, before packing", Range{1024, 1e12});
  v("shuffle", shuffle, "documents of the window in which a source is shuffled", Range{1, 1e8});
  v("seed", seed, "another seed, another order");
  v("worker", worker, "number of this process among `of`: it writes the files whose number leaves it as rest", Range{0, 1e6});
  v("of", of, "how many processes write the mixture", Range{1, 1e6});
}

Json mix(const MixConfig& c) {
  if (!c.weights.empty() && c.weights.size() != c.sources.size())
    fail_usage("weights: ", c.weights.size(), " of them, but ", c.sources.size(), " sources");
  if (c.worker >= c.of) fail_usage("worker ", c.worker, " of ", c.of, ": workers are numbered from 0 to ", c.of - 1);
  std::vector<Source> sources;
  for (const std::string& name : c.sources) sources.emplace_back(name, c.seed, sources.size(), size_t(c.shuffle));
  const std::vector<double> shares = shares_of(c, sources);
  check_folder(c, sources);
  int64_t wanted = c.bytes, bytes = 0, documents = 0;
  if (wanted == 0)
    for (const Source& s : sources) wanted += s.size();

  Shards shards(c);
  while (bytes < wanted) {
    const size_t k = turn(sources, shares, c.max_epochs);
    if (k == sources.size()) break;
    const std::string line = sources[k].next();
    shards.add(line);
    bytes += int64_t(line.size()) + 1;
    if (++documents % 1024 == 0) throw_if_interrupted();
  }
  shards.close();
  Json list = Json::array();
  for (const Source& s : sources)
    list.push_back({{"source", s.name()},
                    {"documents", s.documents()},
                    {"bytes", s.given()},
                    {"epochs", s.epochs()},
                    {"share", double(s.given()) / double(std::max<int64_t>(1, bytes))}});
  const Json out = {{"documents", documents}, {"bytes", bytes}, {"shards", shards.number()}, {"sources", list}};
  write_file_atomic(fs::path(c.output) / "mixture.json", dump_json(out, 1) + "\n");
  return out;
}

}  // namespace r1::corpus
