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
#include "r1/base/log.h"
#include "r1/base/rng.h"
#include "r1/base/strings.h"
#include "r1/corpus/curriculum.h"
#include "r1/corpus/document_file.h"
#include "r1/corpus/ordered_lines.h"
#include "r1/corpus/reader.h"
#include "r1/corpus/shards.h"
#include "r1/corpus/words.h"
#include "r1/data/jsonl.h"

namespace r1::corpus {
namespace {

constexpr size_t kMaxLine = size_t{256} << 20;

// What documents are ordered by: the length of the text, or the score that the stage `score` left in a mark, else a number `score` of the row.
double key_of(const std::string& line, const std::string& order_by, const std::string& where) {
  const Json row = parse_json(line, where);
  if (order_by == "length") {
    if (!row.is_object() || !row.contains("text") || !row["text"].is_string())
      fail_usage(where, ": order_by length needs a text in each row");
    return double(count_chars(row["text"].get_ref<const std::string&>()));
  }
  if (row.is_object() && row.contains("marks") && row["marks"].is_array())
    for (auto mark = row["marks"].rbegin(); mark != row["marks"].rend(); ++mark)
      if (mark->is_string() && mark->get_ref<const std::string&>().starts_with("score="))
        return std::atof(mark->get<std::string>().c_str() + 6);
  for (const Json* place : {&row, row.is_object() && row.contains("extra") ? &row["extra"] : nullptr})
    if (place && place->is_object() && place->contains("score") && (*place)["score"].is_number()) return (*place)["score"].get<double>();
  fail_usage(where,
             ": order_by score needs the mark of the stage score (r1 data run --stages .. score ..) or a number `score` in each row");
}

// The lines of a source again and again, each time its files in an order of their own; or all of them in the order of a key.
class Source {
 public:
  Source(const MixConfig& c, size_t number)
      : name_(c.sources[number]), files_(files_of(name_)), seed_(c.seed), number_(number), window_(size_t(c.shuffle)) {
    if (c.order_by != "none") {
      ordered_ = std::make_unique<OrderedLines>(c.output, str(".order-", c.worker, "-of-", c.of, "-", number));
      window_ = 1;
    }
    std::string line;
    uint64_t lines_read = 0;
    for (const std::string& file : files_) {
      data::LineReader lines(file, kMaxLine);
      for (int64_t at = 1, seen = 0; lines.next(line); ++at) {
        if (line.empty()) continue;
        if (seen++ == 0 && !trim(line).starts_with('{'))
          fail_usage("sources: ", printable(file), ":", at, ": no object of JSON lines; r1 data run makes some of any text");
        size_ += int64_t(line.size()) + 1;
        if (!ordered_) continue;
        const double key = key_of(line, c.order_by, str(file, ":", at));
        ordered_->add(c.descending ? -key : key, random_bits(seed_, number, lines_read++), line);
      }
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
  // Beside its documents the folder of a run has counts, plans and reports, which are JSON too.
  static std::vector<std::string> files_of(const std::string& name) {
    const fs::path folder(name);
    if (fs::exists(folder / "plan.json") && fs::exists(folder / "config.json"))
      fail_usage("sources: ", printable(name), " is the folder of a run of r1 data, which holds more than documents; name those: ",
                 (folder / (fs::exists(folder / "data/train") ? "data/train" : "data")).string());
    return input_files({name});
  }
  void begin() {
    if (ordered_) ordered_->rewind();
    rng_.emplace(Rng(seed_, number_).split(uint64_t(pass_++)));
    order_.resize(files_.size());
    std::iota(order_.begin(), order_.end(), size_t{0});
    rng_->shuffle(order_);
    at_ = 0;
  }
  bool read(std::string& line) {
    if (ordered_) return rng_ && ordered_->next(line);
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
  std::unique_ptr<OrderedLines> ordered_;
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

// Whose turn it is with shares that change: the source that is owed most.
class Turns {
 public:
  Turns(const Curriculum& curriculum, double max_epochs)
      : curriculum_(curriculum), max_epochs_(max_epochs), owed_(curriculum.stages[0].weights.size()) {}

  size_t next(const std::vector<Source>& sources, double progress) {
    shares_ = curriculum_.shares_at(progress);
    double sum = 0;
    for (size_t k = 0; k < sources.size(); ++k) {
      if (max_epochs_ > 0 && sources[k].epochs() >= max_epochs_) shares_[k] = 0;
      sum += shares_[k];
    }
    // What was owed to a source that gives nothing now is not asked for later.
    size_t best = sources.size();
    for (size_t k = 0; k < sources.size(); ++k) {
      if (shares_[k] == 0) {
        owed_[k] = 0;
        continue;
      }
      shares_[k] /= sum;
      if (best == sources.size() || owed_[k] + shares_[k] > owed_[best] + shares_[best]) best = k;
    }
    if (best == sources.size())
      fail_usage("curriculum: at ", progress, " of the mixture its sources have all been given ", max_epochs_,
                 " times; raise max_epochs, name fewer bytes, or give another source a weight in stage ",
                 curriculum_.stage_at(progress) + 1);
    return best;
  }
  void gave(size_t source, double bytes) {
    for (size_t k = 0; k < owed_.size(); ++k) owed_[k] += shares_[k] * bytes;
    owed_[source] -= bytes;
  }

 private:
  const Curriculum& curriculum_;
  double max_epochs_;
  std::vector<double> owed_, shares_;  // bytes; of the next document
};

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
void check_folder(const MixConfig& c, const std::vector<Source>& sources, const std::optional<Curriculum>& curriculum) {
  Json now = config_to_json(c);
  for (const char* key : {"output", "worker", "of", "curriculum"}) now.erase(key);
  // As folders have it that were begun before there were curricula.
  if (curriculum) now["curriculum"] = curriculum->to_json();
  if (c.order_by == "none")
    for (const char* key : {"order_by", "descending"}) now.erase(key);
  for (const Source& s : sources) now["sizes"].push_back(s.size());
  remove_temporaries(c.output, c.worker, c.of);
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
  v("curriculum", curriculum, "file of stages, each with weights of its own (docs/formats.md); then no weights and temperature");
  v("order_by", order_by, "order inside of a source, from low to high; not shuffled then", OneOf{"none", "length", "score"});
  v("descending", descending, "from high to low");
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
  std::optional<Curriculum> curriculum;
  if (!c.curriculum.empty()) {
    if (!c.weights.empty()) fail_usage("weights: the curriculum has them; leave one of the two out");
    curriculum = Curriculum::load(c.curriculum, c.sources.size());
  }
  std::vector<Source> sources;
  for (size_t k = 0; k < c.sources.size(); ++k) sources.emplace_back(c, k);
  const std::vector<double> shares = shares_of(c, sources);
  check_folder(c, sources, curriculum);
  int64_t wanted = c.bytes, bytes = 0, documents = 0;
  if (wanted == 0)
    for (const Source& s : sources) wanted += s.size();

  Shards shards(c);
  std::optional<Turns> turns;
  std::vector<std::vector<int64_t>> by_stage;
  if (curriculum) {
    turns.emplace(*curriculum, c.max_epochs);
    by_stage.resize(curriculum->stages.size(), std::vector<int64_t>(sources.size()));
  }
  while (bytes < wanted) {
    const double progress = double(bytes) / double(wanted);
    const size_t k = turns ? turns->next(sources, progress) : turn(sources, shares, c.max_epochs);
    if (k == sources.size()) {
      log_warning("the mixture ends at ", bytes, " bytes, not at ", wanted, ": its sources have been given ", c.max_epochs,
                  " times (max_epochs)");
      break;
    }
    const std::string line = sources[k].next();
    shards.add(line);
    const int64_t size = int64_t(line.size()) + 1;
    bytes += size;
    if (turns) {
      turns->gave(k, double(size));
      by_stage[curriculum->stage_at(progress)][k] += size;
    }
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
  Json out = {{"documents", documents}, {"bytes", bytes}, {"shards", shards.number()}, {"sources", list}};
  for (size_t i = 0; i < by_stage.size(); ++i) {
    const int64_t all = std::accumulate(by_stage[i].begin(), by_stage[i].end(), int64_t{0});
    Json given = Json::array();
    for (const int64_t b : by_stage[i]) given.push_back(double(b) / double(std::max<int64_t>(1, all)));
    out["stages"].push_back({{"until", curriculum->stages[i].until}, {"bytes", all}, {"shares", given}});
  }
  write_file_atomic(fs::path(c.output) / "mixture.json", dump_json(out, 1) + "\n");
  return out;
}

}  // namespace r1::corpus
