#include "r1/eval/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "r1/base/error.h"
#include "r1/base/rng.h"

namespace r1::eval {

double pass_at_k(int64_t n, int64_t c, int64_t k) {
  check(k >= 1 && k <= n && c >= 0 && c <= n, "[pass_at_k] expected 1 <= k <= n and 0 <= c <= n, got n=", n, " c=", c, " k=", k);
  if (n - c < k) return 1.0;
  double none = 1.0;  // C(n-c, k) / C(n, k) as a product that can't overflow
  for (int64_t i = n - c + 1; i <= n; ++i) none *= 1.0 - double(k) / double(i);
  return 1.0 - none;
}

std::pair<double, double> wilson_interval(double right, double n) {
  if (n <= 0) return {0.0, 1.0};
  const double z = 1.959963984540054, p = right / n, z2 = z * z;
  const double middle = (p + z2 / (2 * n)) / (1 + z2 / n);
  const double half = z / (1 + z2 / n) * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n));
  // Ends that are exactly 0 and 1 by the formula stay so after rounding.
  return {right <= 0 ? 0.0 : std::max(0.0, middle - half), right >= n ? 1.0 : std::min(1.0, middle + half)};
}

std::pair<double, double> clustered_interval(const std::vector<double>& per_problem, size_t samples) {
  const double n = double(per_problem.size());
  if (n == 0) return {0.0, 1.0};
  double mean = 0, square = 0;
  for (double x : per_problem) mean += x;
  mean = std::clamp(mean / n, 0.0, 1.0);
  for (double x : per_problem) square += (x - mean) * (x - mean);
  const double variance = square / n / n, binomial = mean * (1 - mean);
  const double most = std::max(n, double(samples));
  // All right or all wrong says nothing of the spread there is: then every problem counts once.
  const double effective = binomial < 1e-15 ? n : variance < 1e-15 ? most : std::min(binomial / variance, most);
  return wilson_interval(mean * effective, effective);
}

double mcnemar_exact(int64_t only_a, int64_t only_b) {
  const int64_t n = only_a + only_b, few = std::min(only_a, only_b);
  double sum = 0;
  for (int64_t i = 0; i <= few; ++i)
    sum += std::exp(std::lgamma(double(n + 1)) - std::lgamma(double(i + 1)) - std::lgamma(double(n - i + 1)) - double(n) * std::log(2.0));
  return std::min(1.0, 2 * sum);
}

PairedBootstrap paired_bootstrap(const std::vector<double>& differences) {
  constexpr int kTimes = 10'000;
  PairedBootstrap out;
  const size_t n = differences.size();
  if (n == 0) return out;
  for (const double d : differences) out.mean += d / double(n);
  Rng rng(1, 0x70616972);  // "pair"
  std::vector<double> means(kTimes);
  int64_t below = 0, above = 0;
  for (double& mean : means) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i) sum += differences[rng.below(n)];
    mean = sum / double(n);
    below += mean <= 1e-12;
    above += mean >= -1e-12;
  }
  std::sort(means.begin(), means.end());
  out.low = means[size_t(0.025 * kTimes)];
  out.high = means[size_t(0.975 * kTimes) - 1];
  out.p = std::min(1.0, 2 * double(std::min(below, above) + 1) / (kTimes + 1));
  return out;
}

std::string three_digits(double x) {
  const double size = std::abs(x);
  if (!std::isfinite(x)) return std::isnan(x) ? "nan" : x > 0 ? "inf" : "-inf";
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", size < 9.995 ? (size < 0.9995 ? 3 : 2) : size < 99.95 ? 1 : 0, x);
  return text;
}

std::string majority(const std::vector<std::string>& answers) {
  std::string best;
  int64_t most = 0;
  for (const auto& answer : answers) {
    const int64_t votes = answer.empty() ? 0 : std::count(answers.begin(), answers.end(), answer);
    if (votes > most) most = votes, best = answer;
  }
  return best;
}

}  // namespace r1::eval
