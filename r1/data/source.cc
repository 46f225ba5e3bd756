#include "r1/data/source.h"

#include <algorithm>
#include <numeric>

#include "r1/base/error.h"
#include "r1/base/rng.h"

namespace r1::data {
namespace {

class MemorySource : public DocumentSource {
 public:
  explicit MemorySource(std::vector<Document> documents) : documents_(std::move(documents)) {}
  int64_t size() const override { return int64_t(documents_.size()); }
  Document document(int64_t index) const override { return documents_.at(size_t(index)); }

 private:
  std::vector<Document> documents_;
};

class FunctionSource : public DocumentSource {
 public:
  FunctionSource(int64_t size, std::function<Document(int64_t)> make) : size_(size), make_(std::move(make)) {}
  int64_t size() const override { return size_; }
  Document document(int64_t index) const override { return make_(index); }

 private:
  int64_t size_;
  std::function<Document(int64_t)> make_;
};

class MixtureSource : public DocumentSource {
 public:
  MixtureSource(std::vector<std::unique_ptr<DocumentSource>> sources, std::vector<double> weights, uint64_t seed, int64_t size)
      : sources_(std::move(sources)) {
    if (sources_.empty() || sources_.size() != weights.size())
      fail_usage("[mixture] expected a weight a source, got ", weights.size(), " for ", sources_.size());
    int64_t all = 0;
    for (size_t k = 0; k < sources_.size(); ++k) {
      if (!(weights[k] >= 0)) fail_usage("[mixture] weight ", k, " expected >= 0, got ", weights[k]);
      if (sources_[k]->size() == 0 && weights[k] > 0) fail_usage("[mixture] source ", k, " is empty");
      all += sources_[k]->size();
    }
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    if (!(sum > 0)) fail_usage("[mixture] expected a weight above 0");
    interleave(weights, sum, size > 0 ? size : all);
    seed_orders(seed);
  }

  int64_t size() const override { return int64_t(which_.size()); }
  Document document(int64_t index) const override {
    const size_t k = which_.at(size_t(index));
    const int64_t nth = nth_[size_t(index)], n = sources_[k]->size();
    return sources_[k]->document(orders_[k][size_t(nth / n)][size_t(nth % n)]);
  }

 private:
  // The source furthest behind its share goes next.
  void interleave(const std::vector<double>& weights, double sum, int64_t size) {
    std::vector<int64_t> used(weights.size());
    for (int64_t i = 0; i < size; ++i) {
      size_t best = 0;
      double most = -1e300;
      for (size_t k = 0; k < weights.size(); ++k) {
        if (weights[k] == 0) continue;
        const double behind = weights[k] / sum * double(i + 1) - double(used[k]);
        if (behind > most) most = behind, best = k;
      }
      which_.push_back(uint16_t(best));
      nth_.push_back(used[best]++);
    }
    used_ = used;
  }

  void seed_orders(uint64_t seed) {
    for (size_t k = 0; k < sources_.size(); ++k) {
      const int64_t n = sources_[k]->size();
      auto& passes = orders_.emplace_back();
      for (int64_t pass = 0; n > 0 && pass * n < used_[k]; ++pass) {
        auto& order = passes.emplace_back(size_t(n));
        std::iota(order.begin(), order.end(), int64_t{0});
        Rng rng(seed, 0x4D69 + k);
        rng = rng.split(uint64_t(pass));
        rng.shuffle(order);
      }
    }
  }

  std::vector<std::unique_ptr<DocumentSource>> sources_;
  std::vector<uint16_t> which_;
  std::vector<int64_t> nth_, used_;
  std::vector<std::vector<std::vector<int64_t>>> orders_;  // [source][pass][n]
};

}  // namespace

std::unique_ptr<DocumentSource> memory_source(std::vector<Document> documents) {
  return std::make_unique<MemorySource>(std::move(documents));
}

std::unique_ptr<DocumentSource> function_source(int64_t size, std::function<Document(int64_t)> make) {
  return std::make_unique<FunctionSource>(size, std::move(make));
}

std::unique_ptr<DocumentSource> mixture_source(std::vector<std::unique_ptr<DocumentSource>> sources, std::vector<double> weights,
                                               uint64_t seed, int64_t size) {
  return std::make_unique<MixtureSource>(std::move(sources), std::move(weights), seed, size);
}

Document text_document(std::string_view text, const EncodeFunction& encode, int32_t end_id, int32_t begin_id) {
  Document d;
  if (begin_id >= 0) d.ids.push_back(begin_id);
  const auto ids = encode(text);
  d.ids.insert(d.ids.end(), ids.begin(), ids.end());
  if (end_id >= 0) d.ids.push_back(end_id);
  d.learned.assign(d.ids.size(), 1);
  return d;
}

}  // namespace r1::data
