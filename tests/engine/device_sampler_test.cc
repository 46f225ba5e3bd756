// The device sampler against the host's: every option alone and in combination, over logits of all kinds. A token may be another one only
// where the host's own random number is within 1e-5 of the border between the two, which is worked out in double for that row. One body for
// both devices; on the CPU it is about what is handed in and out.
#include "r1/engine/device_sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "r1/tensor/aten.h"
#include "tests/cuda_device.h"

namespace r1::engine {

namespace {

class DeviceSamplerOn : public testing::TestWithParam<at::DeviceType> {
 protected:
  void SetUp() override {
    if (!on_cpu() && !has_cuda()) GTEST_SKIP() << "no CUDA device";
  }
  bool on_cpu() const { return GetParam() == at::kCPU; }
  at::Device device() const { return GetParam(); }
};

constexpr float kOut = -std::numeric_limits<float>::infinity();

// Rows of a batch with all that they point to.
struct Batch {
  int64_t vocab;
  std::vector<float> logits;  // [_, vocab]
  std::vector<SamplingParams> params;
  std::vector<std::unique_ptr<TokenCounts>> counts;
  std::vector<SampleRow> rows;
  std::vector<int64_t> index;

  explicit Batch(int64_t v) : vocab(v) {}
  float* new_logits() {
    logits.resize(logits.size() + size_t(vocab));
    return logits.data() + logits.size() - vocab;
  }
  void add(SamplingParams p, int64_t logits_row, int64_t token_index = 0, TokenId forced = -1) {
    params.push_back(std::move(p));
    counts.push_back(std::make_unique<TokenCounts>());
    rows.push_back({.sample_index = int32_t(rows.size() % 5), .token_index = token_index, .forced = forced});
    index.push_back(logits_row);
  }
  // Once all is there: vectors move what they hold.
  void point() {
    for (size_t i = 0; i < rows.size(); ++i) {
      rows[i].logits = logits.data() + index[i] * vocab;
      rows[i].params = &params[i];
      rows[i].counts = counts[i].get();
    }
  }
  Tensor tensor() { return aten::from_blob(logits.data(), {int64_t(logits.size()) / vocab, vocab}, at::TensorOptions().dtype(at::kFloat)); }
};

std::vector<Sampled> on_host(const Batch& b) {
  std::vector<Sampled> out(b.rows.size());
  sample_rows(b.rows, b.vocab, out);
  return out;
}

std::vector<Sampled> on_device(DeviceSampler& sampler, const Tensor& logits, const std::vector<int64_t>& index,
                               std::span<const SampleRow> rows) {
  std::vector<Sampled> out(rows.size());
  sampler.enqueue(logits, index, rows);
  sampler.collect(out);
  const Tensor tokens = sampler.tokens().to(at::kCPU).contiguous();
  EXPECT_EQ(tokens.numel(), int64_t(rows.size()));
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(tokens.const_data_ptr<int64_t>()[i], out[i].token);
  return out;
}

// What is drawn from, as the definition in sampler.h has it.
std::vector<float> adjusted(const SampleRow& row, int64_t vocab) {
  std::vector<float> z(row.logits, row.logits + vocab);
  const SamplingParams& p = *row.params;
  if (wants_penalties(p) && row.counts)
    for (const auto& [id, made] : row.counts->counts()) {
      float& x = z[size_t(id)];
      if (p.repetition_penalty != 1) x = x < 0 ? x * float(p.repetition_penalty) : x / float(p.repetition_penalty);
      if (made > 0) x -= float(p.frequency_penalty * made + p.presence_penalty);
    }
  if (row.token_index < p.min_new_tokens)
    for (const TokenId id : p.stop_ids)
      if (id >= 0 && id < vocab) z[size_t(id)] = kOut;
  return z;
}

// Whether the row's random number, the bounds of top-p and min-p moved by next to nothing, give this token.
bool is_at_a_border(const SampleRow& row, int64_t vocab, TokenId token) {
  const SamplingParams& p = *row.params;
  if (row.forced >= 0 || is_greedy(p)) return false;
  const std::vector<float> z = adjusted(row, vocab);
  const double max = *std::max_element(z.begin(), z.end());
  if (!std::isfinite(max)) return false;
  std::vector<size_t> order(z.size());
  std::iota(order.begin(), order.end(), 0);
  const bool truncated = (p.top_k > 0 && p.top_k < vocab) || p.top_p < 1 || p.min_p > 0;
  if (truncated) std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return z[a] > z[b]; });
  if (p.top_k > 0 && p.top_k < vocab) {
    const float least = z[order[size_t(p.top_k) - 1]];
    while (z[order.back()] < least) order.pop_back();
  }
  std::vector<double> mass{0};
  const auto weight = [&](size_t id) { return std::exp((double(z[id]) - max) / p.temperature); };
  for (const size_t id : order) mass.push_back(mass.back() + weight(id));
  const auto kept = [&](double top_p, double min_p) {
    size_t n = 1;
    while (n < order.size() && (p.top_p >= 1 || mass[n] < top_p * mass.back()) && weight(order[n]) >= min_p) ++n;
    return n;
  };
  const size_t few = kept(p.top_p - 1e-6, p.min_p * (1 + 1e-5)), many = kept(p.top_p + 1e-6, p.min_p * (1 - 1e-5));
  const size_t place = size_t(std::find(order.begin(), order.end(), size_t(token)) - order.begin());
  if (place >= many) return false;
  const double u = random_uniform(p.seed, uint64_t(row.sample_index), uint64_t(row.token_index)), near = 1e-5 * mass[many];
  return u * mass[few] <= mass[place + 1] + near && u * mass[many] >= mass[place] - near;
}

// log softmax(z / temperature) in double.
struct Reference {
  const float* z;
  double max, inverse, log_total;
  Reference(const SampleRow& row, int64_t vocab) : z(row.logits) {
    inverse = is_greedy(*row.params) ? 1 : 1 / row.params->temperature;
    max = *std::max_element(z, z + vocab);
    double total = 0;
    for (int64_t i = 0; i < vocab; ++i) total += std::exp((z[i] - max) * inverse);
    log_total = std::log(total);
  }
  double logprob(TokenId id) const { return (z[id] - max) * inverse - log_total; }
};

void expect_logprob(float got, double want, double rounding, const std::string& what) {
  if (std::isinf(want))
    EXPECT_EQ(got, float(want)) << what;
  else
    EXPECT_NEAR(got, want, 1e-4 + 1e-6 * std::abs(want) + rounding) << what;
}

std::string words(const SampleRow& row) {
  const SamplingParams& p = *row.params;
  return str("temperature ", p.temperature, " top_k ", p.top_k, " top_p ", p.top_p, " min_p ", p.min_p, " penalties ", p.repetition_penalty,
             " ", p.presence_penalty, " ", p.frequency_penalty, " min_new_tokens ", p.min_new_tokens, " of ", row.token_index, " forced ",
             row.forced, " top_logprobs ", p.top_logprobs);
}

// Tokens that are other ones than the host's, each at a border. The host's log-probabilities are differences of fp32 numbers of the logits'
// size, those of a GPU are not.
int expect_the_hosts(const Batch& b, const std::vector<Sampled>& got, bool by_host, const std::string& what) {
  const std::vector<Sampled> want = on_host(b);
  int others = 0;
  for (size_t i = 0; i < b.rows.size(); ++i) {
    const SampleRow& row = b.rows[i];
    const std::string where = str(what, ", vocabulary ", b.vocab, ", row ", i, ": ", words(row));
    if (got[i].token != want[i].token) {
      ++others;
      EXPECT_TRUE(is_at_a_border(row, b.vocab, got[i].token)) << where << ": token " << got[i].token << ", host's " << want[i].token;
    }
    EXPECT_EQ(std::isnan(got[i].logprob), std::isnan(want[i].logprob)) << where;
    EXPECT_EQ(got[i].top.size(), want[i].top.size()) << where;
    if (std::isnan(got[i].logprob) || got[i].top.size() != want[i].top.size()) continue;
    const Reference reference(row, b.vocab);
    const double rounding = by_host ? 4e-7 * std::abs(reference.max * reference.inverse) : 0;
    expect_logprob(got[i].logprob, reference.logprob(got[i].token), rounding, where);
    for (size_t k = 0; k < want[i].top.size(); ++k) {
      EXPECT_EQ(got[i].top[k].id, want[i].top[k].id) << where << ", alternative " << k;
      expect_logprob(got[i].top[k].logprob, reference.logprob(got[i].top[k].id), rounding, str(where, ", alternative ", k));
    }
  }
  return others;
}

// Normal numbers from a table: millions are wanted.
class Normals {
 public:
  explicit Normals(uint64_t seed) {
    Rng rng(seed);
    for (float& x : table_) x = float(rng.normal());
  }
  float operator()(Rng& rng) {
    if (left_-- == 0) at_ = size_t(rng.bits()), left_ = 4096;
    return table_[(at_ += 7) % table_.size()];
  }

 private:
  std::array<float, 65521> table_;
  size_t at_ = 0;
  int left_ = 0;
};

const std::vector<std::string> kKinds{"normal", "narrow",   "wide",   "flat",     "one-hot", "steps",
                                      "zeros",  "some out", "one in", "outliers", "below",   "bf16"};

void fill(float* z, int64_t vocab, const std::string& kind, Rng& rng, Normals& normal) {
  const auto chosen = int64_t(rng.below(uint64_t(vocab)));
  for (int64_t i = 0; i < vocab; ++i) {
    const float x = 3 * normal(rng);
    if (kind == "normal") z[i] = x;
    if (kind == "narrow") z[i] = 1 + x * 1e-4f;
    if (kind == "wide") z[i] = 1000 * x;
    if (kind == "flat") z[i] = -2.5f;
    if (kind == "one-hot") z[i] = i == chosen ? 60.0f : 0.0f;
    if (kind == "steps") z[i] = std::round(x * 2) / 2;
    if (kind == "zeros") z[i] = i % 3 == 0 ? 0.0f : i % 3 == 1 ? -0.0f : -std::abs(x);
    if (kind == "some out") z[i] = i % 3 == 1 && i != chosen ? kOut : x;
    if (kind == "one in") z[i] = i == chosen ? x : kOut;
    if (kind == "outliers") z[i] = i % 100 == 7 ? 1e30f * x : i == chosen ? 9e30f : x;
    if (kind == "below") z[i] = x - 5000;
    if (kind == "bf16") z[i] = __builtin_bit_cast(float, __builtin_bit_cast(uint32_t, x) & 0xffff0000u);
  }
}

template <class T>
T one_of(Rng& rng, std::initializer_list<T> values) {
  return values.begin()[rng.below(values.size())];
}

SamplingParams random_params(Rng& rng, int64_t vocab) {
  SamplingParams p{.seed = rng.bits(), .max_new_tokens = 100};
  p.temperature = one_of(rng, {0.0, 1e-7, 1e-6, 0.05, 0.7, 1.0, 1.0, 1.5, 100.0});
  const auto sometimes = [&] { return rng.below(3) == 0; };
  if (sometimes()) p.top_k = one_of<int64_t>(rng, {1, 2, 5, 50, std::max<int64_t>(1, vocab - 1), vocab, vocab + 5});
  if (sometimes()) p.top_p = one_of(rng, {1e-9, 0.1, 0.5, 0.95, 0.999999});
  if (sometimes()) p.min_p = one_of(rng, {1e-4, 0.05, 0.5, 1.0});
  if (sometimes()) p.repetition_penalty = one_of(rng, {1.2, 0.7, 3.0});
  if (sometimes()) p.presence_penalty = one_of(rng, {0.5, -1.0});
  if (sometimes()) p.frequency_penalty = one_of(rng, {0.3, -0.2});
  if (sometimes()) {
    p.min_new_tokens = 10;
    for (uint64_t n = rng.below(4); n > 0; --n) p.stop_ids.push_back(TokenId(rng.below(uint64_t(vocab))));
    p.stop_ids.push_back(TokenId(vocab + 3));
    if (vocab <= 1000 && rng.below(4) == 0) {  // all but one, or none is left
      p.stop_ids.clear();
      const uint64_t left = rng.below(uint64_t(vocab) + 1);
      for (int64_t i = 0; i < vocab; ++i)
        if (uint64_t(i) != left) p.stop_ids.push_back(TokenId(i));
    }
  }
  p.logprobs = rng.below(2) == 0;
  if (sometimes()) p.top_logprobs = one_of(rng, {1, 5, 20});
  return p;
}

void count_some(TokenCounts& counts, Rng& rng, int64_t vocab, int64_t most) {
  for (uint64_t n = rng.below(uint64_t(most)); n > 0; --n) counts.add_prompt(TokenId(rng.below(uint64_t(vocab))));
  for (uint64_t n = rng.below(uint64_t(most)); n > 0; --n) counts.add_made(TokenId(rng.below(uint64_t(vocab)) / 2));
}

Batch random_batch(int64_t rows, int64_t vocab, uint64_t seed) {
  Rng rng(seed);
  Normals normal(seed);
  Batch b(vocab);
  const int64_t logits_rows = std::max<int64_t>(1, rows * 3 / 4);  // some are drawn from twice
  for (int64_t i = 0; i < logits_rows; ++i) fill(b.new_logits(), vocab, kKinds[rng.below(kKinds.size())], rng, normal);
  for (int64_t i = 0; i < rows; ++i) {
    const TokenId forced = rng.below(12) == 0 ? TokenId(rng.below(uint64_t(vocab))) : -1;
    b.add(random_params(rng, vocab), int64_t(rng.below(uint64_t(logits_rows))), int64_t(rng.below(20)), forced);
    count_some(*b.counts.back(), rng, vocab, 400);
  }
  b.point();
  return b;
}

}  // namespace

TEST_P(DeviceSamplerOn, EachOptionAlone) {
  std::vector<std::pair<std::string, SamplingParams>> options;
  const auto option = [&](const char* name, auto change) {
    for (const double temperature : {0.0, 1e-6, 0.6, 1.0, 100.0}) {
      SamplingParams p{.temperature = temperature, .max_new_tokens = 50, .logprobs = true};
      change(p);
      options.push_back({name, p});
    }
  };
  option("temperature", [](SamplingParams&) {});
  option("no log-probability", [](SamplingParams& p) { p.logprobs = false; });
  for (const int64_t k : {1, 2, 50, 999}) option("top_k", [&](SamplingParams& p) { p.top_k = k; });
  for (const double top_p : {1e-9, 0.3, 0.95, 0.9999999}) option("top_p", [&](SamplingParams& p) { p.top_p = top_p; });
  for (const double min_p : {1e-5, 0.1, 1.0}) option("min_p", [&](SamplingParams& p) { p.min_p = min_p; });
  option("top_p and top_k", [](SamplingParams& p) { p.top_p = 0.95, p.top_k = 50; });
  option("repetition", [](SamplingParams& p) { p.repetition_penalty = 1.3; });
  option("presence", [](SamplingParams& p) { p.presence_penalty = 0.7; });
  option("frequency", [](SamplingParams& p) { p.frequency_penalty = 0.2; });
  option("min_new_tokens", [](SamplingParams& p) { p.min_new_tokens = 20, p.stop_ids = {0, 3, 6, 500}; });
  for (const int n : {1, 5, 20}) option("top_logprobs", [&](SamplingParams& p) { p.top_logprobs = n; });
  int drawn = 0, others = 0;
  for (const int64_t vocab : {int64_t{1}, int64_t{7}, int64_t{1000}, int64_t{2049}, int64_t{50257}, int64_t{151936}}) {
    if (on_cpu() && vocab > 1000) break;
    const int64_t repeats = vocab > 10000 ? 1 : 3;
    DeviceSampler sampler(device(), int64_t(options.size()) * repeats, vocab);
    Rng rng(uint64_t(vocab) + 3);
    Normals normal(5);
    for (const std::string& kind : kKinds) {
      Batch b(vocab);
      for (int i = 0; i < 4; ++i) fill(b.new_logits(), vocab, kind, rng, normal);
      for (int64_t r = 0; r < repeats; ++r)
        for (const auto& [name, p] : options) {
          b.add(p, int64_t(rng.below(4)), int64_t(rng.below(40)), rng.below(30) == 0 ? TokenId(rng.below(uint64_t(vocab))) : -1);
          b.params.back().seed = rng.bits();
          count_some(*b.counts.back(), rng, vocab, 60);
        }
      b.point();
      drawn += int(b.rows.size());
      others += expect_the_hosts(b, on_device(sampler, b.tensor().to(device()), b.index, b.rows), on_cpu(), kind);
    }
  }
  // Each of them is at a border; many of them would be odd all the same.
  EXPECT_LE(others, drawn / 1000);
}

TEST_P(DeviceSamplerOn, AnyCombination) {
  int drawn = 0, others = 0;
  for (const int64_t vocab :
       {int64_t{1}, int64_t{2}, int64_t{7}, int64_t{129}, int64_t{1000}, int64_t{16384}, int64_t{50257}, int64_t{151936}})
    for (const int64_t rows : {1, 3, 257}) {
      if (on_cpu() && vocab * rows > 300000) continue;
      DeviceSampler sampler(device(), rows, vocab);
      const int rounds = vocab > 10000 ? (rows < 100 ? 8 : 1) : (rows < 100 ? 40 : 5);
      for (int round = 0; round < rounds; ++round) {
        Batch b = random_batch(rows, vocab, uint64_t(vocab * 1000 + rows * 10 + round));
        drawn += int(rows);
        others += expect_the_hosts(b, on_device(sampler, b.tensor().to(device()), b.index, b.rows), on_cpu(), str("round ", round));
      }
    }
  EXPECT_LE(others, drawn / 1000);
}

// A wide tensor's columns: rows apart from each other, starting anywhere.
TEST_P(DeviceSamplerOn, LogitsMayBeStrided) {
  for (const int64_t first : {0, 1, 4})
    for (const int64_t vocab : {7, 1001, 20000}) {
      Batch b = random_batch(9, vocab, uint64_t(vocab));
      const Tensor dense = b.tensor();
      const Tensor wide = aten::full({dense.size(0), vocab + 9}, 1e6, at::TensorOptions().dtype(at::kFloat));
      wide.narrow(1, first, vocab).copy_(dense);
      DeviceSampler sampler(device(), 20, vocab);
      expect_the_hosts(b, on_device(sampler, wide.to(device()).narrow(1, first, vocab), b.index, b.rows), on_cpu(),
                       str("from column ", first));
    }
}

TEST_P(DeviceSamplerOn, DrawsFollowTheDistribution) {
  constexpr int64_t kVocab = 40, kRows = 500, kDraws = 100000;
  Rng rng(8);
  Batch b(kVocab);
  float* z = b.new_logits();
  for (int64_t i = 0; i < kVocab; ++i) z[i] = float(1.5 * rng.normal());
  const auto softmax = [&](double temperature, const std::function<bool(float)>& kept) {
    std::vector<double> p;
    double total = 0;
    for (int64_t i = 0; i < kVocab; ++i) p.push_back(kept(z[i]) ? std::exp(z[i] / temperature) : 0), total += p.back();
    for (double& x : p) x /= total;
    return p;
  };
  std::vector<float> sorted(z, z + kVocab);
  std::sort(sorted.rbegin(), sorted.rend());
  const std::vector<std::pair<SamplingParams, std::vector<double>>> cases{
      {{.temperature = 1.3}, softmax(1.3, [](float) { return true; })},
      {{.temperature = 0.7, .top_k = 12}, softmax(0.7, [&](float x) { return x >= sorted[11]; })},
      {{.min_p = 0.1}, softmax(1, [&](float x) { return x - sorted[0] >= std::log(0.1); })},
  };
  DeviceSampler sampler(device(), kRows, kVocab);
  const Tensor logits = b.tensor().to(device());
  for (const auto& [params, expected] : cases) {
    std::vector<double> seen(kVocab);
    std::vector<SampleRow> rows(kRows, SampleRow{.params = &params});
    const std::vector<int64_t> index(kRows, 0);
    for (int64_t n = 0; n < kDraws; n += kRows) {
      for (int64_t i = 0; i < kRows; ++i) rows[size_t(i)].token_index = n + i;
      for (const Sampled& s : on_device(sampler, logits, index, rows)) ++seen[size_t(s.token)];
    }
    double statistic = 0, k = -1;
    for (size_t i = 0; i < kVocab; ++i) {
      const double want = expected[i] * double(kDraws);
      if (want == 0) {
        EXPECT_EQ(seen[i], 0) << i;
        continue;
      }
      statistic += (seen[i] - want) * (seen[i] - want) / want;
      ++k;
    }
    // Wilson-Hilferty, 4 sigma; the seeds are fixed.
    const double a = 2 / (9 * k);
    EXPECT_LT((std::cbrt(statistic / k) - (1 - a)) / std::sqrt(a), 4) << "chi^2 " << statistic << " with " << k << " degrees";
  }
}

TEST_P(DeviceSamplerOn, ARowDependsOnItselfAlone) {
  for (const int64_t vocab : {131, 30000}) {
    constexpr int64_t kRows = 60;
    Batch b = random_batch(kRows, vocab, 17);
    DeviceSampler sampler(device(), kRows, vocab);
    const Tensor logits = b.tensor().to(device());
    const std::vector<Sampled> together = on_device(sampler, logits, b.index, b.rows);
    DeviceSampler other(device(), 7, vocab);
    for (size_t first = 0; first < kRows; first += 5) {
      std::vector<int64_t> index(b.index.rbegin() + int64_t(first), b.index.rbegin() + int64_t(first) + 5);
      std::vector<SampleRow> rows(b.rows.rbegin() + int64_t(first), b.rows.rbegin() + int64_t(first) + 5);
      const std::vector<Sampled> apart = on_device(other, logits, index, rows);
      for (size_t i = 0; i < 5; ++i) {
        const Sampled &x = apart[i], &y = together[kRows - 1 - first - i];
        EXPECT_EQ(x.token, y.token);
        EXPECT_EQ(std::isnan(x.logprob), std::isnan(y.logprob));
        if (!std::isnan(x.logprob)) {
          EXPECT_EQ(x.logprob, y.logprob);
        }
        ASSERT_EQ(x.top.size(), y.top.size());
        for (size_t k = 0; k < x.top.size(); ++k) EXPECT_EQ(x.top[k].logprob, y.top[k].logprob);
      }
    }
  }
}

// Step by step a sequence's counts change, by one token or by more; the list there outgrows its room; one goes and another begins.
TEST_P(DeviceSamplerOn, CountsFollowTheirSequences) {
  constexpr int64_t kVocab = 3000;
  constexpr size_t kRows = 6;
  Batch b(kVocab);
  Rng rng(4);
  Normals normal(4);
  for (size_t i = 0; i < kRows; ++i) {
    fill(b.new_logits(), kVocab, i == 0 ? "flat" : "normal", rng, normal);
    b.add({.temperature = i % 2 ? 0.9 : 0.0, .repetition_penalty = 1.4, .presence_penalty = 0.2, .frequency_penalty = 0.6}, int64_t(i));
    for (size_t n = 0; n < i * 40; ++n) b.counts[i]->add_prompt(TokenId(rng.below(kVocab)));
  }
  DeviceSampler sampler(device(), kRows, kVocab);
  const Tensor logits = b.tensor().to(device());
  std::set<TokenId> greedy;
  for (int step = 0; step < 400; ++step) {
    if (step == 200) b.counts[2] = std::make_unique<TokenCounts>();
    for (SampleRow& row : b.rows) row.token_index = step;
    b.point();
    // Not everyone takes part in each step.
    std::vector<SampleRow> rows;
    std::vector<int64_t> index;
    std::vector<size_t> which;
    for (size_t i = 0; i < kRows; ++i) {
      if (step % int(i + 1) > 1) continue;
      rows.push_back(b.rows[i]), index.push_back(b.index[i]), which.push_back(i);
    }
    const std::vector<Sampled> got = on_device(sampler, logits, index, rows);
    std::vector<Sampled> want(rows.size());
    sample_rows(rows, kVocab, want);
    for (size_t k = 0; k < rows.size(); ++k) {
      if (got[k].token != want[k].token) {
        EXPECT_TRUE(is_at_a_border(rows[k], kVocab, got[k].token)) << step << " " << which[k];
      }
      TokenCounts& counts = *b.counts[which[k]];
      counts.add_made(want[k].token);
      if (step % 7 == 3) counts.add_made(want[k].token);
      if (step % 11 == 5)
        for (int n = 0; n < 3; ++n) counts.add_made(TokenId(rng.below(kVocab)));
      if (which[k] == 0) greedy.insert(want[k].token);
    }
  }
  EXPECT_GT(greedy.size(), 300u);  // the flat row's penalties are all that moves it
}

TEST_P(DeviceSamplerOn, BrokenLogitsAreAnError) {
  constexpr int64_t kVocab = 5000;
  const SamplingParams draw, greedy{.temperature = 0}, scored{.top_p = 0.9, .logprobs = true, .top_logprobs = 4};
  DeviceSampler sampler(device(), 3, kVocab);
  for (const float bad : {NAN, -NAN, INFINITY}) {
    for (const int64_t place : {int64_t{0}, int64_t{2500}, kVocab - 1}) {
      const Tensor logits = aten::zeros({3, kVocab}, at::TensorOptions().dtype(at::kFloat));
      logits.mutable_data_ptr<float>()[kVocab + place] = bad;
      const Tensor there = logits.to(device());
      const SampleRow rows[3] = {{.params = &draw}, {.params = &greedy}, {.params = &scored}};
      for (size_t i = 0; i < 3; ++i) {
        const std::vector<int64_t> broken{1}, good{2};
        EXPECT_THROW(on_device(sampler, there, broken, {&rows[i], 1}), Error) << bad << " at " << place;
        EXPECT_LT(on_device(sampler, there, good, {&rows[i], 1})[0].token, kVocab);
      }
    }
  }
  const Tensor nothing = aten::full({1, kVocab}, kOut, at::TensorOptions().dtype(at::kFloat).device(device()));
  const SampleRow row{.params = &draw};
  EXPECT_THROW(on_device(sampler, nothing, {0}, {&row, 1}), Error);
}

TEST_P(DeviceSamplerOn, TwoMayBeOnTheirWay) {
  constexpr int64_t kVocab = 100;
  const Tensor logits = aten::zeros({2, kVocab}, at::TensorOptions().dtype(at::kFloat));
  logits.mutable_data_ptr<float>()[7] = logits.mutable_data_ptr<float>()[kVocab + 9] = 3;
  const Tensor there = logits.to(device());
  const SamplingParams greedy{.temperature = 0};
  const SampleRow rows[2] = {{.params = &greedy}, {.params = &greedy}};
  DeviceSampler sampler(device(), 2, kVocab);
  const std::vector<int64_t> forth{0, 1}, back{1, 0}, one{1};
  std::vector<Sampled> out(2);
  for (int round = 0; round < 3; ++round) {
    sampler.enqueue(there, forth, rows);
    sampler.enqueue(there, back, rows);
    EXPECT_THROW(sampler.enqueue(there, one, {rows, 1}), Error);
    sampler.collect(out);
    EXPECT_EQ(out[0].token, 7);
    EXPECT_EQ(out[1].token, 9);
    sampler.enqueue(there, one, {rows, 1});
    sampler.collect(out);
    EXPECT_EQ(out[0].token, 9);
    EXPECT_EQ(out[1].token, 7);
    sampler.collect({out.data(), 1});
    EXPECT_EQ(out[0].token, 9);
    EXPECT_THROW(sampler.collect(out), Error);
  }
  EXPECT_THROW(sampler.enqueue(there, {one}, {rows, 2}), Error);
  EXPECT_THROW(sampler.enqueue(there.narrow(1, 0, 50), one, {rows, 1}), Error);
  const SampleRow outside{.params = &greedy, .forced = kVocab};
  EXPECT_THROW(sampler.enqueue(there, one, {&outside, 1}), Error);
}

INSTANTIATE_TEST_SUITE_P(Cpu, DeviceSamplerOn, testing::Values(at::kCPU));
INSTANTIATE_TEST_SUITE_P(Cuda, DeviceSamplerOn, testing::Values(at::kCUDA));

}  // namespace r1::engine
