#include "r1/engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <exception>

#include "r1/base/error.h"
#include "r1/base/rng.h"
#include "r1/engine/row_math.h"
#include "r1/grammar/token_mask.h"
#include "r1/kernels/cpu/softmax.h"

namespace r1::engine {

namespace {

constexpr float kOut = -std::numeric_limits<float>::infinity();

// Memory of one thread, kept between steps.
struct Scratch {
  std::vector<float> logits, weights;
  std::vector<TokenAlternative> order;
};

bool likelier(const TokenAlternative& a, const TokenAlternative& b) {
  return a.logprob != b.logprob ? a.logprob > b.logprob : a.id < b.id;
}

void apply_penalties(float* z, int64_t vocab, const SamplingParams& p, const TokenCounts& counts) {
  const float repetition = float(p.repetition_penalty);
  for (const auto& [id, made] : counts.counts()) {
    if (id < 0 || id >= vocab) continue;
    float& x = z[id];
    if (repetition != 1) x = x < 0 ? x * repetition : x / repetition;
    if (made > 0) x -= float(p.frequency_penalty * made + p.presence_penalty);
  }
}

bool bans_stops(const SampleRow& row) {
  return row.token_index < row.params->min_new_tokens;
}

void apply_mask(float* z, int64_t vocab, std::span<const uint64_t> mask) {
  for (int64_t first = 0; first < vocab; first += 64) {
    const auto word = size_t(first) / 64;
    const uint64_t bits = word < mask.size() ? mask[word] : 0;
    if (bits == ~uint64_t{0}) continue;
    for (int64_t id = first; id < std::min(vocab, first + 64); ++id)
      if (!(bits >> (id - first) & 1)) z[id] = kOut;
  }
}

// Whether some token is left when the stop ids are out too.
bool may_ban_stops(const SampleRow& row, int64_t vocab) {
  if (row.mask.empty()) return true;
  const auto& stops = row.params->stop_ids;
  for (int64_t id = 0; id < vocab; ++id)
    if (grammar::allowed(row.mask, id) && std::find(stops.begin(), stops.end(), TokenId(id)) == stops.end()) return true;
  return false;
}

const float* adjusted_logits(const SampleRow& row, int64_t vocab, Scratch& scratch) {
  if (!wants_penalties(*row.params) && !bans_stops(row) && row.mask.empty()) return row.logits;
  scratch.logits.assign(row.logits, row.logits + vocab);
  const SamplingParams& p = *row.params;
  if (!row.mask.empty()) apply_mask(scratch.logits.data(), vocab, row.mask);
  if (wants_penalties(p) && row.counts) apply_penalties(scratch.logits.data(), vocab, p, *row.counts);
  if (bans_stops(row) && may_ban_stops(row, vocab))
    for (TokenId id : p.stop_ids)
      if (id >= 0 && id < vocab) scratch.logits[size_t(id)] = kOut;
  return scratch.logits.data();
}

// Where the model gives nothing to any token that is allowed, the first of them.
TokenId first_allowed(const SampleRow& row, int64_t vocab) {
  for (int64_t id = 0; id < vocab; ++id)
    if (grammar::allowed(row.mask, id)) return TokenId(id);
  fail("[sampler] expected a mask that allows a token");
}

// The likeliest `count` of the tokens, best first; scratch.order holds all tokens, of which those before `sorted` are in order already.
void sort_likeliest(std::vector<TokenAlternative>& order, size_t sorted, size_t count) {
  const auto begin = order.begin() + int64_t(sorted), end = order.begin() + int64_t(count);
  if (end != order.end()) std::nth_element(begin, end, order.end(), likelier);
  std::sort(begin, end, likelier);
}

// How many of the likeliest tokens are kept by top_k, top_p, min_p; they come first in scratch.order, sorted, and scratch.weights[i] is
// exp(z_i - max).
size_t truncate(const float* z, int64_t vocab, const SamplingParams& p, double temperature, Scratch& scratch) {
  auto& order = scratch.order;
  order.resize(size_t(vocab));
  for (int64_t i = 0; i < vocab; ++i) order[size_t(i)] = {TokenId(i), z[i]};
  size_t limit = size_t(vocab);
  size_t sorted = 0;
  if (p.top_k > 0 && p.top_k < vocab) {
    sort_likeliest(order, 0, limit = size_t(p.top_k));
    sorted = limit;
    const float least = order[limit - 1].logprob;
    // Ties with the k-th stay, as in HF.
    const auto ties =
        std::partition(order.begin() + int64_t(limit), order.end(), [&](const TokenAlternative& t) { return t.logprob == least; });
    limit = size_t(ties - order.begin());
    order.resize(limit);
  }
  const float max = sorted ? order[0].logprob : z[greedy_token(z, vocab)];
  const auto weight = [&](const TokenAlternative& t) { return std::exp((double(t.logprob) - double(max)) / temperature); };
  double total = 0;
  if (p.top_p < 1)
    for (const TokenAlternative& t : order) total += weight(t);
  // Sort as far down as the kept mass reaches, a larger piece each time: a peaked distribution costs no full sort.
  double mass = 0;
  size_t kept = 0;
  scratch.weights.clear();
  for (size_t piece = 64;; piece *= 4) {
    const size_t upto = std::min(limit, std::max(sorted, piece));
    if (upto > sorted) sort_likeliest(order, sorted, upto), sorted = upto;
    for (; kept < upto; ++kept) {
      if (kept > 0 && ((p.top_p < 1 && mass >= p.top_p * total) || weight(order[kept]) < p.min_p || order[kept].logprob == kOut))
        return kept;
      const double w = weight(order[kept]);
      scratch.weights.push_back(float(w));
      mass += w;
    }
    if (upto == limit) return kept;
  }
}

TokenId draw_truncated(const float* z, int64_t vocab, const SampleRow& row, Scratch& scratch) {
  const size_t kept = truncate(z, vocab, *row.params, row.params->temperature, scratch);
  double total = 0;
  for (size_t i = 0; i < kept; ++i) total += scratch.weights[i];
  const double target = random_uniform(row.params->seed, uint64_t(row.sample_index), uint64_t(row.token_index)) * total;
  double sum = 0;
  for (size_t i = 0; i < kept; ++i)
    if ((sum += scratch.weights[i]) > target) return scratch.order[i].id;
  return scratch.order[kept - 1].id;
}

TokenId draw(const float* z, int64_t vocab, const SampleRow& row, Scratch& scratch) {
  scratch.weights.resize(size_t(vocab));
  const float max = row_max(z, vocab);
  const double u = random_uniform(row.params->seed, uint64_t(row.sample_index), uint64_t(row.token_index));
  const int64_t id = draw_row(z, vocab, max, float(row.params->temperature), u, scratch.weights.data());
  return TokenId(id);
}

void top_alternatives(const float* z, int64_t vocab, float inverse, float lse, int count, Scratch& scratch,
                      std::vector<TokenAlternative>& top) {
  auto& order = scratch.order;
  order.resize(size_t(vocab));
  for (int64_t i = 0; i < vocab; ++i) order[size_t(i)] = {TokenId(i), z[i]};
  const size_t n = size_t(std::min<int64_t>(count, vocab));
  sort_likeliest(order, 0, n);
  top.assign(order.begin(), order.begin() + int64_t(n));
  for (TokenAlternative& t : top) t.logprob = t.logprob * inverse - lse;
}

void sample_row(const SampleRow& row, int64_t vocab, Scratch& scratch, Sampled& out) {
  const SamplingParams& p = *row.params;
  const float max = row_max(row.logits, vocab);
  if (!std::isfinite(max))
    fail("[sampler] expected finite logits, got a maximum of ", max, ": the weights or activations hold NaN or infinity");
  if (row.forced >= 0) {
    out.token = row.forced;
  } else {
    const float* z = adjusted_logits(row, vocab, scratch);
    const bool nothing = !row.mask.empty() && row_max(z, vocab) == kOut;
    const bool truncates = (p.top_k > 0 && p.top_k < vocab) || p.top_p < 1 || p.min_p > 0;
    if (nothing)
      out.token = first_allowed(row, vocab);
    else if (is_greedy(p))
      out.token = greedy_token(z, vocab);
    else
      out.token = truncates ? draw_truncated(z, vocab, row, scratch) : draw(z, vocab, row, scratch);
  }
  out.top.clear();
  out.logprob = std::numeric_limits<float>::quiet_NaN();
  if (!p.logprobs && p.top_logprobs == 0) return;
  const float inverse = is_greedy(p) ? 1.0f : float(1 / p.temperature);
  const int64_t target = out.token;
  float lse = 0;
  kernels::log_prob({.logits = row.logits,
                     .rows = 1,
                     .vocab = vocab,
                     .targets = &target,
                     .inv_temperature = inverse,
                     .logprob = &out.logprob,
                     .lse = &lse});
  if (p.top_logprobs > 0) top_alternatives(row.logits, vocab, inverse, lse, p.top_logprobs, scratch, out.top);
}

}  // namespace

TokenId greedy_token(const float* z, int64_t vocab) {
  return TokenId(row_argmax(z, vocab));
}

void sample_rows(std::span<const SampleRow> rows, int64_t vocab, std::span<Sampled> out) {
  check(rows.size() == out.size(), "[sampler] expected ", rows.size(), " outputs, got ", out.size());
  for (const SampleRow& row : rows)
    check(row.forced < vocab, "[sampler] expected a forced token below the vocabulary of ", vocab, ", got ", row.forced);
  const int64_t n = int64_t(rows.size());
  std::exception_ptr error;  // an exception may not leave a parallel region
#pragma omp parallel if (n > 1 && n * vocab > 65536)
  {
    thread_local Scratch scratch;
#pragma omp for schedule(dynamic, 1)
    for (int64_t i = 0; i < n; ++i) {
      try {
        sample_row(rows[size_t(i)], vocab, scratch, out[size_t(i)]);
      } catch (...) {
#pragma omp critical(r1_sampler)
        error = std::current_exception();
      }
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace r1::engine
